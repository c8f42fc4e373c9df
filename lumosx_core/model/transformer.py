"""The Wan2.1 text-to-video transformer with LumosX's relational attention. Modules are named as the checkpoint's keys.

Legend: B = batch, T, h, w = latent frames (of all videos of a row) and sides; H, W = token grid; P = H*W; R = references;
L = (T + R) * P tokens, less those that the layout leaves out; D = dim, n = heads, d = D / n, S = text_len.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn
from torch.nn import Conv3d, LayerNorm, Linear
from torch.utils.checkpoint import checkpoint

from lumosx_core.errors import InputError
from lumosx_core.model.attention_backends import Attention, sdpa_attention
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.relational_attention import (
    PoolLayout,
    ReferenceKeys,
    relational_cross_attention,
    relational_self_attention,
    with_reference_keys,
)
from lumosx_core.model.rope import apply_rope, rope_table
from lumosx_core.model.token_layout import TokenLayout, kept_tokens

FEED_FORWARD_BYTES = 2**27  # of the hidden state of a feed-forward at once; thousands of rows, so its products stay large


class RMSNorm(nn.Module):
    """Root-mean-square norm over the last axis, in float32."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., dim] -> [..., dim]."""
        return F.rms_norm(x.float(), x.shape[-1:], eps=self.eps).to(x.dtype) * self.weight.to(x.dtype)


# Keys and values of the text for one block's cross-attention, [B, S, n, d] each.
TextKeys = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Relations:
    """What every block needs to know beside the hidden state: the layout, the rotary table of its tokens, the multilevel mask's
    levels [B or 1, R, S] (None: no bias) with its strength and pooling, and the plain attention callable.

    reference_keys: of the block at hand, None where none are kept. Empty ones are filled; with filled ones the hidden state
    holds the video's rows only."""

    layout: TokenLayout
    rope: torch.Tensor
    levels: torch.Tensor | None
    attention: Attention
    ratio: float
    pool_layout: PoolLayout
    reference_keys: ReferenceKeys | None = None


class AttentionLayer(nn.Module):
    """Projections and query/key norms that self- and cross-attention share."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.q = Linear(config.dim, config.dim)
        self.k = Linear(config.dim, config.dim)
        self.v = Linear(config.dim, config.dim)
        self.o = Linear(config.dim, config.dim)
        self.norm_q = RMSNorm(config.dim, config.eps)
        self.norm_k = RMSNorm(config.dim, config.eps)

    def heads(self, x_BLD: torch.Tensor) -> torch.Tensor:
        """[B, L, D] -> [B, L, n, d]."""
        return x_BLD.unflatten(-1, (self.num_heads, -1))


class SelfAttention(AttentionLayer):
    """Self-attention with rotary positions under the causal self-attention mask."""

    def forward(self, x_BLD: torch.Tensor, relations: Relations, video_only: bool = False) -> torch.Tensor:
        """[B, L, D] -> [B, L, D], or only the video rows."""
        layout, rope = relations.layout, relations.rope
        queries = x_BLD[:, : layout.video_len] if video_only else x_BLD
        q = apply_rope(self.heads(self.norm_q(self.q(queries))), rope[:, : queries.shape[1]])
        k = apply_rope(self.heads(self.norm_k(self.k(x_BLD))), rope[:, : x_BLD.shape[1]])
        v = self.heads(self.v(x_BLD))
        video_only = video_only or bool(relations.reference_keys)
        k, v = with_reference_keys(k, v, layout, relations.reference_keys)
        return self.o(relational_self_attention(q, k, v, layout, relations.attention, video_only=video_only).flatten(2))


def reference_keys_bytes(config: TransformerConfig, layout: TokenLayout, passes: int, dtype: torch.dtype) -> int:
    """What the keys and values of the references take that are kept between steps, of so many passes (2 with guidance)."""
    return 2 * passes * layout.reference_len * config.dim * config.num_layers * dtype.itemsize


class CrossAttention(AttentionLayer):
    """Attention to the text, with the multilevel cross-attention mask on reference rows."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        self.pool = config.multilevel_pool

    def text_keys(self, context_BSD: torch.Tensor) -> TextKeys:
        """Keys and values [B, S, n, d] of embedded text [B, S, D]: the same in every step of a sampling."""
        return self.heads(self.norm_k(self.k(context_BSD))), self.heads(self.v(context_BSD))

    def forward(self, x_BLD: torch.Tensor, text: torch.Tensor | TextKeys, relations: Relations) -> torch.Tensor:
        """[B, L, D] and text (embedded [B, S, D], or its keys and values) -> [B, L, D]; x may hold the video rows only (then
        there is nothing to bias)."""
        q = self.heads(self.norm_q(self.q(x_BLD)))
        k, v = self.text_keys(text) if isinstance(text, torch.Tensor) else text
        out = relational_cross_attention(
            q,
            k,
            v,
            relations.layout,
            relations.levels,
            relations.attention,
            ratio=relations.ratio,
            pool=self.pool,
            pool_layout=relations.pool_layout,
        )
        return self.o(out.flatten(2))


