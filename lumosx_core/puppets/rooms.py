"""Boxes around what is seen of the puppet world, and the rooms that its pictures of faces and things show."""

import numpy as np

from lumosx_core.eyes import Box
from lumosx_core.puppets.painter import UNITS_PER_PIXEL
from lumosx_core.puppets.pictures import ATTRIBUTE_EXTENTS, OBJECT_EXTENT

FACE_ROOM = 0.1  # around a head in the picture of a face, of its longer side


def box_of(mask: np.ndarray) -> Box:
    """The box of what is True in a bool mask [H, W] that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def holds(outer: Box, inner: Box) -> bool:
    """Whether the middle of a box is in another one."""
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x < outer[2] and outer[1] <= y < outer[3]


def face_room(box: Box) -> Box:
    """The room that pictures of a face show, around the box of head and hair."""
    half = (0.5 + FACE_ROOM) * max(box[2] - box[0], box[3] - box[1])
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return x - half, y - half, x + half, y + half


def thing_room(kind: str, cells_hw: np.ndarray, seen_HW: np.ndarray) -> Box:
    """The room that pictures of this kind of thing show, around the middle of what is seen; its bool mask twice."""
    (u0, v0, u1, v1), cells, pixels = ATTRIBUTE_EXTENTS.get(kind, OBJECT_EXTENT), box_of(cells_hw), box_of(seen_HW)
    x, y = (pixels[0] + pixels[2]) / 2, (pixels[1] + pixels[3]) / 2
    across, down = ((pixels[i + 2] - pixels[i]) / (cells[i + 2] - cells[i]) / UNITS_PER_PIXEL / 2 for i in (0, 1))
    return x - across * (u1 - u0), y - down * (v1 - v0), x + across * (u1 - u0), y + down * (v1 - v0)
