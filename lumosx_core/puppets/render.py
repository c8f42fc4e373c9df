"""The pixels of a clip and their exact truth.

Shapes: F = frames, H, W = pixels (80 x 96; 80 x 128 of four people), N = puppets.
"""

from dataclasses import dataclass

import numpy as np

from lumosx_core.puppets.clip import BLOCK, ROWS, ClipSpec
from lumosx_core.puppets.draw import (
    ATTRIBUTE_LABELS,
    LABEL_HAIR,
    LABEL_HEAD,
    draw_puppet,
)
from lumosx_core.puppets.motion import camera_x, pose_at
from lumosx_core.puppets.painter import UNITS_PER_PIXEL, Painter
from lumosx_core.puppets.scenes import (
    SCENE_TOP,
    SCENE_WIDTH,
    paint_object,
    paint_scene,
)


@dataclass(frozen=True, kw_only=True)
class RenderedClip:
    """Pixels and truth of a clip."""

    frames: np.ndarray  # uint8 [F, H, W, 3]
    owner: np.ndarray  # int8 [F, H, W]: index of the puppet that a pixel shows, -1 elsewhere
    label: np.ndarray  # int16 [F, H, W]: LABEL_* of the person, ATTRIBUTE_LABELS of what is worn, OBJECT_LABEL, 0
    face_boxes: np.ndarray  # float32 [F, N, 4]: x0, y0, x1, y1 of the visible head and hair, NaN when hidden

    def attribute_mask(self, puppet: int, kind: str) -> np.ndarray:
        """Bool [F, H, W]: where that puppet's attribute of that kind is visible."""
        return (self.owner == puppet) & (self.label == ATTRIBUTE_LABELS[kind])

    def puppet_boxes(self) -> np.ndarray:
        """float32 [F, N, 4]: x0, y0, x1, y1 of each whole puppet, NaN when hidden."""
        count = self.face_boxes.shape[1]
        return np.stack([[_bounding_box(owner == n) for n in range(count)] for owner in self.owner]).astype(np.float32)


def render_clip(clip: ClipSpec) -> RenderedClip:
    """Pixels and exact truth of the clip."""
    scene = paint_scene(clip.scene, clip.scene_seed)
    shape = (clip.frames, ROWS, clip.columns)
    frames = np.zeros((*shape, 3), np.uint8)
    owner, label = np.full(shape, -1, np.int8), np.zeros(shape, np.int16)
    y, x = (np.mgrid[0:ROWS, 0 : clip.columns].astype(np.float32) + 0.5) * UNITS_PER_PIXEL
    y = y + SCENE_TOP
    for f in range(clip.frames):
        shift = camera_x(clip.pan, f)
        left = left_column(clip.scene_offset + shift, clip.columns)
        frames[f] = scene[:, left : left + clip.columns]
        for thing, place_x in zip(clip.objects, clip.object_places, strict=True):
            moved = UNITS_PER_PIXEL * round((place_x - shift) / UNITS_PER_PIXEL)
            painter = Painter(x - moved, y - 57.0)
            paint_object(painter, thing)
            _stamp(frames[f], owner[f], label[f], painter, -1)
        for n, (puppet, place) in enumerate(zip(clip.puppets, clip.placements, strict=True)):
            painter = draw_puppet(puppet, pose_at(place, f), clip.columns, ROWS, SCENE_TOP)
            _stamp(frames[f], owner[f], label[f], painter, n)
    heads = (label == LABEL_HEAD) | (label == LABEL_HAIR)
    boxes = [[_bounding_box(heads[f] & (owner[f] == n)) for n in range(len(clip.puppets))] for f in range(clip.frames)]
    return RenderedClip(
        frames=enlarged(frames),
        owner=enlarged(owner),
        label=enlarged(label),
        face_boxes=BLOCK * np.asarray(boxes, np.float32),
    )


def left_column(offset: float, columns: int) -> int:
    """The column of the scene that is at the left edge of a frame of `columns`."""
    return int(np.clip(round(offset / UNITS_PER_PIXEL), 0, round(SCENE_WIDTH / UNITS_PER_PIXEL) - columns))


def enlarged(pixels: np.ndarray) -> np.ndarray:
    """[F, rows, columns, ...] with every pixel as BLOCK x BLOCK."""
    return pixels.repeat(BLOCK, 1).repeat(BLOCK, 2)


def _stamp(frame: np.ndarray, owner: np.ndarray, label: np.ndarray, painter: Painter, index: int) -> None:
    painted = painter.label > 0
    frame[painter.window][painted] = np.clip(painter.rgb[painted], 0, 255).astype(np.uint8)
    owner[painter.window][painted] = index
    label[painter.window][painted] = painter.label[painted]


def _bounding_box(mask: np.ndarray) -> list[float]:
    if not mask.any():
        return [np.nan] * 4
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)]
