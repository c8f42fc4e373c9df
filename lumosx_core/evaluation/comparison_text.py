"""A comparison as a text, and as a page."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lumosx_core.evaluation.compare import LEVEL
from lumosx_core.evaluation.report import ALL
from lumosx_core.evaluation.report_page import Bar, cell, rate_bar
from lumosx_core.evaluation.report_text import table, told
from lumosx_core.files.pages import write_page

METHOD = (
    "Paired differences on the same cases and noise, in points, with 95 % intervals by bootstrap over cases. p: permutation "
    "test (10,000 draws), for all cases adjusted by Holm's rule over the figures; better or worse is said below "
    f"{100 * LEVEL:.0f} % where the interval leaves zero out too. Smallest: the difference that this many cases would show in "
    "four of five runs."
)


def comparison_markdown(comparison: Mapping[str, Any]) -> str:
    """All tables."""
    names = comparison["runs"]
    lines = [f"# {', '.join(names[1:])} beside {names[0]}: {comparison['suite']}", "", METHOD, ""]
    for metric, groups in comparison["metrics"].items():
        for group, content in groups.items():
            lines += [f"## {metric}: {group}, {content['cases']} cases", ""]
            head = ["", *names, *(f"{name}: {column}" for name in names[1:] for column in ("difference", "p", "smallest", ""))]
            lines += [*table(head, [_line(row, names) for row in content["rows"] if row["rates"]]), ""]
    return "\n".join(lines)


def terminal_comparison(comparison: Mapping[str, Any]) -> str:
    """A line for every figure and run of all cases."""
    names = comparison["runs"]
    lines = [f"{comparison['suite']}; beside {names[0]}"]
    for metric, groups in comparison["metrics"].items():
        content = groups.get(ALL, next(iter(groups.values())))
        lines.append(f"{metric}, {content['cases']} of {comparison['cases']} cases")
        for row in content["rows"]:
            for name in names[1:] if row["rates"] else ():
                rates = f"{100 * row['rates'][names[0]]['value']:6.1f} % -> {100 * row['rates'][name]['value']:5.1f} %"
                difference = row["differences"][name]
                lines.append(
                    f"  {row['figure']:10}{name}: {rates}, {_points(difference)}, p {_p(difference)}, {difference['verdict']}"
                )
    return "\n".join(lines)


def write_comparison_page(path: Path, comparison: Mapping[str, Any]) -> Path:
    """Write the page. Raises InputError as `write_page`."""
    names = comparison["runs"]
    parts: list[dict[str, Any]] = []
    for metric, groups in comparison["metrics"].items():
        for group, content in groups.items():
            rows = [row for row in content["rows"] if row["rates"]]
            part: dict[str, Any] = {
                "title": f"{metric}: {group}, {content['cases']} cases",
                "rows": [_cells(row, names) for row in rows],
                "charts": [],
            }
            if group == ALL:
                charts = [
                    (f"{name} less {names[0]}", [_difference_bar(row["figure"], row["differences"][name]) for row in rows])
                    for name in names[1:]
                ]
                part["charts"] = charts
                part["most"] = _axis(bar for _, bars in charts for bar in bars)
                part["rates"] = [(row["figure"], [rate_bar(name, row["rates"][name]) for name in names]) for row in rows]
            parts.append(part)
    return write_page(path, "comparison.html", {"names": names, "suite": comparison["suite"], "method": METHOD, "parts": parts})


def _axis(bars: Iterable[Bar]) -> float:
    """Half the width of the axis of differences: of the steps of a ruler the first that holds all."""
    widest = max(max(abs(low), abs(high)) for _, low, _, high, _ in bars)
    return next((step for step in (0.05, 0.1, 0.2, 0.5) if widest <= step), 1.0)


def _difference_bar(words: str, row: Mapping[str, Any]) -> Bar:
    return words, row["low"], row["value"], row["high"], _points(row)


def _cells(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {
        "figure": row["figure"],
        "rates": [cell(row["rates"][name]) for name in names],
        "differences": [
            {
                "points": f"{100 * row['differences'][name]['value']:+.1f}",
                "interval": f"{100 * row['differences'][name]['low']:+.1f} to {100 * row['differences'][name]['high']:+.1f}",
                "p": _p(row["differences"][name]),
                "smallest": _smallest(row["differences"][name]),
                "verdict": row["differences"][name]["verdict"],
            }
            for name in names[1:]
        ],
    }


def _line(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    line = [row["figure"], *(told(row["rates"][name]) for name in names)]
    for name in names[1:]:
        difference = row["differences"][name]
        line += [_points(difference), _p(difference), _smallest(difference), difference["verdict"]]
    return line


def _points(row: Mapping[str, Any]) -> str:
    return f"{100 * row['value']:+.1f} ({100 * row['low']:+.1f} to {100 * row['high']:+.1f})"


def _p(row: Mapping[str, Any]) -> str:
    return "< 0.001" if row["p"] < 0.001 else f"{row['p']:.3f}"


def _smallest(row: Mapping[str, Any]) -> str:
    """Nothing where no case differs: that tells nothing of what could be seen."""
    return f"{100 * row['smallest']:.1f}" if row["smallest"] > 0 else "-"
