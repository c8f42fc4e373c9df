"""Frames of any video by their time: right moment, right way up, right colours."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lumosx_core.data.decoding import UndecodableError, probe_video, read_at, read_clip, walk_frames


def write(path: Path, codec: str, greys: list[int], options: dict[str, str]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, grey in enumerate(greys):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), grey, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("name", "codec", "options"), [("a.mp4", "libx264", {"bf": "2", "crf": "5"}), ("a.avi", "libx264", {"bf": "2", "crf": "5"})]
)
def test_frames_come_by_their_time(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    greys = [12 * number for number in range(20)]
    path = write(tmp_path / name, codec, greys, options)
    facts = probe_video(path)
    assert (facts.width, facts.height, facts.fps, facts.frames, facts.duration_s) == (64, 48, 25.0, 20, 0.8)
    walked = list(walk_frames(path))
    assert [time for time, _ in walked] == pytest.approx([number / 25 for number in range(20)])
    assert [picture.mean() for _, picture in walked] == pytest.approx(greys, abs=2)
    assert read_at(path, [0.5, 0.1, 9, -1]).mean(axis=(1, 2, 3)) == pytest.approx([12 * 12, 12 * 2, 12 * 19, 0], abs=2)
    pictures, times = read_clip(path, 0.2, 4, 12.5, short_side=24)
    assert pictures.shape == (4, 24, 32, 3)
    assert times == pytest.approx([0.2, 0.28, 0.36, 0.44])
    assert pictures.mean(axis=(1, 2, 3)) == pytest.approx([60, 84, 108, 132], abs=2)


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.mp4", tmp_path / "text.mp4"
    empty.write_bytes(b"")
    text.write_text("#EXTM3U\nhttp://localhost/x.ts\n")
    for path in (empty, text):
        with pytest.raises(UndecodableError, match=path.name) as caught:
            probe_video(path)
        assert caught.value.reason.startswith("undecodable: ")
