"""What a step is made of: gradients in parts, timesteps, the average."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_recipes import latents

from lumosx_core.data.latent_dataset import LatentDataset
from lumosx_core.errors import InputError
from lumosx_core.model.config import PRESETS
from lumosx_core.model.flow import sample_timesteps
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.nano.grounding import GroundedLoss
from lumosx_core.training.config import TrainingConfig
from lumosx_core.training.ema import begin_average, move_average
from lumosx_core.training.losses import Draw, PublishedLoss
from lumosx_core.training.recipes import RECIPES
from lumosx_core.training.train import train

RECIPE = RECIPES["debug"]
MODEL = PRESETS[RECIPE.model.preset]


def gradients(model: LumosXTransformer, draws: list[Draw]) -> Mapping[str, torch.Tensor]:
    model.zero_grad()
    count = sum(len(draw.timestep) for draw in draws)
    for draw in draws:
        (PublishedLoss()(model, draw).total * (len(draw.timestep) / count)).backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("size", [1, 2, 3])
def test_gradients_in_parts_are_those_of_the_whole(tmp_path: Path, size: int) -> None:
    """Within 1e-6 of the largest of each tensor; five samples, so that the last part is smaller."""
    batch = LatentDataset(latents(tmp_path / "data")).batch(5, 0, 0)
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(0)
    model = LumosXTransformer(MODEL)
    draw = Draw(
        batch=batch,
        noise=torch.randn(batch.video.shape, generator=generator),
        timestep=torch.rand(5, generator=generator) * 1000,
    )
    assert [len(part.timestep) for part in draw.parts(size)] == [len(part.batch.samples) for part in draw.parts(size)]
    assert sum(len(part.timestep) for part in draw.parts(size)) == 5 and len(draw.parts(0)) == len(draw.parts(5)) == 1
    whole, parts = gradients(model, [draw]), gradients(model, draw.parts(size))
    assert whole.keys() == parts.keys() and len(whole) > 50
    for name, value in whole.items():
        assert float((value - parts[name]).abs().max()) <= 1e-6 * max(1.0, float(value.abs().max())), name


def test_a_run_in_parts_gives_the_figures_of_the_plain_one(tmp_path: Path) -> None:
    data = LatentDataset(latents(tmp_path / "data"))
    config = replace(RECIPE.config(), steps=2, batch=5)
    seen: dict[int, list[tuple[float, float]]] = {0: [], 2: []}
    for size, figures in seen.items():
        train(
            replace(config, micro_batch=size),
            MODEL,
            data,
            tmp_path / str(size),
            on_step=lambda _, f, figures=figures: figures.append((f["loss"], f["norm"])),  # type: ignore[misc]
        )
    for one, two in zip(seen[0], seen[2], strict=True):
        assert one == pytest.approx(two, rel=2e-6)
    with pytest.raises(InputError, match="micro_batch is asked for, but this loss weighs"):
        train(replace(config, micro_batch=2), MODEL, data, tmp_path / "g", loss=GroundedLoss(subject_weight=2.0))


def test_logit_normal_timesteps_follow_their_quantiles_and_the_shift() -> None:
    drawn = sample_timesteps(40_000, torch.Generator().manual_seed(0), density="logit_normal")
    expected = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor([0.1, 0.5, 0.9])).sigmoid() * 1000
    assert torch.allclose(drawn.quantile(torch.tensor([0.1, 0.5, 0.9])), expected, atol=6)
    assert drawn.min() >= 0 and drawn.max() < 1000
    shifted = sample_timesteps(40_000, torch.Generator().manual_seed(0), 3.0, "logit_normal")
    assert torch.allclose(shifted, 3 * drawn / (1 + 2 * drawn / 1000), atol=1e-2)
    with pytest.raises(InputError, match="timesteps is 'normal', expected 'uniform' or 'logit_normal'"):
        TrainingConfig(steps=1, batch=1, timesteps="normal")  # type: ignore[arg-type]


def test_the_average_of_a_thousand_tiny_steps_is_its_recursion_in_float64() -> None:
    """Steps of 1e-5 of the weight, which an average in bf16 would not see; within 1e-6 (of weights above 1: of the weight)."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(2000, generator=generator)
    average = begin_average({"w": weight})
    exact, start = average["w"].double(), average["w"].clone()
    for step in range(1000):
        weight = weight + 1e-5 * (1 + torch.randn(2000, generator=generator))
        move_average(average, {"w": weight}, 0.999, step)
        share = min(0.999, (step + 1) / (step + 10))
        exact = share * exact + (1 - share) * weight.double()
    assert float(((average["w"].double() - exact).abs() / exact.abs().clamp(min=1)).max()) <= 1e-6
    assert float((average["w"] - start).abs().mean()) > 1e-3


def test_the_average_is_float32_beside_weights_in_half() -> None:
    """4.001 is nothing that bf16, with steps of 1/32 there, could tell from 4."""
    weights = {"w": torch.full((3,), 4.0, dtype=torch.bfloat16)}
    average = begin_average(weights)
    weights["w"].fill_(5.0)
    assert (average["w"] == 4.0).all()  # a copy
    move_average(average, weights, 0.999, 99_999)
    assert average["w"].dtype == torch.float32 and torch.allclose(average["w"], torch.tensor(4.001))
