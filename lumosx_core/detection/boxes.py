"""Boxes and points in a picture, and how pictures are cropped and cut out by them and by masks.

Legend: H, W = pixels. A box is (left, top, right, bottom) in pixels of the picture.
"""

import re

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError, quoted
from lumosx_core.eyes import Box as Box
from lumosx_core.eyes import Point as Point
from lumosx_core.files.images import MAX_PIXELS, rgb_on_white
from lumosx_core.numbers import real_number

PixelBox = tuple[int, int, int, int]
INSIDE = 0.5  # a mask's pixels above this count as inside
FARTHEST = 1e6  # pixels; edges of boxes farther out are no places
MAX_POINTS = 100
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"


def parse_box(text: str) -> Box | None:
    """ "x,y,x,y" (left, top, right, bottom in pixels) as a box; None for an empty text. Raises InputError for anything else."""
    if not text.strip():
        return None
    shown = quoted(text)
    match = re.fullmatch(",".join([_NUMBER] * 4), text)
    if not match:
        raise InputError(f"the box {shown} is not understood, expected four numbers: left, top, right, bottom")
    left, top, right, bottom = (_place(number, f"the box {shown}") for number in match.groups())
    if left >= right or top >= bottom:
        raise InputError(f"the box {shown} is empty; expected left < right and top < bottom")
    return left, top, right, bottom


def parse_points(text: str) -> list[Point]:
    """ "x,y; x,y" in pixels as points. Raises InputError for anything else."""
    parts = [part for part in text.split(";") if part.strip()]
    if len(parts) > MAX_POINTS:
        raise InputError(f"got {len(parts)} points, at most {MAX_POINTS} are read; a few on the thing are enough")
    matches = [re.fullmatch(f"{_NUMBER},{_NUMBER}", part) for part in parts]
    if not all(matches):
        raise InputError(f"the points {quoted(text)} are not understood, expected pairs of numbers like 120,80; 64,200")
    what = f"the points {quoted(text)}"
    return [(_place(match[1], what), _place(match[2], what)) for match in matches if match]


def _place(digits: str, what: str) -> float:
    return real_number(float(digits), f"a number of {what}", least=-FARTHEST, most=FARTHEST)


def inside_picture(box: Box, picture: Image.Image) -> Box:
    """The part of a box that lies in the picture. Raises InputError if there is none."""
    left, top, right, bottom = box
    part = (max(0.0, left), max(0.0, top), min(float(picture.width), right), min(float(picture.height), bottom))
    if part[0] >= part[2] or part[1] >= part[3]:
        raise InputError(
            f"the box {show(box)} does not lie in the image of {picture.width}x{picture.height} pixels, or is empty; give "
            "left, top, right and bottom inside it"
        )
    return part


def mask_box(mask: np.ndarray) -> PixelBox:
    """The smallest box around what is inside a mask [H, W]; there must be something."""
    rows, columns = np.nonzero(mask > INSIDE)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def square_around(box: Box, picture: Image.Image, margin: float) -> PixelBox:
    """A square around a box, with `margin` times the box's longer side added on every side.

    It is moved inward at the edges of the picture, and cut off where the picture is too small for it.
    """
    side = max(1, round(max(box[2] - box[0], box[3] - box[1]) * (1 + 2 * margin)))
    left, right = _stretch((box[0] + box[2]) / 2, side, picture.width)
    top, bottom = _stretch((box[1] + box[3]) / 2, side, picture.height)
    return left, top, right, bottom


def _stretch(middle: float, side: int, limit: int) -> tuple[int, int]:
    start = min(max(0, round(middle - side / 2)), max(0, limit - side))
    return start, min(limit, start + side)


def cut_by_mask(picture: Image.Image, mask: np.ndarray, margin: float) -> Image.Image:
    """What is inside the mask [H, W] on white, RGB; soft edges stay soft.

    Cropped to the mask's box, with `margin` times its longer side of the surroundings (white) added on every side.
    """
    left, top, right, bottom = mask_box(mask)
    extra = round(margin * max(right - left, bottom - top))
    width, height = right - left + 2 * extra, bottom - top + 2 * extra
    if width * height > MAX_PIXELS:
        raise InputError(
            f"with the margin {margin:g} the cut-out has {width}x{height} pixels, at most {MAX_PIXELS:,} are made; give a "
            "smaller margin, or scale the image down first"
        )
    colours = np.asarray(rgb_on_white(picture), dtype=np.float32)
    share = mask[..., None].astype(np.float32)
    on_white = Image.fromarray(np.round(colours * share + 255 * (1 - share)).astype(np.uint8))
    canvas = Image.new("RGB", (width, height), "white")
    canvas.paste(on_white, (extra - left, extra - top))
    return canvas


def show(box: Box) -> str:
    """A box in whole pixels, for messages: "(10, 20) to (74, 84)"."""
    left, top, right, bottom = (round(value) for value in box)
    return f"({left}, {top}) to ({right}, {bottom})"
