"""Classifier-free guidance around the transformer.

Legend: B = batch, R = references, S = text_len.
"""

import itertools
from dataclasses import dataclass, replace

import torch
from einops import rearrange

from lumosx_core.model.attention_backends import Attention
from lumosx_core.model.relational_attention import PoolLayout, ReferenceKeys
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.sampling.solver import Velocity


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What steers a video: text states [1, n <= S, text_dim], reference latents [1, R, 16, h, w] (None without
    references), the layout, and the multilevel mask's levels [1, R, S] (None: no bias)."""

    context: torch.Tensor
    reference_latents: torch.Tensor | None
    layout: TokenLayout
    levels: torch.Tensor | None


def for_videos(condition: Condition, videos: int) -> Condition:
    """The same for so many videos at once. Raises InputError where the references see the video: they cannot be shared."""
    return replace(condition, layout=replace(condition.layout, videos=videos))


def guided_velocity(
    model: LumosXTransformer,
    condition: Condition,
    negative: Condition | None,
    *,
    scale: float,
    batched: bool = True,
    attention: Attention | None = None,
    ratio: float | None = None,
    pool_layout: PoolLayout = "released",
    reference_refresh: int = 1,
) -> Velocity:
    """The velocity v_negative + scale * (v - v_negative) as a function for the solvers.

    negative: the same layout under the negative prompt, with the same references or blank ones (zeros): with blank ones the
    guidance strengthens what the references show too, as Phantom does (arXiv 2502.11079). None (or scale 1) leaves that pass
    out. batched: both passes in one batch (faster on a GPU) or one after the other (half the memory); the result is the
    same. Where the layout has several videos, x holds them as [videos, 16, T, h, w], each from its own noise: their reference
    rows are computed once. reference_refresh: the rows of the references are computed in the first call and every so many
    calls after it, and their keys and values are used in between, so that a velocity is for one sampling.
    """

    guided = negative is not None and scale != 1.0
    pairs = [condition, negative] if guided and negative is not None else [condition]
    passes = [_side_by_side(pairs)] if batched else [_side_by_side([each]) for each in pairs]
    with torch.no_grad():
        # Once, not in every step; but weights that are shared out (FSDP) are whole only while their block computes.
        shared = any(hasattr(parameter, "placements") for parameter in model.parameters())  # a DTensor; not every torch has it
        texts = [inputs.context if shared else model.text_keys(inputs.context) for inputs in passes]
    kept: list[list[ReferenceKeys] | None] = [None] * len(passes)
    calls = itertools.count()

    @torch.no_grad()
    def velocity(x: torch.Tensor, sigma: float, timestep: int) -> torch.Tensor:  # noqa: ARG001 - the solvers' signature
        results = []
        refresh = next(calls) % reference_refresh == 0
        for index, (inputs, text) in enumerate(zip(passes, texts, strict=True)):
            count = len(inputs.context)
            if reference_refresh > 1 and refresh and inputs.layout.kinds:
                kept[index] = [[] for _ in model.blocks]
            v = model(
                rearrange(x, "n c t h w -> 1 c (n t) h w").expand(count, -1, -1, -1, -1),
                torch.full((count,), timestep, device=x.device),
                text,
                inputs.reference_latents,
                inputs.layout,
                inputs.levels,
                attention=attention,
                ratio=ratio,
                pool_layout=pool_layout,
                reference_keys=kept[index],
            )
            results += rearrange(v.float(), "b c (n t) h w -> b n c t h w", n=inputs.layout.videos).unbind()
        if not guided:
            return results[0]
        wanted, unwanted = results
        return unwanted + scale * (wanted - unwanted)

    return velocity


def _side_by_side(conditions: list[Condition]) -> Condition:
    """Conditions of one layout as a batch: shorter contexts padded with zeros, missing levels as zeros."""
    width = max(c.context.shape[1] for c in conditions)
    context = torch.cat([torch.nn.functional.pad(c.context, (0, 0, 0, width - c.context.shape[1])) for c in conditions])
    levels = None
    if any(c.levels is not None for c in conditions):
        like = next(c.levels for c in conditions if c.levels is not None)
        levels = torch.cat([torch.zeros_like(like) if c.levels is None else c.levels for c in conditions])
    references = [c.reference_latents for c in conditions if c.reference_latents is not None]
    return Condition(
        context=context,
        reference_latents=torch.cat(references) if references else None,
        layout=conditions[0].layout,
        levels=levels,
    )
