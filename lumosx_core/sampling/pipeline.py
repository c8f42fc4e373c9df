"""A pipeline folder: the three models, the tokenizer and the defaults that belong together.

<folder>/pipeline.json              `PipelineDefaults` as JSON
<folder>/transformer.safetensors    vae.safetensors    text_encoder.safetensors
<folder>/spiece.model or tokenizer.json
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.json import parse_record, read_json, write_json
from lumosx_core.files.leftovers import restore
from lumosx_core.model.checkpoint import load_transformer
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.memory import free_memory, stored_sizes, weights_bytes
from lumosx_core.model.text_encoder import TextEncoder, load_text_encoder
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.model.vae import load_vae
from lumosx_core.sampling.limits import checked_numbers
from lumosx_core.tokenizers import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan

NANO_FOLDER = Path(__file__).parent.parent / "assets" / "nano"
WAN_NEGATIVE_PROMPT = (
    "\u8272\u8c03\u8273\u4e3d\uff0c\u8fc7\u66dd\uff0c\u9759\u6001\uff0c\u7ec6\u8282\u6a21\u7cca\u4e0d\u6e05\uff0c"
    "\u5b57\u5e55\uff0c\u98ce\u683c\uff0c\u4f5c\u54c1\uff0c\u753b\u4f5c\uff0c\u753b\u9762\uff0c\u9759\u6b62\uff0c"
    "\u6574\u4f53\u53d1\u7070\uff0c\u6700\u5dee\u8d28\u91cf\uff0c\u4f4e\u8d28\u91cf\uff0cJPEG\u538b\u7f29\u6b8b\u7559\uff0c"
    "\u4e11\u964b\u7684\uff0c\u6b8b\u7f3a\u7684\uff0c\u591a\u4f59\u7684\u624b\u6307\uff0c\u753b\u5f97\u4e0d\u597d\u7684"
    "\u624b\u90e8\uff0c\u753b\u5f97\u4e0d\u597d\u7684\u8138\u90e8\uff0c\u7578\u5f62\u7684\uff0c\u6bc1\u5bb9\u7684\uff0c"
    "\u5f62\u6001\u7578\u5f62\u7684\u80a2\u4f53\uff0c\u624b\u6307\u878d\u5408\uff0c\u9759\u6b62\u4e0d\u52a8\u7684\u753b\u9762"
    "\uff0c\u6742\u4e71\u7684\u80cc\u666f\uff0c\u4e09\u6761\u817f\uff0c\u80cc\u666f\u4eba\u5f88\u591a\uff0c\u5012\u7740\u8d70"
)  # Wan2.1's usual negative prompt (Chinese)


@dataclass(frozen=True, kw_only=True)
class PipelineDefaults:
    """What `generate` uses when the user says nothing else. The values here are those of the released 1.3B model."""

    width: int = 832
    height: int = 480
    frames: int = 81
    fps: int = 16
    steps: int = 50
    cfg: float = 6.0
    shift: float = 8.0
    negative_prompt: str = WAN_NEGATIVE_PROMPT
    negative_references: str = "kept"  # or "blank", for weights that were trained to be guided by the references too
    enlarge: int = 1  # whole factor at which frames are written (pixel art)

    def __post_init__(self) -> None:
        for name, number in checked_numbers(vars(self)).items():
            object.__setattr__(self, name, number)
        if self.negative_references not in ("kept", "blank"):
            raise InputError(f"negative_references is {self.negative_references!r}, expected kept or blank")


Part = Literal["text_encoder", "vae", "transformer"]
FILES: dict[Part, str] = {
    "text_encoder": "text_encoder.safetensors", "vae": "vae.safetensors", "transformer": "transformer.safetensors",
}  # fmt: skip
TOKENIZERS = ("spiece.model", "tokenizer.json")
TEXT_MARGIN_BYTES = 2**30  # beside the text encoder's weights, for its work
# What is at work when; nothing else has to be on the device then.
STAGES: tuple[tuple[str, Part], ...] = (
    ("text encoding", "text_encoder"), ("references", "vae"), ("sampling", "transformer"), ("decoding", "vae"),
)  # fmt: skip


class LumosXPipeline:
    """A model folder: defaults, tokenizer and sizes at once, each model when it is first used.

    device: where models work. dtype: of transformer and text encoder; the VAE stays float32. resident: all models stay on the
    device once they are loaded; else only the one that is at work is there, and the text encoder, whose work is done before
    the others', is let go after it. Raises InputError naming what is missing and how to get it.
    """

    def __init__(
        self,
        folder: str | Path = NANO_FOLDER,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        resident: bool = True,
    ) -> None:
        check_device(device)
        self.folder = Path(folder)
        restore(self.folder)
        self.device, self.dtype, self.resident = torch.device(device), dtype, resident
        check_files(self.folder)
        self.defaults = read_defaults(self.folder)
        self.tokenizer: Tokenizer = load_tokenizer(self.folder)
        self.sizes: TransformerConfig = stored_sizes(self.folder / FILES["transformer"])
        self._models: dict[Part, Any] = {}

    @property
    def transformer(self) -> LumosXTransformer:
        """The transformer, loaded when it is first asked for."""
        return self._model("transformer")

    @property
    def vae(self) -> "AutoencoderKLWan":
        """The VAE, loaded when it is first asked for."""
        return self._model("vae")

    @property
    def text_encoder(self) -> TextEncoder:
        """The text encoder, loaded when it is first asked for."""
        return self._model("text_encoder")

    @contextmanager
    def at_work(self, part: Part) -> Iterator[Any]:
        """The model of that name on its device for as long as the block lasts."""
        model = self._model(part)
        module = model.model if part == "text_encoder" else model
        if not self.resident and part != "text_encoder":
            module.to(self.device)
        try:
            yield model
        finally:
            if not self.resident:
                # "meta" lets go of the weights even where a caller still holds the model.
                module.to("meta" if part == "text_encoder" else "cpu")
                if part == "text_encoder":
                    self.forget(part)
                free_memory()

    def forget(self, part: Part) -> None:
        """Let go of a model; it is loaded again when it is used again."""
        self._models.pop(part, None)

    def _model(self, part: Part) -> Any:
        if part not in self._models:
            path = self.folder / FILES[part]
            if part == "transformer":
                self._models[part] = load_transformer(path, device=self.device, dtype=self.dtype)
            elif part == "vae":
                self._models[part] = load_vae(path, device=self.device)
            else:
                device = self.device if self.resident else self._text_device(path)
                self._models[part] = load_text_encoder(path, self.folder, device=device, dtype=self.dtype)
        return self._models[part]

    def _text_device(self, path: Path) -> torch.device:
        """The device, or the CPU where the text encoder does not fit into what is free on a card: it works once."""
        if self.device.type != "cuda":
            return self.device
        free, _ = torch.cuda.mem_get_info(self.device)
        return self.device if weights_bytes(path, self.dtype) + TEXT_MARGIN_BYTES <= free else torch.device("cpu")


def check_device(device: str) -> None:
    """Raises InputError if torch has no such device on this machine."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {device!r} cannot be used ({str(error).splitlines()[0]}); `lumosx doctor` lists those that can"
        ) from error


