"""A sheet that shows what was found: each photograph with its boxes, and the cut-outs that came out of it."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from lumosx_core.drawing.contact_sheet import reference_panel
from lumosx_core.drawing.lettering import draw_text, fit_lines, text_width
from lumosx_core.drawing.palette import ALARM, INK, PAPER, QUIET, RGB, SUBJECT_COLOURS
from lumosx_core.eyes import Mark
from lumosx_core.files.images import rgb_on_white
from lumosx_core.references import ReferenceSet, Subject

MARGIN = 14
SIDE = 480  # pixels of the longer side of a photograph
LINES = 24  # of the text, at most


def person_sheet(photographs: Sequence[tuple[Image.Image, Sequence[Mark]]], subject: Subject, text: str) -> Image.Image:
    """RGB picture: left the photographs with their boxes, right the face and the things, below what is told.

    Marks that are "quiet", such as other people, are grey; "doubtful" ones have the colour of alarm."""
    shown = [_photograph(picture, marks) for picture, marks in photographs]
    panel = reference_panel(ReferenceSet(subjects=(subject,)))
    left = max(picture.width for picture in shown)
    height = max(sum(picture.height + MARGIN for picture in shown) - MARGIN, panel.height)
    width = left + panel.width + 3 * MARGIN
    lines = [part for line in text.splitlines() for part in fit_lines(line, 14, width - 2 * MARGIN, 3)][:LINES]
    sheet = Image.new("RGB", (width, height + 19 * len(lines) + 3 * MARGIN), PAPER)
    top = MARGIN
    for picture in shown:
        sheet.paste(picture, (MARGIN, top))
        top += picture.height + MARGIN
    sheet.paste(panel, (left + 2 * MARGIN, MARGIN))
    for row, line in enumerate(lines):
        draw_text(sheet, (MARGIN, height + 2 * MARGIN + 19 * row), line, 14, ALARM if "NOT FOUND" in line else INK)
    return sheet


def _photograph(picture: Image.Image, marks: Sequence[Mark]) -> Image.Image:
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    smooth = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    shown = rgb_on_white(picture).resize(size, smooth)
    draw = ImageDraw.Draw(shown)
    for index, (box, words, how) in enumerate(marks):
        colours: dict[str, RGB] = {"quiet": QUIET, "doubtful": ALARM, "plain": SUBJECT_COLOURS[index % len(SUBJECT_COLOURS)]}
        colour = colours[how]
        left, top, right, bottom = (round(value * scale) for value in box)
        right, bottom = max(right - 1, left), max(bottom - 1, top)
        draw.rectangle((left, top, right, bottom), outline=colour, width=1 if how == "quiet" else 2)
        if words:
            wide = text_width(words, 13) + 6
            x, y = max(0, min(left, size[0] - round(wide))), top - 17 if top >= 17 else top
            draw.rectangle((x, y, x + wide, y + 17), fill=colour)
            draw_text(shown, (x + 3, y + 1), words, 13, "white")
    return shown
