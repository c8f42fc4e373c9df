"""Weights as people hold them, and what only looks like them: what is read, what is said, what damage does."""

import json
import os
import random
import time
import zipfile
from pathlib import Path

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file

from lumosx_core.cli.main import main
from lumosx_core.errors import InputError
from lumosx_core.files.weights import open_weights, read_pickle, read_state_dict, write_safetensors
from lumosx_core.model.checkpoint import load_transformer, save_transformer
from lumosx_core.model.config import PRESETS
from lumosx_core.model.convert import convert_text_encoder, convert_transformer, convert_vae
from lumosx_core.model.text_encoder import load_text_encoder
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.model.vae import load_vae
from lumosx_core.sampling.pipeline import NANO_FOLDER

DEBUG = PRESETS["debug"]


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    model = LumosXTransformer(DEBUG)
    model.initialize_weights()
    return dict(model.state_dict())


def refused(load, *words: str) -> str:
    with pytest.raises(InputError) as raised:
        load()
    message = str(raised.value)
    for word in words:
        assert word in message, message
    assert "weights_only" not in message and "mmap" not in message and len(message) < 1500
    return message


STRANGERS = {
    "empty.pt": (b"", "is empty"),
    "zeros.pt": (b"\0" * 4000, "zeros only"),
    "pointer.pth": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "pointer of git LFS"),
    "page.pth": (b"\n<!DOCTYPE html><html></html>", "web page"),
    "page.safetensors": (b"<html><body>403</body></html>", "web page"),
    "w.gguf": (b"GGUF\x03\0\0\0" + b"\0" * 60, "GGUF"),
    "a.ckpt": (b"7z\xbc\xaf\x27\x1c" + b"\0" * 60, "7-Zip"),
    "text.bin": (b"Entry not found", "text file"),
    "json.pt": (b'{"error": "no"}', "JSON text"),
    "noise.pt": (bytes(range(144, 244)), "torch.save"),
    "noise.safetensors": (bytes(range(144, 244)), "safetensors"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_files_that_are_no_weights_are_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    content, said = STRANGERS[name]
    path.write_bytes(content)
    refused(lambda: open_weights(path), said, str(path))
    refused(lambda: read_pickle(path, "the state"), str(path))


def test_archives_and_folders_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("weights.txt", "x")
    refused(lambda: open_weights(tmp_path / "a.pt"), "a.pt")
    refused(lambda: read_pickle(tmp_path, "the state"), "is a folder")
    refused(lambda: read_pickle(tmp_path / "none", "the state"), "there is no file")
    os.mkfifo(tmp_path / "pipe.pt")
    refused(lambda: open_weights(tmp_path / "pipe.pt"), "no file")


@pytest.mark.parametrize("old", [False, True])
def test_both_formats_under_any_name(state, old: bool, tmp_path: Path) -> None:
    for name in ("a.pt", "a.safetensors", "a"):
        torch.save({"ema": state}, tmp_path / name, _use_new_zipfile_serialization=not old)
        found, _ = read_state_dict(tmp_path / name)
        assert found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in state)
    save_file(state, tmp_path / "b.pt")
    assert read_state_dict(tmp_path / "b.pt")[0].keys() == state.keys()


@pytest.mark.parametrize(
    "prefix",
    [
        "_orig_mod.",
        "pipe.dit.",
        "module.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "pipe.dit._orig_mod.module.",
        "model.diffusion_model._orig_mod.",
        "_fsdp_wrapped_module.",
        "transformer.",
    ],
)
def test_names_of_wrapped_models(state, prefix: str, tmp_path: Path) -> None:
    torch.save({prefix + key: value for key, value in state.items()}, tmp_path / "a.pt")
    assert read_state_dict(tmp_path / "a.pt")[0].keys() == state.keys()
    inside = {key.replace("blocks.0.", "blocks.0._orig_mod."): value for key, value in state.items()}
    torch.save({prefix + key: value for key, value in inside.items()}, tmp_path / "b.pt")
    assert read_state_dict(tmp_path / "b.pt")[0].keys() == state.keys()


