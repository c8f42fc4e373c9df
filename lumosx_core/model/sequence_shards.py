"""One sample in several processes: each has a share of its tokens, and for attention all tokens of a share of the heads.

Every process holds a share of the video's rows and a share of the references' (both, so that the last block, which drops the
references, stays even). Before attention rows are exchanged for heads (all-to-all), `relational_attention` runs as it is on the
whole layout with n / N heads, then back; nothing in it knows. Everything else works row by row. Gradients of a process are
those of its rows: their sum over the processes is the gradient.

Legend: B = batch, L = tokens, l = tokens of this process, n = heads, N = processes, d = head width, D = n * d.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from lumosx_core.errors import InputError
from lumosx_core.model.relational_attention import biased_cross_attention, relational_self_attention, with_reference_keys
from lumosx_core.model.rope import apply_rope
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import (
    CrossAttention,
    LumosXTransformer,
    Relations,
    SelfAttention,
    TextKeys,
)


class SequenceShards:
    """The processes that share samples. group: of torch.distributed (None: all). rank: of this one, count: of all. patient: a
    group of the same processes in which they may wait for long (None: the same one)."""

    def __init__(
        self, group: dist.ProcessGroup | None, rank: int, count: int, patient: dist.ProcessGroup | None = None
    ) -> None:
        self.group, self.rank, self.count, self.patient = group, rank, count, patient or group

    def wait(self) -> None:
        """Until all are here, however long one of them works alone."""
        dist.barrier(self.patient)

    def sizes(self, total: int) -> list[int]:
        """How many of `total` neighbouring rows each process has; equal, or one more in the first ones."""
        return [total // self.count + (process < total % self.count) for process in range(self.count)]

    def own(self, x: torch.Tensor, layout: TokenLayout) -> torch.Tensor:
        """This process's rows of [B, L, ...]: of the video, then of the references."""
        video, references = x[:, : layout.video_len], x[:, layout.video_len :]
        return torch.cat([self._part(video), self._part(references)], 1)

    def _part(self, x: torch.Tensor) -> torch.Tensor:
        return x.split(self.sizes(x.shape[1]), 1)[self.rank]

    def to_heads(self, x_Blnd: torch.Tensor, total: int) -> torch.Tensor:
        """Own rows of all heads [B, l, n, d] to all `total` rows of own heads [B, total, n / N, d]."""
        own = x_Blnd.shape[1]
        sent = x_Blnd.unflatten(2, (self.count, -1)).permute(2, 1, 0, 3, 4).flatten(0, 1)
        got = _Exchange.apply(sent, [own] * self.count, self.sizes(total), self.group)
        return got.transpose(0, 1)

    def own_heads(self, x_BSnd: torch.Tensor) -> torch.Tensor:
        """The heads of this process, of rows that every process has."""
        return x_BSnd.chunk(self.count, 2)[self.rank]

    def to_rows(self, x_BLhd: torch.Tensor) -> torch.Tensor:
        """The inverse of `to_heads`."""
        sizes = self.sizes(x_BLhd.shape[1])
        own = sizes[self.rank]
        got = _Exchange.apply(x_BLhd.transpose(0, 1), sizes, [own] * self.count, self.group)
        return got.unflatten(0, (self.count, own)).permute(2, 1, 0, 3, 4).flatten(2, 3)

    def all_to_heads(self, x_Blnd: torch.Tensor, layout: TokenLayout) -> torch.Tensor:
        """`to_heads` of the video's rows and, where x has any, of the references'."""
        own = self.sizes(layout.video_len)[self.rank]
        parts = [self.to_heads(x_Blnd[:, :own], layout.video_len)]
        if x_Blnd.shape[1] > own:
            parts.append(self.to_heads(x_Blnd[:, own:], layout.seq_len - layout.video_len))
        return torch.cat(parts, 1)

    def all_to_rows(self, x_BLhd: torch.Tensor, layout: TokenLayout) -> torch.Tensor:
        """The inverse of `all_to_heads`; also of the video's rows alone."""
        parts = [self.to_rows(x_BLhd[:, : layout.video_len])]
        if x_BLhd.shape[1] > layout.video_len:
            parts.append(self.to_rows(x_BLhd[:, layout.video_len :]))
        return torch.cat(parts, 1)


