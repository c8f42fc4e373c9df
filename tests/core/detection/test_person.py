"""A subject out of photographs: the right person's things, told in words; with known finders, and with the puppets'."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from PIL import Image

from lumosx_core.detection.cut_outs import CutOutOptions
from lumosx_core.detection.person import WALL, Eyes, Which, find_subject
from lumosx_core.errors import InputError
from lumosx_core.eyes import Found, FoundFace
from lumosx_core.references import Attribute, ReferenceSet, Sample, Subject
from lumosx_core.sample_folder import read_sample, write_sample, write_subject

PICTURE = Image.new("RGB", (200, 100), (120, 160, 200))
LEFT, RIGHT = (10.0, 10.0, 60.0, 90.0), (110.0, 5.0, 190.0, 95.0)


@dataclass
class Known:
    """Finders that know two people, and things by phrase; they write down what they were asked."""

    people: tuple = (LEFT, RIGHT)
    faces: tuple = ((20.0, 12.0, 40.0, 32.0), (130.0, 10.0, 160.0, 40.0))
    things: dict = field(default_factory=lambda: {"hat": (120, 5, 150, 15, 0.9), "coat": (115, 40, 185, 90, 0.4)})
    asked: list = field(default_factory=list)

    def find_people(self, picture):  # noqa: ARG002 - all pictures show the same
        return [Found(box=box, score=0.9) for box in self.people]

    def find_faces(self, picture):  # noqa: ARG002
        vectors = np.eye(2, dtype=np.float32)
        return [FoundFace(box=box, score=0.9, embedding=vectors[i]) for i, box in enumerate(self.faces)]

    def find_phrase(self, picture, phrase, within=None):  # noqa: ARG002
        self.asked.append((phrase, within))
        thing = self.things.get(phrase)
        return [] if thing is None else [Found(box=thing[:4], score=thing[4], phrase=phrase)]

    def segment(self, picture, found):
        mask = np.zeros((picture.height, picture.width), bool)
        left, top, right, bottom = map(int, found.box)
        mask[top:bottom, left:right] = True
        return mask

    @property
    def eyes(self) -> Eyes:
        return Eyes(people=self, faces=self, phrases=self, masks=self)


def test_the_largest_persons_things_are_looked_for_in_that_box() -> None:
    known = Known()
    found = find_subject([PICTURE], "man", ["hat", "coat", "hat", " violin "], known.eyes)
    assert known.asked == [("hat", RIGHT), ("coat", RIGHT), ("violin", RIGHT)]
    assert [item.phrase for item in found.subject.attributes] == ["hat", "coat"]
    assert found.missing == ("violin",) and found.least_sure == "coat"
    assert found.subject.face is not None and found.subject.face.size == (48, 48)  # 30 + 2 * 9
    lines = found.text.splitlines()
    assert (
        lines[0]
        == "2 people, took the largest, number 2 from the left, (110, 5) to (190, 95); face (130, 10) to (160, 40), sure 0.90"
    )
    assert lines[1] == "hat: found at (120, 5) to (150, 15), sure 0.90"
    assert lines[2].endswith("sure 0.40 - the least sure one, look at it")
    assert lines[3].startswith("violin: NOT FOUND, nothing of that kind in the person's box")


def test_a_single_thing_is_marked_where_it_is_doubtful() -> None:
    for score, least_sure, told in ((0.29, "hat", "sure 0.29 - doubtful, look at it"), (0.3, None, "sure 0.30")):
        found = find_subject([PICTURE], "man", ["hat"], Known(things={"hat": (120, 5, 150, 15, score)}).eyes)
        assert found.least_sure == least_sure and found.text.endswith(told)
        assert found.marks(0)[-1] == ((120, 5, 150, 15), "hat", "doubtful" if least_sure else "plain")


def test_a_name_is_wanted_before_anything_is_looked_for() -> None:
    known = Known()
    for name, message in ((" ", "the name is empty; give the words"), ("x" * 401, "the name has 401 characters, at most 400")):
        with pytest.raises(InputError, match=message):
            find_subject([PICTURE], name, ["hat"], known.eyes)
    assert known.asked == []


def test_which_person() -> None:
    assert (
        find_subject([PICTURE], "man", [], Known().eyes, which=Which(choice="left to right", index=1)).views[0].person == LEFT
    )
    assert (
        find_subject([PICTURE], "man", [], Known().eyes, which=Which(choice="at point", point=(30, 50))).views[0].person == LEFT
    )
    with pytest.raises(InputError, match="person number 3 from the left was asked for, but there are 2 people"):
        find_subject([PICTURE], "man", [], Known().eyes, which=Which(choice="left to right", index=3))
    with pytest.raises(InputError, match=r"there is no person at the point \(80, 50\)"):
        find_subject([PICTURE], "man", [], Known().eyes, which=Which(choice="at point", point=(80, 50)))
    with pytest.raises(InputError, match="expected one of largest, left to right, at point"):
        Which(choice="nicest")


def test_in_a_second_photograph_it_is_the_same_face() -> None:
    """The small person of the first photograph, though the other one is larger in both."""
    found = find_subject([PICTURE, PICTURE], "man", [], Known().eyes, which=Which(choice="left to right", index=1))
    assert [view.person for view in found.views] == [LEFT, LEFT]
    assert len(found.subject.more_views) == 1
    assert found.text.splitlines()[1].startswith("photograph 2: 2 people, took number 1 from the left")


def test_of_several_photographs_a_thing_is_taken_from_where_it_is_seen_largest() -> None:
    class Better(Known):
        """In pictures with a dark corner the hat is half hidden, in those with a bright one a wall is taken for it."""

        def find_phrase(self, picture, phrase, within=None):  # noqa: ARG002
            corner = picture.getpixel((0, 0))[0]
            box, score = {0: ((120, 5, 135, 15), 0.9), 120: ((120, 5, 150, 15), 0.6), 255: ((110, 5, 190, 95), 0.2)}[corner]
            return [Found(box=tuple(map(float, box)), score=score, phrase=phrase)]

    dark, bright = PICTURE.copy(), PICTURE.copy()
    dark.putpixel((0, 0), (0, 0, 0))
    bright.putpixel((0, 0), (255, 255, 255))
    (hat,) = find_subject([dark, bright, PICTURE], "man", ["hat"], Better().eyes).phrases
    assert (hat.view, hat.found and hat.found.score) == (2, 0.6)


def test_two_phrases_for_one_thing_keep_the_surer_one() -> None:
    things = {"hat": (120, 5, 150, 15, 0.5), "cap": (120, 5, 150, 15, 0.8)}
    found = find_subject([PICTURE], "man", ["hat", "cap"], Known(things=things).eyes)
    assert [item.phrase for item in found.subject.attributes] == ["cap"] and found.missing == ("hat",)
    assert "it would show the same as 'cap'" in found.text


@dataclass
class Framing(Known):
    """Knows the head's pixels too, and how pictures of a face and of a hat are framed."""

    def find_faces(self, picture):
        mask = np.zeros((picture.height, picture.width), bool)
        mask[10:40, 130:160] = True
        return [FoundFace(box=self.faces[1], score=0.9, mask=mask, whole=(120.0, 0.0, 170.0, 50.0))]

    def find_phrase(self, picture, phrase, within=None):
        return [replace(found, whole=(110.0, -5.0, 160.0, 25.0)) for found in super().find_phrase(picture, phrase, within)]


