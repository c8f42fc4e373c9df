"""The node that makes a person out of a photograph, with the embedded eyes on a picture of the puppet world."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from coloured_images import RED, image
from PIL import Image

from lumosx_core.detection import known_models
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


NOBODY = "photograph 1 shows nobody that was recognised as a person; use one that shows the person larger"
NOTHING = "nothing that looks like 'hat' was found in the image; use other words"


def clear(picture: torch.Tensor) -> torch.Tensor:
    """The picture with an alpha channel that hides all of it."""
    return torch.cat([picture, torch.zeros_like(picture[..., :1])], -1)


@pytest.mark.parametrize(
    ("made", "of_person", "of_thing"),
    [
        (lambda _: torch.rand(1, 1, 1, 3), NOBODY, NOTHING),
        (lambda _: torch.rand(1, 1, 300, 4), NOBODY, NOTHING),
        (lambda _: torch.rand(1, 16, 16384, 3), NOBODY, NOTHING),
        (clear, NOBODY, NOTHING),
        (torch.ones_like, NOBODY, NOTHING),
        (lambda picture: picture[..., :1], r"shape \[1, 80, 96, 1\], expected .*3 or 4 channels", "3 or 4 channels"),
        (lambda picture: picture[0], r"shape \[80, 96, 3\], expected", "expected"),
        (lambda picture: picture * 255, "divided by 255 first", "divided by 255 first"),
        (lambda picture: picture * float("nan"), "NaN comes from a node that failed", "NaN"),
        (lambda picture: (picture * 255).to(torch.uint8), "holds uint8 values, expected float", "uint8"),
        (lambda _: torch.zeros(1, 1, 16385, 3), "at most 16384 pixels on a side", "at most 16384"),
        (lambda picture: torch.cat([picture, torch.ones_like(picture)]), "photograph 2 shows nobody", "a batch of 2 images"),
    ],
    ids=["1x1", "line", "16k", "clear", "white", "one channel", "no batch", "0..255", "nan", "uint8", "too wide", "batch"],
)  # fmt: skip
def test_pictures_without_what_is_asked_for(
    nodes: ModuleType, references: ModuleType, models_folder: Path, photograph, made: Callable, of_person: str, of_thing: str
) -> None:
    """Each fault is told in the node, and no picture of a preview is left."""
    picture = made(photograph[0])
    with pytest.raises(InputError, match=of_person):
        person(nodes, picture, "hat", choice="largest")
    with pytest.raises(InputError, match=of_thing):
        thing(references, picture, "hat")
    assert not [path for path in models_folder.parent.rglob("*") if path.is_file()]


def test_alpha_that_hides_nothing_and_grey(nodes: ModuleType, photograph) -> None:
    picture, phrases = photograph
    plain, _, text = person(nodes, picture, phrases[0]).args
    opaque, _, told = person(nodes, torch.cat([picture, torch.ones_like(picture[..., :1])], -1), phrases[0]).args
    assert told == text and (np.asarray(opaque.face) == np.asarray(plain.face)).all()
    grey, _, told = person(nodes, picture.mean(-1, keepdim=True).expand(-1, -1, -1, 3), phrases[0]).args
    face = np.asarray(grey.face)
    assert (face[..., 0] == face[..., 1]).all() and told.startswith("2 people, took number 2 from the left")


def test_people_and_things_that_are_somewhere_else(nodes: ModuleType, references: ModuleType, photograph) -> None:
    picture, phrases = photograph
    left = next(s for s in photograph_specs(12, seed=7) if len(s.puppets) == 2 and len(s.puppets[1].attributes) > 1)
    others = left.caption.attribute_phrases[0][0]
    subject, _, text = person(nodes, picture, others).args
    assert not subject.attributes and f"{others}: NOT FOUND, nothing of that kind in the person's box; give a cut-out" in text
    with pytest.raises(
        InputError, match="person number 3 from the left was asked for, but there are 2 people: .*give a number"
    ):
        person(nodes, picture, "", index=3)
    for x, y in ((0, 0), (9999, 9999)):
        with pytest.raises(InputError, match=f"no person at the point .{x}, {y}., but 2 people: .*give a point inside one"):
            person(nodes, picture, "", choice="at point", x=x, y=y)
    with pytest.raises(InputError, match=f"nothing that looks like '{phrases[0]}' was found in the box"):
        thing(references, picture, phrases[0], box="0,0,3,3")
    with pytest.raises(InputError, match="does not lie in the image of 96x80"):
        thing(references, picture, phrases[0], box="500,500,600,600")
    with pytest.raises(InputError, match=f"'{phrases[0]}' was found at .*, but not where the points are; move the points"):
        thing(references, picture, phrases[0], points="0,0")
    with pytest.raises(InputError, match=r"the point \(9999, 1\) is outside the image of 96x80 pixels"):
        thing(references, picture, phrases[0], points="9999,1")


def test_a_model_of_another_kind_in_the_folder_of_eyes(
    nodes: ModuleType, references: ModuleType, models_folder: Path, photograph
) -> None:
    for name, kind in (("rtdetr_v2", "owlv2"), ("owlv2", "rt_detr_v2"), ("sam2", "bert")):
        for file in known_models.MODELS[name].needed:
            (models_folder / "eyes" / name).mkdir(parents=True, exist_ok=True)
            (models_folder / "eyes" / name / file).write_text(json.dumps({"model_type": kind}))
    (models_folder / "eyes" / "insightface" / "models").mkdir(parents=True)
    with pytest.raises(
        InputError, match="model in .*rtdetr_v2 is of the kind 'owlv2', expected one of rt_detr_v2, .*give another"
    ):
        person(nodes, photograph[0], "hat", eyes="photographs")
    with pytest.raises(InputError, match="the model in .*owlv2 is of the kind 'rt_detr_v2', expected one of grounding-dino"):
        thing(references, photograph[0], "hat", eyes="photographs")
