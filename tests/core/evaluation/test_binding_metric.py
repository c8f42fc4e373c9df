"""The metric `binding` from pixels: a world of coloured squares with finders that know it, and the drawn world with its
analyser."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumosx_core.detection.person import Eyes
from lumosx_core.errors import InputError
from lumosx_core.evaluation.cases import puppet_suite_cases
from lumosx_core.evaluation.metrics.asked import CANDIDATES, DISTRACTORS, Noun, OtherCases, less_alike
from lumosx_core.evaluation.metrics.binding import Binding
from lumosx_core.evaluation.metrics.binding_sight import Sight, body_of, framed
from lumosx_core.evaluation.phrase_nouns import noun_of
from lumosx_core.eyes import Box, Found, FoundFace
from lumosx_core.references import Attribute, ReferenceSet, Sample, Subject
from lumosx_core.sample_folder import write_sample
from tests.core.evaluation.binding_ceilings import judged_renders

# One axis of likeness each; the last one is the wall.
COLOURS = np.array(
    [(230, 20, 20), (20, 230, 20), (20, 20, 230), (230, 230, 20), (230, 20, 230), (20, 230, 230), (120, 20, 20), (20, 120, 20),
     (20, 20, 120), (230, 120, 20), (120, 20, 230), (20, 120, 120), (128, 128, 128)], np.uint8,
)  # fmt: skip
RED, GREEN, BLUE, YELLOW, PINK, CYAN, WINE, MOSS, NAVY, ORANGE, VIOLET, TEAL, WALL = range(len(COLOURS))
SIDE, WIDTH, HEIGHT = 8, 16, 44  # of a square, and of the part of a frame for one person
ROWS = {"face": 2, "hat": 14, "jacket": 26}
MOST = 3  # people in a frame


def one_hot(pixels: np.ndarray) -> np.ndarray:
    """Of the colour that most of the pixels [P, 3] are nearest to."""
    nearest = ((pixels.reshape(-1, 1, 3).astype(float) - COLOURS) ** 2).sum(-1).argmin(1)
    return np.eye(len(COLOURS))[np.bincount(nearest).argmax()]


class Squares:
    """Eyes, and an embedder, that know the world of `frame`."""

    def find_people(self, picture: Image.Image) -> list[Found]:
        return [Found(box=(n * WIDTH, 0, (n + 1) * WIDTH, HEIGHT), score=1.0) for n in self._columns(picture)]

    def find_faces(self, picture: Image.Image) -> list[FoundFace]:
        if picture.size == (SIDE, SIDE):  # a reference
            seen = one_hot(np.asarray(picture))
            return [] if seen[WALL] else [FoundFace(box=(0, 0, SIDE, SIDE), score=1.0, embedding=seen)]
        places = [(n, self._square(picture, n, "face")) for n in self._columns(picture)]
        return [
            FoundFace(box=(n * WIDTH + 4, 2, n * WIDTH + 12, 10), score=1.0, embedding=one_hot(pixels)) for n, pixels in places
        ]

    def find_phrase(self, picture: Image.Image, phrase: str, within: Box | None = None) -> list[Found]:
        assert within is not None and phrase in ROWS
        left, top = int(within[0]) + 4, ROWS[phrase]
        if one_hot(self._square(picture, int(within[0]) // WIDTH, phrase))[WALL]:
            return []
        return [Found(box=(left, top, left + SIDE, top + SIDE), score=1.0, phrase=phrase)]

    def segment(self, picture: Image.Image, found: Found) -> np.ndarray:
        mask = np.zeros((picture.height, picture.width), bool)
        left, top, right, bottom = map(int, found.box)
        mask[top:bottom, left:right] = True
        return mask

    def embed(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        rows = [one_hot(pixels[pixels.min(-1) < 240]) for pixels in map(np.asarray, pictures)]
        return np.array(rows).reshape(-1, len(COLOURS))

    def _columns(self, picture: Image.Image) -> list[int]:
        return [n for n in range(MOST) if not one_hot(self._square(picture, n, "face"))[WALL]]

    def _square(self, picture: Image.Image, n: int, row: str) -> np.ndarray:
        return np.asarray(picture)[ROWS[row] : ROWS[row] + SIDE, n * WIDTH + 4 : n * WIDTH + 12]


def frame(*people: tuple[int, int, int]) -> np.ndarray:
    """uint8 [HEIGHT, MOST * WIDTH, 3]: of each person face, hat and jacket; WALL for what is not there."""
    pixels = np.full((HEIGHT, MOST * WIDTH, 3), COLOURS[WALL], np.uint8)
    for n, person in enumerate(people):
        for top, colour in zip(ROWS.values(), person, strict=True):
            pixels[top : top + SIDE, n * WIDTH + 4 : n * WIDTH + 12] = COLOURS[colour]
    return pixels


def square(colour: int) -> Image.Image:
    return Image.new("RGB", (SIDE, SIDE), tuple(map(int, COLOURS[colour])))


def write_case(folder: Path, name: str, *people: tuple[int, int, int], views: tuple[int, ...] = ()) -> Path:
    subjects = tuple(
        Subject(
            name=f"person {n}",
            face=square(face),
            more_views=tuple(square(view) for view in views),
            attributes=(Attribute(phrase="tall hat", image=square(hat)), Attribute(phrase="a jacket", image=square(jacket))),
        )
        for n, (face, hat, jacket) in enumerate(people)
    )
    sample = folder / name / "sample"
    write_sample(sample, Sample(prompt="people", references=ReferenceSet(subjects=subjects)))
    return sample


FIRST, SECOND = (RED, GREEN, BLUE), (YELLOW, PINK, CYAN)


@pytest.fixture
def metric(tmp_path: Path) -> Binding:
    """case_1 is what is asked for; case_10 and others hold the distractors."""
    names = ["case_1", "case_10", "case_2", "strangers"]
    write_case(tmp_path, names[0], FIRST, SECOND)
    write_case(tmp_path, names[1], (WINE, MOSS, NAVY), (ORANGE, VIOLET, TEAL))
    write_case(tmp_path, names[2], (NAVY, WINE, MOSS))
    write_case(tmp_path, names[3], (TEAL, ORANGE, VIOLET))
    squares = Squares()
    eyes = Eyes(people=squares, faces=squares, phrases=squares, masks=squares)
    return Binding(Sight(eyes=eyes, embedder=squares, others=OtherCases(tmp_path, names, noun_of)))


def outcomes(metric: Binding, tmp_path: Path, *frames: np.ndarray) -> list[str]:
    return [thing["outcome"] for thing in metric.score(np.stack(frames), tmp_path / "case_1" / "sample")["things"]]


def test_known_videos_get_known_answers(metric: Binding, tmp_path: Path) -> None:
    right = frame(FIRST, SECOND)
    assert outcomes(metric, tmp_path, right) == ["bound"] * 4
    assert outcomes(metric, tmp_path, right, frame(SECOND, FIRST), right) == ["bound"] * 4
    assert outcomes(metric, tmp_path, frame((RED, PINK, CYAN), (YELLOW, GREEN, BLUE))) == ["swapped"] * 4
    assert outcomes(metric, tmp_path, frame((RED, PINK, BLUE), (YELLOW, GREEN, CYAN))) == ["swapped", "bound"] * 2
    assert outcomes(metric, tmp_path, frame(FIRST, (YELLOW, GREEN, BLUE))) == ["bound", "bound", "swapped", "swapped"]
    assert outcomes(metric, tmp_path, frame(FIRST)) == ["bound", "bound", "missing", "missing"]
    assert outcomes(metric, tmp_path, frame((RED, WALL, BLUE), SECOND)) == ["missing", "bound", "bound", "bound"]
    assert outcomes(metric, tmp_path, frame((WINE, MOSS, NAVY), FIRST, SECOND)) == ["bound"] * 4  # somebody more
    assert outcomes(metric, tmp_path, frame(FIRST, (WINE, PINK, CYAN))) == ["bound", "bound", "wrong", "wrong"]
    assert outcomes(metric, tmp_path, frame((RED, MOSS, NAVY), SECOND)) == ["wrong", "wrong", "bound", "bound"]
    # Red and blue change places, and so do yellow and cyan: nobody is recognised.
    assert "bound" not in outcomes(metric, tmp_path, right[..., ::-1])


def test_figures_of_a_half_right_video(metric: Binding, tmp_path: Path) -> None:
    flash = np.full((HEIGHT, MOST * WIDTH, 3), 255, np.uint8)
    video = np.stack([frame(FIRST, (YELLOW, PINK, BLUE))] * 4 + [frame(FIRST)] * 2 + [flash])
    values = metric.score(video, tmp_path / "case_1" / "sample")
    assert values["frames"] == list(range(7)) and values["leaked"] == [6]
    assert values["faces"] == [2, 2, 2, 2, 1, 1, 0]
    figures = {name: row for name, row in metric.figures(values).items() if row[1]}
    assert figures["bound"] == (3, 4) and figures["swapped"] == (1, 4) and figures["missing"] == (0, 4)
    assert figures["identity"] == (2, 2) and figures["bound of found"] == (3, 4) and figures["leaks"] == (1, 7)
    assert figures["found"] == (10, 14) and figures["dominance"] == (1, 2) and figures["exchanged"] == (0, 2)
    assert metric.details(values) == {"garment": (1, 2), "hat": (2, 2)}
    assert metric.note(values) == (
        '3 of 4 things bound, 2 of 2 people recognised; "a jacket" of person 2 swapped in 4 of 7 frames: person 1\'s is seen; '
        "1 of 7 frames show paper or a reference"
    )


def test_a_case_without_a_video_is_missing(metric: Binding, tmp_path: Path) -> None:
    values = metric.missing(tmp_path / "case_1" / "sample")
    figures = metric.figures(values)
    assert (figures["bound"], figures["missing"], figures["identity"], figures["found"]) == ((0, 4), (4, 4), (0, 2), (0, 16))
    assert (figures["leaks"], figures["face drift"], figures["extra faces"]) == ((0, 0), (0, 0), (0, 0))


UNSEEN = (WALL, PINK, CYAN)  # a reference in which no face is found


@pytest.mark.parametrize("people", [(FIRST, UNSEEN), (FIRST, (RED, MOSS, NAVY), SECOND)], ids=["unseen", "twins"])
def test_a_case_without_a_video_has_the_denominators_of_one(
    metric: Binding, tmp_path: Path, people: tuple[tuple[int, int, int], ...]
) -> None:
    sample = write_case(tmp_path, "asked", *people)
    shown, absent = (metric.figures(row) for row in (metric.score(frame(*people)[None], sample), metric.missing(sample)))
    assert shown["hidden"] == absent["hidden"] and 0 < shown["hidden"][0] < shown["hidden"][1]
    for figure in ("bound", "identity", "missing", "exchanged", "dominance", "blending"):
        assert absent[figure][1] == shown[figure][1], figure
    assert metric.matrices(metric.missing(sample)) == {}


def test_a_first_view_without_a_face_has_no_copy_gap(metric: Binding, tmp_path: Path) -> None:
    values = metric.score(frame(FIRST)[None], write_case(tmp_path, "asked", (WALL, GREEN, BLUE), views=(RED, VIOLET)))
    assert values["copy_gap"] == [] and values["people"][0]["seen"]
    assert [thing["outcome"] for thing in values["things"]] == ["bound", "bound"]


def test_a_copied_view_is_told_from_the_person(metric: Binding, tmp_path: Path) -> None:
    sample = write_case(tmp_path, "two_views", FIRST, views=(VIOLET,))
    values = metric.score(frame(FIRST)[None], sample)
    assert values["copy_gap"] == [1] and metric.figures(values)["copy gap"] == (1, 1)
    other = metric.score(frame((VIOLET, GREEN, BLUE))[None], sample)
    assert (
        other["copy_gap"] == [-1]
        and metric.figures(other)["copy gap"] == (0, 1)
        and [t["outcome"] for t in other["things"]] == ["bound", "bound"]
    )


def test_distractors_are_of_other_cases_by_whole_names(metric: Binding, tmp_path: Path) -> None:
    assert metric.sight is not None
    others = metric.sight.others
    hats = others.things("case_1", "hat")
    assert len(hats) == 8 and {place.case for place in hats} == {"case_10", "case_2", "strangers"}
    assert [place.attribute for place in hats] == [0] * 4 + [1] * 4  # hats first
    assert hats == OtherCases(tmp_path, ["case_1", "case_10", "case_2", "strangers"], noun_of).things("case_1", "hat")
    assert {place.case for place in others.faces("case_10")} == {"case_1", "case_2", "strangers"}
    far = less_alike(np.array([1.0, 0]), [np.array([x, 0.0]) for x in range(CANDIDATES)])
    assert [other[0] for other in far] == list(range(DISTRACTORS))
    with pytest.raises(InputError, match="generate every case, or put the cases of all shares into one folder"):
        OtherCases(tmp_path, ["case_1", "absent"], noun_of).things("case_1", "hat")
    with pytest.raises(InputError, match="needs eyes and an embedder; name their folder with --eyes"):
        Binding().score(frame(FIRST)[None], tmp_path / "case_1" / "sample")


def test_a_body_is_the_one_below_the_face() -> None:
    left, right = Found(box=(0, 10, 50, 90), score=1.0), Found(box=(30, 0, 80, 90), score=1.0)
    face = Found(box=(33, 12, 43, 22), score=1.0)
    assert body_of(face, [left, right]) is left and body_of(face, [right]) is right
    mask = np.zeros((100, 100), bool)
    assert body_of(face, [Found(box=left.box, score=1.0, mask=mask), right]) is right
    assert body_of(Found(box=(90, 90, 95, 95), score=1.0), [left, right]) is None


def test_things_are_compared_in_the_middle_of_a_white_square() -> None:
    picture = Image.new("RGB", (60, 100), "white")
    picture.paste((200, 0, 0), (10, 50, 30, 90))
    shown = np.asarray(framed(picture))
    assert shown.shape == (46, 46, 3)
    assert (np.argwhere(shown[..., 1] < 128).min(0).tolist(), np.argwhere(shown[..., 1] < 128).max(0).tolist()) == (
        [3, 13],
        [42, 32],
    )


@pytest.mark.parametrize(
    ("phrase", "words", "kind"),
    [
        ("a red jacket with a hood", "jacket", "garment"),
        ("blue t-shirt", "t-shirt", "garment"),
        ("the grey wool coat", "coat", "garment"),
        ("pair of glasses", "glasses", "glasses"),
        ("white shoes", "shoes", "shoes"),
        ("large leather handbag", "handbag", "bag"),
        ("straw hat", "hat", "hat"),
        ("umbrella", "umbrella", "umbrella"),
        ("cup of coffee", "cup", "cup"),
        ("the man's red hat", "hat", "hat"),
        ("Ann's jacket", "jacket", "garment"),
        ("a woman\u2019s coat", "coat", "garment"),
        ("the boys' caps", "caps", "hat"),
        ("a pair of men's shoes", "shoes", "shoes"),
        ("the man's friend's scarf", "scarf", "scarf"),
        ("the hat's brim", "brim", "brim"),
        ("the man's", "man", "man"),
        ("wearing a blue jacket", "jacket", "garment"),
        ("wears blue jeans", "jeans", "trousers"),
        ("dressed in a red gown", "gown", "garment"),
        ("holding the woman's umbrella", "umbrella", "umbrella"),
        ("with a straw hat", "hat", "hat"),
        ("wearing", None, None),
        ("red", None, None),
        ("!", None, None),
    ],
)
def test_nouns_of_phrases(phrase: str, words: str | None, kind: str | None) -> None:
    assert noun_of(phrase) == (Noun(words=words, kind=kind) if words and kind else None)


def test_true_renders_are_bound_and_exchanged_ones_are_not(tmp_path: Path) -> None:
    """The short form of `binding_ceilings.py`."""
    rates = {False: [0.0, 0.0], True: [0.0, 0.0]}
    for judged in judged_renders(list(puppet_suite_cases(2, 2, 16, 7)), tmp_path, first=4):
        for n, value in enumerate(judged.bound):
            rates[judged.exchanged][n] += value
    assert rates[False][0] == rates[False][1] >= 14
    assert rates[True][0] == 0 and rates[True][1] >= 14