def shards(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    folder.mkdir()
    names = [f"w-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    places = {key: names[n % 3] for n, key in enumerate(state)}
    for name in names:
        save_file({key: state[key] for key, place in places.items() if place == name}, folder / name)
    index = folder / "w.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index


def test_shards_with_an_index(state, tmp_path: Path) -> None:
    index = shards(tmp_path / "s", state)
    for path in (index, index.parent):
        found, _ = read_state_dict(path)
        assert all(torch.equal(found[key], value) for key, value in state.items())
    content = json.loads(index.read_text())
    for change, word in (
        ({"weight_map": {"a": "../w.safetensors"}}, "not in its folder"),
        ({"weight_map": {"a": "none.safetensors"}}, "lacks the file none"),
        ({"weight_map": content["weight_map"] | {"a": "w-00001-of-00003.safetensors"}}, "lacks the tensor a"),
        ([1], "no weight_map"),
    ):
        index.write_text(json.dumps(change))
        refused(lambda: open_weights(index), word)


def test_entries_by_name(state, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(
        {"generator_ema": {"module." + k: v for k, v in state.items()}, "generator": {}, "critic": state}, tmp_path / "a.pt"
    )
    refused(lambda: open_weights(tmp_path / "a.pt"), "generator_ema, critic", "--entry NAME")
    assert read_state_dict(tmp_path / "a.pt", "generator_ema")[0].keys() == state.keys()
    full = {"ema": {"state_dict": state}, "step": 3}
    torch.save(full, tmp_path / "b.pt")
    assert read_state_dict(tmp_path / "b.pt")[0].keys() == state.keys()
    save_transformer(tmp_path / "c.safetensors", state, DEBUG)
    assert main(["convert", "transformer", str(tmp_path / "c.safetensors"), str(tmp_path / "o"), "--entry", "x"]) == 0
    capsys.readouterr()


def test_a_dictionary_that_holds_itself(tmp_path: Path) -> None:
    tree: dict = {"ema": {"a": torch.ones(1)}}
    tree["ema"]["again"] = tree["ema"]
    torch.save(tree, tmp_path / "a.pt")
    refused(lambda: open_weights(tmp_path / "a.pt"), "holds itself")


def test_exchanged_files_and_other_models(state, tmp_path: Path) -> None:
    nano = {name: NANO_FOLDER / f"{name}.safetensors" for name in ("transformer", "vae", "text_encoder")}
    spiece = NANO_FOLDER / "spiece.model"
    out = tmp_path / "out.safetensors"
    for load in (load_transformer, lambda path: convert_transformer(path, out)):
        refused(lambda load=load: load(nano["vae"]), "it is a VAE; are two files exchanged?")
        refused(lambda load=load: load(nano["text_encoder"]), "it is a UMT5 text encoder; are two files exchanged?")
    for load in (load_vae, lambda path: convert_vae(path, out)):
        refused(lambda load=load: load(nano["text_encoder"]), "a UMT5 text encoder")
        refused(lambda load=load: load(nano["transformer"]), "a Wan transformer")
    for load in (lambda path: load_text_encoder(path, spiece), lambda path: convert_text_encoder(path, out)):
        refused(lambda load=load: load(nano["vae"]), "it is a VAE; are two files exchanged?")
    for channels, said in ((48, "Wan2.2 5B"), (36, "image-to-video")):
        other = state | {"patch_embedding.weight": torch.zeros(DEBUG.dim, channels, 1, 2, 2)}
        save_file(other | {"head.modulation": torch.zeros(1, 2, 128)}, tmp_path / "w.safetensors")
        refused(lambda: convert_transformer(tmp_path / "w.safetensors", out), said)
        refused(lambda: load_transformer(tmp_path / "w.safetensors"), said)
    for name, said in (
        ("vace_blocks.0.a", "VACE"),
        ("img_emb.proj.0.bias", "image-to-video"),
        ("blocks.0.ffn.0.lora_A.weight", "LoRA"),
        ("ref_conv.weight", "Fun"),
    ):
        save_file(state | {name: torch.zeros(1)}, tmp_path / "w.safetensors")
        refused(lambda: load_transformer(tmp_path / "w.safetensors"), said)
    assert not out.exists()


def test_weights_that_are_no_numbers(state, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spoilt = {key: value.clone() for key, value in state.items()}
    spoilt["blocks.0.ffn.0.weight"][0, :3] = float("nan")
    spoilt["head.modulation"][0, 0, 0] = float("inf")
    source, out = tmp_path / "w.safetensors", tmp_path / "out.safetensors"
    write_safetensors(source, spoilt, {"format": "lumosx-transformer", "config": DEBUG.to_json()})
    said = ("4 NaN or infinite weights", "blocks.0.ffn.0.weight (3)", "head.modulation (1)")
    refused(lambda: load_transformer(source), *said)
    for storage in ("fp32", "bf16", "fp16", "fp8_e4m3fn"):
        refused(lambda storage=storage: convert_transformer(source, out, storage=storage), *said)
    assert {path.name for path in tmp_path.iterdir()} == {source.name}
    large = state | {"blocks.0.ffn.0.weight": state["blocks.0.ffn.0.weight"] + 1e6}
    save_transformer(source, large, DEBUG)
    refused(lambda: convert_transformer(source, out, storage="fp16"), "beyond the range of fp16", "store them as bf16 or fp32")
    whole = state | {"blocks.0.ffn.0.weight": torch.zeros(DEBUG.ffn_dim, DEBUG.dim, dtype=torch.int8)}
    write_safetensors(source, whole, {"format": "lumosx-transformer", "config": DEBUG.to_json()})
    refused(lambda: convert_transformer(source, out), "blocks.0.ffn.0.weight (int8)", "quantised")
    save_transformer(source, state, DEBUG, storage="fp8_e4m3fn")
    convert_transformer(source, out, storage="bf16")
    assert "does not bring back" in caplog.text


def test_absurd_sizes_build_nothing(state, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    config = json.loads(DEBUG.to_json())
    for change in ({"num_layers": 2**20}, {"num_layers": 10**30}, {"dim": 2**20, "num_heads": 2}, {"num_layers": "many"}):
        write_safetensors(path, state, {"format": "lumosx-transformer", "config": json.dumps(config | change)})
        begun = time.monotonic()
        refused(lambda: load_transformer(path))
        assert time.monotonic() - begun < 5
    write_safetensors(path, state | {"blocks.999999999.ffn.0.bias": torch.ones(1)}, {})
    refused(lambda: load_transformer(path))
    for name, key, value in (
        ("vae", "num_res_blocks", 10**6), ("vae", "dim_mult", [10**6] * 4), ("vae", "surprise", 1), ("vae", "base_dim", "x"),
        ("text_encoder", "num_layers", 10**6), ("text_encoder", "num_layers", 2.5), ("text_encoder", "surprise", 1),
    ):  # fmt: skip
        tensors, metadata = read_state_dict(NANO_FOLDER / f"{name}.safetensors")
        metadata["config"] = json.dumps(json.loads(metadata["config"]) | {key: value})
        write_safetensors(path, tensors, metadata)
        load = load_vae if name == "vae" else lambda path: load_text_encoder(path, NANO_FOLDER / "spiece.model")
        refused(lambda load=load: load(path))


def test_a_vae_in_the_names_of_diffusers(tmp_path: Path) -> None:
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    vae = AutoencoderKLWan(base_dim=8)
    vae.save_pretrained(tmp_path / "d")
    loaded = load_vae(tmp_path / "d" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(loaded.state_dict()[key], value) for key, value in vae.state_dict().items())


def test_tokenizers_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(NANO_FOLDER / "text_encoder.safetensors")
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "spiece.model").write_bytes(b"no tokenizer")
    small = tmp_path / "small"
    small.mkdir()
    (tmp_path / "words.txt").write_text("a b c a b c\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "words.txt"), model_prefix=str(small / "spiece"), vocab_size=9, hard_vocab_limit=False
    )
    for folder in (tmp_path / "t", small):
        path = folder / "spiece.model"
        assert main(["convert", "text-encoder", source, str(tmp_path / "out"), "--tokenizer", str(path)]) == 2
        with pytest.raises(InputError):
            load_text_encoder(source, path)
    assert not list((tmp_path / "out").glob("*.safetensors"))
    assert " tokens, the text encoder 400: they do not belong together" in capsys.readouterr().err


def test_the_tokenizer_inside_the_file_and_onto_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors, _ = read_state_dict(NANO_FOLDER / "text_encoder.safetensors")
    words = (NANO_FOLDER / "spiece.model").read_bytes()
    tensors["spiece_model"] = torch.frombuffer(bytearray(words), dtype=torch.uint8)
    write_safetensors(tmp_path / "umt5.safetensors", tensors, {})
    out = tmp_path / "out"
    assert main(["convert", "text-encoder", str(tmp_path / "umt5.safetensors"), str(out)]) == 0
    assert (out / "spiece.model").read_bytes() == words
    again = ["convert", "text-encoder", str(tmp_path / "umt5.safetensors"), str(out), "--tokenizer", str(out / "spiece.model")]
    assert main(again) == 0 and (out / "spiece.model").read_bytes() == words
    assert "writing" in capsys.readouterr().err  # the bar


def test_the_writer(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        f"{'x' * (n % 5)}{n}": torch.randn(n % 7, n % 3 + 1, generator=generator).to(dtype)
        for n, dtype in enumerate([torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.int64] * 20)
    } | {"scalar": torch.tensor(2.5), "not contiguous": torch.randn(4, 6, generator=generator).t(), "\u540d": torch.ones(3)}
    seen: list[tuple] = []
    before = os.umask(0o022)
    try:
        write_safetensors(tmp_path / "a", tensors, {"b": "2", "a": "1"}, progress=lambda *step: seen.append(step))
        write_safetensors(tmp_path / "b", dict(reversed(tensors.items())), {"a": "1", "b": "2"})
    finally:
        os.umask(before)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644
    for read in (load_file(tmp_path / "a"), read_state_dict(tmp_path / "a")[0]):
        assert read.keys() == tensors.keys()
        for key, value in tensors.items():
            assert read[key].dtype == value.dtype and read[key].shape == value.shape
            assert torch.equal(read[key].float(), value.float())
    assert seen[-1][1] == seen[-1][2] and len(seen) == len(tensors)


def damaged(rng: random.Random, content: bytes) -> bytes:
    kind = rng.randrange(6)
    changed = bytearray(content)
    if kind == 0:
        return content[: rng.randrange(len(content) + 1)]
    if kind == 1:  # bits, mostly where the structure is
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(min(len(changed), 3000)) if rng.random() < 0.7 else rng.randrange(len(changed))
            changed[place] ^= 1 << rng.randrange(8)
    elif kind == 2:
        start = rng.randrange(len(changed))
        del changed[start : start + rng.randint(1, 300)]
    elif kind == 3:
        start = rng.randrange(len(changed))
        changed[start : start + rng.randint(1, 64)] = rng.randbytes(rng.randint(1, 64))
    elif kind == 4:  # other numbers and words of the header
        words = [b"F32", b"BF16", b"[0,", b"shape", b"dtype", b"data_offsets", b"config", b"dim", b"lumosx", b"tensor"]
        others = [b"I8", b"F64", b"F4", b"[9999999999,", b"{}", b"null", b"-1", b"[[[[", b"\\ud800", b"num_layers"]
        changed = bytearray(content.replace(rng.choice(words), rng.choice(others), rng.randint(1, 4)))
    else:
        changed[: rng.randint(1, 16)] = rng.randbytes(rng.randint(0, 16))
    return bytes(changed)


def test_1800_random_damages(state, tmp_path: Path) -> None:
    """Whatever happens to a file, it is read or refused with an InputError, soon."""
    sources: list[tuple[str, bytes]] = []
    save_transformer(tmp_path / "w.safetensors", state, DEBUG)
    torch.save({"ema": state}, tmp_path / "w.pt")
    torch.save({"ema": {"a": torch.ones(3, 4)}}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("w.safetensors", "w.pt", "old.pth"):
        sources.append((name, (tmp_path / name).read_bytes()))
    folder = Path(__file__).parents[1] / "distributed_2_6"
    shard, metadata = (folder / "__0_0.distcp").read_bytes(), (folder / ".metadata").read_bytes()
    (tmp_path / "d").mkdir()
    rng, read, slowest = random.Random(0), 0, 0.0
    for case in range(1800):
        begun = time.monotonic()
        if case % 3 == 2:
            (tmp_path / "d" / ".metadata").write_bytes(damaged(rng, metadata) if case % 2 else metadata)
            (tmp_path / "d" / "__0_0.distcp").write_bytes(shard if case % 2 else damaged(rng, shard))
            path = tmp_path / "d"
        else:
            name, content = rng.choice(sources)
            path = tmp_path / f"case-{name}"
            path.write_bytes(damaged(rng, content))
        try:
            if path.suffix == ".safetensors" or case % 5 == 0:
                load_transformer(path)
            else:
                read_state_dict(path)
            read += 1
        except InputError as error:
            assert len(str(error)) < 2500
        slowest = max(slowest, time.monotonic() - begun)
    assert slowest < 5 and 100 < read < 1700, (slowest, read)
