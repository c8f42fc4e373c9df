"""Reference pictures as the eyes find them in a photograph: a head alone before a plain wall, things as far as they are seen.

A model that has only ever seen pictures made for it binds people out of photographs half as well. So some of the people in
the training clips are given by what `PuppetAnalyser` finds in a photograph of the same people in other poses.
"""

from dataclasses import replace
from functools import cache

import numpy as np
from PIL import Image

from lumosx_core.detection.person import Eyes, Which, find_subject
from lumosx_core.errors import InputError
from lumosx_core.puppets.analyser import PuppetAnalyser
from lumosx_core.puppets.clip import ClipSpec
from lumosx_core.puppets.motion import sample_placements
from lumosx_core.puppets.painter import UNITS_PER_PIXEL
from lumosx_core.puppets.render import render_clip
from lumosx_core.references import ReferenceSet, Subject


def with_found_pictures(rng: np.random.Generator, references: ReferenceSet, clip: ClipSpec, share: float) -> ReferenceSet:
    """The references with the pictures of some people, each with probability `share` (0..1), replaced by found ones.

    references: the set that asks for `clip`. Everybody who is replaced is found in one photograph of all the clip's people,
    placed anew. What is not found there, a thing or a whole person, keeps its picture, so that the kinds and phrases of the
    references stay as they are.
    """
    chosen = rng.random(len(references.subjects)) < share
    if not chosen.any():
        return references
    places = tuple(sample_placements(rng, len(clip.puppets), clip.columns * UNITS_PER_PIXEL))
    rendered = render_clip(replace(clip, placements=places, objects=(), object_places=(), pan="none", frames=1))
    photograph = Image.fromarray(rendered.frames[0])
    subjects = [
        _found(photograph, subject, box) if is_chosen else subject
        for subject, box, is_chosen in zip(references.subjects, rendered.face_boxes[0], chosen, strict=True)
    ]
    return replace(references, subjects=tuple(subjects))


def _found(photograph: Image.Image, given: Subject, head: np.ndarray) -> Subject:
    """The subject whose head is in the box `head` (pixels x0, y0, x1, y1; NaN: hidden) of the photograph."""
    if np.isnan(head).any():
        return given
    which = Which(choice="at point", point=(float(head[[0, 2]].mean()), float(head[[1, 3]].mean())))
    try:
        found = find_subject([photograph], given.name, [a.phrase for a in given.attributes], _eyes(), which=which).subject
    except InputError:  # nobody there
        return given
    pictures = {attribute.phrase: attribute.image for attribute in found.attributes}
    attributes = tuple(replace(a, image=pictures.get(a.phrase, a.image)) for a in given.attributes)
    return replace(given, face=found.face if found.face is not None else given.face, attributes=attributes)


@cache
def _eyes() -> Eyes:
    analyser = PuppetAnalyser()
    return Eyes(people=analyser, faces=analyser, phrases=analyser, masks=analyser)
