"""Variants of one piece of work, timed side by side: they take turns within every round, so that whatever else the machine does
meets all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from lumosx_core.model.devices import is_cuda
from lumosx_core.numbers import whole_number
from lumosx_core.progress import Progress

Variants = Mapping[str, Mapping[str, Callable[[], Any]]]  # of every table


def take_turns(
    variants: Variants, *, repeats: int, device: str = "cpu", progress: Progress | None = None
) -> dict[str, dict[str, dict[str, float]]]:
    """Table by table and variant by variant: `seconds` (median of the rounds), `seconds_low` and `seconds_high` (quartiles),
    and `ratio` with `ratio_low` and `ratio_high`: median and quartiles of the time within a round against that of the
    table's first variant in the same round. On CUDA also `peak_mib`, above what was there before.

    One round comes before that does not count. progress: its stage is "rounds". Raises InputError for no rounds.
    """
    whole_number(repeats, "repeats", least=1)
    cuda = is_cuda(device)
    times: dict[tuple[str, str], list[float]] = {}
    peaks: dict[tuple[str, str], float] = {}
    with torch.no_grad():
        for turn in range(repeats + 1):
            for table, calls in variants.items():
                for name, call in calls.items():
                    seconds, peak = _timed(call, cuda)
                    if turn:
                        times.setdefault((table, name), []).append(seconds)
                        peaks[table, name] = max(peaks.get((table, name), 0.0), peak)
            if progress is not None:
                progress("rounds", turn + 1, repeats + 1)
    report: dict[str, dict[str, dict[str, float]]] = {}
    for table, calls in variants.items():
        base = times[table, next(iter(calls))]
        report[table] = {}
        for name in calls:
            ratios = [own / other for own, other in zip(times[table, name], base, strict=True)]
            row = spread("seconds", times[table, name]) | spread("ratio", ratios)
            report[table][name] = row | ({"peak_mib": peaks[table, name]} if cuda else {})
    return report


def spread(name: str, values: list[float]) -> dict[str, float]:
    """Median and quartiles of some values as `name`, `name_low` and `name_high`."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {name: middle, f"{name}_low": low, f"{name}_high": high}


def _timed(call: Callable[[], Any], cuda: bool) -> tuple[float, float]:
    """Seconds and, on CUDA, MiB above what was allocated before."""
    before = 0
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    started = time.perf_counter()
    call()
    if cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    return seconds, (torch.cuda.max_memory_allocated() - before) / 2**20 if cuda else 0.0
