"""A pipeline folder: the three models, the tokenizer and the defaults that belong together.

<folder>/pipeline.json              `PipelineDefaults` as JSON
<folder>/transformer.safetensors    vae.safetensors    text_encoder.safetensors
<folder>/spiece.model or tokenizer.json
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.leftovers import restore
from lumosx_core.model.checkpoint import load_transformer
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.devices import check_device, free_bytes, storage_name
from lumosx_core.model.lora import Lora, check_loras
from lumosx_core.model.low_memory import HostRam, store_frozen
from lumosx_core.model.memory import free_memory, stored_sizes, stored_weights, weights_bytes
from lumosx_core.model.sequence_shards import SequenceShards, check_heads, share_sequence
from lumosx_core.model.text_encoder import TextEncoder, load_text_encoder
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.model.vae import load_vae
from lumosx_core.model.wan_vae import WanVae
from lumosx_core.sampling.config import read_defaults
from lumosx_core.tokenizers import Tokenizer, load_tokenizer

NANO_FOLDER = Path(__file__).parent.parent / "assets" / "nano"

Part = Literal["text_encoder", "vae", "transformer"]
FILES: dict[Part, str] = {
    "text_encoder": "text_encoder.safetensors",
    "vae": "vae.safetensors",
    "transformer": "transformer.safetensors",
}
TOKENIZERS = ("spiece.model", "tokenizer.json")
TEXT_MARGIN_BYTES = 2**30  # beside the text encoder's weights, for its work
# What is at work when; nothing else has to be on the device then.
STAGES: tuple[tuple[str, Part], ...] = (
    ("text encoding", "text_encoder"),
    ("references", "vae"),
    ("sampling", "transformer"),
    ("decoding", "vae"),
)


@dataclass(frozen=True, kw_only=True)
class GenerationMemory:
    """What makes a video fit a device (`sampling/memory_plan.py` chooses). cfg_batched: both passes of guidance at once.
    text_on_cpu: the text encoder works there. streamed: the matrices of the blocks are in the machine's memory, and on the
    device while they are used. decode_from: so many of the ways in which a decode is tried are left out."""

    cfg_batched: bool
    text_on_cpu: bool
    streamed: bool
    decode_from: int


class LumosXPipeline:
    """A model folder: defaults, tokenizer and sizes at once, each model when it is first used.

    device: where models work. dtype: of transformer and text encoder; the VAE stays float32. resident: all models stay on the
    device once they are loaded; else the text encoder, whose work is done before the others', is let go after it, and the
    others wait in the machine's memory, or are let go as well where that is the device and `memory` was planned. loras: added
    to the transformer's weights, each with its strength. shards: of several processes that make the same videos together, each
    with this pipeline: the transformer computes this one's share of their tokens, and only the first one writes. memory: what
    was chosen for a device of a given size, before a model is loaded.
    Raises InputError naming what is missing and how to get it, and for processes that do not divide the heads of the model.
    """

    def __init__(
        self,
        folder: str | Path = NANO_FOLDER,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        resident: bool = True,
        loras: Sequence[tuple[Lora, float]] = (),
        shards: SequenceShards | None = None,
        memory: GenerationMemory | None = None,
    ) -> None:
        check_device(device)
        self.folder = Path(folder)
        restore(self.folder)
        self.device, self.dtype, self.resident = torch.device(device), dtype, resident
        check_files(self.folder)
        self.defaults = read_defaults(self.folder)
        self.tokenizer: Tokenizer = load_tokenizer(self.folder)
        self.sizes: TransformerConfig = stored_sizes(self.folder / FILES["transformer"])
        self.shards, self.memory = shards, memory
        if shards is not None:
            check_heads(self.sizes.num_heads, shards.count)
        self.loras = tuple(loras)
        if loras:
            path = self.folder / FILES["transformer"]
            check_loras(str(path), stored_weights(path).shapes, self.loras)
        self._models: dict[Part, Any] = {}

    @property
    def transformer(self) -> LumosXTransformer:
        """The transformer, loaded when it is first asked for."""
        return self._model("transformer")

    @property
    def vae(self) -> WanVae:
        """The VAE, loaded when it is first asked for."""
        return self._model("vae")

    @property
    def text_encoder(self) -> TextEncoder:
        """The text encoder, loaded when it is first asked for."""
        return self._model("text_encoder")

    @property
    def writes(self) -> bool:
        """Whether this process writes the files: one on its own, and of several that share a video the first."""
        return self.shards is None or self.shards.rank == 0

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
                gone = part == "text_encoder" or (self.memory is not None and self.device.type == "cpu")
                # "meta" lets go of the weights even where a caller still holds the model.
                module.to("meta" if gone else "cpu")
                if gone:
                    self.forget(part)
                free_memory()

    def use_transformer(self, model: LumosXTransformer) -> None:
        """Take this one, which is where it should be, in place of the folder's."""
        self._models["transformer"] = model

    def forget(self, part: Part) -> None:
        """Let go of a model; it is loaded again when it is used again."""
        self._models.pop(part, None)

    def _model(self, part: Part) -> Any:
        if part not in self._models:
            path = self.folder / FILES[part]
            if part == "transformer":
                streamed = self.memory is not None and self.memory.streamed
                device = torch.device("cpu") if streamed else self.device
                transformer = load_transformer(path, device=device, dtype=self.dtype, loras=self.loras)
                if streamed:
                    store_frozen(transformer, storage_name(self.dtype), HostRam(self.device))
                    transformer.to(self.device)
                if self.shards is not None:
                    share_sequence(transformer, self.shards)
                self._models[part] = transformer
            elif part == "vae":
                self._models[part] = load_vae(path, device=self.device)
            else:
                device = self.device if self.resident else self._text_device(path)
                self._models[part] = load_text_encoder(path, self.folder, device=device, dtype=self.dtype)
        return self._models[part]

    def _text_device(self, path: Path) -> torch.device:
        """The device, or the CPU where the text encoder does not fit into what is free on a card: it works once."""
        if self.memory is not None:
            return torch.device("cpu") if self.memory.text_on_cpu else self.device
        free = free_bytes(self.device)
        fits = free is None or weights_bytes(path, self.dtype) + TEXT_MARGIN_BYTES <= free
        return self.device if fits else torch.device("cpu")


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
