"""A picture of a measurement: how long every variant takes against "plain", as bars, or as lines over what was varied."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from lumosx_core.drawing.lettering import RGB, draw_text, text_width
from lumosx_core.drawing.palette import INK, PAPER, QUIET, SUBJECT_COLOURS
from lumosx_core.errors import InputError

Row = Mapping[str, float]  # of one variant: the figure, and with _low and _high behind its name its spread
Table = Mapping[str, Row]
MARGIN, WIDTH, PLOT_HEIGHT, BAR = 28, 900, 300, 34
SIZE = 15  # of letters
TICKS = 5


def draw_ratios(title: str, note: str, points: Sequence[tuple[str, Mapping[str, Table]]], figure: str) -> Image.Image:
    """RGB picture of `figure` of every variant in every table: one point is drawn as bars, several as lines over their labels,
    with the spread where there is one. title, note: lines above. Raises InputError where there is nothing to draw."""
    tables = list(points[0][1]) if points else []
    if not tables:
        raise InputError("there are no figures to draw; measure something first")
    parts = [_bars(name, points[0][1][name], figure) if len(points) == 1 else _lines(name, points, figure) for name in tables]
    picture = Image.new("RGB", (WIDTH, 3 * MARGIN + 40 + sum(part.height for part in parts)), PAPER)
    draw_text(picture, (MARGIN, MARGIN - 8), title, 20, INK)
    draw_text(picture, (MARGIN, MARGIN + 22), note, 13, QUIET)
    y = 2 * MARGIN + 30
    for part in parts:
        picture.paste(part, (0, y))
        y += part.height
    return picture


def _colours(points: Sequence[tuple[str, Mapping[str, Table]]], table: str) -> dict[str, RGB]:
    """A colour of every variant, in order of appearance."""
    names = list(dict.fromkeys(name for _, tables in points for name in tables.get(table, {})))
    return {name: SUBJECT_COLOURS[place % len(SUBJECT_COLOURS)] for place, name in enumerate(names)}


def _bars(name: str, table: Table, figure: str) -> Image.Image:
    """One bar a variant, with its spread as a line."""
    picture = Image.new("RGB", (WIDTH, 40 + BAR * len(table) + MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)
    draw_text(picture, (MARGIN, 0), name, 17, INK)
    left = MARGIN + 12 + max(text_width(variant, SIZE) for variant in table)
    room = WIDTH - MARGIN - 70 - left
    most = max(row.get(f"{figure}_high", row[figure]) for row in table.values()) or 1.0
    for place, (variant, row) in enumerate(table.items()):
        y, value = 32 + BAR * place, row[figure]
        draw_text(picture, (left - 10, y + BAR / 2 - 2), variant, SIZE, INK, anchor="rm")
        end = left + room * value / most
        draw.rectangle((left, y + 2, max(end, left + 1), y + BAR - 8), fill=SUBJECT_COLOURS[place % len(SUBJECT_COLOURS)])
        high = value
        if f"{figure}_low" in row:
            low, high = row[f"{figure}_low"], row[f"{figure}_high"]
            middle = y + BAR / 2 - 3
            draw.line((left + room * low / most, middle, left + room * high / most, middle), fill=INK, width=2)
        draw_text(picture, (left + room * max(value, high) / most + 8, y + BAR / 2 - 2), f"{value:.2f}", SIZE, INK, anchor="lm")
    return picture


def _lines(name: str, points: Sequence[tuple[str, Mapping[str, Table]]], figure: str) -> Image.Image:
    """One line a variant over the points, from 0 up; a variant that a point lacks has a gap there."""
    colours = _colours(points, name)
    picture = Image.new("RGB", (WIDTH, PLOT_HEIGHT + 96 + 22 * ((len(colours) + 2) // 3)), PAPER)
    draw = ImageDraw.Draw(picture)
    draw_text(picture, (MARGIN, 0), name, 17, INK)
    left, top, right = MARGIN + 50, 34, WIDTH - MARGIN
    bottom = top + PLOT_HEIGHT
    rows = [(variant, row) for _, tables in points for variant, row in tables.get(name, {}).items()]
    most = max(row.get(f"{figure}_high", row[figure]) for _, row in rows) or 1.0
    draw.rectangle((left, top, right, bottom), fill="white", outline=QUIET)
    for tick in range(TICKS + 1):
        y = bottom - PLOT_HEIGHT * tick / TICKS
        draw.line((left, y, right, y), fill=(225, 226, 230))
        draw_text(picture, (left - 8, y), f"{most * tick / TICKS:.2f}", 13, QUIET, anchor="rm")
    places = [left + (right - left) * (index + 0.5) / len(points) for index in range(len(points))]
    for x, (label, _) in zip(places, points, strict=True):
        draw_text(picture, (x, bottom + 8), label, SIZE, INK, anchor="ma")
    for number, (variant, colour) in enumerate(colours.items()):
        run: list[tuple[float, float]] = []
        for x, (_, tables) in zip(places, points, strict=True):
            row = tables.get(name, {}).get(variant)
            if row is None:
                run = []
                continue
            y = bottom - PLOT_HEIGHT * row[figure] / most
            low, high = (bottom - PLOT_HEIGHT * row.get(f"{figure}_{end}", row[figure]) / most for end in ("low", "high"))
            draw.line((x, low, x, high), fill=colour, width=2)
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour)
            run.append((x, y))
            if len(run) > 1:
                draw.line(run[-2:], fill=colour, width=3)
        x, y = left + (right - left) * (number % 3) / 3, bottom + 38 + 22 * (number // 3)
        draw.rectangle((x, y + 2, x + 14, y + 14), fill=colour)
        draw_text(picture, (x + 22, y), variant, SIZE, INK)
    return picture
