"""How well finders see: pictures of the puppet world, in which everything is known, against what was found in them.

Legend: H, W = pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from lumosx_core.eyes import Box, FaceFinder, Found, PeopleFinder, PhraseFinder, Segmenter
from lumosx_core.numbers import whole_number
from lumosx_core.puppets.clip import ClipSpec, sample_clip
from lumosx_core.puppets.render import RenderedClip, render_clip

CENTRED = 0.1  # of the longer side of a face: farther than that its middle is wrong
VISIBLE = 12  # pixels of a thing that are asked for: three large ones of the drawing


class Eyes(PeopleFinder, FaceFinder, PhraseFinder, Segmenter, Protocol):
    """All finders in one."""


@dataclass(frozen=True, kw_only=True)
class EyesReport:
    """What was found in `pictures` pictures. All numbers are shares, 0..1.

    counted: pictures with the right number of people. centred: faces whose middle is off by less than CENTRED of their longer
    side. people_iou, things_iou: means of intersection over union. good: things with at least 0.85. owned: things that were
    found on the person who wears them, and there alone. by_kind: the mean for each kind of thing. asked: how many things.
    """

    pictures: int
    counted: float
    faces: int
    centred: float
    people_iou: float
    asked: int
    things_iou: float
    good: float
    owned: float
    by_kind: dict[str, float]


def photograph_specs(count: int, seed: int, *, held_out: bool = True) -> list[ClipSpec]:
    """What is in `count` pictures of one to three people, each with one to three things, and sometimes an object."""
    whole_number(count, "the number of pictures", least=1, most=100_000)
    rng = np.random.default_rng(seed)
    return [
        sample_clip(
            rng,
            people=1 + index % 3,
            attributes=int(rng.integers(1, 4)),
            objects=int(rng.integers(0, 2)),
            described=True,
            held_out=held_out,
            frames=1,
        )
        for index in range(count)
    ]


def evaluate_eyes(eyes: Eyes, specs: list[ClipSpec], *, done: Callable[[int], None] | None = None) -> EyesReport:
    """Look at the first frame of each clip. Who is who is settled by the boxes of people; things are looked for by the words
    of the caption, first in the whole picture, then inside each person's box. done(number) after every picture."""
    counted: list[bool] = []
    centred: list[bool] = []
    owned: list[bool] = []
    people_iou: list[float] = []
    things: list[tuple[str, float]] = []
    for number, clip in enumerate(specs, start=1):
        rendered = render_clip(clip)
        picture = Image.fromarray(rendered.frames[0])
        people = eyes.find_people(picture)
        counted.append(len(people) == len(clip.puppets))
        true_boxes = [tuple(map(float, box)) for box in rendered.puppet_boxes()[0]]
        faces = eyes.find_faces(picture)
        for n in range(len(clip.puppets)):
            centred.append(any(_is_centred(face, rendered.face_boxes[0, n]) for face in faces))
            masks = [eyes.segment(picture, person) for person in people]
            people_iou.append(max((mask_iou(mask, rendered.owner[0] == n) for mask in masks), default=0.0))
        for n, (puppet, phrases) in enumerate(zip(clip.puppets, clip.caption.attribute_phrases, strict=True)):
            for worn, phrase in zip(puppet.attributes, phrases, strict=True):
                true = rendered.attribute_mask(n, worn.kind)[0]
                if true.sum() < VISIBLE:
                    continue
                found = eyes.find_phrase(picture, phrase, true_boxes[n])  # type: ignore[arg-type]
                things.append((worn.kind, mask_iou(eyes.segment(picture, found[0]), true) if found else 0.0))
                everywhere = eyes.find_phrase(picture, phrase)
                owned.append(bool(everywhere) and _owner(everywhere[0], rendered) == n)
        if done is not None:
            done(number)
    kinds = sorted({kind for kind, _ in things})
    return EyesReport(
        pictures=len(specs),
        counted=float(np.mean(counted)),
        faces=len(centred),
        centred=float(np.mean(centred)),
        people_iou=float(np.mean(people_iou)),
        asked=len(things),
        things_iou=float(np.mean([iou for _, iou in things])),
        good=float(np.mean([iou >= 0.85 for _, iou in things])),
        owned=float(np.mean(owned)),
        by_kind={kind: float(np.mean([iou for k, iou in things if k == kind])) for kind in kinds},
    )


def mask_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks bool [H, W], 0..1; 0 of two empty ones."""
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 0.0


def _is_centred(face: Found, true: np.ndarray) -> bool:
    box: Box = face.box
    middle = np.array([box[0] + box[2], box[1] + box[3]]) / 2
    wanted = np.array([true[0] + true[2], true[1] + true[3]]) / 2
    side = max(true[2] - true[0], true[3] - true[1])
    return bool(np.abs(middle - wanted).max() <= CENTRED * side)


def _owner(found: Found, rendered: RenderedClip) -> int:
    """Whose pixels the middle part of the box, or the mask, shows most; -1 for nobody's."""
    owner = rendered.owner[0]
    if found.mask is not None:
        inside = owner[found.mask]
    else:
        left, top, right, bottom = (round(value) for value in found.box)
        inside = owner[max(0, top) : bottom, max(0, left) : right].ravel()
    inside = inside[inside >= 0]
    return int(np.bincount(inside).argmax()) if len(inside) else -1
