"""The report of a run as a page: rates, charts of intervals, and the sheets of worst, median, best and random cases."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lumosx_core.evaluation.metrics.metric import Matrix, Metric
from lumosx_core.evaluation.report import ALL, by_merit, case_sheet, random_cases
from lumosx_core.evaluation.report_text import METHOD, agreed, unscored
from lumosx_core.evaluation.runs import Run
from lumosx_core.evaluation.scoring import Score, metric_named
from lumosx_core.evaluation.statistics import Interval
from lumosx_core.evaluation.suites import SuiteCase
from lumosx_core.files.pages import data_uri, write_page

SHOWN = 4  # cases of each of worst, median and best
SHEET_WIDTH = 900  # pixels

Bar = tuple[str, float, float, float, str]  # words, low, value, high, text


def write_run_page(path: Path, run: Run, report: Mapping[str, Any], scores: Mapping[str, Mapping[str, Score]]) -> Path:
    """Write the page of a report of `summarize`. Raises InputError for cases that cannot be read, and as `write_page`."""
    settings = report["settings"]
    values = {
        "report": report,
        "method": METHOD,
        "unscored": unscored(report),
        "agreed": agreed(report),
        "parts": [_part(run, name, report, scores[name]) for name in report["metrics"]],
        "settings": [
            ("suite", settings["suite"]),
            ("videos", "made elsewhere" if settings["source"] == "videos" else f"generated, weights as {settings['dtype']}"),
            *((name, json.dumps(value)) for name, value in settings["changes"].items()),
            *settings["sha256"].items(),
        ],
    }
    return write_page(path, "run.html", values)


def rate_bar(words: str, row: Mapping[str, Any]) -> Bar:
    """A row of a chart from an interval as plain data."""
    return words, row["low"], row["value"], row["high"], str(Interval(**row))


def cell(row: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """The rate and its interval, for a table; None where nothing was asked."""
    return None if row is None else (f"{100 * row['value']:.1f} %", f"{100 * row['low']:.1f} to {100 * row['high']:.1f}")


def _shaded(rows: Matrix) -> list[list[tuple[str, int] | None]]:
    """The numbers of a confusion matrix, and how strongly each is marked as a fault, 0 to 60 %: below 0 on the diagonal, above
    it elsewhere."""
    return [
        [
            None if value is None else (f"{value:+.2f}", min(60, round(100 * max(0.0, -value if n == k else value))))
            for k, value in enumerate(row)
        ]
        for n, row in enumerate(rows)
    ]


def _part(run: Run, name: str, report: Mapping[str, Any], found: Mapping[str, Score]) -> dict[str, Any]:
    groups, metric = report["metrics"][name], metric_named(name)
    figures = list(dict.fromkeys(figure for row in groups.values() for figure in row["figures"]))
    rows = [(group, row["cases"], [cell(row["figures"].get(figure)) for figure in figures]) for group, row in groups.items()]
    charts = [
        (figure, [rate_bar(group, row["figures"][figure]) for group, row in groups.items() if figure in row["figures"]])
        for figure in figures
    ]
    return {
        "name": name,
        "figures": figures,
        "rows": rows,
        "charts": charts,
        "kinds": [rate_bar(kind, row) for kind, row in report["details"][name].items()],
        "matrices": [
            (matrix["name"], matrix["people"], matrix["cases"], _shaded(matrix["rows"])) for matrix in report["matrices"][name]
        ],
        "sheets": [
            (title, [_sheet(run, case, found[case.name], metric) for case in cases])
            for title, cases in _chosen(run, metric, found)
        ],
    }


def _chosen(run: Run, metric: Metric, found: Mapping[str, Score]) -> Iterator[tuple[str, Sequence[SuiteCase]]]:
    """Titles and cases: of few cases all, none twice among worst, median and best."""
    ordered = [case for case in by_merit(run, metric, found) if case.group not in run.suite.apart]
    if len(ordered) <= 3 * SHOWN:
        yield f"{ALL.capitalize()} cases, the worst first", ordered
        return
    middle = (len(ordered) - SHOWN) // 2
    yield "Worst cases", ordered[:SHOWN]
    yield "Median cases", ordered[middle : middle + SHOWN]
    yield "Best cases", ordered[-SHOWN:]
    yield "Random cases", random_cases(run, found)


def _sheet(run: Run, case: SuiteCase, score: Score, metric: Metric) -> tuple[str, str, str]:
    """Name, picture and outcome of a case."""
    return case.name, data_uri(case_sheet(run, case, score, metric), SHEET_WIDTH), score.gap or metric.note(score.values)