def weights_type(name: str) -> torch.dtype:
    """The torch type of "fp32", "bf16" or "fp16". Raises InputError for other names."""
    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if name not in types:
        raise InputError(f"type of weights {name!r}, expected one of {', '.join(types)}")
    return types[name]


def save_defaults(folder: Path, defaults: PipelineDefaults) -> None:
    """Write `pipeline.json` whole or not at all."""
    write_json(folder / "pipeline.json", asdict(defaults))


def read_defaults(folder: Path) -> PipelineDefaults:
    """The content of `pipeline.json`. Raises InputError, naming the file, if it is broken or holds other things."""
    path = folder / "pipeline.json"
    return parse_record(PipelineDefaults, read_json(path, "the pipeline's defaults"), str(path))


def check_files(folder: Path) -> None:
    """Raises InputError, naming what is missing and how to get it, if the folder is no whole model folder."""
    missing = [name for name in ("pipeline.json", *FILES.values()) if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in TOKENIZERS):
        missing.append(" or ".join(TOKENIZERS))
    if missing:
        raise InputError(
            f"the model folder {folder} lacks {', '.join(missing)}; `lumosx convert --help` says how to make them from the "
            "released weights"
        )


def load_pipeline(
    folder: str | Path = NANO_FOLDER, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> LumosXPipeline:
    """A pipeline folder with all its models loaded and kept on the device (by default the embedded nano model).

    device: "cpu", "cuda", "cuda:1", ... dtype: of transformer and text encoder; the VAE stays float32.
    Raises InputError naming what is missing and how to get it.
    """
    pipeline = LumosXPipeline(folder, device=device, dtype=dtype)
    for part in FILES:
        getattr(pipeline, part)
    return pipeline
