"""A contact sheet: the references grouped by owner beside frames of the video.

Legend: F = frames, H, W = pixels.
"""

import numpy as np
from PIL import Image, ImageDraw

from lumosx_core.owner_palette import INK, PAPER, QUIET, Owner, fit_text, font, owners, thumbnail, tint
from lumosx_core.references import ReferenceSet

MARGIN = 14
HEAD = 26
NODE = 84  # side of a reference, pixels
LABEL = 20
FRAME_WIDTH = 288  # at least, pixels; small frames are enlarged by a whole factor
COLUMNS = 3


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
    draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    lines: list[str] = []
    for word in prompt.split(" "):
        if lines and draw.textlength(f"{lines[-1]} {word}", font(16)) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    panel = Image.new("RGB", (width, 21 * len(lines) + (20 if note else 0)), PAPER)
    draw = ImageDraw.Draw(panel)
    for row, line in enumerate(lines):
        draw.text((0, 21 * row), line, fill=INK, font=font(16))
    if note:
        draw.text((0, 21 * len(lines)), fit_text(draw, note, 14, width), fill=QUIET, font=font(14))
    return panel


def reference_panel(references: ReferenceSet) -> Image.Image:
    """RGB picture of all references, a block per owner in its colour."""
    everybody = owners(references)
    if not everybody:
        panel = Image.new("RGB", (NODE * 2, HEAD), PAPER)
        ImageDraw.Draw(panel).text((0, 4), "no references", fill=QUIET, font=font(15))
        return panel
    columns = max(len(owner.members) for owner in everybody)
    columns = min(4, columns)
    width = columns * (NODE + MARGIN) + MARGIN
    groups = [_owner_panel(references, owner, width, columns) for owner in everybody]
    panel = Image.new("RGB", (width, sum(g.height for g in groups) + MARGIN * (len(groups) - 1)), PAPER)
    top = 0
    for group in groups:
        panel.paste(group, (0, top))
        top += group.height + MARGIN
    return panel


def _owner_panel(references: ReferenceSet, owner: Owner, width: int, columns: int) -> Image.Image:
    rows = -(-len(owner.members) // columns)
    panel = Image.new("RGB", (width, HEAD + rows * (NODE + LABEL + MARGIN // 2) + MARGIN // 2), tint(owner.colour, 0.1))
    draw = ImageDraw.Draw(panel)
    draw.rectangle((0, 0, width, HEAD), fill=owner.colour)
    draw.text((8, 4), fit_text(draw, owner.title, 16, width - 16), fill="white", font=font(16))
    flat = references.references()
    for place, index in enumerate(owner.members):
        x = MARGIN + (place % columns) * (NODE + MARGIN)
        y = HEAD + MARGIN // 2 + (place // columns) * (NODE + LABEL + MARGIN // 2)
        panel.paste(thumbnail(flat[index], NODE), (x, y))
        draw.rectangle((x - 1, y - 1, x + NODE, y + NODE), outline=owner.colour, width=2)
        phrase = fit_text(draw, flat[index].phrase, 13, NODE + MARGIN - 4)
        draw.text((x + NODE / 2, y + NODE + 3), phrase, fill=INK, font=font(13), anchor="ma")
    return panel


def _frame_grid(frames: np.ndarray, shown: int) -> Image.Image:
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(shown, len(frames))).round().astype(int))
    height, width = frames.shape[1:3]
    enlarge = max(1, -(-FRAME_WIDTH // width))
    scale = min(1.0, 480 / (width * enlarge))
    size = (round(width * enlarge * scale), round(height * enlarge * scale))
    smooth = Image.Resampling.NEAREST if scale == 1.0 else Image.Resampling.LANCZOS
    columns = min(COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    grid = Image.new("RGB", (columns * (size[0] + 4) - 4, rows * (size[1] + 4) - 4), PAPER)
    for place, index in enumerate(chosen):
        image = Image.fromarray(frames[index]).resize(size, smooth)
        grid.paste(image, ((place % columns) * (size[0] + 4), (place // columns) * (size[1] + 4)))
    return grid
