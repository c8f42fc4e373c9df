"""A report as text: a table for the terminal, and markdown with every interval."""

from collections.abc import Mapping, Sequence
from typing import Any

from lumosx_core.evaluation.report import ALL
from lumosx_core.evaluation.statistics import Interval

NAMED = 5  # cases in one line
METHOD = (
    "Rates with 95 % intervals, by bootstrap over cases (10,000 draws): the things of one video go together. Hidden things, of "
    "which too little can be seen, are in no other rate."
)


def told(row: Mapping[str, Any]) -> str:
    """ "96.8 % (94.0 to 98.5)" of an interval as plain data."""
    return str(Interval(**row))


def terminal_table(report: Mapping[str, Any]) -> str:
    """The rates of every group without intervals, those of all cases with them below."""
    lines = []
    for name, groups in report["metrics"].items():
        figures = list(next(iter(groups.values()))["figures"])
        width = max(len(group) for group in groups) + 2
        wide = {figure: max(10, len(figure) + 2) for figure in figures}
        lines.append(f"{name:{width}}{'cases':>7}" + "".join(f"{figure:>{wide[figure]}}" for figure in figures))
        for group, row in groups.items():
            values = {figure: row["figures"].get(figure) for figure in figures}
            rates = "".join(f"{v['value']:{wide[f]}.1%}" if v else f"{'-':>{wide[f]}}" for f, v in values.items())
            lines.append(f"{group:{width}}{row['cases']:7}{rates}")
        whole = groups.get(ALL, {"figures": {}})["figures"]
        told_apart = [f"{figure} {100 * row['low']:.1f} to {100 * row['high']:.1f} %" for figure, row in whole.items()]
        lines.append(f"95 % intervals of {ALL}, drawn over cases: {', '.join(told_apart)}")
    if told_by_both := agreed(report):
        lines.append(told_by_both)
    if missing := unscored(report):
        lines.append(missing)
    if report["gaps"]:
        names = ", ".join(case for case, _ in report["gaps"][:NAMED]) + (", ..." if len(report["gaps"]) > NAMED else "")
        lines.append(f"{len(report['gaps'])} without a video, which count as missing: {names}")
    return "\n".join(lines)


def markdown(report: Mapping[str, Any]) -> str:
    """The whole report."""
    lines = [f"# {report['name']}: {report['suite']}", "", METHOD, ""]
    if missing := unscored(report):
        lines += [missing, ""]
    for name, groups in report["metrics"].items():
        figures = list(dict.fromkeys(figure for row in groups.values() for figure in row["figures"]))
        rows = [
            [group, str(row["cases"]), *(told(row["figures"][f]) if f in row["figures"] else "-" for f in figures)]
            for group, row in groups.items()
        ]
        lines += [f"## {name}", "", *table(["", "cases", *figures], rows), ""]
        if details := report["details"][name]:
            kinds = [[kind, f"{row['asked']:.0f}", told(row)] for kind, row in details.items()]
            lines += [*table([f"{figures[0]}, by kind", "asked", "rate"], kinds), ""]
        for matrix in report["matrices"][name]:
            people = [f"person {n}" for n in range(1, matrix["people"] + 1)]
            cells = [
                [who, *("-" if v is None else f"{v:+.2f}" for v in row)]
                for who, row in zip(people, matrix["rows"], strict=True)
            ]
            lines += [*table([f"{matrix['name']}, {matrix['cases']} cases", *people], cells), ""]
    if told_by_both := agreed(report):
        lines += [told_by_both, ""]
    if report["gaps"]:
        lines += ["## Cases without a video", "", *table(["case", "why"], report["gaps"]), ""]
    settings = report["settings"]
    lines += ["## Settings", "", f"- suite {settings['suite']}", f"- videos: {settings['source']}, {settings['dtype']}"]
    lines += [f"- {name} = {value}" for name, value in settings["changes"].items()]
    lines += [f"- {name} {digest}" for name, digest in settings["sha256"].items()]
    return "\n".join(lines) + "\n"


def agreed(report: Mapping[str, Any]) -> str:
    """A sentence on how far binding and the judge agree, where both judged; else nothing."""
    row = report["agreement"]
    if row is None:
        return ""
    chance = "undefined, since both always say the same" if row["kappa"] is None else f"{row['kappa']:.2f}"
    return f"binding and judge agree on {100 * row['agree']:.1f} % of {row['things']} things; Cohen's kappa {chance}."


def unscored(report: Mapping[str, Any]) -> str:
    """A sentence if some cases have no score yet, else nothing."""
    short = {name: count for name, count in report["scored"].items() if count < report["cases"]}
    parts = [f"{count} of {report['cases']} by {name}" for name, count in short.items()]
    return f"Not every case is scored: {', '.join(parts)}." if parts else ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]
