"""Photographed people cut out, with shirts of other colours: who they are, their pixels, shirts and faces are known.

The pictures, of openpeople, show people in white shirts before a grey wall. The wall is smooth: what differs from a surface
that is laid through it is the person. That is another way than those of the models that are judged by it.

Legend: H, W = pixels of the cut-out, which ends at the hips.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image
from scipy import ndimage

from lumosx_core.data.relations.colours import to_lab
from lumosx_core.eyes import Box
from lumosx_core.files.images import open_image, rgb_on_white
from tests.core.real.kit import PEOPLE, dlib

NAMES = tuple(f"P{number:03d}" for number in range(1, 11))
WORK_HEIGHT = 1376  # pixels of the whole picture
HIPS = 0.44  # of a body's height, from the top: above everybody's hem
DIFFERENT = (9.0, 18.0)  # CIELAB from the wall: nothing of it is the person, all of it is
SHIRTS: dict[str, str] = {
    "red": "c02828", "blue": "2850b0", "green": "2f8a3c", "yellow": "dcc42c", "orange": "e47a1c", "purple": "7038a0",
    "pink": "ec88b0", "black": "242424", "white": "f0f0f0",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class CutPerson:
    """A person: rgb uint8 [H, W, 3], alpha and shirt float32 [H, W] from 0 to 1, face as a box in them."""

    name: str
    rgb: np.ndarray
    alpha: np.ndarray
    shirt: np.ndarray
    face: Box


@lru_cache(maxsize=len(NAMES))
def cut_person(name: str) -> CutPerson:
    """The person of that name out of their studio picture, in the white shirt."""
    picture = rgb_on_white(open_image(PEOPLE / name / "assets" / "studio_posture.jpg"))
    picture = picture.resize((round(picture.width * WORK_HEIGHT / picture.height), WORK_HEIGHT), Image.Resampling.LANCZOS)
    rgb = np.asarray(picture)
    lab = to_lab(rgb)
    away = np.linalg.norm(lab - _wall(lab), axis=-1)
    alpha = ((away - DIFFERENT[0]) / (DIFFERENT[1] - DIFFERENT[0])).clip(0, 1)
    body = _largest(ndimage.binary_opening(alpha > 0.5, iterations=2))
    body = ndimage.binary_dilation(body, iterations=3)
    inner = _filled(_largest((alpha > 0.5) & body), away)
    alpha = np.where(inner, 1.0, alpha * body)
    rows = np.flatnonzero(inner.any(1))
    end = int(rows[0] + HIPS * (rows[-1] - rows[0]))
    columns = np.flatnonzero(inner[:end].any(0))
    part = np.s_[max(0, rows[0] - 4) : end, max(0, columns[0] - 4) : columns[-1] + 5]
    rgb, alpha, lab = rgb[part], alpha[part], lab[part]
    light = (lab[..., 0] > 58) & (np.hypot(lab[..., 1], lab[..., 2]) < 13) & (alpha > 0.5)
    light[: len(light) // 4] = False  # eyes and teeth
    shirt = ndimage.binary_fill_holes(_largest(ndimage.binary_opening(light, iterations=2)))
    edge = ndimage.binary_dilation(shirt, iterations=4) & (lab[..., 0] > 40) & (np.hypot(lab[..., 1], lab[..., 2]) < 14)
    shirt |= edge  # where white and wall mix
    return CutPerson(
        name=name,
        rgb=rgb,
        alpha=ndimage.gaussian_filter(alpha.astype(np.float32), 0.7),
        shirt=ndimage.gaussian_filter(shirt.astype(np.float32), 0.7),
        face=_face(rgb),
    )


def dressed(person: CutPerson, colour: str) -> np.ndarray:
    """uint8 [H, W, 3]: the person in a shirt of a colour of SHIRTS; folds and shadows stay."""
    code = np.array([int(SHIRTS[colour][k : k + 2], 16) for k in (0, 2, 4)], np.float32)
    value = person.rgb.astype(np.float32)
    light = value.mean(-1)
    shade = (light / np.percentile(light[person.shirt > 0.5], 80)).clip(0, 1.1)[..., None]
    part = person.shirt[..., None]
    return ((1 - part) * value + part * (code * shade)).clip(0, 255).astype(np.uint8)


def _wall(lab: np.ndarray) -> np.ndarray:
    """[H, W, 3]: a smooth surface (polynomials of third degree) through the pixels at both sides of the picture."""
    height, width = lab.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    y, x = y / height, x / width * 2 - 1
    terms = np.stack([x**a * y**b for a in range(4) for b in range(4 - a)], -1)
    side = (np.abs(x) > 0.62) & (y < 0.6)
    side[: height // 25] = True
    factors, *_ = np.linalg.lstsq(terms[side][::17], lab[side][::17], rcond=None)
    return terms @ factors


def _largest(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask)
    return labels == 1 + int(np.argmax(ndimage.sum_labels(mask, labels, range(1, count + 1))))


def _filled(mask: np.ndarray, away: np.ndarray) -> np.ndarray:
    """Without its holes, but for those through which the wall is seen: between an arm and the body."""
    labels, count = ndimage.label(ndimage.binary_fill_holes(mask) & ~mask)
    if not count:
        return mask
    sizes = ndimage.sum_labels(np.ones_like(labels), labels, range(1, count + 1))
    means = ndimage.mean(away, labels, range(1, count + 1))
    return mask | np.isin(labels, 1 + np.flatnonzero((sizes < 60) | (means > 5)))


def _face(rgb: np.ndarray) -> Box:
    """By dlib's gradients, not by the network that is judged."""
    faces = dlib().get_frontal_face_detector()(np.ascontiguousarray(rgb[: len(rgb) // 2]), 1)
    assert len(faces) == 1, f"{len(faces)} faces in a cut-out"
    return float(faces[0].left()), float(faces[0].top()), float(faces[0].right()), float(faces[0].bottom())
