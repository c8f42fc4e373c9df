"""Regions: where in the frame a subject may appear, as masks of pixels and of tokens (ours; docs/method.md section 17).

Legend: H, W = token grid of a frame, P = H * W.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from lumosx_core.errors import InputError, quoted
from lumosx_core.files.images import open_image
from lumosx_core.model.video_size import VideoSize

EVERYWHERE = "everywhere"
SIDES = ("left", "right", "top", "bottom")
TOKEN = 16  # pixels of a token's side


def read_region(said: str, size: VideoSize, what: str) -> bytes:
    """The tokens of a region, as `TokenLayout` takes them. said: "everywhere", a side of the frame ("left" is its left half),
    or the file of a picture of the video's size, white inside of the region; what: whose it is, for messages.

    Raises InputError for a file that is no picture, and as `region_tokens` does.
    """
    if said == EVERYWHERE:
        return b""
    if said in SIDES:
        return region_tokens(_side(said, size), size, what)
    if not Path(said).is_file():
        raise InputError(
            f"{what} is {quoted(said)}, expected {EVERYWHERE}, {', '.join(SIDES)}, or the file of a picture that is white "
            "where the subject may be"
        )
    return region_tokens(np.asarray(open_image(said).convert("L"), np.float32) / 255, size, what)


def region_tokens(mask: np.ndarray, size: VideoSize, what: str) -> bytes:
    """[P] bytes: 1 for the tokens at least half of whose 16 x 16 pixels are inside. mask: float or bool [height, width], inside
    above 0.5. Raises InputError for a mask of another size than the video's, and where no token is inside."""
    if mask.shape != (size.height, size.width):
        height, width = mask.shape
        raise InputError(
            f"{what} is {width} x {height} pixels, the video {size.width} x {size.height}; make the mask as large as the video"
        )
    inside = (np.asarray(mask) > 0.5).reshape(size.height // TOKEN, TOKEN, size.width // TOKEN, TOKEN).mean((1, 3)) >= 0.5
    if not inside.any():
        raise InputError(
            f"{what} is empty, or smaller than the {TOKEN} x {TOKEN} pixels that the model sees as one; make it white where "
            "the subject may be, or leave it out"
        )
    return inside.astype(np.uint8).tobytes()


def columns(count: int, size: VideoSize) -> list[bytes]:
    """The tokens of so many regions side by side from left to right, as wide as each other to a token. Raises InputError for
    more than there are columns of tokens."""
    _, height, width = size.grid
    if count > width:
        raise InputError(f"{count} subjects do not fit side by side into {size.width} pixels; make the video wider")
    edges = [round(number * width / count) for number in range(count + 1)]
    return [bytes(a <= x < b for x in range(width)) * height for a, b in pairwise(edges)]


def regions_of_references(regions: Sequence[bytes], subjects: Sequence[int | None]) -> tuple[bytes, ...]:
    """The region of every reference, in their order, from those of the subjects; b"" is everywhere. subjects: of each
    reference. Raises InputError for more regions than there are subjects."""
    count = len({subject for subject in subjects if subject is not None})
    if len(regions) > count:
        raise InputError(f"{len(regions)} regions are given for {count} subjects; give at most one for each, in their order")
    if not any(regions):
        return ()
    known = dict(enumerate(regions))
    return tuple(b"" if subject is None else known.get(subject, b"") for subject in subjects)


def _side(side: str, size: VideoSize) -> np.ndarray:
    mask = np.zeros((size.height, size.width), bool)
    first = side in ("left", "top")
    axis = mask.T if side in ("left", "right") else mask
    axis[: len(axis) // 2] = first
    axis[len(axis) // 2 :] = not first
    return mask
