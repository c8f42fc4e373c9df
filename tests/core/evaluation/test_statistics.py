"""Intervals hold the truth as often as they say, differences are found when they are there and only then."""

import numpy as np
import pytest

from lumosx_core.errors import InputError
from lumosx_core.evaluation.statistics import holm, paired_difference, rate_interval


def dependent_cases(
    rng: np.random.Generator, count: int, rate: float, things: int, together: float
) -> list[tuple[float, float]]:
    """Cases whose things go together: the rate of each case is drawn from a beta distribution."""
    spread = (1 - together) / together
    rates = rng.beta(rate * spread, (1 - rate) * spread, size=count)
    return [(float(rng.binomial(things, own)), float(things)) for own in rates]


@pytest.mark.parametrize(("rate", "cases", "things"), [(0.95, 200, 4), (0.5, 100, 3), (0.02, 200, 4)])
def test_intervals_hold_the_truth_as_often_as_they_say(rate: float, cases: int, things: int) -> None:
    rng = np.random.default_rng(5)
    runs = [rate_interval(dependent_cases(rng, cases, rate, things, 0.2), draws=300, seed=seed) for seed in range(400)]
    held = np.mean([run.low <= rate <= run.high for run in runs])
    assert 0.93 <= held <= 0.975  # 0.95 to 0.96 over 1,000 runs of 1,000 draws; two standard errors of 400 runs are 0.02


def test_things_that_go_together_count_for_less() -> None:
    alone = [(1.0, 1.0)] * 90 + [(0.0, 1.0)] * 10
    together = [(10.0, 10.0)] * 9 + [(0.0, 10.0)]
    narrow, wide = rate_interval(alone), rate_interval(together)
    assert narrow.value == wide.value == 0.9
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_a_rate_of_all_or_none_has_a_width() -> None:
    whole, none = rate_interval([(4.0, 4.0)] * 50), rate_interval([(0.0, 4.0)] * 50)
    assert (whole.value, whole.high) == (1.0, 1.0) and 0.9 < whole.low < 0.95
    assert (none.value, none.low) == (0.0, 0.0) and 0.05 < none.high < 0.1
    assert str(whole) == "100.0 % (92.9 to 100.0)"


def two_runs(rng: np.random.Generator, rates: tuple[float, float]) -> list[dict[str, tuple[float, float]]]:
    """Two runs on 200 cases of 4 things; a case that is hard for one is often hard for the other."""
    hard = rng.normal(size=(200, 1)) * 0.5 + rng.normal(size=(200, 4)) * 0.75
    runs = []
    for rate in rates:
        own = hard * 0.7 + rng.normal(size=(200, 4)) * 0.65
        hits = (own < np.quantile(own, rate)).sum(1)
        runs.append({f"case-{n}": (float(hit), 4.0) for n, hit in enumerate(hits)})
    return runs


def test_five_points_on_two_hundred_cases_are_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(3)
    found = [paired_difference(*two_runs(rng, (0.88, 0.93)), draws=300, seed=seed).p < 0.05 for seed in range(60)]
    assert np.mean(found) >= 0.8
    none = [paired_difference(*two_runs(rng, (0.9, 0.9)), draws=300, seed=seed).p < 0.05 for seed in range(60)]
    assert np.mean(none) <= 0.1


def test_a_run_does_not_differ_from_itself() -> None:
    run = {f"case-{n}": (float(n % 5), 4.0) for n in range(4)}
    same = paired_difference(run, run)
    assert (same.interval.value, same.interval.low, same.interval.high, same.p) == (0.0, 0.0, 0.0, 1.0)


def test_only_shared_cases_are_compared_and_by_whole_names() -> None:
    first = {"case_1": (1.0, 1.0), "case_10": (0.0, 1.0)}
    second = {"case_10": (1.0, 1.0), "case_100": (0.0, 1.0)}
    only = paired_difference(first, second)
    assert (only.interval.value, only.interval.cases) == (1.0, 1)
    with pytest.raises(InputError, match="share no case"):
        paired_difference({"case_1": (1.0, 1.0)}, {"case_10": (1.0, 1.0)})


def test_holm() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize("cases", [[], [(0.0, 0.0)], [(2.0, 1.0)], [(-1.0, 1.0)], [(float("nan"), 1.0)]])
def test_wrong_counts_are_refused(cases: list[tuple[float, float]]) -> None:
    with pytest.raises(InputError, match="case"):
        rate_interval(cases)
