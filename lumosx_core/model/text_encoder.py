"""The UMT5 text encoder (`umt5.py`) with its tokenizer: loading every file in circulation.

Legend: B = batch, n = tokens of a prompt with its end token, S = text_len, D = text_dim.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.json import parse_json, parse_record
from lumosx_core.files.stored import StoredTensor, in_memory
from lumosx_core.files.weight_checks import (
    TEXT_ENCODER,
    FiniteCheck,
    check_kind,
    check_layers,
    check_types,
    count_layers,
    loaded,
)
from lumosx_core.files.weights import open_weights, write_safetensors
from lumosx_core.model.checkpoint import check_keys, stored_as
from lumosx_core.model.umt5 import TextConfig, UMT5Encoder
from lumosx_core.progress import Progress
from lumosx_core.tokenizers import Tokenizer, load_tokenizer, vocabulary_size

if TYPE_CHECKING:
    from transformers import UMT5EncoderModel

log = logging.getLogger(__name__)
FORMAT = "lumosx-text-encoder"
END_TOKEN = 1
SPIECE = "spiece_model"  # the tokenizer inside ComfyUI's UMT5 files, as a tensor of bytes
# Original Wan names inside a block -> names inside transformers' UMT5 block.
BLOCK_NAMES = {
    "norm1.weight": "layer.0.layer_norm.weight",
    "attn.q.weight": "layer.0.SelfAttention.q.weight",
    "attn.k.weight": "layer.0.SelfAttention.k.weight",
    "attn.v.weight": "layer.0.SelfAttention.v.weight",
    "attn.o.weight": "layer.0.SelfAttention.o.weight",
    "pos_embedding.embedding.weight": "layer.0.SelfAttention.relative_attention_bias.weight",
    "norm2.weight": "layer.1.layer_norm.weight",
    "ffn.gate.0.weight": "layer.1.DenseReluDense.wi_0.weight",
    "ffn.fc1.weight": "layer.1.DenseReluDense.wi_1.weight",
    "ffn.fc2.weight": "layer.1.DenseReluDense.wo.weight",
}


class TextEncoder:
    """Prompts to text states. `tokenizer` finds spans, `encode` gives what cross-attention reads."""

    def __init__(self, model: UMT5Encoder, tokenizer: Tokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer

    @torch.no_grad()
    def encode(self, prompts: list[str], text_len: int) -> torch.Tensor:
        """[B, S, D]: the states of each prompt and its end token, zeros after that.

        A prompt of more than text_len - 1 tokens is cut, with a warning in the log.
        """
        rows = []
        for prompt in prompts:
            ids = self.tokenizer.encode(prompt)
            if len(ids) > text_len - 1:
                log.warning("the prompt has %d tokens, the model reads %d; the rest is ignored", len(ids), text_len - 1)
            rows.append([*ids[: text_len - 1], END_TOKEN])
        longest = max(len(row) for row in rows)
        device = self.model.device
        ids_Bn = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
        mask_Bn = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
        states = self.model(ids_Bn, mask_Bn) * mask_Bn[..., None]
        return torch.nn.functional.pad(states, (0, 0, 0, text_len - longest))


def save_text_encoder(path: str | Path, model: "UMT5Encoder | UMT5EncoderModel", *, dtype: torch.dtype = torch.float32) -> Path:
    """Write the encoder as one safetensors file in transformers' key names, its sizes (JSON) in the metadata."""
    config = TextConfig(**{field.name: getattr(model.config, field.name) for field in fields(TextConfig)})
    state = {k: in_memory(v) for k, v in model.state_dict().items() if k != "encoder.embed_tokens.weight"}
    return write_text_encoder(path, state, config, dtype, what=f"what should become {path}")


def write_text_encoder(
    path: str | Path,
    state: Mapping[str, StoredTensor],
    config: TextConfig,
    dtype: torch.dtype,
    *,
    what: str,
    progress: Progress | None = None,
) -> Path:
    """The same from stored tensors with transformers' names, one at a time. Raises InputError for weights that are no finite
    numbers or beyond the type's range; `what` names them."""
    check = FiniteCheck(what)
    tensors = {key: stored_as(key, value, dtype, check) for key, value in state.items()}
    metadata = {"format": FORMAT, "config": json.dumps(asdict(config))}
    return write_safetensors(path, tensors, metadata, progress=progress, finish=check.finish)


