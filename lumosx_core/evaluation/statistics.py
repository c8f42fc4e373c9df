"""What a number of cases can tell: intervals, paired differences, and what is no more than noise.

The things of one case are not independent (one blurred video spoils all of them), so everything is drawn over *cases*: a case
is a pair (hits, asked), and a rate is the sum of hits over the sum of asked. Every function is a pure function of its seed.

Legend: N = cases.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lumosx_core.errors import InputError
from lumosx_core.numbers import real_number, whole_number

Case = tuple[float, float]  # hits, asked


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A rate (0 to 1) or a difference of rates (-1 to 1) with its interval. `cases`: how many it rests on; `asked`: how many
    things were asked in them."""

    value: float
    low: float
    high: float
    cases: int
    asked: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f})"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A paired difference of two rates on the same cases. p: two-sided, by permutation; smallest: the difference that this
    many cases would show in four of five runs."""

    interval: Interval
    p: float
    smallest: float


def rate_interval(cases: Sequence[Case], *, level: float = 0.95, draws: int = 10_000, seed: int = 0) -> Interval:
    """The rate of the cases with its interval by bootstrap over cases.

    The interval is that of the resampled rates' percentiles, widened to Wilson's for as many independent things as the cases
    are worth: where every case is alike, resampling alone would give a width of zero. On simulated runs with dependent things
    95 % intervals hold the truth in 95 to 96 % (a test measures it). level: 0 to 1. Raises InputError without cases, and for
    hits that are not between 0 and asked.
    """
    hits, asked = _columns(cases)
    level, draws = real_number(level, "level", above=0.0, most=0.9999), whole_number(draws, "draws", least=100)
    value = float(hits.sum() / asked.sum())
    rng = np.random.default_rng(seed)
    drawn = _resampled_rates(hits, asked, draws, rng)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    wilson = _wilson(value, _effective_count(hits, asked, value), level)
    return Interval(
        value=value,
        low=float(max(0.0, min(low, wilson[0]))),
        high=float(min(1.0, max(high, wilson[1]))),
        cases=len(hits),
        asked=float(asked.sum()),
    )


def paired_difference(
    first: Mapping[str, Case],
    second: Mapping[str, Case],
    *,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Difference:
    """Second minus first on the cases that both have, by name.

    The interval is a bootstrap over cases, p a permutation test that exchanges the two results of a case at random. Raises
    InputError if they share no case.
    """
    names = sorted(first.keys() & second.keys())
    if not names:
        raise InputError("the two runs share no case; compare runs of one suite and one seed")
    before, asked_before = _columns([first[name] for name in names])
    after, asked_after = _columns([second[name] for name in names])
    value = float(after.sum() / asked_after.sum() - before.sum() / asked_before.sum())
    rng = np.random.default_rng(seed)
    count = len(names)
    chosen = _draw_counts(count, draws, rng)
    drawn = (chosen @ after) / (chosen @ asked_after) - (chosen @ before) / (chosen @ asked_before)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    swapped = rng.random((draws, count)) < 0.5
    gain, shift = after - before, asked_after - asked_before
    exchanged = (after.sum() - swapped @ gain) / (asked_after.sum() - swapped @ shift) - (before.sum() + swapped @ gain) / (
        asked_before.sum() + swapped @ shift
    )
    extreme = int((np.abs(exchanged) >= abs(value) - 1e-12).sum())
    width = float(drawn.std())
    return Difference(
        interval=Interval(value=value, low=float(low), high=float(high), cases=count, asked=float(asked_after.sum())),
        p=(extreme + 1) / (draws + 1),
        smallest=(_normal_quantile((1 + level) / 2) + _normal_quantile(0.8)) * width,
    )


def kappa(answers: Sequence[tuple[bool, bool]]) -> float | None:
    """Cohen's kappa (1960) of two judges' answers to the same questions: 1 where they always agree, 0 where no more than by
    chance; None without answers, and where both always say the same one thing, which tells nothing."""
    if not answers:
        return None
    table = np.array(answers, dtype=bool)
    agreed = float((table[:, 0] == table[:, 1]).mean())
    first, second = table.mean(0)
    by_chance = float(first * second + (1 - first) * (1 - second))
    return None if by_chance == 1 else (agreed - by_chance) / (1 - by_chance)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p values adjusted by Holm's step-down rule, for several metrics of one comparison; the order of the names stays."""
    ordered = sorted(p_values, key=lambda name: p_values[name])
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, name in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - place) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def _columns(cases: Sequence[Case]) -> tuple[np.ndarray, np.ndarray]:
    table = np.asarray(cases, dtype=np.float64).reshape(-1, 2)
    if not len(table) or table[:, 1].sum() <= 0:
        raise InputError("no case asks for anything; a rate needs at least one case")
    if not np.isfinite(table).all() or (table < 0).any() or (table[:, 0] > table[:, 1]).any():
        raise InputError("a case has hits that are not between 0 and what was asked; count the results again")
    return table[:, 0], table[:, 1]


def _draw_counts(count: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """How often each case is drawn, [draws, N] float64."""
    return rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)


def _resampled_rates(hits: np.ndarray, asked: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    chosen = _draw_counts(len(hits), draws, rng)
    total = chosen @ asked
    return (chosen @ hits)[total > 0] / total[total > 0]


def _effective_count(hits: np.ndarray, asked: np.ndarray, value: float) -> float:
    """How many independent things the cases are worth: fewer than asked where the things of a case go together.

    With every case alike nothing tells how much they go together, so each case then counts once.
    """
    count = len(hits)
    residual = hits - value * asked
    variance = float((residual**2).sum()) / max(1, count - 1) * count / float(asked.sum()) ** 2
    if variance <= 0 or not 0 < value < 1:
        return float(count)
    return float(min(asked.sum(), max(1.0, value * (1 - value) / variance)))


def _wilson(value: float, count: float, level: float) -> tuple[float, float]:
    """Wilson's interval for a rate of `count` independent things (E. B. Wilson, 1927)."""
    z = _normal_quantile((1 + level) / 2)
    centre = (value + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(value * (1 - value) / count + z * z / (4 * count * count))
    return float(centre - half), float(centre + half)


def _normal_quantile(probability: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)