def _small_random(rows: int, dim: int) -> torch.Tensor:
    """[1, rows, dim] of standard deviation dim ** -0.5. Without memory ("meta") nothing is drawn: torch would import its
    compiler for it, seconds of every start."""
    values = torch.empty(1, rows, dim)
    return values if values.is_meta else torch.randn(1, rows, dim) / dim**0.5


class Block(nn.Module):
    """Self-attention, cross-attention and feed-forward, modulated by the timestep."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm1 = LayerNorm(config.dim, config.eps, elementwise_affine=False)
        self.self_attn = SelfAttention(config)
        self.norm3 = LayerNorm(config.dim, config.eps)
        self.cross_attn = CrossAttention(config)
        self.norm2 = LayerNorm(config.dim, config.eps, elementwise_affine=False)
        self.ffn = nn.Sequential(
            Linear(config.dim, config.ffn_dim), nn.GELU(approximate="tanh"), Linear(config.ffn_dim, config.dim)
        )
        self.ffn_dim = config.ffn_dim
        self.modulation = nn.Parameter(_small_random(6, config.dim))

    def forward(
        self,
        x_BLD: torch.Tensor,
        time_B6D: torch.Tensor,
        text: torch.Tensor | TextKeys,
        relations: Relations,
        video_only: bool,
    ) -> torch.Tensor:
        """[B, L, D] -> [B, L, D]; text: as `CrossAttention` takes it. video_only: the reference rows feed nothing
        afterwards and are dropped."""
        dtype = self.self_attn.q.bias.dtype  # not the weight's, which may be kept in fewer bits
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.modulation.float() + time_B6D).chunk(6, 1)
        mixed = (_norm(self.norm1, x_BLD) * (1 + scale1) + shift1).to(dtype)
        update = self.self_attn(mixed, relations, video_only)
        x_BLD = x_BLD[:, : update.shape[1]] + update * gate1
        del mixed, update  # what follows needs the memory more
        x_BLD = x_BLD + self.cross_attn(_norm(self.norm3, x_BLD).to(dtype), text, relations)

        def fed(part: torch.Tensor) -> torch.Tensor:
            return self.ffn((_norm(self.norm2, part) * (1 + scale2) + shift2).to(dtype)) * gate2

        if torch.is_grad_enabled():
            return x_BLD + fed(x_BLD)
        # Its rows know nothing of each other: done in parts, the hidden state of all of them is never there at once.
        rows = FEED_FORWARD_BYTES // (len(x_BLD) * self.ffn_dim * dtype.itemsize)
        for part in x_BLD.split(max(1, rows), 1):
            part += fed(part)
        return x_BLD


def _norm(norm: LayerNorm, x: torch.Tensor) -> torch.Tensor:
    """Layer norm in float32, whatever the storage type of its weights."""
    weight = None if norm.weight is None else norm.weight.float()
    bias = None if norm.bias is None else norm.bias.float()
    return F.layer_norm(x.float(), norm.normalized_shape, weight, bias, norm.eps)


class Head(nn.Module):
    """Modulated projection to latent patches."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm = LayerNorm(config.dim, config.eps, elementwise_affine=False)
        self.head = Linear(config.dim, config.out_dim * math.prod(config.patch_size))
        self.modulation = nn.Parameter(_small_random(2, config.dim))

    def forward(self, x_BLD: torch.Tensor, time_B1D: torch.Tensor) -> torch.Tensor:
        """[B, L, D] and the time embedding [B, 1, D] -> [B, L, out_dim * 4]."""
        shift, scale = (self.modulation.float() + time_B1D).chunk(2, 1)
        return self.head((_norm(self.norm, x_BLD) * (1 + scale) + shift).to(self.head.weight.dtype))


