"""Checkpoint files: reading what is in circulation, strict loading, and our own format.

Ours is one safetensors file with Wan2.1's key names; its metadata holds `config` (JSON of `TransformerConfig`) and
`format` = "lumosx-transformer". Every file is read and written one tensor at a time.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.stored import StoredTensor, in_memory
from lumosx_core.files.weight_checks import (
    TRANSFORMER,
    FiniteCheck,
    check_kind,
    check_layers,
    check_types,
    count_layers,
    loaded,
)
from lumosx_core.files.weights import open_weights, write_safetensors
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.devices import STORAGE_TYPES, weights_type
from lumosx_core.model.lora import Lora, with_loras
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.progress import Progress

FORMAT = "lumosx-transformer"
SHOWN = 4  # keys named in an error message


def stored_type(name: str, shape: tuple[int, ...], storage: str) -> torch.dtype:
    """The type that a weight is stored in. fp8 is for the blocks' matrices only; everything else then stays bf16."""
    if storage == "fp8_e4m3fn" and not (name.startswith("blocks.") and name.endswith(".weight") and len(shape) == 2):
        return torch.bfloat16
    return STORAGE_TYPES[storage]


def stored_as(name: str, value: StoredTensor, dtype: torch.dtype, check: FiniteCheck) -> StoredTensor:
    """A weight that is checked and converted when it is read."""

    def change(numbers: torch.Tensor) -> torch.Tensor:
        if dtype == torch.float8_e4m3fn:
            if numbers.dtype != dtype:  # the format has no infinity: larger values would become NaN
                numbers = check.converted(name, numbers, torch.float32).clamp(-448.0, 448.0)
            return numbers.to(dtype)
        return check.converted(name, numbers, dtype)

    return value.changed(dtype, change)


def save_transformer(
    path: str | Path,
    state: Mapping[str, torch.Tensor | StoredTensor],
    config: TransformerConfig,
    *,
    storage: str = "fp32",
    extra_metadata: dict[str, str] | None = None,
    what: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a transformer's weights (Wan2.1 names) in the given storage type, with the config in the metadata.

    what: names the weights in messages (default: the path). Raises InputError, and writes nothing, if a weight is NaN, infinite
    or beyond the range of the type.
    """
    weights_type(storage, what="storage type", names=tuple(STORAGE_TYPES))
    metadata = {
        "format": FORMAT,
        "config": config.to_json(),
        "storage": storage,
        **(extra_metadata or {}),
    }
    check = FiniteCheck(what or f"what should become {path}")
    stored = {key: in_memory(value) if isinstance(value, torch.Tensor) else value for key, value in state.items()}
    tensors = {key: stored_as(key, value, stored_type(key, value.shape, storage), check) for key, value in stored.items()}
    return write_safetensors(path, tensors, metadata, progress=progress, finish=check.finish)


def check_keys(what: str, state: Mapping[str, Any], expected: Mapping[str, torch.Tensor]) -> None:
    """Raise InputError, naming a few, if keys are missing or extra, or shapes differ from `expected`."""
    missing = [k for k in expected if k not in state]
    extra = [k for k in state if k not in expected]
    wrong = [
        f"{k} {str(tuple(state[k].shape))[:80]} instead of {tuple(expected[k].shape)}"
        for k in expected
        if k in state and tuple(state[k].shape) != tuple(expected[k].shape)
    ]
    faults = []
    for label, names in (("missing", missing), ("not of this model", extra), ("of the wrong shape", wrong)):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            faults.append(f"{len(names)} {label}: {', '.join(name[:160] for name in names[:SHOWN])}{more}")
    if faults:
        raise InputError(f"{what} does not fit the model: " + "; ".join(faults) + ". Is it the right file and preset?")


def infer_config(state: Mapping[str, Any], num_heads: int | None = None) -> TransformerConfig:
    """The sizes of a Wan2.1 state dict from its shapes. num_heads: None for Wan's heads of 128 channels.

    text_len cannot be seen in the weights: 512, as Wan has. Raises InputError if it is no Wan2.1 text-to-video model.
    """
    try:
        dim = state["head.modulation"].shape[-1]
        return TransformerConfig(
            dim=dim,
            num_heads=num_heads or dim // 128,
            num_layers=count_layers(state, "blocks."),
            ffn_dim=state["blocks.0.ffn.0.weight"].shape[0],
            freq_dim=state["time_embedding.0.weight"].shape[1],
            text_dim=state["text_embedding.0.weight"].shape[1],
            in_dim=state["patch_embedding.weight"].shape[1],
            out_dim=state["head.head.weight"].shape[0] // 4,
        )
    except (KeyError, IndexError, ValueError, ZeroDivisionError, InputError) as error:
        raise InputError(f"these weights are no Wan2.1 text-to-video transformer: {error} is missing or odd") from error


def transformer_sizes(what: str, state: Mapping[str, Any], metadata: Mapping[str, str]) -> TransformerConfig:
    """The sizes of stored weights: from the metadata if the file is ours, else from the shapes.

    state: names to things with a `shape`. Raises InputError if they are of another model, which is said by name: another
    kind of file, a Wan with other channels than Wan2.1 text-to-video (16 in, 16 out), or fewer layers than the sizes ask for.
    """
    check_kind(what, state, TRANSFORMER, "Wan2.1 text-to-video transformer")
    if metadata.get("format") == FORMAT and "config" in metadata:
        config = TransformerConfig.from_json(metadata["config"])
    else:
        config = infer_config(state)
    if (config.in_dim, config.out_dim) != (16, 16):
        known = {48: " (Wan2.2 5B has 48)", 36: " (Wan image-to-video has 36)", 32: " (Wan Fun control has 32)"}
        raise InputError(
            f"{what} takes {config.in_dim} channels and gives {config.out_dim}{known.get(config.in_dim, '')}, LumosX is built "
            "on Wan2.1 text-to-video with 16 and 16; get those weights"
        )
    check_layers(what, state, "blocks.", config.num_layers)
    return config


def expected_transformer(config: TransformerConfig) -> LumosXTransformer:
    """The model without memory for its weights."""
    with torch.device("meta"):
        return LumosXTransformer(config)


def load_transformer(
    path: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    config: TransformerConfig | None = None,
    loras: Sequence[tuple[Lora, float]] = (),
) -> LumosXTransformer:
    """A transformer in evaluation mode from a checkpoint of any kind; sizes from its metadata, else from its shapes.

    dtype: of the weights in memory; stored fp8 or half weights are converted. config: overrides the file's sizes. loras: each
    with its strength, added to the weights in float32 before they are converted (`with_loras`). Raises InputError for damaged
    files, other models, keys that are missing, extra or of the wrong shape, and weights that are no finite numbers.
    """
    stored, metadata = open_weights(path)
    if config is None:
        config = transformer_sizes(str(path), stored, metadata)
    check_layers(str(path), stored, "blocks.", config.num_layers)
    model = expected_transformer(config)
    check_keys(str(path), stored, model.state_dict())
    if loras:
        check_types(str(path), stored)
        stored = with_loras(str(path), stored, loras)
    model.load_state_dict(loaded(str(path), stored, dtype, device), assign=True)
    return model.train(False)
