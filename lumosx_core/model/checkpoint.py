"""Checkpoint files: reading what is in circulation, strict loading, and our own format.

Ours is one safetensors file with Wan2.1's key names; its metadata holds `config` (JSON of `TransformerConfig`) and
`format` = "lumosx-transformer". Pickles are read with weights_only=True and never otherwise.
"""

from collections.abc import Mapping
from pathlib import Path

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.weights import StateDict, read_state_dict, write_safetensors
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.transformer import LumosXTransformer

FORMAT = "lumosx-transformer"
SHOWN = 4  # keys named in an error message
STORAGE_TYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "fp8_e4m3fn": torch.float8_e4m3fn,
}  # fmt: skip


def stored_tensor(name: str, value: torch.Tensor, storage: str) -> torch.Tensor:
    """A weight in its storage type. fp8 is for the blocks' matrices only; everything else then stays bf16."""
    dtype = STORAGE_TYPES[storage]
    if storage == "fp8_e4m3fn" and not (name.startswith("blocks.") and name.endswith(".weight") and value.ndim == 2):
        dtype = torch.bfloat16
    if storage == "fp8_e4m3fn" and dtype == torch.float8_e4m3fn:
        value = value.float().clamp(-448.0, 448.0)  # the format has no infinity: larger values would become NaN
    return value.to(dtype).contiguous()


def save_transformer(
    path: str | Path,
    state: StateDict,
    config: TransformerConfig,
    *,
    storage: str = "fp32",
    extra_metadata: dict[str, str] | None = None,
) -> Path:
    """Write a transformer's weights (Wan2.1 names) in the given storage type, with the config in the metadata."""
    if storage not in STORAGE_TYPES:
        raise InputError(f"storage type {storage!r}, expected one of {', '.join(STORAGE_TYPES)}")
    metadata = {
        "format": FORMAT,
        "config": config.to_json(),
        "storage": storage,
        **(extra_metadata or {}),
    }
    return write_safetensors(path, {k: stored_tensor(k, v, storage) for k, v in state.items()}, metadata)


def check_keys(what: str, state: StateDict, expected: Mapping[str, torch.Tensor]) -> None:
    """Raise InputError, naming a few, if keys are missing or extra, or shapes differ from `expected`."""
    missing = [k for k in expected if k not in state]
    extra = [k for k in state if k not in expected]
    wrong = [
        f"{k} {tuple(state[k].shape)} instead of {tuple(expected[k].shape)}"
        for k in expected
        if k in state and state[k].shape != expected[k].shape
    ]
    faults = []
    for label, names in (("missing", missing), ("not of this model", extra), ("of the wrong shape", wrong)):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            faults.append(f"{len(names)} {label}: {', '.join(names[:SHOWN])}{more}")
    if faults:
        raise InputError(f"{what} does not fit the model: " + "; ".join(faults) + ". Is it the right file and preset?")


def infer_config(state: StateDict, num_heads: int | None = None) -> TransformerConfig:
    """The sizes of a Wan2.1 state dict from its shapes. num_heads: None for Wan's heads of 128 channels.

    text_len cannot be seen in the weights: 512, as Wan has. Raises InputError if it is no Wan2.1 text-to-video model.
    """
    try:
        dim = state["head.modulation"].shape[-1]
        layers = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("blocks."))
        return TransformerConfig(
            dim=dim,
            num_heads=num_heads or dim // 128,
            num_layers=layers,
            ffn_dim=state["blocks.0.ffn.0.weight"].shape[0],
            freq_dim=state["time_embedding.0.weight"].shape[1],
            text_dim=state["text_embedding.0.weight"].shape[1],
            in_dim=state["patch_embedding.weight"].shape[1],
            out_dim=state["head.head.weight"].shape[0] // 4,
        )
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"these weights are no Wan2.1 text-to-video transformer: {error} is missing or odd") from error


def load_transformer(
    path: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    config: TransformerConfig | None = None,
) -> LumosXTransformer:
    """A transformer in evaluation mode from a checkpoint of any kind; sizes from its metadata, else from its shapes.

    dtype: of the weights in memory; stored fp8 or half weights are converted. config: overrides the file's sizes.
    Raises InputError for damaged files and keys that are missing, extra or of the wrong shape.
    """
    state, metadata = read_state_dict(path)
    if metadata.get("format", FORMAT) != FORMAT:
        raise InputError(f"{path} is a {metadata['format']} file, expected a transformer; are two files exchanged?")
    if config is None:
        config = TransformerConfig.from_json(metadata["config"]) if "config" in metadata else infer_config(state)
    with torch.device("meta"):
        model = LumosXTransformer(config)
    check_keys(str(path), state, model.state_dict())
    model.load_state_dict({key: value.to(device, dtype) for key, value in state.items()}, assign=True)
    return model.train(False)
