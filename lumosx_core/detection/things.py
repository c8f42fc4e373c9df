"""One thing of a picture by the words for it: where it is, and which pixels are of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lumosx_core.detection.boxes import Point, inside_picture, show
from lumosx_core.errors import InputError, quoted
from lumosx_core.eyes import Box, Found, PhraseFinder, Segmenter
from lumosx_core.files.images import rgb_on_white
from lumosx_core.references import one_line


@dataclass(frozen=True, kw_only=True)
class ThingEyes:
    """What finds a thing by words, and what tells its pixels; one object may be both."""

    phrases: PhraseFinder
    masks: Segmenter

    def free(self) -> None:
        """Let go of the models of those that hold some; they are loaded again when they are needed."""
        free_all(self.phrases, self.masks)


def free_all(*finders: object) -> None:
    """`free` of those finders that have one."""
    for finder in finders:
        release = getattr(finder, "free", None)
        if release is not None:
            release()


def find_thing(
    picture: Image.Image, phrase: str, eyes: ThingEyes, *, within: Box | None = None, points: Sequence[Point] = ()
) -> tuple[Found, np.ndarray]:
    """The place where the thing is seen most surely, and its mask bool [H, W].

    within: it is looked for in this box alone. points: (x, y) in pixels that lie in the box of the thing, all of them; they
    choose between several. Raises InputError for an empty phrase, for a box or point outside the picture, if nothing of the
    kind is there, and whatever the finders raise.
    """
    wanted = one_line(phrase, "the phrase to look for", 400)
    if not wanted:
        raise InputError("the phrase to look for is empty; give words such as red jacket")
    flat = rgb_on_white(picture)
    part = None if within is None else inside_picture(within, flat)
    for x, y in points:
        if not (0 <= x < flat.width and 0 <= y < flat.height):
            raise InputError(f"the point ({x:g}, {y:g}) is outside the image of {flat.width}x{flat.height} pixels")
    there = [
        thing
        for thing in eyes.phrases.find_phrase(flat, wanted, part)
        if part is None or _holds(part, ((thing.box[0] + thing.box[2]) / 2, (thing.box[1] + thing.box[3]) / 2))
    ]
    where = "the image" if part is None else f"the box {show(part)}"
    if not there:
        raise InputError(
            f"nothing that looks like {quoted(wanted)} was found in {where}; use other words, an image that shows it larger, a "
            "box around it, or cut it out by a mask"
        )
    chosen = [thing for thing in there if all(_holds(thing.box, point) for point in points)]
    if not chosen:
        raise InputError(
            f"{quoted(wanted)} was found at {'; '.join(show(thing.box) for thing in there[:8])}, but not where the points are; "
            "move the points onto it, or clear them"
        )
    found = max(chosen, key=lambda thing: thing.score)
    mask = np.asarray(eyes.masks.segment(flat, found), dtype=bool)
    if not mask.any():
        raise InputError(
            f"{quoted(wanted)} was found at {show(found.box)}, but no pixel of it is visible; use other words, another image, "
            "or cut it out by a mask"
        )
    return found, mask


def _holds(box: Box, point: Point) -> bool:
    return box[0] <= point[0] < box[2] and box[1] <= point[1] < box[3]
