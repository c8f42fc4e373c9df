"""Spikes: a leap of the loss is left out and told with its sample, and a resumed run decides as an uninterrupted one."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.data.latent_dataset import LatentDataset
from lumosx_core.errors import InputError
from lumosx_core.model.config import PRESETS
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training import guards
from lumosx_core.training.config import DEBUG
from lumosx_core.training.guards import NEAREST, WINDOW, StepGuard
from lumosx_core.training.losses import Draw, PublishedLoss, StepLoss
from lumosx_core.training.train import train

MODEL = PRESETS["debug"]


def filled(losses: list[float], **given: float) -> StepGuard:
    guard = StepGuard("training", 3, spike=8.0, **given)
    for step, loss in enumerate(losses):
        assert guard.counts(step, {"loss": loss})
    return guard


def test_the_deviation_is_that_of_the_logarithms_by_hand() -> None:
    losses = np.random.default_rng(0).lognormal(-1.5, 0.5, 300)
    guard = StepGuard("training", 3, spike=8.0)
    levels = np.random.default_rng(2).permutation(300) / 300
    for step, (loss, level) in enumerate(zip(losses.tolist(), levels.tolist(), strict=True)):
        assert guard.counts(step, {"loss": loss}, level=level)
    logs, distance = np.log(losses[-WINDOW:]), np.abs(levels[-WINDOW:] - 0.2)
    near = np.array(sorted(zip(distance, logs, strict=True)))[:NEAREST, 1]
    spread = 1.4826 * np.median(np.abs(near - np.median(near)))
    assert guard.deviation(3.0, 0.2) == pytest.approx((np.log(3.0) - np.median(near)) / spread, rel=1e-12)
    assert guard.deviation(float("nan")) == guard.deviation(0.0) == 0.0
    assert filled(losses[: WINDOW - 1].tolist()).deviation(1e9) == 0.0  # too few to judge
    assert filled([0.5] * 200).deviation(0.5 * np.exp(0.4)) == pytest.approx(8.0)  # no finer than 5 percent


def test_little_noise_is_no_spike() -> None:
    """The loss of one sample in a step of its own: at little noise it is ten times that of the middle, and rare."""
    rng = np.random.default_rng(1)
    levels = rng.uniform(0, 1, 6_000)
    losses = (0.08 + np.exp(-levels * 20) + 0.3 * levels**8) * rng.lognormal(0, 0.3, len(levels))
    guard = StepGuard("training", 3, spike=8.0)
    assert all(
        guard.counts(n, {"loss": a}, level=b) for n, (a, b) in enumerate(zip(losses.tolist(), levels.tolist(), strict=True))
    )
    assert len(guard.losses) == WINDOW and not guard.spikes
    assert guard.deviation(2.0, 0.5) > 8 > guard.deviation(2.0, 0.01)  # the same loss is none here, and one there


def test_a_spike_is_left_out_told_and_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    guard = filled([0.2, 0.25, 0.3, 0.35] * 50)
    before = list(guard.losses)
    assert not guard.counts(200, {"loss": 40.0}, {"clip-7": 79.8, "clip-8": 0.2})
    assert list(guard.losses) == before and guard.in_a_row == 1
    assert "step 201 is left out, since its loss 40 is a spike (" in caplog.text and "; samples: clip-7" in caplog.text
    assert "clip-8" not in caplog.text
    assert guard.counts(201, {"loss": 0.3}) and guard.in_a_row == 0
    assert guard.counts(202, {"loss": 1e-9})  # lower than ever is no fault
    calm = StepGuard("training", 3)  # nothing is a spike unless it is asked for
    assert all(calm.counts(n, {"loss": 10.0 ** (n % 9)}) for n in range(300))


def test_too_many_spikes_stop_the_run_and_name_the_state() -> None:
    guard = filled([0.2, 0.25, 0.3, 0.35] * 50)
    guard.saved = "run/state.pt of step 40"
    assert [guard.counts(n, {"loss": 40.0}, {f"clip-{n}": 40.0}) for n in (200, 201)] == [False, False]
    with pytest.raises(
        InputError,
        match=r"3 steps in a row, up to step 203, had a loss far above .*clip-200, clip-201, clip-202\. .*run/state\.pt of",
    ):
        guard.counts(202, {"loss": 40.0}, {"clip-202": 40.0})
    guard = filled([0.2, 0.25, 0.3, 0.35] * 50, spikes_allowed=2)
    for n in range(2):
        assert not guard.counts(200 + 2 * n, {"loss": 40.0}, {"a": 40.0}) and guard.counts(201 + 2 * n, {"loss": 0.25})
    for n in range(WINDOW):
        assert guard.counts(204 + n, {"loss": 0.25})
    assert not guard.counts(404, {"loss": 40.0}, {"a": 40.0})  # the first two are too long ago to count
    for n in range(405, 407):
        assert guard.counts(n, {"loss": 0.25})
    assert not guard.counts(407, {"loss": 40.0}, {"a": 40.0}) and guard.counts(408, {"loss": 0.25})
    with pytest.raises(InputError, match=f"3 of {WINDOW} steps, up to step 410, had a loss far above"):
        guard.counts(409, {"loss": 40.0}, {"a": 40.0})


def test_its_state_is_taken_up_or_refused() -> None:
    guard = filled([0.2, 0.25, 0.3, 0.35] * 50)
    guard.counts(200, {"loss": 40.0}, {"a": 40.0})
    again = StepGuard("training", 3, spike=8.0)
    again.resume(guard.state(), "state.pt")
    assert again.state() == guard.state() and again.deviation(1.0) == guard.deviation(1.0)
    again.resume({}, "state.pt")
    whole = guard.state()
    for name, junk in (
        ("losses", None), ("losses", [[0.5]]), ("losses", [[0.5, float("nan")]]), ("spikes", [0.5]), ("in_a_row", -1),
    ):  # fmt: skip
        with pytest.raises(InputError, match=r"state\.pt: what it keeps of the last losses is damaged"):
            again.resume(whole | {name: junk}, "state.pt")
    assert again.state() == whole


class LeapingLoss(PublishedLoss):
    """The published loss, and at some steps of its own counting a thousand times it."""

    def __init__(self, first: int, leaps: tuple[int, ...]) -> None:
        self.step, self.leaps = first, leaps

    def __call__(self, model: LumosXTransformer, draw: Draw) -> StepLoss:
        plain = super().__call__(model, draw)
        factor = 1000.0 if self.step in self.leaps else 1.0
        self.step += 1
        return StepLoss(total=plain.total * factor, samples=plain.samples * factor)


def latents(folder: Path) -> LatentDataset:
    generator = torch.Generator().manual_seed(3)
    folder.mkdir()
    tensors = {
        "video": torch.randn(4, 16, 1, 4, 4, generator=generator).half(),
        "reference": torch.randn(4, 16, 4, 4, generator=generator).half(),
        "context": torch.randn(4, 16, 24, generator=generator).half(),
        "levels": torch.rand(4, 16, generator=generator).half(),
        "owners": torch.zeros(4, 1, 2, 2, dtype=torch.int8),
    }
    metadata = {
        "samples": json.dumps([{"kinds": ["face"], "subjects": [0]}] * 4),
        "empty_context": json.dumps([[0.5] * 24]),
    }
    save_file(tensors, folder / "latents-0000.safetensors", metadata=metadata)
    return LatentDataset(folder)


def test_a_run_leaves_spikes_out_and_resumes_with_its_window(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """50 steps with leaps at 43 and 47, whole and as 45 + 5: same weights, same steps left out. The window is of 40 steps."""
    monkeypatch.setattr(guards, "WINDOW", 40)
    monkeypatch.setattr(guards, "NEAREST", 20)
    data = latents(tmp_path / "data")
    config = replace(DEBUG, steps=50, batch=1, save_every=45)
    skipped: list[int] = []

    def on_step(step: int, figures: dict[str, float]) -> None:
        if figures["skipped"]:
            skipped.append(step)

    leaps = (43, 47)
    with caplog.at_level(logging.WARNING):
        whole = train(config, MODEL, data, tmp_path / "whole", loss=LeapingLoss(0, leaps), on_step=on_step).state_dict()
    assert skipped == [43, 47] and "; samples: latents-0000.safetensors row " in caplog.text
    skipped.clear()
    part = tmp_path / "part"

    class StopError(Exception):
        pass

    def stop(step: int, figures: dict[str, float]) -> None:  # noqa: ARG001
        if step == 45:
            raise StopError

    with pytest.raises(StopError):
        train(config, MODEL, data, part, loss=LeapingLoss(0, leaps), on_step=stop)
    resumed = train(config, MODEL, data, part, loss=LeapingLoss(45, leaps), on_step=on_step).state_dict()
    assert skipped == [47]  # without the window of the steps before it would have counted
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    fresh = train(replace(config, spike=0.0), MODEL, data, tmp_path / "all", loss=LeapingLoss(0, leaps)).state_dict()
    assert any(not torch.equal(value, fresh[name]) for name, value in whole.items())
