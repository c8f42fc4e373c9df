"""Speed of a block, of a forward and of a sampling, beside plain Wan on as many tokens and beside the video without references.

"plain" is text-to-video of as many frames as the video and its references have together: the same tokens, everything sees
everything, no bias. Weights are random: speed does not depend on them.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import torch

from lumosx_core.checks.attention_speed import other_ways
from lumosx_core.checks.speed_case import SpeedCase
from lumosx_core.checks.turns import Variants
from lumosx_core.errors import InputError
from lumosx_core.model.attention_backends import Attention
from lumosx_core.model.flow import flow_sigmas
from lumosx_core.model.rope import rope_table
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import Block, LumosXTransformer, Relations
from lumosx_core.sampling.guidance import Condition, guided_velocity
from lumosx_core.sampling.solver import dpmpp_2m

SHIFT, SCALE = 8.0, 6.0  # of the released model
SUBJECT_ROWS = ("no subjects", "subjects", "twice the subjects")


def block_variants(case: SpeedCase, *, flex: bool = False) -> Variants:
    """The calls of the table "block": one block between others, so that its reference rows are computed too."""
    layout, generator = case.layout, torch.Generator().manual_seed(0)
    call, levels = _block(case, layout.seq_len, generator), _levels(case, generator)
    calls: dict[str, Callable[[], torch.Tensor]] = {
        "plain": lambda: call(case.as_plain, None, case.backend),
        "relational": lambda: call(layout, levels, case.backend),
        "no references": lambda: call(case.without_references, None, case.backend),
    }
    for name, ways in other_ways(case, levels, flex=flex).items():
        # A block asks for self-attention first and for cross-attention second.
        turn = itertools.cycle(ways)
        calls[name] = lambda turn=turn: call(case.as_plain, None, lambda q, k, v: next(turn)(q, k, v))  # type: ignore[misc]
    return {"block": calls}


def subject_variants(case: SpeedCase) -> Variants:
    """The calls of the table "subjects": a block as in the table "block", without the subjects of the case, with them, and with
    as many others beside them. Raises InputError for a case without subjects."""
    layouts = [case.with_subjects(times) for times in (0, 1, 2)]
    if layouts[0] == layouts[1]:
        raise InputError("there are no subjects to count; give pictures of each with --groups, such as 3 3")
    generator = torch.Generator().manual_seed(0)
    call = _block(case, layouts[-1].seq_len, generator)
    levels = [_levels(replace(case, layout=layout), generator) for layout in layouts]

    def variant(index: int) -> Callable[[], torch.Tensor]:
        return lambda: call(layouts[index], levels[index], case.backend)

    return {"subjects": {name: variant(index) for index, name in enumerate(SUBJECT_ROWS)}}


def with_added(table: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """The timed table "subjects" with `added`: how many times the time that the subjects of the case add."""
    once = table[SUBJECT_ROWS[1]]["ratio"] - 1
    return {name: {**row, "added": (row["ratio"] - 1) / once} for name, row in table.items()}


BlockCall = Callable[[TokenLayout, torch.Tensor | None, Attention], torch.Tensor]


def _block(case: SpeedCase, longest: int, generator: torch.Generator) -> BlockCall:
    """One block between others as a function of the layout, of up to `longest` tokens, the levels and plain attention."""
    config = case.config
    block = Block(config).to(case.device, case.dtype)
    x = torch.randn(case.batch, longest, config.dim, generator=generator).to(case.device)
    time = torch.randn(case.batch, 6, config.dim, generator=generator).to(case.device)
    text = block.cross_attn.text_keys(
        torch.randn(case.batch, config.text_len, config.dim, generator=generator).to(case.device, case.dtype)
    )

    def call(tokens: TokenLayout, levels: torch.Tensor | None, attention: Attention) -> torch.Tensor:
        relations = Relations(
            layout=tokens,
            rope=rope_table(tokens, config.head_dim, x.device),
            levels=levels,
            attention=attention,
            ratio=config.multilevel_ratio,
            pool_layout="released",
        )
        return block(x[:, : tokens.seq_len], time, text, relations, video_only=False)

    return call


def forward_variants(case: SpeedCase) -> Variants:
    """The calls of the table "forward": one pass of the whole model.

    With references also: "half blank" leaves out half of their tokens; "kept references" takes their keys and values from an
    earlier step; "all keys" is what that cannot go below, the video alone whose rows see as many keys as with references.
    """
    model, generator = _model(case), torch.Generator().manual_seed(0)
    text = model.text_keys(_random(case, generator, case.batch, case.config.text_len, case.config.text_dim))
    levels = _levels(case, generator)
    timestep = torch.full((case.batch,), 500, device=case.device)

    def call(tokens: TokenLayout, levels: torch.Tensor | None) -> Callable[[], torch.Tensor]:
        condition = _condition(case, generator, tokens, levels)
        latent = _noise(case, generator, tokens, case.batch)
        return lambda: model(
            latent, timestep, text, condition.reference_latents, tokens, condition.levels, attention=case.backend
        )

    calls = {
        "plain": call(case.as_plain, None),
        "relational": call(case.layout, levels),
        "no references": call(case.without_references, None),
    }
    if not case.layout.kinds:
        return {"forward": calls}
    condition = _condition(case, generator, case.layout, levels)
    latent = _noise(case, generator, case.without_references, case.batch)
    rest = (condition.reference_latents, case.layout, condition.levels)
    kept: list[list[torch.Tensor]] = [[] for _ in model.blocks]
    with torch.no_grad():
        model(latent, timestep, text, *rest, attention=case.backend, reference_keys=kept)
    all_keys = [_random(case, generator, case.batch, case.layout.seq_len, *kept[0][0].shape[2:]) for _ in range(2)]
    # A block asks for self-attention first and for cross-attention second.
    turn: Iterator[Attention] = itertools.cycle((lambda q, k, v: case.backend(q, *all_keys), case.backend))  # noqa: ARG005
    return {
        "forward": calls
        | {
            "half blank": call(case.half_blank, levels),
            "kept references": lambda: model(latent, timestep, text, *rest, attention=case.backend, reference_keys=kept),
            "all keys": lambda: model(
                latent,
                timestep,
                text,
                None,
                case.without_references,
                None,
                attention=lambda q, k, v: next(turn)(q, k, v),
            ),
        }
    }


def sampling_variants(case: SpeedCase, *, steps: int) -> Variants:
    """The calls of the table "sampling": a guided sampling of so many steps, from the noise to the clean latent; with a batch
    also of the table "batch": so many videos of one prompt and one set of references, one by one and together."""
    model, generator = _model(case), torch.Generator().manual_seed(0)
    levels = _levels(case, generator)
    sigmas = flow_sigmas(steps, SHIFT)

    def call(tokens: TokenLayout, levels: torch.Tensor | None) -> Callable[[], torch.Tensor]:
        condition, negative = (_condition(case, generator, tokens, levels) for _ in range(2))
        noise = _noise(case, generator, tokens, tokens.videos)

        def sample() -> torch.Tensor:
            velocity = guided_velocity(model, condition, negative, scale=SCALE, attention=case.backend)
            return dpmpp_2m(velocity, noise, sigmas)

        return sample

    alone = call(case.layout, levels)
    tables = {
        "sampling": {
            "plain": call(case.as_plain, None),
            "relational": alone,
            "no references": call(case.without_references, None),
        }
    }
    if case.batch > 1:
        together = call(case.together(), levels)
        tables["batch"] = {"one by one": lambda: [alone() for _ in range(case.batch)][0], "together": together}
    return tables


def _model(case: SpeedCase) -> LumosXTransformer:
    """Made in its type: tensors without content cannot be given another one in their module."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(case.dtype)
    try:
        with torch.device(case.device):
            return LumosXTransformer(case.config).train(False)
    finally:
        torch.set_default_dtype(before)


def _random(case: SpeedCase, generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator).to(case.device, case.dtype)


def _levels(case: SpeedCase, generator: torch.Generator) -> torch.Tensor:
    """[1, R, S] in -1..1."""
    drawn = torch.rand(1, len(case.layout.kinds), case.config.text_len, generator=generator)
    return (drawn * 2 - 1).to(case.device)


def _noise(case: SpeedCase, generator: torch.Generator, tokens: TokenLayout, batch: int) -> torch.Tensor:
    shape = (batch, case.config.in_dim, tokens.frames, 2 * tokens.height, 2 * tokens.width)
    return torch.randn(shape, generator=generator).to(case.device)


def _condition(case: SpeedCase, generator: torch.Generator, tokens: TokenLayout, levels: torch.Tensor | None) -> Condition:
    shape = (1, len(tokens.kinds), case.config.in_dim, 2 * tokens.height, 2 * tokens.width)
    return Condition(
        context=_random(case, generator, 1, case.config.text_len, case.config.text_dim),
        reference_latents=torch.randn(shape, generator=generator).to(case.device) if tokens.kinds else None,
        layout=tokens,
        levels=levels if tokens.kinds else None,
    )
