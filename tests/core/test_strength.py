"""Strength per picture and per person: what it is made of, how it is kept, and what it does to the multilevel mask."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.files.json import read_json, write_json
from lumosx_core.model.token_layout import KeyRange, TokenLayout, text_levels
from lumosx_core.owners import owned_phrases
from lumosx_core.references import Attribute, ReferenceSet, Sample, SceneReference, Subject
from lumosx_core.sample_folder import read_sample, write_sample
from lumosx_core.text_spans import BoundReference

PICTURE = Image.new("RGB", (4, 4), "red")


def weighted_set() -> ReferenceSet:
    hat = Attribute(phrase="hat", image=PICTURE, strength=0.0)
    coat = Attribute(phrase="coat", image=PICTURE)
    man = Subject(name="man", face=PICTURE, attributes=(hat, coat), strength=0.5, face_strength=2.0)
    return ReferenceSet(subjects=(man,), objects=(SceneReference(phrase="ball", image=PICTURE, strength=1.5),))


def test_a_picture_counts_by_its_own_strength_times_that_of_its_person() -> None:
    references = weighted_set()
    assert [r.strength for r in references.references()] == [1.5, 1.0, 0.0, 0.5]
    assert [p.strength for p in owned_phrases(references)] == [1.5, 1.0, 0.0, 0.5]


@pytest.mark.parametrize("wrong", [float("nan"), -0.1, 2.01, float("inf"), True, "1"])
def test_other_strengths_are_refused(wrong: float) -> None:
    with pytest.raises(InputError, match="strength of 'hat' is .*expected a number from 0 to 2"):
        Attribute(phrase="hat", image=PICTURE, strength=wrong)
    with pytest.raises(InputError, match="strength of the face of subject 'man'"):
        Subject(name="man", face=PICTURE, face_strength=wrong)


def test_a_sample_folder_keeps_strengths_and_says_nothing_of_those_that_are_1(tmp_path: Path) -> None:
    sample = Sample(prompt="a man in a hat and a coat with a ball", references=weighted_set())
    write_sample(tmp_path / "a", sample)
    notes = read_json(tmp_path / "a" / "relations.json", "the notes")
    assert {place: note["strength"] for place, note in notes.items() if "strength" in note} == {
        "objects/ball.png": 1.5, "subjects/1": 0.5, "subjects/1/face_man.png": 2.0, "subjects/1/hat.png": 0.0,
    }  # fmt: skip
    again = read_sample(tmp_path / "a").references
    assert {r.phrase: r.strength for r in again.references()} == {"ball": 1.5, "man": 1.0, "hat": 0.0, "coat": 0.5}
    write_json(tmp_path / "a" / "relations.json", {"subjects/1/hat.png": {"strength": 3}})
    with pytest.raises(InputError, match="strength of 'hat' is 3.0, expected a number from 0 to 2"):
        read_sample(tmp_path / "a")


def test_strengths_of_1_make_the_very_layout_without_any() -> None:
    plain = TokenLayout(2, 2, 3, kinds=("object", "face"), subjects=(None, 0))
    assert TokenLayout(2, 2, 3, kinds=("object", "face"), subjects=(None, 0), strengths=(1.0, 1.0)) == plain
    assert plain.key_ranges() == (KeyRange(0, plain.seq_len, 1.0),)
    weighted = TokenLayout(2, 2, 3, kinds=("object", "face"), subjects=(None, 0), strengths=(0.0, 1.5))
    assert weighted.key_ranges() == (KeyRange(0, 12, 1.0), KeyRange(18, 24, 1.5))
    with pytest.raises(InputError, match="2 kinds but 1 strengths"):
        TokenLayout(2, 2, 3, kinds=("object", "face"), subjects=(None, 0), strengths=(0.5,))
    with pytest.raises(InputError, match="at least 0"):
        TokenLayout(2, 2, 3, kinds=("object", "face"), subjects=(None, 0), strengths=(float("nan"), 1.0))


def test_the_level_of_a_picture_is_multiplied_by_its_strength() -> None:
    def bound(strength: float) -> list[BoundReference]:
        return [
            BoundReference(kind="face", subject=0, phrase="man", token_spans=((0, 1),), strength=strength),
            BoundReference(kind="face", subject=1, phrase="woman", token_spans=((2, 3),)),
        ]

    plain, half = text_levels(bound(1.0), 4), text_levels(bound(0.5), 4)
    assert torch.equal(half[0], plain[0] * 0.5) and torch.equal(half[1], plain[1])
    assert half[0].tolist() == [0.5, 0.0, -0.5, 0.0]
