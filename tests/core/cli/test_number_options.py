"""Numbers that users give: every field with every kind of wrong number is one error that names it, before any work."""

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lumosx_core.errors import InputError
from lumosx_core.model.config import PRESETS, TransformerConfig
from lumosx_core.model.flow import flow_sigmas
from lumosx_core.numbers import real_number, seed_number, whole_number
from lumosx_core.sampling.config import GenerationConfig, PipelineDefaults
from lumosx_core.training.config import DEBUG, TrainingConfig

NEVER: tuple[Any, ...] = (
    math.nan, math.inf, -math.inf, -1, -0.5, 10**5000, -(2**64), 1e300, "3", True, None, [1], 1j, b"1",
)  # fmt: skip
CONFIG = GenerationConfig(width=96, height=64, frames=17)


@pytest.mark.parametrize("name", ["width", "height", "frames", "steps", "fps", "cfg", "shift", "ratio"])
@pytest.mark.parametrize("value", NEVER, ids=lambda v: repr(v)[:9] if not isinstance(v, int) else "int")
def test_sampling_numbers(name: str, value: Any) -> None:
    if name == "ratio" and value is None:
        return
    for record in [CONFIG] if name == "ratio" else [CONFIG, PipelineDefaults()]:
        with pytest.raises(InputError, match=f"^{name} is "):
            replace(record, **{name: value})


@pytest.mark.parametrize("name", ["width", "height", "frames", "steps", "fps"])
def test_whole_numbers_have_no_fraction(name: str) -> None:
    with pytest.raises(InputError, match=f"^{name} is 17.5, expected a whole number from "):
        replace(CONFIG, **{name: 17.5})
    value = 17.0 if name in ("frames", "steps", "fps") else 96.0
    assert type(getattr(replace(CONFIG, **{name: value}), name)) is int


def test_schedules() -> None:
    for steps, shift in ((0, 1.0), (10_001, 1.0), (math.nan, 1.0), (4, math.nan), (4, 0.0), (4, math.inf), (2.5, 1.0)):
        with pytest.raises(InputError, match="^(steps|shift) is "):
            flow_sigmas(steps, shift)  # type: ignore[arg-type]
    assert len(flow_sigmas(10_000)) == 10_001


@pytest.mark.parametrize("record", [DEBUG, PRESETS["debug"]], ids=["training", "transformer"])
def test_configurations(record: TrainingConfig | TransformerConfig) -> None:
    numbers = [field.name for field in fields(record) if field.type in (int, float)]
    assert len(numbers) >= 11
    for name in numbers:
        for value in NEVER:
            if name == "seed" and value == -(2**64):
                continue
            with pytest.raises(InputError, match=f"{name} is "):
                replace(record, **{name: value})


def test_seeds_and_their_like() -> None:
    assert [seed_number(value) for value in (0, 2**64 - 1, 3.0)] == [0, 2**64 - 1, 3]
    for value in (-1, 2**64, 0.5, *(v for v in NEVER)):
        with pytest.raises(InputError, match="seed is .*, expected a whole number from 0 to 18446744073709551615"):
            seed_number(value)
    rng = np.random.default_rng(0)
    for _ in range(300):
        low, high = sorted(int(x) for x in rng.integers(-1000, 1000, 2))
        value = int(rng.integers(-1500, 1500))
        for check in (whole_number, real_number):
            try:
                assert check(value, "n", least=low, most=high) == value and low <= value <= high
            except InputError as error:
                assert not low <= value <= high and f"from {low} to {high}" in str(error)


def test_seeds_are_checked_before_the_first_is_made(tmp_path: Path) -> None:
    from lumosx_core.cli.main import main
    from lumosx_core.puppets.samples import SAMPLES_FOLDER

    sample = str(SAMPLES_FOLDER / "two_people")
    for seeds in (["0", "99999999999999999999"], ["0", "-1"]):
        assert main(["generate", sample, "--frames", "5", "--steps", "1", "--out", str(tmp_path), "--seed", *seeds]) == 2
        assert list(tmp_path.iterdir()) == []