def sinusoidal_embedding(timestep_B: torch.Tensor, dim: int) -> torch.Tensor:
    """float32 [B, dim]: cosines, then sines of the timestep at geometric frequencies, computed in float64."""
    half = dim // 2
    frequencies = torch.pow(10000.0, -torch.arange(half, dtype=torch.float64, device=timestep_B.device) / half)
    angles = timestep_B.double()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], 1).float()


class LumosXTransformer(nn.Module):
    """Velocity prediction for a video with reference images (method: LumosX; backbone: Wan2.1-T2V)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        self.patch_embedding = Conv3d(config.in_dim, config.dim, config.patch_size, stride=config.patch_size)
        self.text_embedding = nn.Sequential(
            Linear(config.text_dim, config.dim), nn.GELU(approximate="tanh"), Linear(config.dim, config.dim)
        )
        self.time_embedding = nn.Sequential(Linear(config.freq_dim, config.dim), nn.SiLU(), Linear(config.dim, config.dim))
        self.time_projection = nn.Sequential(nn.SiLU(), Linear(config.dim, 6 * config.dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.head = Head(config)

    def initialize_weights(self) -> None:
        """Fresh weights as Wan starts them: Xavier, small embeddings, a head that predicts zero."""
        for module in self.modules():
            if isinstance(module, Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.patch_embedding.weight.flatten(1))
        nn.init.zeros_(self.patch_embedding.get_parameter("bias"))
        for module in (*self.text_embedding, *self.time_embedding):
            if isinstance(module, Linear):
                nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(self.head.head.weight)

    def forward(
        self,
        latent: torch.Tensor,
        timestep: torch.Tensor,
        context: torch.Tensor | Sequence[TextKeys],
        reference_latents: torch.Tensor | None,
        layout: TokenLayout,
        levels: torch.Tensor | None,
        *,
        attention: Attention | None = None,
        ratio: float | None = None,
        pool_layout: PoolLayout = "released",
        reference_keys: Sequence[ReferenceKeys] | None = None,
    ) -> torch.Tensor:
        """The velocity [B, out_dim, T, h, w] of a noisy latent.

        latent: [B, in_dim, T, h, w]; of a layout with several videos their frames one after the other. timestep: [B],
        0..1000. context: [B, up to text_len, text_dim], padded with zeros here; or what `text_keys` made of it.
        reference_latents: [B or 1, R, in_dim, h, w], clean, in the layout's order; None without references.
        layout: of the padded token grid. levels: [B or 1, R, text_len] from `text_levels`, or None for no bias.
        attention: plain attention callable, torch's by default. ratio: strength of the bias, the config's by default.
        reference_keys: one list per block. Empty ones are filled with the keys and values of the references; filled ones, of an
        earlier step, stand for the rows of the references, which are not computed then.
        Odd latent sides are padded with zeros at the bottom and right, and the output cropped.
        Raises InputError when shapes and layout do not belong together.
        """
        config = self.config
        self._check(latent, context, reference_latents, layout)
        batch, _, frames, height, width = latent.shape
        dtype = self.patch_embedding.weight.dtype
        stored = bool(reference_keys and reference_keys[0])
        if reference_latents is not None and reference_latents.shape[1] and not stored:
            stills = reference_latents.expand(batch, *reference_latents.shape[1:]).transpose(1, 2)
            latent = torch.cat([latent, stills.to(latent.dtype)], 2)
        latent = F.pad(latent, (0, width % 2, 0, height % 2))
        x = self.patch_embedding(latent.to(dtype)).flatten(2).transpose(1, 2)
        kept = kept_tokens(layout, x.device)
        if kept is not None and not stored:
            x = x.index_select(1, kept)
        x = x.float()
        time = self.time_embedding(sinusoidal_embedding(timestep, config.freq_dim).to(dtype))
        time_B6D = self.time_projection(time).float().unflatten(1, (6, -1))
        embedded = self._embedded(context) if isinstance(context, torch.Tensor) else None
        relations = Relations(
            layout=layout,
            rope=rope_table(layout, config.head_dim, x.device),
            levels=levels,
            attention=attention or sdpa_attention,
            ratio=config.multilevel_ratio if ratio is None else ratio,
            pool_layout=pool_layout,
        )
        recompute = self.gradient_checkpointing and torch.is_grad_enabled()
        for index, block in enumerate(self.blocks):
            text = context[index] if embedded is None else embedded
            told = relations if reference_keys is None else replace(relations, reference_keys=reference_keys[index])
            arguments = (x, time_B6D, text, told, index == len(self.blocks) - 1)
            x = checkpoint(block, *arguments, use_reentrant=False) if recompute else block(*arguments)
        patches = self.head(x, time.float()[:, None])
        video = rearrange(
            patches, "b (t h w) (p q c) -> b c t (h p) (w q)", t=frames, h=layout.height, w=layout.width, p=2, q=2
        )
        return video[..., :height, :width]

    def text_keys(self, context: torch.Tensor) -> list[TextKeys]:
        """Every block's keys and values of the text [B, up to text_len, text_dim], for the forwards of one sampling: equal to
        the bit to handing in the text each time. They take 2 B * text_len * dim numbers a block (94 MiB for one prompt of the
        1.3B model in bf16). Raises InputError for text of other sizes."""
        self._check_context(context)
        embedded = self._embedded(context)
        return [block.cross_attn.text_keys(embedded) for block in self.blocks if isinstance(block, Block)]

    def _embedded(self, context: torch.Tensor) -> torch.Tensor:
        """[B, text_len, D] of text that may be shorter."""
        padded = F.pad(context.to(self.patch_embedding.weight.dtype), (0, 0, 0, self.config.text_len - context.shape[1]))
        return self.text_embedding(padded)

    def _check(
        self,
        latent: torch.Tensor,
        context: torch.Tensor | Sequence[TextKeys],
        reference_latents: torch.Tensor | None,
        layout: TokenLayout,
    ) -> None:
        expected = (layout.videos * layout.frames, layout.height, layout.width)
        got = (latent.shape[2], math.ceil(latent.shape[3] / 2), math.ceil(latent.shape[4] / 2))
        if got != expected:
            raise InputError(f"latent {tuple(latent.shape)} has the token grid {got}, the layout {expected}")
        count = 0 if reference_latents is None else reference_latents.shape[1]
        if count != len(layout.kinds):
            raise InputError(f"{count} reference latents, but the layout has {len(layout.kinds)} references")
        if reference_latents is not None and reference_latents.ndim != 5:
            raise InputError(f"reference latents {tuple(reference_latents.shape)}, expected [B, R, {self.config.in_dim}, h, w]")
        if reference_latents is not None and count and reference_latents.shape[-2:] != latent.shape[-2:]:
            raise InputError(
                f"reference latents are {tuple(reference_latents.shape[-2:])}, the video {tuple(latent.shape[-2:])}; "
                "encode the references at the size of the video"
            )
        if isinstance(context, torch.Tensor):
            self._check_context(context)

    def _check_context(self, context: torch.Tensor) -> None:
        if context.shape[1] > self.config.text_len or context.shape[2] != self.config.text_dim:
            raise InputError(
                f"context {tuple(context.shape)}, expected [B, up to {self.config.text_len}, {self.config.text_dim}]"
            )
