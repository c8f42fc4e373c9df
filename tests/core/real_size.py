"""Converts files of the true names and shapes with random values, and measures what that takes.

    python -m tests.core.real_size FOLDER [SOURCE ...]

Each source (transformer-pt, transformer-safetensors, transformer-folder, vae, umt5-pth, umt5-fp16, umt5-fp8) is written into
FOLDER, converted twice by `lumosx convert` in a process of its own, looked at and deleted: 30 GB of disk at most. Measured is
the largest anonymous memory of the process (RssAnon, 50 times a second): pages of the source that are mapped can be given
back at any time and do not count. It must stay within 1.5 GiB above the largest tensor; both results must be equal to the
byte; the safetensors library must find in them the names, shapes and numbers of the source. Exit status 1 if not.
"""

import argparse
import hashlib
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from lumosx_core.checks.golden import GOLDEN_FOLDER
from lumosx_core.files.safetensors import read_safetensors, write_safetensors
from lumosx_core.model.checkpoint import expected_transformer
from lumosx_core.model.config import PRESETS, TransformerConfig
from lumosx_core.model.text_encoder import BLOCK_NAMES, TextConfig
from lumosx_core.sampling.pipeline import NANO_FOLDER

BAR = 1.5 * 2**30  # bytes above the largest tensor
NOISE = 2**24  # different values of a type; tensors begin at different ones
LOOKED_AT = 2**16  # numbers at both ends of every tensor
FILES = {"transformer": "transformer.safetensors", "vae": "vae.safetensors", "text-encoder": "text_encoder.safetensors"}
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Sizes:
    """Of a model."""

    transformer: TransformerConfig
    vae_width: int
    text: TextConfig


XXL = TextConfig(
    vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, relative_attention_num_buckets=32
)
REAL = Sizes(PRESETS["t2v_1_3b"], 96, XXL)


class Noise:
    """Random numbers of every type in files, which tensors of any size are cut from; they take no memory of their own."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most + NOISE

    def path(self, dtype: torch.dtype) -> Path:
        """The file with the numbers of a type; 0.02 is their deviation, as in weights."""
        path = self.folder / f"noise-{str(dtype).removeprefix('torch.')}.bin"
        if not path.exists():
            scale = 20.0 if dtype.itemsize == 1 else 0.02
            values = torch.randn(min(NOISE, self.most), generator=torch.Generator().manual_seed(7)) * scale
            content = values.to(dtype).view(torch.uint8).numpy().tobytes()
            with open(path, "wb") as file:
                for _ in range(-(-self.most // len(values))):
                    file.write(content)
        return path

    def tensor(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """The same for the same name and type; mapped from the file."""
        start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little") % min(NOISE, self.most // 2)
        count = int(np.prod(shape, dtype=np.int64))
        mapped = np.memmap(self.path(dtype), np.uint8, "c", start * dtype.itemsize, (count * dtype.itemsize,))
        return torch.from_numpy(mapped).view(dtype).reshape(shape)


def transformer_shapes(sizes: Sizes) -> Shapes:
    """Wan's names."""
    return {key: tuple(value.shape) for key, value in expected_transformer(sizes.transformer).state_dict().items()}


def vae_names(sizes: Sizes) -> tuple[Shapes, dict[str, str]]:
    """(shapes under Wan's own names, those names to the ones of diffusers)."""
    from diffusers import AutoencoderKLWan
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    golden = read_safetensors(GOLDEN_FOLDER / "wan_vae.safetensors")[0]
    own = [key.removeprefix("weights.") for key in golden if key.startswith("weights.")]
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in AutoencoderKLWan(base_dim=sizes.vae_width).state_dict().items()}
    names = {was: name for name, was in convert_wan_vae_to_diffusers({key: key for key in own}).items()}
    return {was: shapes[name] for was, name in names.items()}, names


def text_names(sizes: Sizes) -> tuple[Shapes, dict[str, str]]:
    """(shapes under transformers' names, those names to Wan's own)."""
    from transformers import UMT5Config, UMT5EncoderModel

    with torch.device("meta"):
        model = UMT5EncoderModel(UMT5Config(**asdict(sizes.text), feed_forward_proj="gated-gelu"))
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items() if k != "encoder.embed_tokens.weight"}
    names = {"shared.weight": "token_embedding.weight", "encoder.final_layer_norm.weight": "norm.weight"}
    for number in range(sizes.text.num_layers):
        names |= {f"encoder.block.{number}.{theirs}": f"blocks.{number}.{own}" for own, theirs in BLOCK_NAMES.items()}
    return shapes, names


