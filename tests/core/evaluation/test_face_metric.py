"""The faces of videos with known answers: everybody there, exchanged, missing, extra, twins, a face that no reference shows."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumosx_core.cli.main import main
from lumosx_core.errors import InputError
from lumosx_core.evaluation import scoring
from lumosx_core.evaluation.generate_run import take_videos
from lumosx_core.evaluation.metrics.faces import FRAMES, Faces, match_faces
from lumosx_core.evaluation.suites import read_suite
from lumosx_core.eyes import FoundFace
from lumosx_core.files.atomic import write_bytes
from lumosx_core.files.videos import write_video
from lumosx_core.references import ReferenceSet, Sample, Subject
from lumosx_core.sample_folder import write_sample

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
SIDE = 8  # pixels of a face


@dataclass(frozen=True)
class Squares:
    """A finder for which every square of a pure colour, SIDE wide, is a face, and its colour the embedding."""

    embeds: bool = True

    def find_faces(self, picture: Image.Image) -> list[FoundFace]:
        pixels = np.asarray(picture, dtype=np.float32)
        found = []
        for left in range(0, pixels.shape[1], SIDE):
            colour = pixels[: pixels.shape[0], left : left + SIDE].reshape(-1, 3).mean(0)
            if colour.max() - colour.min() > 100:
                embedding = colour / np.linalg.norm(colour) if self.embeds else None
                found.append(FoundFace(box=(left, 0, left + SIDE, SIDE), score=1.0, embedding=embedding))
        return found


def frame(*colours: tuple[int, int, int] | None) -> np.ndarray:
    """uint8 [SIDE, 4 * SIDE, 3]: a square for each colour, white for None and the rest."""
    pixels = np.full((SIDE, 4 * SIDE, 3), 255, np.uint8)
    for place, colour in enumerate(colours):
        if colour is not None:
            pixels[:, place * SIDE : (place + 1) * SIDE] = colour
    return pixels


def sample_of(folder: Path, *people: tuple[tuple[int, int, int], ...]) -> Path:
    """A sample folder with a person for each group of views."""
    subjects = []
    for number, views in enumerate(people):
        pictures = [Image.new("RGB", (SIDE, SIDE), colour) for colour in views]
        subjects.append(Subject(name=f"person {number}", face=pictures[0], more_views=tuple(pictures[1:])))
    write_sample(folder, Sample(prompt="people", references=ReferenceSet(subjects=tuple(subjects))))
    return folder


def score(video: list[np.ndarray], sample: Path) -> tuple[dict, dict]:
    metric = Faces(Squares())
    values = metric.score(np.stack(video), sample)
    return values, metric.figures(values)


def test_everybody_there_wherever_they_stand(tmp_path: Path) -> None:
    sample = sample_of(tmp_path / "s", (RED,), (GREEN,))
    values, figures = score([frame(RED, GREEN), frame(None, GREEN, RED)], sample)
    assert values["frames"] == [0, 1] and values["faces"] == [2, 2]
    assert [person["similarity"] for person in values["people"]] == [[1, 1], [1, 1]]
    assert {name: row for name, row in figures.items() if row[1]} == {
        "similarity": (4, 4), "found": (4, 4), "similarity of found": (4, 4), "most like own": (4, 4),
        "extra faces": (0, 4), "references": (2, 2),
    }  # fmt: skip
    assert score([frame(RED, GREEN)], sample)[1]["similarity"] == (2, 2)  # a video of one frame
    assert score([frame(RED, GREEN)] * 81, sample)[1]["similarity"] == (2 * FRAMES, 2 * FRAMES)


def test_missing_faces_count_as_nothing_and_are_told_apart(tmp_path: Path) -> None:
    sample = sample_of(tmp_path / "s", (RED,), (GREEN,))
    values, figures = score([frame(RED, GREEN), frame(RED), frame()], sample)
    assert values["people"][1]["similarity"] == [1, None, None]
    assert (figures["similarity"], figures["found"], figures["similarity of found"]) == ((3, 6), (3, 6), (3, 3))
    metric = Faces(Squares())
    absent = metric.figures(metric.missing(sample))
    assert (absent["similarity"], absent["found"], absent["references"]) == ((0, 16), (0, 16), (2, 2))
    assert metric.note(values) == (
        "person 0: similarity 1.00, found in 2 of 3 frames; person 1: similarity 1.00, found in 1 of 3 frames"
    )


def test_strangers_and_extra_faces(tmp_path: Path) -> None:
    sample = sample_of(tmp_path / "s", (RED,), (GREEN,))
    _, figures = score([frame(RED, GREEN, BLUE)], sample)
    assert figures["extra faces"] == (1, 3) and figures["similarity"] == (2, 2)
    values, figures = score([frame(BLUE, GREEN)], sample)  # somebody else in the place of the first
    assert [person["similarity"] for person in values["people"]] == [[0], [1]]
    assert figures["similarity"] == (1, 2) and figures["found"] == (2, 2) and figures["most like own"] == (1, 2)


def test_one_face_on_everybody_is_not_everybody(tmp_path: Path) -> None:
    """Dominance: the second face is matched with the person it is not, and is more like the other one."""
    values, figures = score([frame(RED, RED)], sample_of(tmp_path / "s", (RED,), (GREEN,)))
    assert sorted(person["similarity"][0] for person in values["people"]) == [0, 1]
    assert figures["similarity"] == (1, 2) and figures["most like own"] == (1, 2)


def test_further_views_count_and_are_told_apart(tmp_path: Path) -> None:
    sample = sample_of(tmp_path / "s", (RED, (255, 255, 0)), (BLUE,))
    values, figures = score([frame((255, 255, 0), BLUE), frame(RED, BLUE)], sample)
    half = pytest.approx(2**-0.5, abs=1e-4)
    assert values["people"][0] | {"name": ""} == {
        "name": "", "views": 2, "seen": 2, "similarity": [1, 1], "first": [half, 1], "further": [1, half], "other": [0, 0],
    }  # fmt: skip
    assert figures["similarity"] == (4, 4)
    assert figures["first view"] == figures["further views"] == (pytest.approx(1 + 2**-0.5, abs=1e-4), 2)


def test_a_reference_without_a_face_is_told_and_not_the_videos_fault(tmp_path: Path) -> None:
    sample = sample_of(tmp_path / "s", ((255, 255, 255),), (GREEN,))
    values, figures = score([frame(RED, GREEN)], sample)
    assert values["people"][0]["seen"] == 0 and values["people"][0]["similarity"] == [None]
    assert figures["similarity"] == (1, 1) and figures["references"] == (1, 2)
    assert "person 0: no face in the reference" in Faces().note(values)
    metric = Faces(Squares())
    absent = metric.figures(metric.missing(sample))
    assert (absent["references"], absent["similarity"]) == ((1, 2), (0, FRAMES))


def test_channels_in_the_wrong_order_are_seen(tmp_path: Path) -> None:
    _, figures = score([frame(RED)[..., ::-1]], sample_of(tmp_path / "s", (RED,)))
    assert figures["similarity"] == (0, 1) and figures["found"] == (1, 1)


def test_twins_are_told_by_a_hair() -> None:
    """Matched so that both are most alike in sum, even where one face is the most like both."""
    first, second = np.array([1.0, 0.0]), np.array([0.8, 0.6])
    rows = match_faces([second, first], [[first], [second]])
    assert rows[0] == {"similarity": 1, "first": 1, "other": 0.8} and rows[1] == {"similarity": 1, "first": 1, "other": 0.8}
    assert match_faces([], [[first]]) == [{}] and match_faces([first], [[None]]) == [{}]


def test_finders_that_cannot_tell_are_refused(tmp_path: Path) -> None:
    sample = sample_of(tmp_path / "s", (RED,))
    with pytest.raises(InputError, match="name their folder with --eyes"):
        Faces().score(frame(RED)[None], sample)
    with pytest.raises(InputError, match="put a recogniser beside the detector"):
        Faces(Squares(embeds=False)).score(frame(RED)[None], sample)


def test_a_run_of_photographs_is_scored_by_its_faces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sample_of(tmp_path / "samples" / "b_two", (RED,), (GREEN,))
    sample_of(tmp_path / "samples" / "a_one", (BLUE,))
    assert (
        main(["evaluate", "suite", "--samples", str(tmp_path / "samples"), "--out", str(tmp_path / "suite"), "--seed", "3"])
        == 0
    )
    suite = read_suite(tmp_path / "suite")
    assert [(case.name, case.group, case.seed) for case in suite.cases] == [("a_one", "1 person", 3), ("b_two", "2 people", 4)]
    assert (suite.kind, suite.width, suite.title) == ("photographs", None, "sample folders of samples")
    write_video(tmp_path / "videos" / "a_one.mp4", np.stack([frame(BLUE)] * 3), 8, crf=0)
    write_video(tmp_path / "videos" / "b_two.mp4", np.stack([frame(GREEN, GREEN), frame(RED), frame(RED, GREEN)]), 8, crf=0)
    run = take_videos(tmp_path / "suite", tmp_path / "videos", tmp_path / "run")
    eyes = tmp_path / "eyes"
    capsys.readouterr()
    assert main(["evaluate", "score", str(run.folder), "--eyes", str(eyes)]) == 2
    assert "nothing finds faces; put " in capsys.readouterr().err
    for name in ("face_detection_yunet_2023mar.onnx", "face_recognition_sface_2021dec.onnx"):
        write_bytes(eyes / "yunet_sface" / name, b"of the finder below")
    monkeypatch.setattr(scoring, "face_finder", lambda _: Squares())
    assert main(["evaluate", "score", str(run.folder), "--eyes", str(eyes), "--workers", "1"]) == 0
    figures = json.loads((run.folder / "report.json").read_text("utf-8"))["metrics"]["faces"]["all"]["figures"]
    assert figures["found"]["value"] == pytest.approx(8 / 9) and figures["similarity"]["value"] == pytest.approx(
        7 / 9, abs=0.02
    )
    assert figures["extra faces"]["value"] == 0 and "further views" not in figures
    assert main(["evaluate", "score", str(run.folder), "--device", "cpu"]) == 2
    assert "--device has no effect on faces" in capsys.readouterr().err
    write_bytes(eyes / "yunet_sface" / "face_detection_yunet_2023mar.onnx", b"another one")
    assert main(["evaluate", "score", str(run.folder), "--eyes", str(eyes)]) == 2
    assert "scores of faces of another version or with other models" in capsys.readouterr().err