def load_text_encoder(
    path: str | Path,
    tokenizer: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> TextEncoder:
    """An encoder in evaluation mode from our own file, the original Wan `.pth`, or a UMT5 safetensors with transformers'
    names (as ComfyUI users hold it; fp8 with `scale_weight` too). Raises InputError if the file is no UMT5 encoder, or the
    tokenizer is none or of another one.
    """
    stored, config, _ = open_text_encoder(path)
    words = load_tokenizer(tokenizer)
    check_vocabulary(words, tokenizer, config)
    model = _empty_encoder(config)
    state = loaded(str(path), stored, dtype, device)
    state["encoder.embed_tokens.weight"] = state["shared.weight"]
    model.load_state_dict(state, assign=True)
    model.encoder.embed_tokens.weight = model.shared.weight  # one table (2 GiB of UMT5-xxl), also where the model is moved
    return TextEncoder(model.train(False), words)


def open_text_encoder(path: str | Path) -> tuple[dict[str, StoredTensor], TextConfig, StoredTensor | None]:
    """(tensors with transformers' names, sizes, the SentencePiece model inside ComfyUI's files or None) of a UMT5 encoder of
    any kind, checked against each other; numbers are read when they are needed. Raises InputError if the file is something
    else, which is said."""
    stored, metadata = open_weights(path)
    check_kind(str(path), stored, TEXT_ENCODER, "UMT5 encoder")
    inside = stored.get(SPIECE)
    state: dict[str, StoredTensor] = to_transformers_names(stored)
    if metadata.get("format") == FORMAT and "config" in metadata:
        source = f"the metadata of {path}"
        config = parse_record(TextConfig, parse_json(metadata["config"], source), source)
    else:
        config = TextConfig(**infer_text_config(path, state))
    check_layers(str(path), state, "encoder.block.", config.num_layers)
    expected = {
        key: value for key, value in _empty_encoder(config).state_dict().items() if key != "encoder.embed_tokens.weight"
    }
    check_keys(str(path), state, expected)
    check_types(str(path), state)
    return state, config, inside if inside is not None and inside.dtype == torch.uint8 else None


def check_vocabulary(tokenizer: Tokenizer, where: str | Path, config: TextConfig) -> None:
    """Raises InputError if a tokenizer gives ids that the encoder lacks, or so few that it belongs to another one."""
    size = vocabulary_size(tokenizer)
    if size is not None and not config.vocab_size / 2 <= size <= config.vocab_size:
        raise InputError(
            f"the tokenizer {where} has {size} tokens, the text encoder {config.vocab_size}: they do not belong together; give "
            "the tokenizer of this encoder"
        )


def _empty_encoder(config: TextConfig) -> UMT5Encoder:
    """The model without memory for its weights."""
    try:
        with torch.device("meta"):
            return UMT5Encoder(config)
    except (ValueError, RuntimeError, TypeError) as error:
        raise InputError(f"these sizes make no UMT5 encoder ({str(error)[:200]}): {config}") from error


def to_transformers_names(state: Mapping[str, Any]) -> dict[str, Any]:
    """A UMT5 encoder's state dict with transformers' names, whatever names it came with; fp8 scales multiplied in.

    Values are tensors, or StoredTensors, which stay in their file.
    """
    if "token_embedding.weight" not in state:
        plain = {k: v for k, v in state.items() if not k.endswith((".scale_weight", ".scale_input"))}
        for key in [k for k in state if k.endswith(".scale_weight")]:
            name = key.removesuffix(".scale_weight") + ".weight"
            if name in plain:
                plain[name] = _scaled(plain[name], state[key])
        for extra in (SPIECE, "scaled_fp8", "encoder.embed_tokens.weight"):
            plain.pop(extra, None)
        return plain
    renamed = {
        "shared.weight": state["token_embedding.weight"],
        **({"encoder.final_layer_norm.weight": state["norm.weight"]} if "norm.weight" in state else {}),
    }
    for key, value in state.items():
        if key.startswith("blocks."):
            _, number, *rest = key.split(".", 2)
            name = rest[0] if rest else ""
            renamed[f"encoder.block.{number}.{BLOCK_NAMES.get(name, name)}"] = value
    return renamed


def _scaled(value: Any, scale: Any) -> Any:
    if isinstance(value, StoredTensor):
        if scale.numel == 1:  # as all files in circulation have it
            return value.changed(torch.float32, lambda numbers: numbers.float() * scale.read().float().reshape(()))
        return StoredTensor(value.shape, torch.float32, lambda: _scaled(value.read(), scale.read()))
    return value.float() * scale.float()


def infer_text_config(path: str | Path, state: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes of a UMT5 encoder with transformers' names, from its shapes. Raises InputError if it is none."""
    try:
        buckets, heads = state["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"].shape
        return {
            "vocab_size": state["shared.weight"].shape[0],
            "d_model": state["shared.weight"].shape[1],
            "d_kv": state["encoder.block.0.layer.0.SelfAttention.q.weight"].shape[0] // heads,
            "d_ff": state["encoder.block.0.layer.1.DenseReluDense.wi_0.weight"].shape[0],
            "num_layers": count_layers(state, "encoder.block."),
            "num_heads": heads,
            "relative_attention_num_buckets": buckets,
        }
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"{path} is no UMT5 encoder: {error} is missing or odd") from error