def vocabulary(size: int) -> bytes:
    """A SentencePiece model of so many pieces: nano's with others behind (fields of a protobuf message may be appended)."""
    import sentencepiece

    content = (NANO_FOLDER / "spiece.model").read_bytes()
    there = sentencepiece.SentencePieceProcessor(model_proto=content).get_piece_size()
    pieces = []
    for number in range(there, size):
        text = f"zq{number}".encode()
        piece = b"\x0a" + bytes([len(text)]) + text + b"\x15" + struct.pack("<f", -20.0)
        pieces.append(b"\x0a" + bytes([len(piece)]) + piece)
    return content + b"".join(pieces)


@dataclass(frozen=True)
class Source:
    """A file of weights: how it is written and what must come out of it."""

    kind: str
    storage: str
    write: Callable[[Path], Any]
    expected: dict[str, Callable[[], torch.Tensor]]  # the converted file: every name to its tensor
    largest: int  # bytes of the largest tensor, as it was or as it becomes


def sources(sizes: Sizes, noise: Noise) -> Iterator[tuple[str, Source]]:
    """The files people hold, by name."""
    tensor = noise.tensor
    shapes = transformer_shapes(sizes)

    def transformer(name: str, write: Callable[[Path, dict], Any], dtype: torch.dtype) -> tuple[str, Source]:
        def content() -> dict:
            return {key: tensor(key, shape, dtype) for key, shape in shapes.items()}

        expected = {key: partial(tensor, key, shape, dtype) for key, shape in shapes.items()}
        return name, _source("transformer", "bf16", lambda path: write(path, content()), expected)

    def two_entries(path: Path, content: dict) -> None:
        torch.save({"ema": content, "model": {key: value for key, value in reversed(content.items())}}, path)

    def folder(path: Path, content: dict) -> None:
        import torch.distributed.checkpoint as dcp

        dcp.save({"ema": content}, checkpoint_id=path, no_dist=True)

    yield transformer("transformer-pt", two_entries, torch.float32)
    yield transformer("transformer-safetensors", lambda path, content: write_safetensors(path, content, {}), torch.float32)
    yield transformer("transformer-folder", folder, torch.float32)

    own, theirs = vae_names(sizes)
    vae = {theirs[key]: partial(tensor, key, shape, torch.float32) for key, shape in own.items()}
    yield "vae", _source("vae", "fp32", lambda path: torch.save({k: vae[theirs[k]]() for k in own}, path), vae)

    texts, wan = text_names(sizes)
    for name, dtype in (("umt5-pth", torch.bfloat16), ("umt5-fp16", torch.float16)):
        text = {key: partial(tensor, key, shape, dtype) for key, shape in texts.items()}

        def write(path: Path, text: dict = text, name: str = name) -> None:
            if name == "umt5-pth":
                torch.save({wan[key]: value() for key, value in text.items()}, path)
            else:
                write_safetensors(path, {key: value() for key, value in text.items()}, {"format": "pt"})

        yield name, _source("text-encoder", "bf16", write, text)

    small = [key for key, shape in texts.items() if key != "shared.weight" and len(shape) == 2 and "bias" not in key]
    stored: dict[str, Callable[[], torch.Tensor]] = {
        key: partial(tensor, key, shape, torch.float8_e4m3fn if key in small else torch.float16) for key, shape in texts.items()
    }
    scales = {key: torch.tensor(2.0 ** -(9 + number % 4)) for number, key in enumerate(small)}
    scaled = {key: partial(_scaled, value, scales.get(key)) for key, value in stored.items()}

    def write_scaled(path: Path) -> None:
        extra = {key.removesuffix("weight") + "scale_weight": value for key, value in scales.items()}
        extra["scaled_fp8"] = torch.empty(0, dtype=torch.float8_e4m3fn)
        extra["spiece_model"] = torch.frombuffer(bytearray(vocabulary(sizes.text.vocab_size)), dtype=torch.uint8)
        write_safetensors(path, {**{key: value() for key, value in stored.items()}, **extra}, {})

    yield "umt5-fp8", _source("text-encoder", "bf16", write_scaled, scaled)


def _source(kind: str, storage: str, write: Callable[[Path], Any], expected: dict) -> Source:
    largest = 0
    for value in expected.values():
        tensor = value.args[0]() if value.func is _scaled else value()
        largest = max(largest, tensor.numel() * max(tensor.element_size(), 4 if storage == "fp32" else 2))
    return Source(kind, storage, write, expected, largest)