def test_a_finder_that_knows_heads_and_frames_is_followed() -> None:
    found = find_subject([PICTURE], "man", ["hat"], Framing().eyes, options=CutOutOptions(edge=0, margin=0))
    assert found.subject.face is not None
    face, hat = np.asarray(found.subject.face), np.asarray(found.subject.attributes[0].image)
    assert face.shape == (50, 50, 3) and hat.shape == (30, 50, 3)
    assert (face[10:40, 10:40] == PICTURE.getpixel((0, 0))).all() and (face == WALL).all(-1).sum() == 2500 - 900
    assert (hat[10:20, 10:40] == PICTURE.getpixel((0, 0))).all() and (hat == 255).all(-1).sum() == 1500 - 300


def test_nothing_is_told() -> None:
    with pytest.raises(InputError, match="photograph 1 shows nobody"):
        find_subject([PICTURE], "man", ["hat"], Known(people=()).eyes)
    with pytest.raises(InputError, match="neither a face nor any of the things was found"):
        find_subject([PICTURE], "man", ["violin"], Known(faces=()).eyes)
    with pytest.raises(InputError, match="there is no photograph"):
        find_subject([], "man", [], Known().eyes)
    found = find_subject([PICTURE], "man", ["hat"], Known(faces=()).eyes)
    assert found.subject.face is None and "no face found there" in found.text


def test_a_person_is_written_as_a_part_of_a_sample(tmp_path) -> None:
    red, blue = Image.new("RGB", (9, 9), "red"), Image.new("RGB", (9, 8), "blue")
    person = Subject(name="man", face=red, more_views=(blue,), attributes=(Attribute(phrase="blue hat: old", image=blue),))
    other = Subject(name="girl", face=blue)
    sample = write_sample(tmp_path / "s", Sample(prompt="a girl", references=ReferenceSet(subjects=(other,)), sample_id=None))
    write_subject(sample / "subjects" / "2", person)
    read = read_sample(sample).references.subjects
    assert [subject.name for subject in read] == ["girl", "man"]
    assert read[1].attributes[0].phrase == "blue hat: old" and len(read[1].more_views) == 1
    with pytest.raises(InputError, match="exists and would be overwritten"):
        write_subject(sample / "subjects" / "2", person)
    write_subject(sample / "subjects" / "2", other, overwrite=True)
    assert [subject.name for subject in read_sample(sample).references.subjects] == ["girl", "girl"]
