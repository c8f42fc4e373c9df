"""The table and the chart of an ablation, of whatever is finished.

A run is a folder <setting>-<seed> with figures.json (loss, binding margin) and, once it is sampled, run/ (a scored run). The
seeds of a setting are put together case by case, so that intervals are drawn over cases; loss and margin are told with the
lowest and the highest of the seeds.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from lumosx_core.drawing.lettering import draw_text
from lumosx_core.drawing.palette import INK, PAPER, QUIET, SUBJECT_COLOURS
from lumosx_core.errors import InputError
from lumosx_core.evaluation.ablation import RUN
from lumosx_core.evaluation.report import ALL, grouped
from lumosx_core.evaluation.runs import SETTINGS, open_run
from lumosx_core.evaluation.scoring import PUPPETS, metric_named, read_scores
from lumosx_core.evaluation.statistics import Case, paired_difference, rate_interval
from lumosx_core.files.atomic import write_text
from lumosx_core.files.images import save_image
from lumosx_core.files.json import read_json, write_json

NAME = "ablation"
FIGURES = "figures.json"
SAME = "same"  # the wording in which only the references tell whose is what
SHOWN = {ALL: "all wordings", SAME: "the same words for everybody"}
FULL, NONE = "full", "none"
# The chart, pixels.
LEFT, WIDTH, RIGHT, ROW, TOP, TEXT, DOT = 330, 520, 40, 46, 74, 17, 6


@dataclass(kw_only=True)
class _Row:
    """One setting. losses, margins: of its seeds; bound: hits and asked by group and case, all seeds together; seeds: of those
    that are sampled, the share bound of each by group."""

    title: str
    losses: list[float] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    bound: dict[str, dict[str, Case]] = field(default_factory=dict)
    seeds: dict[str, list[float]] = field(default_factory=dict)


def write_ablation_report(out: Path, titles: Mapping[str, str]) -> dict[str, Any]:
    """Write ablation.json, ablation.md and ablation.png into the folder of the ablation; returns the first one's content.

    titles: of the settings by name, in the order of the table; those without a finished run are left out. Raises InputError if
    nothing is finished, for damaged files, and for a disk that refuses.
    """
    rows = {name: row for name, title in titles.items() if (row := _row(out, name, title)) is not None}
    if not rows:
        raise InputError(f"no run of {out} is finished yet; run  lumosx train ablation --out {out}")
    report: dict[str, Any] = {
        "settings": {name: _told(row) for name, row in rows.items()},
        "missing": [name for name in titles if name not in rows],
        "differences": _differences(rows),
    }
    write_json(out / f"{NAME}.json", report, "the table of the ablation")
    write_text(out / f"{NAME}.md", ablation_markdown(report))
    save_image(ablation_chart(report), out / f"{NAME}.png")
    return report


def _row(out: Path, name: str, title: str) -> _Row | None:
    row = _Row(title=title)
    for path in sorted(out.glob(f"{name}-*/{FIGURES}")):
        if path.parent.name.rpartition("-")[0] != name:
            continue
        figures = read_json(path, "the figures of the run")
        row.losses.append(figures["validation"])
        if "binding_margin" in figures:
            row.margins.append(figures["binding_margin"])
        if (path.parent / RUN / SETTINGS).is_file():
            _add_binding(row, path.parent / RUN)
    return row if row.losses else None


def _add_binding(row: _Row, folder: Path) -> None:
    """The scores of one seed, if every case of it is scored."""
    run = open_run(folder)
    scores = read_scores(run).get(PUPPETS, {})
    if len(scores) < len(run.suite.cases):
        return
    metric = metric_named(PUPPETS)
    for group, members in grouped(run, scores).items():
        cases = {score.case: metric.figures(score.values)["bound"] for score in members}
        if not any(asked for _, asked in cases.values()):  # all hidden
            continue
        before = row.bound.setdefault(group, {})
        for case, (hits, asked) in cases.items():
            old = before.get(case, (0.0, 0.0))
            before[case] = (old[0] + hits, old[1] + asked)
        total = [sum(column) for column in zip(*cases.values(), strict=True)]
        row.seeds.setdefault(group, []).append(total[0] / total[1])


def _told(row: _Row) -> dict[str, Any]:
    def spread(values: list[float]) -> dict[str, float] | None:
        return {"mean": sum(values) / len(values), "low": min(values), "high": max(values)} if values else None

    return {
        "title": row.title,
        "runs": len(row.losses),
        "loss": spread(row.losses),
        "binding_margin": spread(row.margins),
        "bound": {group: asdict(rate_interval(list(cases.values()))) for group, cases in row.bound.items()},
        "bound_of_seeds": row.seeds,
    }


def _differences(rows: Mapping[str, _Row]) -> dict[str, Any]:
    """Full minus none on the same cases, by group."""
    if FULL not in rows or NONE not in rows:
        return {}
    full, none = rows[FULL].bound, rows[NONE].bound
    return {group: asdict(paired_difference(none[group], full[group])) for group in full if group in none}


def ablation_markdown(report: Mapping[str, Any]) -> str:
    """The table in Markdown, with the difference that the ablation is about."""
    lines = [
        "| setting | runs | loss | binding margin | bound | bound, same words for all |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in report["settings"].values():
        figures = [_spread(row["loss"], 4), _spread(row["binding_margin"], 5), *(_interval(row, group) for group in SHOWN)]
        lines.append(f"| {row['title']} | {row['runs']} | {' | '.join(figures)} |")
    lines += [
        "",
        "Loss and margin: mean of the seeds (lowest to highest). Bound: % of the things, with 95 % intervals over cases.",
    ]
    for group, difference in report["differences"].items():
        if group in SHOWN:
            interval = difference["interval"]
            points = " to ".join(f"{100 * interval[end]:+.1f}" for end in ("low", "high"))
            lines.append(
                f"Full minus none, {SHOWN[group]}: {100 * interval['value']:+.1f} points ({points}; p = {difference['p']:.4f})."
            )
    if report["missing"]:
        lines.append(f"Not run: {', '.join(report['missing'])}.")
    return "\n".join(lines) + "\n"


def _spread(found: Mapping[str, float] | None, digits: int) -> str:
    if found is None:
        return "-"
    mean, low, high = (f"{round(found[name], digits) + 0.0:.{digits}f}" for name in ("mean", "low", "high"))  # no -0.0
    return f"{mean} ({low} to {high})"


def _interval(row: Mapping[str, Any], group: str) -> str:
    if group not in row["bound"]:
        return "-"
    found = row["bound"][group]
    return f"{100 * found['value']:.1f} ({100 * found['low']:.1f} to {100 * found['high']:.1f})"


def ablation_chart(report: Mapping[str, Any]) -> Image.Image:
    """A row for every setting: things bound in % with the interval as a line, and a small ring for each seed."""
    rows = list(report["settings"].values())
    canvas = Image.new("RGB", (LEFT + WIDTH + RIGHT, TOP + ROW * len(rows) + 44), PAPER)
    draw = ImageDraw.Draw(canvas)
    colours = dict(zip(SHOWN, (SUBJECT_COLOURS[1], SUBJECT_COLOURS[0]), strict=True))
    draw_text(canvas, (18, 14), "Things bound, %", TEXT + 3, INK)
    at = LEFT
    for group, title in SHOWN.items():
        draw.ellipse((at, 20, at + 2 * DOT, 20 + 2 * DOT), fill=colours[group])
        draw_text(canvas, (at + 20, 15), title, TEXT, INK)
        at += 170
    bottom = TOP + ROW * len(rows)
    for tick in range(0, 101, 25):
        x = _x(tick / 100)
        draw.line((x, TOP - 14, x, bottom), fill=(222, 222, 218))
        draw_text(canvas, (x, bottom + 10), str(tick), TEXT - 2, QUIET, "ma")
    for number, row in enumerate(rows):
        middle = TOP + ROW * number + ROW // 2 - 8
        draw_text(canvas, (18, middle), row["title"], TEXT, INK, "lm")
        if not row["bound"]:
            draw_text(canvas, (LEFT + 6, middle), "not sampled yet", TEXT - 2, QUIET, "lm")
        for group, y in zip(SHOWN, (middle - 8, middle + 8), strict=True):
            if group in row["bound"]:
                _dot(draw, row["bound"][group], row["bound_of_seeds"][group], y, colours[group])
    return canvas


def _x(share: float) -> float:
    return LEFT + share * WIDTH


def _dot(
    draw: ImageDraw.ImageDraw, found: Mapping[str, float], seeds: list[float], y: int, colour: tuple[int, int, int]
) -> None:
    draw.line((_x(found["low"]), y, _x(found["high"]), y), fill=colour, width=3)
    for seed in seeds:
        x = _x(seed)
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), outline=colour, fill=PAPER)
    x = _x(found["value"])
    draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=colour)
