"""A contact sheet: the references grouped by owner beside frames of the video.

Legend: F = frames, H, W = pixels.
"""

import numpy as np
from PIL import Image, ImageDraw

from lumosx_core.drawing.lettering import draw_text, fit_lines, fit_text
from lumosx_core.drawing.palette import INK, PAPER, QUIET, colour_of, thumbnail, tint, title_lines
from lumosx_core.files.videos import spread_frames
from lumosx_core.owners import Owner, owners
from lumosx_core.references import ReferenceSet

MARGIN = 14
HEAD = 26
NODE = 84  # side of a reference, pixels
LABEL = 20
FRAME_WIDTH = 288  # at least, pixels; small frames are enlarged by a whole factor
COLUMNS = 3
PANEL_HEIGHT, MOST_STACKS = 1600, 12  # pixels of a stack of owners, before there are that many stacks
PROMPT_LINES, TITLE_LINES = 16, 3  # at most; what is longer is cut in the middle


def contact_sheet(
    references: ReferenceSet, frames: np.ndarray, *, shown: int = 6, prompt: str = "", note: str = ""
) -> Image.Image:
    """RGB picture: the prompt on top, left a panel per owner with its pictures, right `shown` frames evenly spread.

    frames: uint8 [F, H, W, 3]. note: a line below the prompt, such as the outcome of a score.
    """
    panel = reference_panel(references)
    video = _frame_grid(frames, shown)
    width = panel.width + video.width + 3 * MARGIN
    head = _text_panel(prompt, note, width - 2 * MARGIN)
    top = head.height + MARGIN if head else 0
    sheet = Image.new("RGB", (width, top + max(panel.height, video.height) + 2 * MARGIN), PAPER)
    if head:
        sheet.paste(head, (MARGIN, MARGIN))
    sheet.paste(panel, (MARGIN, top + MARGIN))
    sheet.paste(video, (panel.width + 2 * MARGIN, top + MARGIN))
    return sheet


def stack_sheets(sheets: list[Image.Image], columns: int) -> Image.Image:
    """Several sheets in a grid, each cell as large as the largest sheet."""
    width, height = max(sheet.width for sheet in sheets), max(sheet.height for sheet in sheets)
    rows = -(-len(sheets) // columns)
    grid = Image.new("RGB", (columns * width, rows * height), PAPER)
    for index, sheet in enumerate(sheets):
        grid.paste(sheet, ((index % columns) * width, (index // columns) * height))
    return grid


def _text_panel(prompt: str, note: str, width: int) -> Image.Image | None:
    if not (prompt or note):
        return None
    lines = fit_lines(prompt, 16, width, PROMPT_LINES) if prompt else []
    panel = Image.new("RGB", (width, 21 * len(lines) + (20 if note else 0)), PAPER)
    for row, line in enumerate(lines):
        draw_text(panel, (0, 21 * row), line, 16, INK)
    if note:
        draw_text(panel, (0, 21 * len(lines)), fit_text(note, 14, width), 14, QUIET)
    return panel


def reference_panel(references: ReferenceSet) -> Image.Image:
    """RGB picture of all references, a block per owner in its colour; many owners are stacked side by side."""
    everybody = owners(references)
    if not everybody:
        panel = Image.new("RGB", (NODE * 2, HEAD), PAPER)
        draw_text(panel, (0, 4), "no references", 15, QUIET)
        return panel
    columns = max(len(owner.members) for owner in everybody)
    columns = min(4, columns)
    width = columns * (NODE + MARGIN) + MARGIN
    groups = [_owner_panel(references, owner, width, columns) for owner in everybody]
    whole = sum(group.height + MARGIN for group in groups)
    tallest = max(PANEL_HEIGHT, -(-whole // MOST_STACKS))
    stacks: list[list[Image.Image]] = [[]]
    for group in groups:
        if stacks[-1] and sum(g.height + MARGIN for g in stacks[-1]) + group.height > tallest:
            stacks.append([])
        stacks[-1].append(group)
    heights = [sum(group.height + MARGIN for group in stack) - MARGIN for stack in stacks]
    panel = Image.new("RGB", (len(stacks) * (width + MARGIN) - MARGIN, max(heights)), PAPER)
    for place, stack in enumerate(stacks):
        top = 0
        for group in stack:
            panel.paste(group, (place * (width + MARGIN), top))
            top += group.height + MARGIN
    return panel


def _owner_panel(references: ReferenceSet, owner: Owner, width: int, columns: int) -> Image.Image:
    rows = -(-len(owner.members) // columns)
    title = title_lines(owner, 16, width - 16, TITLE_LINES)
    head = HEAD + 19 * (len(title) - 1)
    panel = Image.new("RGB", (width, head + rows * (NODE + LABEL + MARGIN // 2) + MARGIN // 2), tint(colour_of(owner), 0.1))
    draw = ImageDraw.Draw(panel)
    draw.rectangle((0, 0, width, head), fill=colour_of(owner))
    for row, line in enumerate(title):
        draw_text(panel, (8, 4 + 19 * row), line, 16, "white")
    flat = references.references()
    for place, index in enumerate(owner.members):
        x = MARGIN + (place % columns) * (NODE + MARGIN)
        y = head + MARGIN // 2 + (place // columns) * (NODE + LABEL + MARGIN // 2)
        panel.paste(thumbnail(flat[index], NODE), (x, y))
        draw.rectangle((x - 1, y - 1, x + NODE, y + NODE), outline=colour_of(owner), width=2)
        phrase = fit_text(flat[index].phrase, 13, NODE + MARGIN - 4)
        draw_text(panel, (x + NODE / 2, y + NODE + 3), phrase, 13, INK, anchor="ma")
    return panel


def _frame_grid(frames: np.ndarray, shown: int) -> Image.Image:
    chosen = spread_frames(len(frames), shown)
    height, width = frames.shape[1:3]
    enlarge = max(1, -(-FRAME_WIDTH // width))
    scale = min(1.0, 480 / (width * enlarge))
    size = (max(1, round(width * enlarge * scale)), max(1, round(height * enlarge * scale)))
    smooth = Image.Resampling.NEAREST if scale == 1.0 else Image.Resampling.LANCZOS
    columns = min(COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    grid = Image.new("RGB", (columns * (size[0] + 4) - 4, rows * (size[1] + 4) - 4), PAPER)
    for place, index in enumerate(chosen):
        image = Image.fromarray(frames[index]).resize(size, smooth)
        grid.paste(image, ((place % columns) * (size[0] + 4), (place // columns) * (size[1] + 4)))
    return grid
