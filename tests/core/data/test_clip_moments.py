"""Clips of six rates that show a running clock are trained on at the right moments; more kinds of bad clips are told."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from lumosx_core.data.buckets import parse_buckets
from lumosx_core.data.check import check_clips
from lumosx_core.data.decoding import read_clip
from lumosx_core.data.prepare import usable_frames
from lumosx_core.data.training_clips import find_training_clips
from lumosx_core.references import Attribute, ReferenceSet, Sample, Subject
from lumosx_core.sample_folder import write_sample
from lumosx_core.sampling.pipeline import NANO_FOLDER
from tests.core.data.made_videos import as_frame, counted, drawn, read_number, write_frames

TICKS = 24_000  # of a second: every rate has frames of whole ticks
GAPS = {"12": [2000], "16": [1500], "23.976": [1001], "30": [800], "60": [400], "variable": [300, 300, 1200, 600, 2400]}
# Frames of the file, and at 16 per second, counted by hand: to the last frame, and its mean gap more.
COUNTED = {"12": (13, 17), "16": (17, 17), "23.976": (25, 16), "30": (31, 16), "60": (61, 16), "variable": (26, 16)}
PICTURE = Image.new("RGB", (40, 40), (200, 40, 40))


def folder(path: Path, *subjects: Subject) -> Path:
    """A sample folder without a video."""
    everybody = subjects or (Subject(name="man", face=PICTURE, attributes=(Attribute(phrase="hat", image=PICTURE),)),)
    return write_sample(path, Sample(prompt="A man with a hat.", references=ReferenceSet(subjects=everybody)))


@pytest.mark.parametrize("rate", list(GAPS))
def test_frames_are_those_of_their_moments(tmp_path: Path, rate: str) -> None:
    """To half a frame of the video, at 16 per second."""
    count, wanted = COUNTED[rate]
    ticks = [0]
    for number in range(count - 1):
        ticks.append(ticks[-1] + GAPS[rate][number % len(GAPS[rate])])
    write_frames(folder(tmp_path / "clip") / "video.mp4", counted(count), ticks=ticks, per_second=TICKS)
    clips, faults = find_training_clips(tmp_path)
    assert usable_frames(clips[0], 16.0) == (64, 48, wanted)
    report = check_clips(clips, faults, NANO_FOLDER, parse_buckets(["64x48x13"]), text_len=80, fps=16.0)
    assert [item.bucket.frames for item in report.usable] == [13]
    frames, times = read_clip(tmp_path / "clip" / "video.mp4", 0.0, wanted, 16.0)
    seconds = np.array(ticks) / TICKS
    shown = [read_number(frame) for frame in frames]
    assert np.allclose(seconds[shown], times, atol=1e-4)
    for place, number in enumerate(shown):
        moment = place / 16
        before, after = seconds[max(number - 1, 0)], seconds[min(number + 1, count - 1)]
        assert (before + seconds[number]) / 2 - 1e-4 <= moment, (place, number)
        assert number == count - 1 or moment <= (after + seconds[number]) / 2 + 1e-4, (place, number)


def test_more_kinds_of_bad_clips(tmp_path: Path) -> None:
    """Beside those of test_training_data.py. A video whose size changes is none: the decoder makes its frames one size."""
    video = write_frames(tmp_path / "video.mp4", counted(20), per_second=20).read_bytes()
    everybody: dict[str, tuple[Subject, ...]] = dict.fromkeys(("good", "sound", "long", "changing"), ())
    everybody["pixel"] = (Subject(name="man", face=Image.new("RGB", (1, 1))),)
    everybody["twins"] = (Subject(name="man", face=PICTURE), Subject(name="man", face=PICTURE))
    data = tmp_path / "clips"
    for name, subjects in everybody.items():
        (folder(data / name, *subjects) / "video.mp4").write_bytes(video)
    (data / "long" / "caption.txt").write_text("long;A man with a hat." + " word" * 5000, "utf-8")
    with av.open(str(data / "sound" / "video.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    small = write_frames(tmp_path / "a.ts", counted(10), per_second=20)
    large = write_frames(tmp_path / "b.ts", [as_frame(drawn(number, 128, 96)) for number in range(10)], per_second=20)
    (data / "changing" / "video.mp4").write_bytes(small.read_bytes() + large.read_bytes())
    clips, faults = find_training_clips(data)
    report = check_clips(clips, faults, NANO_FOLDER, parse_buckets(["64x48x5"]), text_len=80, fps=16.0)
    assert sorted(item.clip.name for item in report.usable) == ["changing", "good"]
    words = {
        "sound": "video.mp4 is not used (no_video)",
        "long": "the prompt has 25017 characters, at most 20000 are read",
        "pixel": "is 1x1; give one of at least 8 pixels a side",
        "twins": "'man' is meant by 2 owners",
    }
    assert report.left_out.keys() == words.keys()
    for name, part in words.items():
        assert part in report.left_out[name], report.left_out[name]
