"""How often intervals hold the truth and differences are found: run by hand, `test_statistics.py` holds the short form.

    python tests/core/evaluation/interval_coverage.py --runs 1000

Simulated runs with a known rate, whose things go together within a case: the rate of each case is drawn from a beta
distribution with a correlation of 0.2 between its things.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3]))  # run from anywhere, also without an installed package
from lumosx_core.evaluation.statistics import paired_difference, rate_interval  # noqa: E402

# Rate, cases, things per case.
SETTINGS = ((0.5, 100, 3), (0.8, 200, 4), (0.95, 200, 4), (0.97, 200, 6), (0.02, 200, 4))


def dependent_cases(
    rng: np.random.Generator, count: int, rate: float, things: int, together: float = 0.2
) -> list[tuple[float, float]]:
    """(hits, asked) of `count` cases whose things go together."""
    spread = (1 - together) / together
    rates = rng.beta(rate * spread, (1 - rate) * spread, size=count)
    return [(float(rng.binomial(things, own)), float(things)) for own in rates]


def two_runs(rng: np.random.Generator, rates: tuple[float, float], count: int = 200) -> list[dict[str, tuple[float, float]]]:
    """Two runs on the same cases of 4 things; a case that is hard for one is often hard for the other."""
    hard = rng.normal(size=(count, 1)) * 0.5 + rng.normal(size=(count, 4)) * 0.75
    runs = []
    for rate in rates:
        own = hard * 0.7 + rng.normal(size=(count, 4)) * 0.65
        hits = (own < np.quantile(own, rate)).sum(1)
        runs.append({f"case-{n}": (float(hit), 4.0) for n, hit in enumerate(hits)})
    return runs


def coverage(rate: float, cases: int, things: int, *, runs: int, draws: int, seed: int = 5) -> float:
    """Share of simulated runs whose 95 % interval holds the true rate."""
    rng = np.random.default_rng(seed)
    found = [rate_interval(dependent_cases(rng, cases, rate, things), draws=draws, seed=n) for n in range(runs)]
    return float(np.mean([run.low <= rate <= run.high for run in found]))


def found_share(rates: tuple[float, float], *, runs: int, draws: int, seed: int = 3) -> float:
    """Share of simulated pairs of runs, 200 cases each, whose difference has p < 0.05."""
    rng = np.random.default_rng(seed)
    return float(np.mean([paired_difference(*two_runs(rng, rates), draws=draws, seed=n).p < 0.05 for n in range(runs)]))


def main() -> None:
    """Print coverage per setting, the power at five points, and the rate of false alarms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=1000, help="resamples of each run")
    options = parser.parse_args()
    for rate, cases, things in SETTINGS:
        held = coverage(rate, cases, things, runs=options.runs, draws=options.draws)
        print(f"rate {rate:.2f}, {cases} cases of {things} things: 95 % intervals hold the truth in {held:.1%}")
    for words, rates in (("five points apart", (0.88, 0.93)), ("no difference", (0.9, 0.9))):
        share = found_share(rates, runs=options.runs, draws=options.draws)
        print(f"{words}, 200 paired cases: p < 0.05 in {share:.1%}")


if __name__ == "__main__":
    main()
