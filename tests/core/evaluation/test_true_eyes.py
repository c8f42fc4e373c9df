"""Eyes that know the truth: they find exactly what a picture shows, and agree with finders that see it well."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lumosx_core.detection.person import Eyes, Which, find_subject
from lumosx_core.errors import InputError
from lumosx_core.evaluation.eyes import evaluate_eyes, photograph_specs
from lumosx_core.evaluation.true_eyes import TrueEyes
from lumosx_core.puppets.analyser import PuppetAnalyser
from lumosx_core.puppets.render import render_clip


def test_they_are_right_about_everything_by_the_measure_of_eyes() -> None:
    specs = photograph_specs(12, 5)
    report = evaluate_eyes(TrueEyes([(clip, render_clip(clip)) for clip in specs]), specs)
    assert (report.counted, report.centred, report.people_iou, report.things_iou, report.good) == (1, 1, 1, 1, 1)
    # In the whole picture words that two people share mean the first of them.
    assert report.owned > 0.8


def test_their_pictures_are_framed_as_those_of_the_analyser() -> None:
    clip = replace(photograph_specs(2, 3)[1], frames=1)
    rendered = render_clip(clip)
    picture, truth, analyser = Image.fromarray(rendered.frames[0]), TrueEyes([(clip, rendered)]), PuppetAnalyser()
    phrases = list(clip.caption.attribute_phrases[1])
    exact, seen = (
        find_subject(
            [picture],
            "man",
            phrases,
            Eyes(people=eyes, faces=eyes, phrases=eyes, masks=eyes),
            which=Which(choice="left to right", index=2),
        ).subject
        for eyes in (truth, analyser)
    )
    assert [a.phrase for a in exact.attributes] == [a.phrase for a in seen.attributes] == phrases
    pictures = ([subject.face, *(attribute.image for attribute in subject.attributes)] for subject in (exact, seen))
    for one, other in zip(*pictures, strict=True):
        assert one is not None and other is not None
        # A row or column of large pixels more or less, enlarged.
        assert np.abs(np.subtract(one.size, other.size)).max() <= 6
        assert np.abs(np.mean(np.asarray(one, float), (0, 1)) - np.mean(np.asarray(other, float), (0, 1))).max() < 12


def test_another_picture_is_refused() -> None:
    clip = photograph_specs(1, 3)[0]
    with pytest.raises(InputError, match="none of those whose truth is known"):
        TrueEyes([(clip, render_clip(clip))]).find_people(Image.new("RGB", (96, 80)))