def _scaled(value: Callable[[], torch.Tensor], scale: torch.Tensor | None) -> torch.Tensor:
    return value() if scale is None else value().float() * scale


@contextmanager
def anonymous_peak(process: int) -> Iterator[list[int]]:
    """A list whose last value is the largest RssAnon of a process so far, in bytes; the first one is that at the beginning."""
    seen = [_anonymous(process)]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            seen.append(max(seen[-1], _anonymous(process)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _anonymous(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)


def differences(path: Path, source: Source) -> list[str]:
    """What the safetensors library finds in a converted file that is not the source's: names, shapes, types, numbers at both
    ends of every tensor."""
    wanted = {"bf16": torch.bfloat16, "fp32": torch.float32}[source.storage]
    with safe_open(path, "pt") as file:
        if set(file.keys()) != set(source.expected):
            return [f"other names: {sorted(set(file.keys()) ^ set(source.expected))[:4]}"]
        found = []
        for key, value in source.expected.items():
            part = file.get_slice(key)
            shape = tuple(part.get_shape())
            rows = max(1, min(shape[0], LOOKED_AT // max(1, int(np.prod(shape[1:], dtype=np.int64)))))
            expected = value()
            same = shape == tuple(expected.shape) and all(
                torch.equal(part[cut], expected[cut].to(wanted)) and part[cut].dtype == wanted
                for cut in (slice(0, rows), slice(shape[0] - rows, shape[0]))
            )
            if not same:
                found.append(f"{key} {shape} differs")
    return found


def digest(path: Path) -> str:
    """Of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if sys.version_info >= (3, 11) else _digest(file)


def _digest(file: Any) -> str:
    found = hashlib.sha256()
    while part := file.read(2**24):
        found.update(part)
    return found.hexdigest()


Conversion = Callable[[Source, Path, Path], tuple[int, float]]


def convert(source: Source, path: Path, folder: Path) -> tuple[int, float]:
    """(largest anonymous memory, seconds) of `lumosx convert` in a process."""
    command = [sys.executable, "-m", "lumosx_core", "convert", source.kind, str(path), str(folder), "--storage", source.storage]
    started = time.monotonic()
    with open(folder.parent / "log.txt", "w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        with anonymous_peak(process.pid) as seen:
            status = process.wait()
        if status:
            log.seek(0)
            raise SystemExit(f"{' '.join(command)} ends with {status}: {log.read()[-2000:]}")
    return seen[-1], time.monotonic() - started


def try_source(name: str, source: Source, folder: Path, convert: Conversion = convert) -> list[str]:
    """Write, convert twice, look, delete; a line is printed. Returns what is wrong."""
    path, out = folder / name / FILENAMES[name], folder / name / "model"
    path.parent.mkdir(parents=True)
    source.write(path)
    size = sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir()))
    result = out / FILES[source.kind]
    peak, seconds = convert(source, path, out)
    first, found = digest(result), differences(result, source)
    result.unlink()  # a new file stands beside the old one until it is whole
    again, _ = convert(source, path, out)
    if digest(result) != first:
        found.append("the second conversion gives other bytes")
    above = max(peak, again) - source.largest
    if above > BAR:
        found.append(f"{above / 2**30:.2f} GiB above the largest tensor")
    print(  # noqa: T201
        f"{name}: {size / 2**30:.2f} GiB -> {result.stat().st_size / 2**30:.2f} GiB, peak {max(peak, again) / 2**30:.2f} GiB, "
        f"largest tensor {source.largest / 2**30:.2f} GiB, {above / 2**30:+.2f}; {seconds:.0f} s; "
        f"{len(source.expected)} tensors; {'; '.join(found) or 'equal twice, as expected'}",
        flush=True,
    )
    shutil.rmtree(path.parent)
    return found


FILENAMES = {
    "transformer-pt": "LumosX.pt",
    "transformer-safetensors": "diffusion_pytorch_model.safetensors",
    "transformer-folder": "LumosX",
    "vae": "Wan2.1_VAE.pth",
    "umt5-pth": "models_t5_umt5-xxl-enc-bf16.pth",
    "umt5-fp16": "umt5_xxl_fp16.safetensors",
    "umt5-fp8": "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
}


def main() -> int:
    """Try the sources that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help=f"of {', '.join(FILENAMES)} (default: all)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    noise = Noise(options.folder, XXL.vocab_size * XXL.d_model)
    failed = False
    for name, source in sources(REAL, noise):
        if name in (options.sources or FILENAMES):
            failed |= bool(try_source(name, source, options.folder))
    for path in options.folder.glob("noise-*.bin"):
        path.unlink()
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
