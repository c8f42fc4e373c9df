"""Backgrounds: what a still camera saw in other frames is taken, and only the rest is invented."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumosx_core.data.collect_config import PHOTO, BackgroundSettings, CollectConfig, KeepSettings
from lumosx_core.data.components import Components
from lumosx_core.data.decide import decide_background
from lumosx_core.data.records import BackgroundRecord, GroundingRecord, Shot
from lumosx_core.data.relations.rules import read_rules
from lumosx_core.data.stage import ClipWork, read_png
from lumosx_core.data.stages.background import fill_background
from lumosx_core.data.stages.frames import select_frames
from lumosx_core.data.stages.people import follow_people
from lumosx_core.data.store import Blobs
from lumosx_core.detection.boxes import mask_box
from lumosx_core.eyes import Found
from lumosx_core.files.videos import write_video

HEIGHT, WIDTH, FRAMES = 96, 160, 33


class MagentaPeople:
    """Finds what is magenta; nobody has a face. Also fills places with one colour, and counts how often it looks."""

    looks = 0

    def find_people(self, picture: Image.Image) -> list[Found]:
        self.looks += 1
        rgb = np.asarray(picture).astype(int)
        mask = (rgb[..., 0] > 180) & (rgb[..., 1] < 80) & (rgb[..., 2] > 180)
        return [Found(box=tuple(map(float, mask_box(mask))), score=1.0, mask=mask)] if mask.any() else []  # type: ignore[arg-type]

    def find_faces(self, _picture: Image.Image) -> list:
        return []

    def fill(self, picture: np.ndarray, places: np.ndarray) -> np.ndarray:
        return np.where(places[..., None], np.uint8([1, 2, 3]), picture)


def scene(seed: int = 0) -> np.ndarray:
    """uint8 [H, W, 3], green."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 10, 3), dtype=np.uint8)
    small[..., 0] //= 3
    return np.asarray(Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def work_on(folder: Path, place: Callable[[int], int], config: CollectConfig, eyes: MagentaPeople, filler: bool) -> ClipWork:
    """A clip in which a person of 60 x 90 pixels stands at place(frame)."""
    frames = np.repeat(scene()[None], FRAMES, 0)
    for number in range(FRAMES):
        frames[number, 6:, place(number) : place(number) + 60] = (255, 0, 255)
    write_video(folder / "v.mp4", frames, 16.0, crf=4)
    components = Components(
        people=eyes,
        faces=eyes,
        phrases=None,
        masks=None,
        captioner=None,
        digest="",
        filler=eyes if filler else None,  # type: ignore[arg-type]
    )
    work = ClipWork(
        path=folder / "v.mp4",
        shot=Shot(start_s=0.0, frames=FRAMES, fps=16.0),
        caption="",
        config=config,
        models="",
        make_components=lambda: components,
        blobs=Blobs(folder / "blobs"),
    )
    work.records["frames"] = select_frames(work)
    work.records["people"] = follow_people(work)
    work.records["grounding"] = GroundingRecord(candidates=())
    work.records["reading"] = read_rules("A man in a park.")
    return work


def config(looked_at: int) -> CollectConfig:
    return replace(PHOTO, background=BackgroundSettings(looked_at=looked_at))


def aside(number: int) -> int:
    """Left in the selected frames (1, 16 and 31), right in some between."""
    return 94 if 5 < number < 12 else 2


def test_places_that_a_still_camera_saw_between_the_selected_frames_are_not_invented(tmp_path: Path) -> None:
    eyes = MagentaPeople()
    record = fill_background(work_on(tmp_path, aside, config(9), eyes, filler=False))
    assert record.invented == 0.0 and record.left == 0 and not record.painted
    found = np.asarray(read_png(Blobs(tmp_path / "blobs"), record.picture)).astype(int)
    assert np.abs(found - scene()).mean() < 6
    hidden = fill_background(work_on(tmp_path, aside, config(0), eyes, filler=False))
    assert 0.36 < hidden.invented < 0.5


def test_a_person_who_never_moves_hides_the_place_and_a_model_may_invent_it(tmp_path: Path) -> None:
    record = fill_background(work_on(tmp_path, lambda _: 2, config(3), MagentaPeople(), filler=True))
    assert 0.36 < record.invented < 0.5 and record.painted
    found = np.asarray(read_png(Blobs(tmp_path / "blobs"), record.picture))
    assert found[50, 30].tolist() == [1, 2, 3] and np.abs(found[:, 100:].astype(int) - scene()[:, 100:]).mean() < 6


def test_a_moving_camera_costs_no_further_look(tmp_path: Path) -> None:
    eyes = MagentaPeople()
    work = work_on(tmp_path, aside, config(9), eyes, filler=False)
    for number in (0, 2):
        work.pictures[number] = Image.fromarray(scene(seed=number + 1))
    eyes.looks = 0
    assert fill_background(work).invented > 0.36 and eyes.looks == 1  # only whether people are left


@pytest.mark.parametrize(
    ("record", "status"),
    [
        (BackgroundRecord(picture="x", invented=0.5), "doubtful"),
        (BackgroundRecord(picture="x", invented=0.5, painted=True), "accepted"),
        (BackgroundRecord(picture="x", invented=0.8, painted=True), "doubtful"),
        (BackgroundRecord(picture="x", invented=0.1, left=1), "doubtful"),
        (BackgroundRecord(picture="x", invented=0.1), "accepted"),
    ],
)
def test_how_much_may_be_invented_depends_on_who_invents(record: BackgroundRecord, status: str) -> None:
    decided = decide_background({"reading": read_rules("A man in a park."), "background": record}, KeepSettings())
    assert decided is not None and decided.status == status and bool(decided.reasons) == (status != "accepted")
