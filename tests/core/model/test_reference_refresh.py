"""References whose keys and values are kept between steps: exact where nothing changed, counted, and refreshed when due."""

from dataclasses import replace

import pytest
import torch

from lumosx_core.errors import InputError
from lumosx_core.model.config import PRESETS
from lumosx_core.model.relational_options import RelationalOptions
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import LumosXTransformer, reference_keys_bytes
from lumosx_core.sampling.guidance import Condition, guided_velocity

LAYOUT = TokenLayout(2, 2, 3, kinds=("object", "face", "attribute"), subjects=(None, 0, 0))
LAYOUTS = {
    "plain": LAYOUT,
    "two videos": replace(LAYOUT, videos=2),
    "strengths": replace(LAYOUT, strengths=(0.5, 1.0, 2.0)),
    "blank tokens": replace(LAYOUT, blank=(bytes([0, 0, 0, 1, 1, 1]), bytes(6), bytes([1, 0, 0, 1, 0, 0]))),
    "without mask": replace(LAYOUT, causal_self_attention_mask=False),
}


def condition(layout: TokenLayout, seed: int = 0) -> Condition:
    generator, config = torch.Generator().manual_seed(seed), PRESETS["debug"]
    return Condition(
        context=torch.randn(1, 9, config.text_dim, generator=generator),
        reference_latents=torch.randn(1, 3, 16, 4, 6, generator=generator),
        layout=layout,
        levels=torch.rand(1, 3, config.text_len, generator=generator),
    )


@pytest.mark.parametrize("name", LAYOUTS)
@torch.no_grad()
def test_kept_keys_give_the_velocity_of_the_step_that_they_are_of(model: LumosXTransformer, name: str) -> None:
    layout = LAYOUTS[name]
    given = condition(layout)
    latent = torch.randn(1, 16, layout.videos * 2, 4, 6, generator=torch.Generator().manual_seed(1))
    rest = (given.context, given.reference_latents, layout, given.levels)
    fresh = model(latent, torch.tensor([700]), *rest)
    keys: list[list[torch.Tensor]] = [[] for _ in model.blocks]
    assert torch.equal(model(latent, torch.tensor([700]), *rest, reference_keys=keys), fresh)
    assert [tuple(x.shape) for x in keys[0]] == [(1, layout.reference_len, 2, 16)] * 2
    numbers = sum(x.untyped_storage().nbytes() for block in keys for x in block)
    assert numbers == reference_keys_bytes(model.config, layout, 1, torch.float32) == 2 * 2 * layout.reference_len * 32 * 4
    rows: list[int] = []
    handle = model.blocks[0].ffn.register_forward_pre_hook(lambda module, x: rows.append(x[0].shape[1]))  # noqa: ARG005
    again = model(latent, torch.tensor([700]), *rest, reference_keys=keys)
    handle.remove()
    assert rows == [layout.video_len] and (again - fresh).abs().max() < 2e-5 * fresh.abs().max()
    later = model(latent, torch.tensor([100]), *rest, reference_keys=keys)
    assert (later - model(latent, torch.tensor([100]), *rest)).abs().max() > 1e-3 * fresh.abs().max()


@pytest.mark.parametrize("batched", [True, False])
def test_they_are_computed_anew_when_due(model: LumosXTransformer, batched: bool) -> None:
    given, negative = condition(LAYOUT), condition(LAYOUT, seed=3)
    x = torch.randn(1, 16, 2, 4, 6, generator=torch.Generator().manual_seed(1))
    counts: dict[int, list[torch.Tensor]] = {}
    rows: list[int] = []
    handle = model.blocks[0].ffn.register_forward_pre_hook(lambda module, x: rows.append(x[0].shape[1]))  # noqa: ARG005
    for refresh in (1, 3):
        velocity = guided_velocity(model, given, negative, scale=4, batched=batched, reference_refresh=refresh)
        counts[refresh] = [velocity(x, timestep / 1000, timestep) for timestep in (900, 700, 400, 200, 0)]
    handle.remove()
    passes, whole, video = 1 if batched else 2, LAYOUT.seq_len, LAYOUT.video_len
    expected = [whole] * 5 + [whole, video, video, whole, video]
    assert rows == [count for count in expected for _ in range(passes)]
    same = [torch.equal(kept, fresh) for kept, fresh in zip(counts[3], counts[1], strict=True)]
    assert same == [True, False, False, True, False]


def test_a_video_without_references_keeps_nothing(model: LumosXTransformer) -> None:
    alone = replace(condition(LAYOUT), reference_latents=None, levels=None, layout=TokenLayout(2, 2, 3))
    x = torch.randn(1, 16, 2, 4, 6, generator=torch.Generator().manual_seed(1))
    given: list[object] = []

    def keys_of(_: object, args: tuple, keywords: dict) -> None:  # noqa: ARG001
        given.append(keywords["reference_keys"])

    handle = model.register_forward_pre_hook(keys_of, with_kwargs=True)
    once, kept = (guided_velocity(model, alone, None, scale=1, reference_refresh=k) for k in (1, 4))
    assert all(torch.equal(once(x, 0.5, t), kept(x, 0.5, t)) for t in (500, 300))
    handle.remove()
    assert given == [None] * 4


@pytest.mark.parametrize("refresh", [0, -1, 1.5, True, "2", 1001])
def test_a_refresh_that_is_no_number_of_steps_is_an_error(refresh: object) -> None:
    with pytest.raises(InputError, match="reference_refresh is .*, expected a whole number from 1 to 1000"):
        RelationalOptions(reference_refresh=refresh)  # type: ignore[arg-type]


def test_blank_tokens_are_kept_or_dropped() -> None:
    with pytest.raises(InputError, match="blank_tokens is 'off', expected keep or drop"):
        RelationalOptions(blank_tokens="off")  # type: ignore[arg-type]
