"""Videos into shots."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lumosx_core.data.collect_config import PUPPETS
from lumosx_core.data.cuts import Cuts, check_detector, find_cuts
from lumosx_core.data.shots import cut_into_shots, shots_between
from lumosx_core.data.stage import DroppedError
from lumosx_core.errors import InputError
from lumosx_core.files.videos import write_video

SHOTS = replace(PUPPETS.shots, fps=8.0, most_frames=17, least_s=1.0)


def test_cuts_are_found_and_shots_are_as_long_as_the_model_takes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scenes = [rng.integers(0, 255, (1, 6, 8, 3), dtype=np.uint8) for _ in range(3)]
    frames = np.concatenate([np.repeat(scene, count, 0) for scene, count in zip(scenes, (20, 5, 40), strict=True)])
    write_video(tmp_path / "v.mp4", frames.repeat(16, 1).repeat(16, 2), 8.0)
    record = cut_into_shots(tmp_path / "v.mp4", SHOTS)
    assert [(shot.start_s, shot.frames) for shot in record.shots] == [(0.0, 17), (3.125, 17), (5.25, 17)]
    assert (record.width, record.height, record.codec) == (128, 96, "h264")


def test_lengths_are_4n_plus_1_and_short_shots_are_left_out() -> None:
    for count, wanted in ((8, [5]), (9, [9]), (16, [13]), (17, [17]), (25, [17, 5])):
        assert [shot.frames for shot in shots_between(_cuts(count), SHOTS)] == wanted[: 1 if count < 25 else 2]
    assert shots_between(_cuts(7), SHOTS) == [] and shots_between(_cuts(0), SHOTS) == []


def test_frames_of_a_dissolve_belong_to_no_shot() -> None:
    cuts = _cuts(40, begins=(20,), between=range(12, 20))
    assert [(shot.start_s, shot.frames) for shot in shots_between(cuts, SHOTS)] == [(0.0, 9), (2.5, 17)]


def test_scenedetect_finds_a_cut_but_no_moving_camera(tmp_path: Path) -> None:
    pytest.importorskip("scenedetect")
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 255, (2, 12, 60, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    frames = np.stack([wide[n // 30][:, 2 * n : 2 * n + 256] for n in range(60)])  # the camera moves
    write_video(tmp_path / "v.mp4", frames, 8.0)
    cuts = find_cuts(tmp_path / "v.mp4", replace(SHOTS, detector="scenedetect"))
    assert np.flatnonzero(cuts.begins).tolist() == [0, 30] and not cuts.between.any() and len(cuts.times) == 60


def test_a_detector_that_is_not_installed_is_told_before_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    for name in ("scenedetect", "transnetv2"):
        with pytest.raises(InputError, match=f"shots.detector is '{name}', which needs the package"):
            check_detector(replace(SHOTS, detector=name))
    check_detector(SHOTS)


def _cuts(count: int, begins: Sequence[int] = (), between: Sequence[int] = ()) -> Cuts:
    cuts = Cuts(times=np.arange(count) / 8, begins=np.zeros(count, bool), between=np.zeros(count, bool))
    cuts.begins[[*range(min(count, 1)), *begins]] = True
    cuts.between[list(between)] = True
    return cuts


def test_why_a_video_gives_none(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    small = np.zeros((3, 16, 16, 3), np.uint8)
    write_video(tmp_path / "small.mp4", small, 8.0)
    write_video(tmp_path / "short.mp4", small.repeat(8, 1).repeat(8, 2), 8.0)
    for name, reason in (("text.mp4", "undecodable"), ("small.mp4", "too_small"), ("short.mp4", "too_short")):
        with pytest.raises(DroppedError) as caught:
            cut_into_shots(tmp_path / name, SHOTS)
        assert caught.value.reason == reason
