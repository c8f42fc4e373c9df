"""Strength per picture and per person: what it is made of, how it is kept, and what it does to the multilevel mask."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.cli.main import main
from lumosx_core.data.training_clips import find_training_clips
from lumosx_core.drawing.palette import INK, thumbnail
from lumosx_core.errors import InputError
from lumosx_core.files.json import read_json, write_json
from lumosx_core.files.videos import read_video_metadata
from lumosx_core.model.token_layout import KeyRange, TokenLayout, text_levels
from lumosx_core.owners import owned_phrases
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.references import Attribute, Reference, ReferenceSet, Sample, SceneReference, Subject
from lumosx_core.sample_folder import read_sample, write_sample
from lumosx_core.strengths import with_strengths
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
        "objects/ball.png": 1.5,
        "subjects/1": 0.5,
        "subjects/1/face_man.png": 2.0,
        "subjects/1/hat.png": 0.0,
    }
    again = read_sample(tmp_path / "a").references
    assert {r.phrase: r.strength for r in again.references()} == {"ball": 1.5, "man": 1.0, "hat": 0.0, "coat": 0.5}
    PICTURE.save(tmp_path / "a" / "subjects" / "1" / "face_man~2.png")
    write_json(tmp_path / "a" / "relations.json", {"subjects/1/face_man~2.png": {"strength": 0.5}})
    with pytest.raises(InputError, match="gives face_man~2.png a strength, but all views .*; give it to face_man.png instead"):
        read_sample(tmp_path / "a")
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


def test_strengths_by_words_and_tags_replace_those_of_the_sample() -> None:
    hats = tuple(Attribute(phrase="hat", image=PICTURE, tag=tag) for tag in ("top", None))
    people = (
        Subject(name="man", face=PICTURE, tag="bob", attributes=hats[:1], strength=0.5, face_strength=0.5),
        Subject(name="woman", face=PICTURE, attributes=(*hats[1:], Attribute(phrase="red coat", image=PICTURE))),
    )
    scene = SceneReference(phrase="a lawn", image=PICTURE)
    given = ReferenceSet(subjects=people, objects=(SceneReference(phrase="ball", image=PICTURE),), background=scene)

    def strengths(*wanted: tuple[str, float]) -> dict[str, float]:
        flat = with_strengths(given, wanted).references()
        return {f"{r.subject} {r.phrase}": r.strength for r in flat if r.strength != 1}

    assert strengths() == {"0 man": 0.25, "0 hat": 0.5}
    assert strengths(("man", 1.0)) == {"0 man": 0.5}  # the face's own stays
    assert strengths(("@bob", 2), ("@2", 0)) == {"0 hat": 2.0, "1 woman": 0.0, "1 hat": 0.0, "1 red coat": 0.0}
    assert strengths((" Hat ", 1.5), ("@bob", 1)) == {"0 man": 0.5, "0 hat": 1.5, "1 hat": 1.5}
    assert strengths(("@bob.top", 0.1), ("@bob", 1), ("@2.coat", 0.2)) == {"0 man": 0.5, "0 hat": 0.1, "1 red coat": 0.2}
    assert strengths(("a  lawn", 0.3), ("@ball", 0.4), ("@bob", 1)) == {"None a lawn": 0.3, "None ball": 0.4, "0 man": 0.5}
    assert with_strengths(given, [("hat", 1.0)]) == given
    for words in ("scarf", "", "@3", "@bob.coat", "@bob and more"):
        with pytest.raises(InputError, match=r"names nothing of the sample; give one of 'a lawn', 'ball', 'man', .*@bob\.top"):
            strengths((words, 1.0))
    with pytest.raises(InputError, match="strength of 'hat' is 2.5, expected a number from 0 to 2"):
        strengths(("hat", 2.5))


def test_a_strength_that_is_not_1_stands_in_the_picture_of_its_reference() -> None:
    def drawn(strength: float) -> np.ndarray:
        return np.asarray(thumbnail(Reference(kind="object", subject=None, phrase="b", image=PICTURE, strength=strength), 84))

    plain, half = drawn(1.0), drawn(0.5)
    assert (plain == (255, 0, 0)).all()
    changed = (plain != half).any(-1)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert rows[0] > 50 and columns[0] > 30 and (rows[-1], columns[-1]) == (83, 83)
    assert {tuple(half[63, x]) for x in range(columns[0], 84)} >= {INK} and (half[changed] > 200).all(-1).any()
    assert (drawn(0.25) != half).any()


def test_training_says_that_it_does_not_use_strengths(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sample = Sample(prompt="a man in a hat and a coat with a ball", references=weighted_set())
    write_sample(tmp_path / "a", sample)
    (tmp_path / "a" / "video.mp4").touch()
    (clip,), faults = find_training_clips(tmp_path)
    assert not faults and clip.caption == sample.prompt
    assert [r.getMessage() for r in caplog.records] == [
        f"{tmp_path / 'a'}: training shows every picture at strength 1; the strengths in relations.json are not used"
    ]


def test_the_command_line_takes_strengths_and_keeps_them_in_the_video(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", str(SAMPLES_FOLDER / "two_people_described"), "--out", str(tmp_path), "--frames", "1", "--steps", "1"]
    assert main([*words, "--strength", "black hat:0.5", "@2:1.5"]) == 0
    relations = read_video_metadata(tmp_path / "two_people_described_0.mp4")["relations"]
    assert [each["strength"] for each in relations] == [1.0, 1.0, 0.5, 1.5, 1.5, 1.5]
    for wrong, message in (
        (["--strength", "black hat"], "--strength black hat: expected words of the sample and a number, such as 'red hat:0.5'"),
        (["--strength", "scarf:1"], "the strength of 'scarf' names nothing of the sample; give one of 'man'"),
        (["--strength", "@1:nan"], "the strength of '@1' is nan, expected a number from 0 to 2"),
        (
            ["--strength", "@1:1", "--latent", "x.safetensors"],
            "--strength, --frames, --steps: without effect on a latent that is sampled already",
        ),
    ):
        assert main([*words, *wrong]) == 2
        assert message in capsys.readouterr().err
