"""Several seeds side by side: the references at the left, a row of frames for each seed.

Legend: F = frames, H, W = pixels.
"""

import numpy as np
from PIL import Image

from lumosx_core.drawing.contact_sheet import MARGIN, reference_panel
from lumosx_core.drawing.lettering import draw_text, fit_lines
from lumosx_core.drawing.palette import INK, PAPER, QUIET
from lumosx_core.files.videos import spread_frames
from lumosx_core.references import ReferenceSet

FRAME = 192  # pixels: the longer side of a frame in the sheet
SHOWN = 3  # frames of a row
TITLE, PROMPT_LINES = 24, 6


def seed_sheet(
    references: ReferenceSet, videos: list[tuple[int, np.ndarray]], *, prompt: str = "", shown: int = SHOWN
) -> Image.Image:
    """RGB picture: the prompt on top, left a panel per owner with its pictures, right a row of `shown` frames for each seed.

    videos: (seed, uint8 [F, H, W, 3]), at least one, all of one size.
    """
    panel = reference_panel(references)
    rows = [_row(seed, frames, shown) for seed, frames in videos]
    right = max(row.width for row in rows)
    width = panel.width + right + 3 * MARGIN
    lines = fit_lines(prompt, 16, width - 2 * MARGIN, PROMPT_LINES) if prompt else []
    top = MARGIN + 21 * len(lines) + (MARGIN if lines else 0)
    tall = sum(row.height for row in rows)
    sheet = Image.new("RGB", (width, top + max(panel.height, tall) + MARGIN), PAPER)
    for number, line in enumerate(lines):
        draw_text(sheet, (MARGIN, MARGIN + 21 * number), line, 16, INK)
    sheet.paste(panel, (MARGIN, top))
    for row in rows:
        sheet.paste(row, (panel.width + 2 * MARGIN, top))
        top += row.height
    return sheet


def _row(seed: int, frames: np.ndarray, shown: int) -> Image.Image:
    chosen = spread_frames(len(frames), shown)
    height, width = frames.shape[1:3]
    scale = FRAME / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    smooth = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    row = Image.new("RGB", (len(chosen) * (size[0] + 4) - 4, TITLE + size[1] + 8), PAPER)
    draw_text(row, (0, 2), f"seed {seed}", 15, QUIET)
    for place, index in enumerate(chosen):
        row.paste(Image.fromarray(frames[index]).resize(size, smooth), (place * (size[0] + 4), TITLE))
    return row
