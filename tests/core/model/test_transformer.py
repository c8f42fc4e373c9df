"""The whole transformer beyond the golden cases: batches, clip lengths, training switches."""

from dataclasses import replace

import pytest
import torch

from lumosx_core.checks.memory_count import forward_memory
from lumosx_core.checks.speed_case import SpeedCase, layout_with
from lumosx_core.errors import InputError
from lumosx_core.model import transformer
from lumosx_core.model.attention_backends import select_attention
from lumosx_core.model.config import PRESETS, TransformerConfig
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import LumosXTransformer

KINDS, SUBJECTS = ("object", "face", "attribute", "face"), (None, 0, 0, 1)


def inputs(frames: int, batch: int, config: TransformerConfig) -> dict:
    generator = torch.Generator().manual_seed(frames)
    return {
        "latent": torch.randn(batch, 16, frames, 4, 6, generator=generator),
        "timestep": torch.linspace(10, 900, batch),
        "context": torch.randn(batch, 9, config.text_dim, generator=generator),
        "reference_latents": torch.randn(batch, 4, 16, 4, 6, generator=generator),
        "layout": TokenLayout(frames, 2, 3, kinds=KINDS, subjects=SUBJECTS),
        "levels": torch.rand(batch, 4, config.text_len, generator=generator) * 2 - 1,
    }


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5])
@torch.no_grad()
def test_a_batch_equals_its_samples_one_by_one(model: LumosXTransformer, frames: int) -> None:
    together = inputs(frames, 3, model.config)
    out = model(**together)
    assert out.shape == (3, 16, frames, 4, 6)
    for n in range(3):
        alone = {k: v[n : n + 1] if isinstance(v, torch.Tensor) else v for k, v in together.items()}
        assert (model(**alone) - out[n : n + 1]).abs().max() < 2e-5
    assert (out[0] - out[1]).abs().max() > 1e-2


@torch.no_grad()
def test_references_of_one_sample_serve_a_whole_batch(model: LumosXTransformer) -> None:
    given = inputs(2, 2, model.config)
    given["reference_latents"], given["levels"] = given["reference_latents"][:1], given["levels"][:1]
    repeated = {**given, "reference_latents": given["reference_latents"].expand(2, -1, -1, -1, -1)}
    assert torch.equal(model(**given), model(**repeated))


def test_gradient_checkpointing_gives_the_same_gradients(model: LumosXTransformer) -> None:
    given = inputs(2, 1, model.config)
    gradients = []
    for switch in (False, True):
        model.gradient_checkpointing = switch
        model.zero_grad()
        model(**given).square().mean().backward()
        gradients.append(model.blocks[0].self_attn.q.weight.grad.clone())
    model.gradient_checkpointing = False
    assert torch.allclose(*gradients, atol=1e-6) and gradients[0].abs().max() > 0


@torch.no_grad()
def test_text_only_needs_no_references(model: LumosXTransformer) -> None:
    given = inputs(2, 1, model.config) | {"reference_latents": None, "levels": None, "layout": TokenLayout(2, 2, 3)}
    assert torch.isfinite(model(**given)).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layout": TokenLayout(2, 2, 3)}, "4 reference latents, but the layout has 0 references"),
        ({"layout": TokenLayout(3, 2, 3, kinds=KINDS, subjects=SUBJECTS)}, "token grid (2, 2, 3), the layout (3, 2, 3)"),
        ({"reference_latents": torch.zeros(1, 4, 16, 4, 8)}, "encode the references at the size of the video"),
        ({"context": torch.zeros(1, 17, 24)}, "expected [B, up to 16, 24]"),
    ],
)
def test_tensors_that_do_not_belong_together_are_errors(model: LumosXTransformer, change: dict, words: str) -> None:
    with pytest.raises(InputError) as raised:
        model(**{**inputs(2, 1, model.config), **change})
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dim": 33}, "dim 33 over 2 heads"),
        ({"num_layers": 0}, "num_layers is 0"),
        ({"freq_dim": 15}, "freq_dim is 15"),
        ({"patch_size": (1, 1, 1)}, "patch_size is (1, 1, 1)"),
    ],
)
def test_impossible_sizes_are_errors(change: dict, words: str) -> None:
    fields = {"dim": 32, "num_heads": 2, "num_layers": 2, "ffn_dim": 64}
    with pytest.raises(InputError) as raised:
        TransformerConfig(**{**fields, **change})
    assert words in str(raised.value)


def test_config_survives_json_and_wrong_json_is_an_error() -> None:
    assert TransformerConfig.from_json(PRESETS["nano"].to_json()) == PRESETS["nano"]
    with pytest.raises(InputError, match="transformer config has the unknown field .width.; expected any of dim, num_heads"):
        TransformerConfig.from_json('{"dim": 32, "width": 3}')


@torch.no_grad()
def test_keys_of_the_text_made_once_give_the_same_velocity() -> None:
    torch.manual_seed(0)
    config = PRESETS["debug"]
    model = LumosXTransformer(config).train(False)
    layout = TokenLayout(2, 2, 3, kinds=("background", "face"), subjects=(None, 0))
    latent, stills = torch.randn(2, config.in_dim, 2, 4, 6), torch.randn(1, 2, config.in_dim, 4, 6)
    text, levels = torch.randn(2, 5, config.text_dim), torch.rand(1, 2, config.text_len)
    keys = model.text_keys(text)
    assert len(keys) == config.num_layers and keys[0][0].shape[:2] == (2, config.text_len)
    for timestep in (0, 500):
        times = torch.full((2,), timestep)
        expected = model(latent, times, text, stills, layout, levels)
        assert torch.equal(model(latent, times, keys, stills, layout, levels), expected)
    other = model.text_keys(torch.randn(2, 5, config.text_dim))
    assert not torch.equal(model(latent, times, other, stills, layout, levels), expected)
    with pytest.raises(InputError, match="context"):
        model.text_keys(torch.zeros(1, 5, config.text_dim + 1))


@torch.no_grad()
def test_a_feed_forward_in_parts_gives_the_same_velocity(model: LumosXTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    given = inputs(3, 2, model.config)
    whole = model(**given)
    parts: list[int] = []
    handle = model.blocks[0].ffn.register_forward_pre_hook(lambda module, x: parts.append(x[0].shape[1]))  # noqa: ARG005
    monkeypatch.setattr(transformer, "FEED_FORWARD_BYTES", 2 * model.config.ffn_dim * 4 * 5)  # five rows of two samples
    in_parts = model(**given)
    handle.remove()
    assert parts == [5] * 8 + [2] and (in_parts - whole).abs().max() < 2e-5 * whole.abs().max()
    with torch.enable_grad():
        assert (model(**given) - whole).abs().max() < 2e-5 * whole.abs().max()


def test_memory_of_a_forward_at_full_size() -> None:
    """81 frames at 832 x 480 with nine references in bf16: what is beside weights and inputs, in GiB (2.5 with the whole hidden
    state of a feed-forward)."""
    config = replace(PRESETS["t2v_1_3b"], num_layers=2)  # the peak is that of one block
    layout = layout_with(21, 30, 52, single=3, groups=[3, 3])
    backend = select_attention("sdpa", "cpu", torch.bfloat16)
    case = SpeedCase(layout=layout, config=config, backend=backend, dtype=torch.bfloat16)
    counted = forward_memory(case)["memory"]
    assert 1.0 < counted["relational"]["peak_gib"] < 1.45
    assert counted["relational"]["ratio"] <= 1.03
