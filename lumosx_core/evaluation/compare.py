"""Runs side by side: paired differences on the same cases and noise, and whether they are more than chance.

The first run is what the others are compared with. A difference is called better or worse only where its p value, by a
permutation test and adjusted by Holm's rule over all figures of one metric, is below 5 % and its interval leaves zero out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lumosx_core.errors import InputError
from lumosx_core.evaluation.metrics.metric import Figure, Metric
from lumosx_core.evaluation.report import ALL, grouped
from lumosx_core.evaluation.runs import Run
from lumosx_core.evaluation.scoring import Score, metric_named, read_scores
from lumosx_core.evaluation.statistics import Difference, holm, paired_difference, rate_interval

LEVEL = 0.05
UNDECIDED = "no difference shown"


def compare_runs(runs: Sequence[Run]) -> dict[str, Any]:
    """The comparison as plain data.

    "runs": their names, the first one is the baseline. "metrics": by metric and group (ALL first) a row for every figure: the
    rate of each run and the difference of each later run from the first, with interval, p (adjusted for ALL), the smallest
    difference that this many cases would show in four of five runs, and a verdict. Only cases that all runs have scored count;
    "cases" says how many of how many. Raises InputError for fewer than two runs, runs of different suites, and runs without a
    metric in common.
    """
    if len(runs) < 2:
        raise InputError("a comparison takes at least two runs; give another folder")
    if others := [run for run in runs[1:] if run.suite.digest() != runs[0].suite.digest()]:
        raise InputError(
            f"{others[0].folder} is a run of another suite ({others[0].suite.title}) than {runs[0].folder} "
            f"({runs[0].suite.title}); compare runs of one suite"
        )
    scores = [read_scores(run) for run in runs]
    metrics = sorted(set.intersection(*(set(found) for found in scores)))
    if not metrics:
        raise InputError("the runs have no scores of one metric; run  lumosx evaluate score  for each")
    names = _names(runs)
    return {
        "suite": runs[0].suite.title,
        "runs": names,
        "cases": len(runs[0].suite.cases),
        "metrics": {
            metric: _compare(runs[0], metric_named(metric), names, [found[metric] for found in scores]) for metric in metrics
        },
    }


def _compare(run: Run, metric: Metric, names: Sequence[str], found: Sequence[Mapping[str, Score]]) -> dict[str, dict[str, Any]]:
    """By group the cases and the rows."""
    shared = set.intersection(*(set(scores) for scores in found))
    groups: dict[str, dict[str, Any]] = {}
    for group, members in grouped(run, {name: found[0][name] for name in shared}).items():
        cases = [score.case for score in members]
        tables = [{name: metric.figures(scores[name].values) for name in cases} for scores in found]
        figures = list(next(iter(tables[0].values())))
        rows = [_row(figure, names, tables) for figure in figures]
        if group == ALL:
            for name in names[1:]:
                adjusted = holm({row["figure"]: row["differences"][name]["p"] for row in rows if name in row["differences"]})
                for row in rows:
                    if name in row["differences"]:
                        row["differences"][name]["p"] = adjusted[row["figure"]]
        for row in rows:
            for difference in row["differences"].values():
                difference["verdict"] = _verdict(difference, fault=row["figure"] in metric.FAULTS)
        groups[group] = {"cases": len(cases), "rows": rows}
    return groups


def _row(figure: str, names: Sequence[str], tables: Sequence[Mapping[str, Mapping[str, Figure]]]) -> dict[str, Any]:
    """Rates and differences of one figure, on the cases of which every run was asked something."""
    asked = [case for case in tables[0] if all(table[case][figure][1] for table in tables)]
    row: dict[str, Any] = {"figure": figure, "rates": {}, "differences": {}}
    if asked:
        columns = [{case: table[case][figure] for case in asked} for table in tables]
        for name, column in zip(names, columns, strict=True):
            row["rates"][name] = asdict(rate_interval(list(column.values())))
        for name, column in zip(names[1:], columns[1:], strict=True):
            row["differences"][name] = _plain(paired_difference(columns[0], column))
    return row


def _plain(difference: Difference) -> dict[str, Any]:
    interval = difference.interval
    return {
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "cases": interval.cases,
        "p": difference.p,
        "smallest": difference.smallest,
    }


def _verdict(difference: Mapping[str, Any], *, fault: bool) -> str:
    if difference["p"] >= LEVEL or difference["low"] <= 0 <= difference["high"]:
        return UNDECIDED
    return "better" if (difference["value"] > 0) != fault else "worse"


def _names(runs: Sequence[Run]) -> list[str]:
    """The folders' names, with those of the folders above where two are the same, numbered if that is not enough."""
    names = [run.folder.resolve().name for run in runs]
    if len(set(names)) < len(names):
        names = ["/".join(Path(run.folder).resolve().parts[-2:]) for run in runs]
    return [name if names.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names, 1)]
