"""Eyes that know the truth of rendered pictures: what perfect finders would take out of a photograph of the puppet world.

Whatever a model makes worse of their pictures than of whole ones, the photograph hides or blurs; no better finder would help.
"""

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.eyes import Box, Found, FoundFace
from lumosx_core.puppets.analyser import words_of
from lumosx_core.puppets.clip import BLOCK, ClipSpec
from lumosx_core.puppets.draw import ATTRIBUTE_LABELS, LABEL_HAIR, LABEL_HEAD
from lumosx_core.puppets.render import RenderedClip
from lumosx_core.puppets.rooms import box_of, face_room, overlap, thing_room

HEAD = (LABEL_HEAD, LABEL_HAIR, ATTRIBUTE_LABELS["hat"], ATTRIBUTE_LABELS["glasses"])  # what pictures of a head show


class TrueEyes:
    """Finder of people, faces, phrases and masks in the first frames of rendered clips, and in no other picture."""

    def __init__(self, clips: Sequence[tuple[ClipSpec, RenderedClip]]) -> None:
        self._clips = clips

    def find_people(self, picture: Image.Image) -> list[Found]:
        """Everybody of whom something is seen, from left to right, with masks."""
        people = [Found(box=box_of(mask), score=1.0, mask=mask) for mask in self._people(picture) if mask.any()]
        return sorted(people, key=lambda found: found.box)

    def find_faces(self, picture: Image.Image) -> list[FoundFace]:
        """The heads with their hair, from left to right; the embedding tells the identities exactly."""
        clip, rendered = self._of(picture)
        faces = []
        for mask, puppet, box in zip(self._people(picture), clip.puppets, rendered.face_boxes[0], strict=True):
            if not np.isnan(box).any():
                seen: Box = tuple(map(float, box))  # type: ignore[assignment]
                head = mask & np.isin(rendered.label[0], HEAD)
                embedding = np.random.default_rng(astuple(puppet.identity)).normal(size=64)
                embedding /= np.linalg.norm(embedding)
                faces.append(FoundFace(box=seen, score=1.0, mask=head, whole=face_room(seen), embedding=embedding))
        return sorted(faces, key=lambda found: found.box)

    def find_phrase(self, picture: Image.Image, phrase: str, within: Box | None = None) -> list[Found]:
        """The things that the caption calls by this phrase; `within`: of the person whose box fits that box best."""
        clip, rendered = self._of(picture)
        kind = words_of(phrase)[2]
        found = []
        for n, (mask, phrases) in enumerate(zip(self._people(picture), clip.caption.attribute_phrases, strict=True)):
            thing = mask & (rendered.label[0] == ATTRIBUTE_LABELS.get(kind or "", -1))
            if phrase in phrases and thing.any():
                fits = 1.0 if within is None else overlap(box_of(mask), within)
                place = thing_room(str(kind), thing[::BLOCK, ::BLOCK], thing)
                found.append((fits, n, Found(box=box_of(thing), score=1.0, phrase=phrase, mask=thing, whole=place)))
        best = sorted(found, key=lambda each: (-each[0], each[1]))
        return [each for fits, _, each in (best if within is None else best[:1]) if fits > 0]

    def segment(self, picture: Image.Image, found: Found) -> np.ndarray:
        """The mask bool [H, W] that every find of these eyes has."""
        assert found.mask is not None and found.mask.shape == (picture.height, picture.width)
        return found.mask

    def _of(self, picture: Image.Image) -> tuple[ClipSpec, RenderedClip]:
        pixels = np.asarray(picture.convert("RGB"))
        for clip, rendered in self._clips:
            if np.array_equal(rendered.frames[0], pixels):
                return clip, rendered
        raise InputError("this picture is none of those whose truth is known; give the first frame of a rendered clip")

    def _people(self, picture: Image.Image) -> list[np.ndarray]:
        """Bool [H, W] per puppet, in the clip's order."""
        clip, rendered = self._of(picture)
        return [rendered.owner[0] == n for n in range(len(clip.puppets))]
