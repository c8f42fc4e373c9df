"""The short form of `collected_against_truth.py`: two clips, a small model. Collected clips train, and they show what the
renderer painted; whether they teach as well only the long form can tell."""

from pathlib import Path

import numpy as np
import pytest
from collected_against_truth import Learnt, compare

from lumosx_core.data.clip_cache import LIST, ListedClip, OpenClip
from lumosx_core.data.training_clips import Picture, TrainingClip, find_training_clips
from lumosx_core.files.images import rgb_on_white
from lumosx_core.files.json_lines import read_records

Compared = tuple[Path, dict[str, Learnt]]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    folder = tmp_path_factory.mktemp("compared")
    return folder, compare(folder, 2, 24, size="48x48x5", preset="debug_64")


def test_collected_clips_train(compared: Compared) -> None:
    collected, truth = compared[1]["collected"], compared[1]["truth"]
    assert collected.clips == truth.clips == 2
    assert collected.last < 0.9 * collected.first and truth.last < 0.9 * truth.first


def pixels(picture: Picture) -> np.ndarray:
    """float [N, 3], 0 to 255: those of a picture that are not the white around what it shows."""
    every = np.asarray(rgb_on_white(picture.open())).reshape(-1, 3).astype(float)
    return every[(every < 235).any(axis=1)]


def both(folder: Path) -> list[tuple[TrainingClip, TrainingClip]]:
    """Every clip as it was collected, and as the renderer painted it."""
    collected, truth = ({clip.caption: clip for clip in find_training_clips(folder / n)[0]} for n in ("dataset", "truth"))
    assert collected.keys() == truth.keys() and len(truth) == 2
    return [(collected[caption], truth[caption]) for caption in truth]


def test_references_of_things_have_the_colours_that_the_renderer_painted(compared: Compared) -> None:
    seen = 0
    for clip, truth in both(compared[0]):
        painted = {
            (number, thing.text): pixels(thing.pictures[0]).mean(axis=0)
            for number, person in enumerate(truth.people)
            for thing in person.attributes
        }
        for number, person in enumerate(clip.people):
            for thing in person.attributes:
                for picture in thing.pictures:
                    apart = {name: np.abs(pixels(picture).mean(axis=0) - c).max() for name, c in painted.items()}
                    own = apart.pop((number, thing.text))
                    assert own < 30 and own <= min(apart.values()), (thing.text, own, apart)
                    seen += 1
    assert seen >= 12


def test_references_of_faces_have_the_skin_that_the_renderer_painted(compared: Compared) -> None:
    for clip, truth in both(compared[0]):
        for person, painted in zip(clip.people, truth.people, strict=True):
            face = np.asarray(rgb_on_white(painted.face.pictures[0].open())).astype(float)
            height, width = face.shape[:2]
            middle = face[int(0.35 * height) : int(0.65 * height), int(0.35 * width) : int(0.65 * width)]
            skin = np.median(middle.reshape(-1, 3), axis=0)
            for picture in person.face.pictures:
                assert (np.abs(pixels(picture) - skin).max(axis=1) < 20).mean() > 0.04


def test_cached_videos_are_those_of_the_renderer(compared: Compared) -> None:
    def videos(name: str) -> dict[str, np.ndarray]:
        cache = compared[0] / f"{name}_cache"
        opened = [OpenClip(cache, one.key) for one in read_records(cache / LIST, ListedClip)]
        return {one.clip.caption: one.tensor("video").float().numpy() for one in opened}

    collected, truth = videos("collected"), videos("truth")
    assert len(truth) == 2
    for caption, video in truth.items():
        assert np.abs(collected[caption] - video).mean() < 0.03 * np.abs(video).mean()
