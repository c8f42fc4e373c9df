"""Faces of the puppet world are told by skin and hair, whatever is worn on the head."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lumosx_core.puppets.analyser import PuppetAnalyser
from lumosx_core.puppets.clip import sample_clip
from lumosx_core.puppets.draw import ATTRIBUTE_LABELS, LABEL_HAIR, LABEL_HEAD
from lumosx_core.puppets.looks import PuppetFaces, face_colours
from lumosx_core.puppets.render import render_clip
from lumosx_core.puppets.spec import AttributeSpec


@pytest.mark.parametrize("colour", ["green", "pink"])  # which hair may have too
def test_a_hat_and_glasses_do_not_change_whose_face_it_is(colour: str) -> None:
    clip = sample_clip(np.random.default_rng(3), people=2, attributes=1, frames=1, held_out=True)
    worn = tuple(AttributeSpec(kind=kind, colour=colour, second="white", pattern="plain") for kind in ("hat", "glasses"))
    clip = replace(clip, puppets=tuple(replace(puppet, attributes=worn) for puppet in clip.puppets))
    rendered = render_clip(clip)
    faces = PuppetFaces(PuppetAnalyser()).find_faces(Image.fromarray(rendered.frames[0]))
    pixels, label, owner = rendered.frames[0].astype(np.float32), rendered.label[0], rendered.owner[0]
    order = sorted(range(2), key=lambda n: np.nonzero(owner == n)[1].mean())
    for n, face in zip(order, faces, strict=True):
        assert face.mask is not None and face.embedding is not None
        bare = (owner == n) & np.isin(label, [LABEL_HEAD, LABEL_HAIR])
        assert face.embedding @ face_colours(pixels[bare]) > 0.99
        worn_on_it = face.mask & np.isin(label, [ATTRIBUTE_LABELS["hat"], ATTRIBUTE_LABELS["glasses"]])
        assert worn_on_it.sum() < 0.02 * face.mask.sum()  # a pixel or two of the rims
