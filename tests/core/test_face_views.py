"""Several views of one face: references that share their words, sample folders, the group of the subject, the pictures."""

import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lumosx_core.drawing.contact_sheet import contact_sheet
from lumosx_core.drawing.relation_graph import draw_relation_graph
from lumosx_core.errors import InputError
from lumosx_core.model.token_layout import TokenLayout, text_levels
from lumosx_core.owners import owners
from lumosx_core.references import Attribute, ReferenceSet, Sample, Subject
from lumosx_core.sample_folder import read_sample, write_sample
from lumosx_core.text_spans import bind_prompt

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def picture(colour: tuple[int, int, int] = RED) -> Image.Image:
    return Image.new("RGB", (3, 2), colour)


def sample_folder(root: Path, pictures: dict[str, tuple[int, int, int]]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "caption.txt").write_text("a man in a hat", encoding="utf-8")
    for name, colour in pictures.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(colour).save(root / name)
    return root


def person_with_views(name: str = "man", **more: Any) -> Subject:
    """A face in three pictures (red, green, blue) and a hat."""
    return Subject(
        name=name,
        face=picture(RED),
        more_views=(picture(GREEN), picture(BLUE)),
        attributes=(Attribute(phrase="hat", image=picture()),),
        **more,
    )


def test_further_views_of_a_face_are_references_of_the_same_words() -> None:
    references = ReferenceSet(subjects=(person_with_views(tag="bob", occurrence=2), Subject(name="woman", face=picture())))
    flat = references.references()
    assert [(ref.kind, ref.subject, ref.phrase) for ref in flat] == [
        ("face", 0, "man"),
        ("face", 0, "man"),
        ("face", 0, "man"),
        ("attribute", 0, "hat"),
        ("face", 1, "woman"),
    ]
    assert [ref.image.getpixel((0, 0)) for ref in flat[:3]] == [RED, GREEN, BLUE]
    assert [(ref.tag, ref.occurrence) for ref in flat[:3]] == [("bob", 2)] * 3
    with pytest.raises(InputError, match="2 further views but no face"):
        Subject(name="man", more_views=(picture(), picture()), attributes=(Attribute(phrase="hat", image=picture()),))
    with pytest.raises(InputError, match="face of subject 'man' is a str"):
        Subject(name="man", face=picture(), more_views=("x.png",))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("man", ["face_man.png", "face_man~2.png", "face_man~3.png"]),
        ("man~2", ["face_man~2.png", "face_man~2~2.png", "face_man~2~3.png"]),
        ("a/b", ["face_a%2Fb.png", "face_a%2Fb~2.png", "face_a%2Fb~3.png"]),
        ("z" * 300, [f"face_{'z' * 200}{end}.png" for end in ("", "~2", "~3")]),
    ],
)
def test_further_views_survive_the_round_trip(tmp_path: Path, name: str, files: list[str]) -> None:
    sample = Sample(prompt="x", references=ReferenceSet(subjects=(person_with_views(name),)))
    folder = write_sample(tmp_path / "sample", sample)
    assert sorted(path.name for path in (folder / "subjects/1").glob("face_*")) == sorted(files)
    assert read_sample(folder) == sample


def test_views_are_read_by_number_and_published_folders_as_before(tmp_path: Path) -> None:
    several = {f"subjects/1/face_{stem}.png": colour for stem, colour in (("man", RED), ("man~2", GREEN), ("man~10", BLUE))}
    alone = {"subjects/2/face_man~2.png": RED}  # the name itself
    first, second = read_sample(sample_folder(tmp_path / "good", several | alone)).references.subjects
    assert first.face is not None and first.face.getpixel((0, 0)) == RED
    assert [view.getpixel((0, 0)) for view in first.more_views] == [GREEN, BLUE]
    assert (second.name, second.more_views) == ("man~2", ())
    for number, stem in enumerate(["face_man~1", "face_man~02", "face_boy~2", "face_man~2~2"]):
        pictures = {"subjects/1/face_man.png": RED, f"subjects/1/{stem}.png": RED}
        folder = sample_folder(tmp_path / str(number), pictures)
        with pytest.raises(InputError, match=r"2 faces .*face_<name>~2\.png"):
            read_sample(folder)


class WordTokenizer:
    """One token per word."""

    def pieces(self, text: str) -> list[tuple[int, int, int]]:
        return [(zlib.crc32(word[0].encode()), *word.span()) for word in re.finditer(r"\w+", text)]

    def encode(self, text: str) -> list[int]:
        return [token for token, _, _ in self.pieces(text)]


@pytest.mark.parametrize(
    ("prompt", "own", "other"),
    [
        ("a man and a man in a hat", [(1, 2)], [(4, 5)]),
        ("a man and @1 in a hat", [(3, 4)], [(1, 2)]),  # the tag is the subject's, whatever the number of views
    ],
)
def test_a_face_of_several_views_owns_its_words_once(prompt: str, own: list, other: list) -> None:
    references = ReferenceSet(subjects=(person_with_views(), Subject(name="man", face=picture())))
    bound = bind_prompt(prompt, references, WordTokenizer())
    assert [list(ref.token_spans) for ref in bound.references[:3]] == [own] * 3
    assert list(bound.references[4].token_spans) == other and len(bound.char_spans) == 5
    levels = text_levels(bound.references, 8)
    expected = np.zeros(8)
    expected[[own[0][0], bound.references[3].token_spans[0][0]]] = 1
    expected[other[0][0]] = -1
    np.testing.assert_array_equal(levels[:4].numpy(), [expected] * 4)
    np.testing.assert_array_equal(levels[4].numpy(), -expected)
    missing = bind_prompt("a hat", ReferenceSet(subjects=(person_with_views(),)), WordTokenizer(), on_problem="ignore")
    assert [problem.kind for problem in missing.problems] == ["not_found"]
    assert [list(ref.token_spans) for ref in missing.references] == [[], [], [], [(1, 2)]]


def test_views_sit_in_the_group_of_their_subject() -> None:
    references = ReferenceSet(subjects=(person_with_views(), Subject(name="woman", face=picture())))
    bound = bind_prompt("a man in a hat and a woman", references, WordTokenizer())
    layout = TokenLayout.for_references((2, 3, 4), bound.references)
    assert layout.reference_groups == ((0, 4), (4, 5))
    starts = layout.positions().reshape(7, 12, 3)[2:, 0].tolist()
    assert starts == [[2, 0, 0], [2, 3, 4], [2, 6, 8], [2, 9, 12], [3, 0, 0]]


def test_all_views_are_shown() -> None:
    references = ReferenceSet(subjects=(person_with_views(),))
    assert [(owner.title, owner.members) for owner in owners(references)] == [("Subject 1: man", (0, 1, 2, 3))]
    bound = bind_prompt("a man in a hat", references, WordTokenizer())
    sheet = contact_sheet(references, np.full((1, 8, 8, 3), 255, np.uint8))
    for drawn, side in ((draw_relation_graph(references, bound), 112), (sheet, 84)):
        pixels = np.asarray(drawn).reshape(-1, 3)
        area = (side - 2) * round(side * 2 / 3)  # the pictures are 3 x 2; the frame covers one pixel on each side
        for colour, times in ((RED, 2), (GREEN, 1), (BLUE, 1)):  # the hat is red too
            assert (pixels == colour).all(axis=1).sum() == times * area
