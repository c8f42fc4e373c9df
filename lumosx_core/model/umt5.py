"""The network of the UMT5 encoder, whose states the transformer reads.

Written out in plain torch, since importing one class of transformers takes longer than making a nano video. Modules have the
names of transformers' `UMT5EncoderModel`, results are equal to the bit, and tests hold both.

Legend: B = batch, L = tokens, D = d_model, n = heads, d = d_kv.
"""

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import Linear

from lumosx_core.numbers import whole_number

EPS = 1e-6
FARTHEST = 128  # tokens; whatever is farther away shares the last bucket


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Sizes of a UMT5 encoder, as transformers calls them. Raises InputError for numbers that no model has."""

    vocab_size: int
    d_model: int
    d_kv: int
    d_ff: int
    num_layers: int
    num_heads: int
    relative_attention_num_buckets: int

    def __post_init__(self) -> None:
        for field in fields(self):
            least = 4 if field.name == "relative_attention_num_buckets" else 1  # two halves with a near bucket each
            whole_number(getattr(self, field.name), f"text encoder config: {field.name}", least=least, most=2**24)


class Table(nn.Module):
    """Rows by number. torch's Embedding starts at random, and imports torch's compiler for that where there is no memory."""

    def __init__(self, rows: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, dim))

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """int64 [...] below rows -> [..., dim]."""
        return F.embedding(numbers, self.weight)


class LayerNorm(nn.Module):
    """Root-mean-square norm over the last axis, measured in float32."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., D] -> the same shape, in the type of the weight where that is half precision."""
        x = x * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + EPS)
        return self.weight * (x.to(self.weight.dtype) if self.weight.dtype in (torch.float16, torch.bfloat16) else x)


def position_buckets(length: int, buckets: int, device: torch.device) -> torch.Tensor:
    """int64 [L, L]: the bucket of every key's distance from every query. Half of the buckets are for keys behind the query; in
    each half the nearest distances have one each, farther ones share them on a logarithmic scale up to `FARTHEST`."""
    places = torch.arange(length, device=device)
    distance = places[None, :] - places[:, None]
    half = buckets // 2
    near = half // 2
    away = distance.abs()
    scale = torch.log(away.float() / near) / math.log(FARTHEST / near) * (half - near)
    far = (near + scale.to(torch.int64)).clamp(max=half - 1)
    return (distance > 0).to(torch.int64) * half + torch.where(away < near, away, far)


class SelfAttention(nn.Module):
    """Attention with a learned bias by distance; scores are not scaled."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        inner = config.num_heads * config.d_kv
        self.heads, self.buckets = config.num_heads, config.relative_attention_num_buckets
        self.q = Linear(config.d_model, inner, bias=False)
        self.k = Linear(config.d_model, inner, bias=False)
        self.v = Linear(config.d_model, inner, bias=False)
        self.o = Linear(inner, config.d_model, bias=False)
        self.relative_attention_bias = Table(self.buckets, config.num_heads)

    def forward(self, x_BLD: torch.Tensor, known_BL: torch.Tensor) -> torch.Tensor:
        """[B, L, D] -> the same shape; tokens that are not known (bool [B, L]) are looked at by nobody."""
        q, k, v = (part(x_BLD).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.q, self.k, self.v))
        bias = self.relative_attention_bias(position_buckets(x_BLD.shape[1], self.buckets, x_BLD.device)).permute(2, 0, 1)[None]
        bias = torch.where(known_BL[:, None, None, :], bias, torch.finfo(k.dtype).min).contiguous()
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
        return self.o(out.transpose(1, 2).flatten(2))


class AttentionLayer(nn.Module):
    """Norm, attention, and the way around."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.SelfAttention = SelfAttention(config)
        self.layer_norm = LayerNorm(config.d_model)

    def forward(self, x_BLD: torch.Tensor, known_BL: torch.Tensor) -> torch.Tensor:
        """[B, L, D] -> the same shape."""
        return x_BLD + self.SelfAttention(self.layer_norm(x_BLD), known_BL)


class GatedDense(nn.Module):
    """Two projections, one of which gates the other by the tanh form of GELU."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.wi_0 = Linear(config.d_model, config.d_ff, bias=False)
        self.wi_1 = Linear(config.d_model, config.d_ff, bias=False)
        self.wo = Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., D] -> the same shape."""
        gate = self.wi_0(x)
        gate = 0.5 * gate * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (gate + 0.044715 * torch.pow(gate, 3.0))))
        return self.wo(gate * self.wi_1(x))


class DenseLayer(nn.Module):
    """Norm, feed-forward, and the way around."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.DenseReluDense = GatedDense(config)
        self.layer_norm = LayerNorm(config.d_model)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, L, D] -> the same shape."""
        return x + self.DenseReluDense(self.layer_norm(x))


class Block(nn.Module):
    """One layer of the encoder."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList([AttentionLayer(config), DenseLayer(config)])

    def forward(self, x_BLD: torch.Tensor, known_BL: torch.Tensor) -> torch.Tensor:
        """[B, L, D] -> the same shape."""
        return _finite(self.layer[1](_finite(self.layer[0](x_BLD, known_BL))))


def _finite(x: torch.Tensor) -> torch.Tensor:
    """In float16 sums overflow; what did is brought back below the largest number of the type."""
    if x.dtype != torch.float16:
        return x
    largest = torch.finfo(x.dtype).max
    most = torch.where(torch.isinf(x).any(), largest - 1000, largest)
    return torch.clamp(x, min=-most, max=most)


class Stack(nn.Module):
    """The blocks after one table of embeddings."""

    def __init__(self, config: TextConfig, shared: Table) -> None:
        super().__init__()
        self.embed_tokens = shared
        self.block = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.final_layer_norm = LayerNorm(config.d_model)

    def forward(self, ids_BL: torch.Tensor, known_BL: torch.Tensor) -> torch.Tensor:
        """[B, L, D] of token ids."""
        x = self.embed_tokens(ids_BL)
        for block in self.block:
            x = block(x, known_BL)
        return self.final_layer_norm(x)


class UMT5Encoder(nn.Module):
    """Token ids to text states."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.shared = Table(config.vocab_size, config.d_model)
        self.encoder = Stack(config, self.shared)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.shared.weight.device

    def forward(self, ids_BL: torch.Tensor, known_BL: torch.Tensor) -> torch.Tensor:
        """int64 [B, L] below vocab_size, and which of them are tokens and no padding (not 0) [B, L] -> states [B, L, D]."""
        return self.encoder(ids_BL, known_BL.bool())
