"""What a model folder holds and needs, told from the headers of its files: nothing of the weights is read.

`lumosx doctor MODEL` prints it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.json import parse_json
from lumosx_core.files.safetensors import NAMES
from lumosx_core.model.checkpoint import check_keys
from lumosx_core.model.devices import GIB
from lumosx_core.model.memory import StoredWeights, stored_sizes, stored_weights, weights_bytes
from lumosx_core.model.text_encoder import open_text_encoder, to_transformers_names
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.model.vae import FORMAT as VAE_FORMAT
from lumosx_core.model.vae import empty_vae
from lumosx_core.sampling.config import read_defaults
from lumosx_core.sampling.pipeline import FILES, STAGES, TOKENIZERS, Part
from lumosx_core.tokenizers import load_tokenizer


@dataclass(frozen=True, kw_only=True)
class PartReport:
    """One file of a model folder. `fault` says why it would not load, "" if nothing speaks against it; `what` what it holds."""

    name: str
    what: str
    fault: str = ""


def report_model(folder: str | Path) -> list[PartReport]:
    """Every file of a model folder: defaults, the three models, the tokenizer. Faults are told, never raised."""
    folder = Path(folder)
    parts = [_part("pipeline.json", lambda: _defaults(folder))]
    parts += [_part(file, lambda name=name: _model(folder, name)) for name, file in FILES.items()]  # type: ignore[misc]
    parts.append(_part("tokenizer", lambda: _tokenizer(folder)))
    if not any(part.fault for part in parts) and (fault := _misfit(folder)):
        parts.append(PartReport(name="together", what="", fault=fault))
    return parts


def resident_plan(folder: str | Path, dtype: torch.dtype) -> dict[str, int]:
    """Bytes of weights on the device by stage of `generate`: one model at a time. dtype: of transformer and text encoder; the
    VAE is float32. Raises InputError for a missing or damaged file."""
    folder = Path(folder)
    return {stage: weights_bytes(folder / FILES[part], torch.float32 if part == "vae" else dtype) for stage, part in STAGES}


def memory_while_loading(folder: str | Path, dtype: torch.dtype) -> int:
    """Bytes of main memory at the peak of loading, about: the largest of the models as stored, and once more as loaded where
    that is another type. Raises InputError for a missing or damaged file."""
    needs = []
    for part, file in FILES.items():
        path, kind = Path(folder) / file, torch.float32 if part == "vae" else dtype
        same = stored_weights(path).types == (NAMES[kind],)  # loaded without a change
        needs.append(path.stat().st_size + (0 if same else weights_bytes(path, kind)))
    return max(needs)


def _part(name: str, look: Callable[[], str]) -> PartReport:
    try:
        return PartReport(name=name, what=look())
    except InputError as error:
        return PartReport(name=name, what="", fault=str(error))


def _defaults(folder: Path) -> str:
    defaults = read_defaults(folder)
    return f"{defaults.frames} frames of {defaults.width} x {defaults.height} pixels, {defaults.steps} steps"


def _model(folder: Path, name: Part) -> str:
    path = folder / FILES[name]
    if not path.is_file():
        raise InputError(f"{'no file' if path.exists() else 'missing'}; `lumosx convert --help` says how to make it")
    stored = stored_weights(path)
    sizes = {"transformer": _transformer, "vae": _vae, "text_encoder": _text_encoder}[name](path, stored)
    size = path.stat().st_size / GIB
    return f"{size:.2f} GiB, {stored.parameters / 1e6:,.1f} million weights in {', '.join(stored.types)}: {sizes}"


def _empty(stored: StoredWeights) -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in stored.shapes.items()}


def _transformer(path: Path, stored: StoredWeights) -> str:
    sizes = stored_sizes(path)
    if sizes.num_layers > len(stored.shapes):
        raise InputError(f"the config in {path} has {sizes.num_layers} blocks, the file {len(stored.shapes)} tensors")
    with torch.device("meta"):
        check_keys(str(path), _empty(stored), LumosXTransformer(sizes).state_dict())
    return f"width {sizes.dim}, {sizes.num_layers} blocks, reads {sizes.text_len} tokens of text"


def _vae(path: Path, stored: StoredWeights) -> str:
    if stored.metadata.get("format") != VAE_FORMAT:
        raise InputError(f"{path} is no VAE of `lumosx convert vae`; convert it")
    config = _stored_config(path, stored)
    vae = empty_vae(config, str(path))
    check_keys(str(path), _empty(stored), vae.state_dict())
    return f"width {vae.config.base_dim}"


def _text_encoder(path: Path, stored: StoredWeights) -> str:  # noqa: ARG001 - the signature of all three
    _, config, _ = open_text_encoder(path)
    return f"width {config.d_model}, {config.num_layers} blocks, {config.vocab_size:,} tokens"


def _stored_config(path: Path, stored: StoredWeights) -> dict[str, Any]:
    config = parse_json(stored.metadata.get("config", ""), f"the config in {path}")
    layers = config.get("num_layers", 1) if isinstance(config, dict) else 0
    if not isinstance(layers, int) or not 0 < layers <= len(stored.shapes):  # else building it would not end
        raise InputError(f"the config in {path} does not fit its {len(stored.shapes)} tensors; convert it again")
    return config


def _tokenizer(folder: Path) -> str:
    load_tokenizer(folder)
    return next(name for name in TOKENIZERS if (folder / name).is_file())


def _misfit(folder: Path) -> str:
    """Why files that are whole do not belong together, or ""."""
    sizes = stored_sizes(folder / FILES["transformer"])
    shapes = to_transformers_names(_empty(stored_weights(folder / FILES["text_encoder"])))
    width = shapes["shared.weight"].shape[1]
    if width != sizes.text_dim:
        return f"the text encoder gives {width} numbers per token, the transformer reads {sizes.text_dim}"
    return ""