class _Exchange(torch.autograd.Function):
    """all_to_all_single of rows; its gradient goes the way back."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, sent: list[int], got: list[int], group: Any) -> torch.Tensor:
        ctx.sent, ctx.got, ctx.group = sent, got, group
        out = x.new_empty(sum(got), *x.shape[1:])
        dist.all_to_all_single(out, x.contiguous(), got, sent, group)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        back = gradient.new_empty(sum(ctx.sent), *gradient.shape[1:])
        dist.all_to_all_single(back, gradient.contiguous(), ctx.sent, ctx.got, ctx.group)
        return back, None, None, None


class _Gather(torch.autograd.Function):
    """All rows from everybody's; every process computes the same from them, so that its gradient is its own rows'."""

    @staticmethod
    def forward(ctx: Any, x_lBD: torch.Tensor, sizes: list[int], rank: int, group: Any) -> torch.Tensor:
        ctx.sizes, ctx.rank = sizes, rank
        out = x_lBD.new_empty(sum(sizes), *x_lBD.shape[1:])
        dist.all_to_all_single(out, torch.cat([x_lBD] * len(sizes)), sizes, [len(x_lBD)] * len(sizes), group)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return gradients[0].split(ctx.sizes)[ctx.rank], None, None, None


def check_heads(heads: int, count: int) -> None:
    """Raises InputError, with the numbers that do, if so many processes do not divide the heads of a model."""
    if heads % count:
        able = ", ".join(str(number) for number in range(1, heads + 1) if heads % number == 0)
        raise InputError(f"sequence shards: {count} do not divide the {heads} heads of the model; take one of {able}")


def share_sequence(model: LumosXTransformer, shards: SequenceShards) -> None:
    """Make a model compute its share of the tokens of every sample; all processes call it with the same inputs, and all get the
    whole velocity. Raises InputError if the processes do not divide the heads."""
    check_heads(model.config.num_heads, shards.count)
    layouts: list[TokenLayout] = []

    def take_rows(_: nn.Module, arguments: tuple) -> tuple:
        x, time, text, relations, *others = arguments
        layouts[:] = [relations.layout]
        references = relations.layout.seq_len - relations.layout.video_len
        if relations.layout.video_len < shards.count or 0 < references < shards.count:
            raise InputError(f"sequence shards: a sample of {relations.layout.seq_len} tokens is too small for {shards.count}")
        return shards.own(x, relations.layout), time, text, relations, *others

    def give_rows(_: nn.Module, __: tuple, patches: torch.Tensor) -> torch.Tensor:
        sizes = shards.sizes(layouts[0].video_len)
        return _Gather.apply(patches.transpose(0, 1), sizes, shards.rank, shards.group).transpose(0, 1)

    model.blocks[0].register_forward_pre_hook(take_rows)
    model.head.register_forward_hook(give_rows)
    for module in model.modules():
        if isinstance(module, SelfAttention):
            module.forward = _shared_self_attention(module, shards)  # type: ignore[method-assign]
        elif isinstance(module, CrossAttention):
            module.forward = _shared_cross_attention(module, shards)  # type: ignore[method-assign]


def _shared_self_attention(module: SelfAttention, shards: SequenceShards) -> Callable[..., torch.Tensor]:
    def forward(x_BlD: torch.Tensor, relations: Relations, video_only: bool = False) -> torch.Tensor:
        layout = relations.layout
        rope = shards.own(relations.rope, layout)
        own = shards.sizes(layout.video_len)[shards.rank]
        queries = x_BlD[:, :own] if video_only else x_BlD
        q = apply_rope(module.heads(module.norm_q(module.q(queries))), rope[:, : queries.shape[1]])
        k = apply_rope(module.heads(module.norm_k(module.k(x_BlD))), rope[:, : x_BlD.shape[1]])
        v = module.heads(module.v(x_BlD))
        q, k, v = (shards.all_to_heads(x, layout) for x in (q, k, v))
        video_only = video_only or bool(relations.reference_keys)
        k, v = with_reference_keys(k, v, layout, relations.reference_keys)
        out = relational_self_attention(q, k, v, layout, relations.attention, video_only=video_only)
        return module.o(shards.all_to_rows(out, layout).flatten(2))

    return forward


def _shared_cross_attention(module: CrossAttention, shards: SequenceShards) -> Callable[..., torch.Tensor]:
    def forward(x_BlD: torch.Tensor, text: torch.Tensor | TextKeys, relations: Relations) -> torch.Tensor:
        """Rows of the video need no exchange; the references' do, since their bias pools whole pictures."""
        layout, own = relations.layout, shards.sizes(relations.layout.video_len)[shards.rank]
        q = module.heads(module.norm_q(module.q(x_BlD)))
        k, v = module.text_keys(text) if isinstance(text, torch.Tensor) else text
        if relations.levels is None or x_BlD.shape[1] == own:
            return module.o(relations.attention(q, k, v).flatten(2))
        rows = shards.to_heads(q[:, own:], layout.seq_len - layout.video_len)
        k_own, v_own = shards.own_heads(k), shards.own_heads(v)
        biased = biased_cross_attention(
            rows,
            k_own,
            v_own,
            layout,
            relations.levels,
            ratio=relations.ratio,
            pool=module.pool,
            pool_layout=relations.pool_layout,
        )
        references = shards.to_rows(torch.cat(biased, 1))
        return module.o(torch.cat([relations.attention(q[:, :own], k, v), references], 1).flatten(2))

    return forward
