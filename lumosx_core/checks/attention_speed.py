"""Speed of relational attention beside plain unmasked attention on as many tokens, the video without references, and the ways
with a dense mask and with flex_attention."""

from collections.abc import Callable

import torch

from lumosx_core.checks.masked_attention import POOL, RATIO, dense_attention, flex_attention
from lumosx_core.checks.speed_case import SpeedCase
from lumosx_core.checks.turns import Variants
from lumosx_core.model.relational_attention import relational_cross_attention, relational_self_attention

MOST_DENSE = 2**31  # bytes of a dense mask that is still measured


def attention_variants(case: SpeedCase, *, flex: bool = False) -> Variants:
    """The calls of the tables "self" and "cross" on random q, k, v and levels in -1..1.

    A dense mask of more than 2 GiB is left out, as it is where there are no references. flex: with flex_attention, which
    compiles for a minute.
    """
    layout, backend, video = case.layout, case.backend, case.layout.video_len
    heads, width, text_len = case.config.num_heads, case.config.head_dim, case.config.text_len
    generator = torch.Generator().manual_seed(0)

    def random(length: int) -> torch.Tensor:
        return torch.randn(case.batch, length, heads, width, generator=generator).to(case.device, case.dtype)

    q, k, v = (random(layout.seq_len) for _ in range(3))
    text_k, text_v = random(text_len), random(text_len)
    levels = (torch.rand(1, len(layout.kinds), text_len, generator=generator) * 2 - 1).to(case.device)
    own: dict[str, Callable[[], torch.Tensor]] = {
        "plain": lambda: backend(q, k, v),
        "relational": lambda: relational_self_attention(q, k, v, layout, backend),
        "no references": lambda: backend(q[:, :video], k[:, :video], v[:, :video]),
    }
    text: dict[str, Callable[[], torch.Tensor]] = {
        "plain": lambda: backend(q, text_k, text_v),
        "relational": lambda: relational_cross_attention(q, text_k, text_v, layout, levels, backend, ratio=RATIO, pool=POOL),
        "no references": lambda: backend(q[:, :video], text_k, text_v),
    }
    for name, ways in other_ways(case, levels, flex=flex).items():
        own[name] = lambda call=ways[0]: call(q, k, v)  # type: ignore[misc]
        text[name.replace("mask", "bias")] = lambda call=ways[1]: call(q, text_k, text_v)  # type: ignore[misc]
    return {"self": own, "cross": text}


def other_ways(case: SpeedCase, levels: torch.Tensor, *, flex: bool) -> dict:
    """Self- and cross-attention of the ways that the core does not take, where they have references and memory for it."""
    ways = {}
    if case.layout.kinds and case.layout.seq_len**2 <= MOST_DENSE:
        ways["dense mask"] = dense_attention(case.layout, levels, case.device)
    if case.layout.kinds and flex:
        ways["flex_attention"] = flex_attention(case.layout, levels, case.device)
    return ways
