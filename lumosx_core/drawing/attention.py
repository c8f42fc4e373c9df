"""A picture of recorded attention: where in the frames each owner's references were looked at, and how much over the steps.

Legend: F = frames, T, H, W = latent frames and token grid, G = groups (one per owner of references, in model order).
"""

import numpy as np
import torch
from PIL import Image, ImageDraw

from lumosx_core.drawing.lettering import draw_text, fit_text, text_width
from lumosx_core.drawing.palette import INK, PAPER, QUIET, colour_of, title_lines
from lumosx_core.errors import InputError
from lumosx_core.files.videos import spread_frames
from lumosx_core.model.attention_shares import AttentionRecord
from lumosx_core.owners import Owner, owners
from lumosx_core.references import ReferenceSet

MARGIN, LABELS = 24, 190
FRAME_WIDTH = 200  # pixels of one frame in the picture
SHOWN = 4  # frames
CURVE_HEIGHT = 180
RANGE = (0.01, 0.99)  # quantiles of an owner's shares that get no colour and the full one
STRONGEST = 0.85  # of the colour over the frame


def draw_attention(references: ReferenceSet, record: AttentionRecord, frames: np.ndarray | None = None) -> Image.Image:
    """RGB picture: a row per owner with the tokens that looked at it in its colour, and its share over the steps.

    frames: uint8 [F, H_px, W_px, 3], the video of the same run, drawn grey underneath; without it only the colour.
    Raises InputError if nothing was recorded, or for other references or another length.
    """
    everybody, shares = owners(references), record.shares()
    if shares.shape[-1] != len(everybody):
        raise InputError(
            f"attention was recorded for {shares.shape[-1]} owners of references, the graph has {len(everybody)}; connect the "
            "graph of the same run"
        )
    if frames is not None and len(frames) != 4 * shares.shape[1] - 3:
        raise InputError(
            f"the video has {len(frames)} frames, attention was recorded for {4 * shares.shape[1] - 3}; connect the frames of "
            "the same run"
        )
    rows = _draw_rows(everybody, shares.mean(0), frames)
    curves = _draw_curves(everybody, shares.mean((1, 2, 3)), record.sigmas, rows.width)
    picture = Image.new("RGB", (rows.width, rows.height + curves.height), PAPER)
    picture.paste(rows, (0, 0))
    picture.paste(curves, (0, rows.height))
    return picture


def _draw_rows(everybody: tuple[Owner, ...], shares_THWG: torch.Tensor, frames: np.ndarray | None) -> Image.Image:
    """One row of frames per owner."""
    count, height, width = shares_THWG.shape[:3]
    chosen = spread_frames(count, SHOWN)
    size = (FRAME_WIDTH, max(1, round(FRAME_WIDTH * height / width)))
    picture = Image.new(
        "RGB",
        (2 * MARGIN + LABELS + len(chosen) * (size[0] + 4), 3 * MARGIN + 24 + len(everybody) * (size[1] + 8)),
        PAPER,
    )
    draw_text(picture, (MARGIN, MARGIN - 8), "Where the frames looked at each one's references", 20, INK)
    for row, owner in enumerate(everybody):
        own = shares_THWG[..., row]
        low, high = own.flatten().quantile(torch.tensor(RANGE)).tolist()
        strength_THW = ((own - low) / max(high - low, 1e-6)).clamp(0, 1)
        y = 2 * MARGIN + 12 + row * (size[1] + 8)
        title = title_lines(owner, 15, LABELS - 10, 2 if size[1] >= 64 else 1)
        for line, words in enumerate(title):
            draw_text(picture, (MARGIN, y + 4 + 20 * line), words, 15, colour_of(owner))
        draw_text(picture, (MARGIN, y + 6 + 20 * len(title)), f"{low:.1%} to {high:.1%}", 13, QUIET)
        for column, index in enumerate(chosen):
            base = None if frames is None else frames[min(len(frames) - 1, 4 * index)]
            tile = _overlay(owner, strength_THW[index].numpy(), base, size)
            picture.paste(tile, (MARGIN + LABELS + column * (size[0] + 4), y))
    return picture


def _overlay(owner: Owner, strength_HW: np.ndarray, frame: np.ndarray | None, size: tuple[int, int]) -> Image.Image:
    """A grey frame with the owner's colour where `strength` (0..1) is high."""
    grey = Image.new("L", size, 235) if frame is None else Image.fromarray(frame).convert("L").resize(size)
    base = np.asarray(grey, dtype=np.float32)[..., None] * 0.8
    mask = Image.fromarray((strength_HW * 255).round().astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    alpha = np.asarray(mask, dtype=np.float32)[..., None] / 255 * STRONGEST
    mixed = base * (1 - alpha) + np.asarray(colour_of(owner), dtype=np.float32) * alpha
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


def _draw_curves(everybody: tuple[Owner, ...], shares_SG: torch.Tensor, sigmas: list[float], width: int) -> Image.Image:
    """Mean share of each owner over the steps."""
    tall = max(CURVE_HEIGHT, 44 + 20 * len(everybody))
    picture = Image.new("RGB", (width, tall + 4 * MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)
    draw_text(picture, (MARGIN, 0), "Share of the video's attention over the steps", 20, INK)
    left, top, right = MARGIN + LABELS, 2 * MARGIN, width - MARGIN
    bottom = top + tall
    highest = max(float(shares_SG.max()), 1e-6)
    draw.rectangle((left, top, right, bottom), fill="white", outline=QUIET)
    draw_text(picture, (left - 8, top), f"{highest:.1%}", 13, QUIET, anchor="ra")
    draw_text(picture, (left - 8, bottom), "0%", 13, QUIET, anchor="rd")
    steps = len(sigmas)
    for row, owner in enumerate(everybody):
        places = [
            (left + (right - left) * (step + 0.5) / steps, bottom - tall * float(share) / highest)
            for step, share in enumerate(shares_SG[:, row])
        ]
        if steps > 1:
            draw.line(places, fill=colour_of(owner), width=3)
        for x, y in places:
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour_of(owner))
        share = f": {float(shares_SG[:, row].mean()):.1%}"
        name = fit_text(owner.title, 14, LABELS - 60 - text_width(share, 14), len(owner.heading))
        draw_text(picture, (MARGIN, top + 24 + 20 * row), name + share, 14, colour_of(owner))
    draw_text(picture, (left, bottom + 6), f"step 1 of {steps}, sigma {sigmas[0]:.2f}", 13, QUIET)
    draw_text(picture, (right, bottom + 6), f"sigma {sigmas[-1]:.2f}", 13, QUIET, anchor="ra")
    return picture
