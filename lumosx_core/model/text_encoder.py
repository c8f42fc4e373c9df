"""The UMT5 text encoder (transformers' UMT5EncoderModel) with its tokenizer: loading every file in circulation.

Legend: B = batch, n = tokens of a prompt with its end token, S = text_len, D = text_dim.
"""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.weights import StateDict, read_state_dict, write_safetensors
from lumosx_core.model.checkpoint import check_keys
from lumosx_core.tokenizers import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from transformers import UMT5EncoderModel

log = logging.getLogger(__name__)
FORMAT = "lumosx-text-encoder"
END_TOKEN = 1
CONFIG_FIELDS = ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads", "relative_attention_num_buckets")
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

    def __init__(self, model: "UMT5EncoderModel", tokenizer: Tokenizer) -> None:
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
        states = self.model(input_ids=ids_Bn, attention_mask=mask_Bn).last_hidden_state * mask_Bn[..., None]
        return torch.nn.functional.pad(states, (0, 0, 0, text_len - longest))


def save_text_encoder(path: str | Path, model: "UMT5EncoderModel", *, dtype: torch.dtype = torch.float32) -> Path:
    """Write the encoder as one safetensors file in transformers' key names, its sizes (JSON) in the metadata."""
    config = {field: getattr(model.config, field) for field in CONFIG_FIELDS}
    state = {k: v.to(dtype) for k, v in model.state_dict().items() if k != "encoder.embed_tokens.weight"}
    return write_safetensors(path, state, {"format": FORMAT, "config": json.dumps(config)})


def load_text_encoder(
    path: str | Path,
    tokenizer: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> TextEncoder:
    """An encoder in evaluation mode from our own file, the original Wan `.pth`, or a UMT5 safetensors with transformers'
    names (as ComfyUI users hold it; fp8 with `scale_weight` too). Raises InputError if the file is no UMT5 encoder.
    """
    from transformers import UMT5Config, UMT5EncoderModel

    state, metadata = read_state_dict(path)
    state = to_transformers_names(state)
    config = json.loads(metadata["config"]) if metadata.get("format") == FORMAT else infer_text_config(path, state)
    with torch.device("meta"):
        model = UMT5EncoderModel(UMT5Config(**config, dropout_rate=0.0, feed_forward_proj="gated-gelu"))
    state["encoder.embed_tokens.weight"] = state["shared.weight"]
    check_keys(str(path), state, model.state_dict())
    model.load_state_dict({key: value.to(device, dtype) for key, value in state.items()}, assign=True)
    return TextEncoder(model.train(False), load_tokenizer(tokenizer))


def to_transformers_names(state: StateDict) -> StateDict:
    """A UMT5 encoder's state dict with transformers' names, whatever names it came with; fp8 scales multiplied in."""
    if "token_embedding.weight" not in state:
        plain = {k: v for k, v in state.items() if not k.endswith((".scale_weight", ".scale_input"))}
        for key in [k for k in state if k.endswith(".scale_weight")]:
            name = key.removesuffix(".scale_weight") + ".weight"
            plain[name] = plain[name].float() * state[key].float()
        for extra in ("spiece_model", "scaled_fp8", "encoder.embed_tokens.weight"):
            plain.pop(extra, None)
        return plain
    renamed = {
        "shared.weight": state["token_embedding.weight"],
        "encoder.final_layer_norm.weight": state["norm.weight"],
    }
    for key, value in state.items():
        if key.startswith("blocks."):
            _, number, name = key.split(".", 2)
            renamed[f"encoder.block.{number}.{BLOCK_NAMES.get(name, name)}"] = value
    return renamed


def infer_text_config(path: str | Path, state: StateDict) -> dict[str, Any]:
    try:
        buckets, heads = state["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"].shape
        return {
            "vocab_size": state["shared.weight"].shape[0],
            "d_model": state["shared.weight"].shape[1],
            "d_kv": state["encoder.block.0.layer.0.SelfAttention.q.weight"].shape[0] // heads,
            "d_ff": state["encoder.block.0.layer.1.DenseReluDense.wi_0.weight"].shape[0],
            "num_layers": 1 + max(int(k.split(".")[2]) for k in state if k.startswith("encoder.block.")),
            "num_heads": heads,
            "relative_attention_num_buckets": buckets,
        }
    except KeyError as error:
        raise InputError(f"{path} is no UMT5 encoder: the key {error} is missing") from error
