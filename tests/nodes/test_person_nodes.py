"""The node that makes a person out of a photograph, with the embedded eyes on a picture of the puppet world."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from coloured_images import RED, image
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.evaluation.eyes import photograph_specs
from lumosx_core.puppets.analyser import PuppetAnalyser
from lumosx_core.puppets.render import render_clip
from lumosx_core.references import Attribute

PERSON = {"choice": "left to right", "index": 2, "x": 0, "y": 0, "margin": 0.3, "eyes": "puppets"}


@pytest.fixture
def nodes(pack: Callable[[str], ModuleType], models_folder: Path) -> ModuleType:
    """`nodes/person_nodes.py`."""
    assert models_folder.name == "models"
    return pack("nodes.person_nodes")


@pytest.fixture(scope="module")
def photograph() -> tuple[torch.Tensor, tuple[str, ...]]:
    """Two people, and the words for what the right one wears."""
    spec = next(s for s in photograph_specs(12, seed=7) if len(s.puppets) == 2 and len(s.puppets[1].attributes) > 1)
    frame = render_clip(spec).frames[0].astype(np.float32) / 255
    return torch.from_numpy(frame)[None], spec.caption.attribute_phrases[1]


def person(nodes: ModuleType, picture: torch.Tensor, attributes: str, **more: Any) -> Any:
    return nodes.PersonNode.execute(picture, "kid", attributes, **{**PERSON, **more})


def test_a_person_with_the_things_of_the_lines(nodes: ModuleType, photograph) -> None:
    picture, phrases = photograph
    out = person(nodes, picture, "\n".join(["", *phrases, "  violin "]), tag="@anna")
    subject, sheet, text = out.args
    assert subject.name == "kid" and subject.tag == "anna" and subject.face is not None
    assert [item.phrase for item in subject.attributes] == list(phrases)
    assert "number 2 from the left" in text and "violin: NOT FOUND" in text
    assert sheet.shape[0] == 1 and sheet.shape[2] > 480 and len(out.ui.as_dict()["images"]) == 1


def test_what_is_connected_goes_first(nodes: ModuleType, photograph) -> None:
    picture, phrases = photograph
    own, face = Image.new("RGB", (9, 9), RED), Image.new("RGB", (5, 5), RED)
    given = {"attribute_1": Attribute(phrase=phrases[0], image=own), "attribute_2": None}
    view = nodes.FaceReference(views=(face,))
    subject, _, text = person(nodes, picture, "\n".join(phrases), given=given, face=view).args
    assert subject.face is face and phrases[0] not in text
    assert {item.phrase for item in subject.attributes} == set(phrases)
    assert next(item.image for item in subject.attributes if item.phrase == phrases[0]) is own


@pytest.fixture
def references(pack: Callable[[str], ModuleType], models_folder: Path) -> ModuleType:
    """`nodes/reference_nodes.py`."""
    assert models_folder.name == "models"
    return pack("nodes.reference_nodes")


def thing(references: ModuleType, picture: torch.Tensor, phrase: str, **more: Any) -> Any:
    given = {"cut_out": "phrase", "box": "", "points": "", "sam": "none", "margin": 0.05, "eyes": "puppets", **more}
    return references.AttributeReferenceNode.execute(picture, phrase, **given)


def test_one_thing_by_its_words_is_what_the_person_has(nodes: ModuleType, references: ModuleType, photograph) -> None:
    """Inside the person's box both nodes cut out the same pixels."""
    picture, phrases = photograph
    analyser = PuppetAnalyser()
    drawn = Image.fromarray((picture[0].numpy() * 255).round().astype(np.uint8))
    left, top, right, bottom = analyser.find_people(drawn)[1].box
    owned = {item.phrase: item.image for item in person(nodes, picture, "\n".join(phrases)).args[0].attributes}
    for phrase in phrases:
        attribute, shown = thing(references, picture, phrase, box=f"{left}, {top}, {right}, {bottom}", tag="it").args
        assert attribute.phrase == phrase and attribute.tag == "it"
        assert (np.asarray(attribute.image) == np.asarray(owned[phrase])).all()
        assert shown.shape[1:3] == (attribute.image.height, attribute.image.width)


def test_a_thing_that_is_not_there_and_eyes_that_are_missing(references: ModuleType, photograph) -> None:
    picture, phrases = photograph
    with pytest.raises(InputError, match="nothing that looks like 'violin' was found in the image; use other words"):
        thing(references, picture, "violin")
    with pytest.raises(InputError, match="got 2 boxes; with cut_out 'phrase' one box"):
        thing(references, picture, phrases[0], bboxes=[{"x": 1, "y": 1, "width": 5, "height": 5}] * 2)
    with pytest.raises(
        InputError, match="some models are not in .*eyes: nothing finds things by words.*choose puppets in the input eyes"
    ):
        thing(references, picture, phrases[0], eyes="photographs")


def test_faults_are_told(nodes: ModuleType, photograph) -> None:
    picture, _ = photograph
    with pytest.raises(InputError, match="shows nobody"):
        person(nodes, image((40, 40)), "hat")
    with pytest.raises(InputError, match="the name is empty"):
        nodes.PersonNode.execute(picture, " ", "", **PERSON)
    with pytest.raises(
        InputError, match="some models are not in .*eyes: nothing finds people.*choose puppets in the input eyes"
    ):
        person(nodes, picture, "hat", eyes="photographs")
