"""Released weights to the files of a pipeline folder: one safetensors file each, sizes in the metadata."""

import json
from pathlib import Path

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.weights import read_state_dict, write_safetensors
from lumosx_core.model.checkpoint import STORAGE_TYPES, check_keys, infer_config, save_transformer
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.text_encoder import FORMAT as TEXT_FORMAT
from lumosx_core.model.text_encoder import infer_text_config, to_transformers_names
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.model.vae import load_vae, save_vae

HALF_TYPES = ("fp32", "bf16", "fp16")


def convert_transformer(
    source: str | Path, target: str | Path, *, entry: str = "ema", storage: str = "bf16"
) -> TransformerConfig:
    """The released transformer as one safetensors file; returns its sizes.

    source: .pt, .safetensors, or a torch.distributed.checkpoint folder. entry: "ema" or "model", where both are stored.
    storage: "fp32", "bf16", "fp16" or "fp8_e4m3fn". Every key is checked against the architecture.
    Raises InputError for damaged files, keys that do not fit, and an unwritable target.
    """
    if storage not in STORAGE_TYPES:
        raise InputError(f"storage type {storage!r}, expected one of {', '.join(STORAGE_TYPES)}")
    state, metadata = read_state_dict(source, entry)
    config = TransformerConfig.from_json(metadata["config"]) if "config" in metadata else infer_config(state)
    with torch.device("meta"):
        expected = LumosXTransformer(config).state_dict()
    check_keys(str(source), state, expected)
    save_transformer(target, state, config, storage=storage, extra_metadata={"entry": entry})
    return config


def convert_vae(source: str | Path, target: str | Path, *, storage: str = "fp32") -> None:
    """The Wan2.1 VAE (original or our names) as one safetensors file in diffusers' names. storage: fp32, bf16, fp16."""
    _check_half(storage)
    save_vae(target, load_vae(source), dtype=STORAGE_TYPES[storage])


def convert_text_encoder(source: str | Path, target: str | Path, *, storage: str = "bf16") -> None:
    """The UMT5 encoder (original Wan or transformers' names, fp8 with scales too) as one safetensors file in transformers'
    names. storage: fp32, bf16, fp16. Raises InputError if it is no UMT5 encoder."""
    from transformers import UMT5Config, UMT5EncoderModel

    _check_half(storage)
    state, metadata = read_state_dict(source)
    state = to_transformers_names(state)
    known = metadata.get("format") == TEXT_FORMAT
    config = json.loads(metadata["config"]) if known else infer_text_config(source, state)
    with torch.device("meta"):
        model = UMT5EncoderModel(UMT5Config(**config, dropout_rate=0.0, feed_forward_proj="gated-gelu"))
    expected = {key: value for key, value in model.state_dict().items() if key != "encoder.embed_tokens.weight"}
    check_keys(str(source), state, expected)
    dtype = STORAGE_TYPES[storage]
    tensors = {key: value.to(dtype) for key, value in state.items()}
    write_safetensors(target, tensors, {"format": TEXT_FORMAT, "config": json.dumps(config)})


def _check_half(storage: str) -> None:
    if storage not in HALF_TYPES:
        raise InputError(f"storage type {storage!r}, expected one of {', '.join(HALF_TYPES)}")
