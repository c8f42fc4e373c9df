"""Videos into shots."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lumosx_core.data.collect_config import PUPPETS
from lumosx_core.data.shots import cut_into_shots, shots_between
from lumosx_core.data.stage import DroppedError
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
        times = np.arange(count) / 8
        assert [shot.frames for shot in shots_between(times, np.zeros(count), SHOTS)] == wanted[: 1 if count < 25 else 2]
    assert shots_between(np.arange(7) / 8, np.zeros(7), SHOTS) == [] and shots_between(np.zeros(0), np.zeros(0), SHOTS) == []


def test_why_a_video_gives_none(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    small = np.zeros((3, 16, 16, 3), np.uint8)
    write_video(tmp_path / "small.mp4", small, 8.0)
    write_video(tmp_path / "short.mp4", small.repeat(8, 1).repeat(8, 2), 8.0)
    for name, reason in (("text.mp4", "undecodable"), ("small.mp4", "too_small"), ("short.mp4", "too_short")):
        with pytest.raises(DroppedError) as caught:
            cut_into_shots(tmp_path / name, SHOTS)
        assert caught.value.reason == reason
