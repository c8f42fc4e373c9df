"""Frames of any video by their time: right moment, right way up, right colours; and what is no good video."""

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest

from lumosx_core.data import decoding, video_file
from lumosx_core.data.decoding import UndecodableError, probe_video, read_at, read_clip, walk_frames
from lumosx_core.data.tone_mapping import tone_mapped
from lumosx_core.errors import InputError
from tests.core.data.decoding_table import judged
from tests.core.data.made_videos import (
    B_FRAMES,
    KINDS,
    RATE,
    Made,
    as_frame,
    colour_error,
    counted,
    drawn,
    encrypted,
    read_number,
    write_frames,
    x264,
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An mp4 with B frames, a key frame every 16, its index in front; the frames 0 to 39."""
    folder = tmp_path_factory.mktemp("plain")
    return x264(folder, "plain.mp4", B_FRAMES, container_options={"movflags": "+faststart"}).path


@pytest.fixture(scope="module")
def kind_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """A file of a kind, made once."""
    folder = tmp_path_factory.mktemp("kinds")
    return cache(lambda kind: KINDS[kind](folder))


def numbers(path: Path) -> list[int]:
    return [read_number(picture) for _, picture in walk_frames(path)]


def reason(path: Path) -> str:
    """The reason that all ways of reading give."""
    reasons = set()
    for work in (lambda: probe_video(path), lambda: list(walk_frames(path)), lambda: read_at(path, [0.0])):
        with pytest.raises(UndecodableError) as caught:
            work()
        assert str(path) in str(caught.value)
        reasons.add(caught.value.reason)
    assert len(reasons) == 1, reasons
    return reasons.pop()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "eight_k"])  # that one is in the full form
def test_every_kind_shows_the_right_moment_and_colours(kind_of: Callable[[str], Made], kind: str) -> None:
    wrong, worst = judged(kind_of(kind))
    assert not wrong
    assert worst <= 4


def test_facts_of_the_kinds(kind_of: Callable[[str], Made]) -> None:
    facts = {kind: probe_video(kind_of(kind).path) for kind in ("variable_rate", "pq", "hlg", "interlaced", "avi")}
    assert [kind for kind, fact in facts.items() if fact.variable_rate] == ["variable_rate"]
    assert {kind: fact.hdr for kind, fact in facts.items() if fact.hdr} == {"pq": "pq", "hlg": "hlg"}
    assert [kind for kind, fact in facts.items() if fact.interlaced] == ["interlaced"]
    assert facts["avi"].codec == "mpeg4" and facts["pq"].pixel_format == "yuv420p10le"
    assert facts["variable_rate"].fps == pytest.approx(39 / 0.78)  # 39 steps in 9 rounds of 8 and 1 + 1 + 4 hundredths more
    assert facts["interlaced"].fps == RATE and facts["interlaced"].duration_s == pytest.approx(2)
    assert json.loads(json.dumps(asdict(facts["hlg"]))) == asdict(facts["hlg"])


def test_pictures_are_made_smaller_inside_the_decoder(plain: Path, kind_of: Callable[[str], Made]) -> None:
    assert read_at(plain, [0.5], short_side=24).shape == (1, 24, 32, 3)
    assert read_at(plain, [0.5], short_side=480).shape == (1, 48, 64, 3)  # never larger
    assert read_at(kind_of("rotated_90").path, [0.5], short_side=24).shape == (1, 24, 32, 3)


def test_lines_of_two_moments_are_made_one(kind_of: Callable[[str], Made]) -> None:
    picture = read_at(kind_of("interlaced").path, [1.0])[0].astype(float)
    bar = picture[40:48].mean(axis=2)
    assert bar.max() > 200  # it is there
    assert np.abs(np.diff(bar, axis=0)).mean() < 5  # and its lines agree; woven they differ by 29


@pytest.mark.parametrize("kind", ["pq", "hlg"])
def test_hdr_may_be_dropped(kind_of: Callable[[str], Made], kind: str) -> None:
    path = kind_of(kind).path
    for work in (lambda: list(walk_frames(path, hdr="drop")), lambda: read_at(path, [0.1], hdr="drop")):
        with pytest.raises(UndecodableError) as caught:
            work()
        assert caught.value.reason == "hdr"
    with pytest.raises(InputError, match="tone_map"):
        read_at(path, [0.1], hdr="no")


def test_the_curve_for_hdr_at_known_points() -> None:
    # BT.2408 table 1: 203 cd/m2 are 58 % of PQ and 75 % of HLG; 1000 cd/m2 are 75 % of PQ.
    pq = np.array([0, 0.58069, 0.75183, 1]) * 65535
    seen = tone_mapped(np.rint(pq).astype(np.uint16)[None, :, None].repeat(3, 2), "pq")[0, :, 0]
    assert seen[0] == 0 and seen[2] == seen[3] == 255
    assert 220 <= seen[1] <= 240  # white paper, with room for what shines
    hlg = np.full((1, 1, 3), round(0.75 * 65535), np.uint16)
    assert abs(int(tone_mapped(hlg, "hlg")[0, 0, 0]) - int(seen[1])) <= 1
    steps = np.linspace(0, 65535, 500).round().astype(np.uint16)[None, :, None].repeat(3, 2)
    assert (np.diff(tone_mapped(steps, "pq")[0, :, 0].astype(int)) >= 0).all()


def test_no_video_is_named(tmp_path: Path) -> None:
    empty, playlist, tune = tmp_path / "empty.mp4", tmp_path / "list.mp4", tmp_path / "tune.mp4"
    empty.write_bytes(b"")
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://localhost/x.ts\n")
    with av.open(str(tune), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert reason(empty) == "undecodable: empty file"
    assert reason(playlist).startswith("undecodable: no video container")
    assert reason(tune) == "no_video"
    with pytest.raises(InputError, match="no video at") as caught:
        probe_video(tmp_path / "none.mp4")
    assert not isinstance(caught.value, UndecodableError)


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    # The cover of a piece of music in Matroska: an attached JPEG, which FFmpeg shows as a stream of video.
    path = tmp_path / "cover.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        container.add_attachment("cover.jpg", "image/jpeg", jpeg())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    assert reason(path) == "no_video"


def jpeg() -> bytes:
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 64, 48, "yuvj420p", 1
    return b"".join(bytes(packet) for packet in [*codec.encode(as_frame(drawn(1), "yuvj420p")), *codec.encode(None)])


def test_encrypted_and_untimed_streams_are_named(tmp_path: Path) -> None:
    assert reason(encrypted(tmp_path)) == "undecodable: encrypted"
    assert reason(write_frames(tmp_path / "bare.h264", counted(4))) == "undecodable: no timestamps"


def test_of_a_file_that_breaks_off_is_given_what_is_there(plain: Path, tmp_path: Path) -> None:
    data = plain.read_bytes()
    path = tmp_path / "broken off.mp4"
    path.write_bytes(data[: data.index(b"mdat") + (len(data) - data.index(b"mdat")) * 3 // 4])
    seen = numbers(path)
    assert seen == list(range(len(seen))) and 16 <= len(seen) < 32
    facts = probe_video(path)
    assert facts.frames is not None and len(seen) <= facts.frames < 40
    assert read_number(read_at(path, [9.0])[0]) == seen[-1]
    behind = x264(tmp_path, "behind.mp4", B_FRAMES).path.read_bytes()
    path.write_bytes(behind[: len(behind) * 9 // 10])  # the index, which came last, is lost
    assert reason(path).startswith("undecodable: ")
    path.write_bytes(data[: data.index(b"mdat") + 4])  # the index promises frames, none is there
    assert reason(path).startswith("undecodable: no frames")


def test_damage_costs_the_frames_up_to_the_next_key_frame(plain: Path, tmp_path: Path) -> None:
    data = bytearray(plain.read_bytes())
    with av.open(str(plain)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    at, size = packets[17]  # behind the second key frame, and others are made from it
    assert at is not None
    data[at + 5 : at + size] = bytes(size - 5)  # but for its length and kind
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    seen = numbers(path)
    assert seen == sorted(seen) and set(range(16)) | set(range(32, 40)) <= set(seen)
    assert len(seen) < 40
    error = max(colour_error(picture, drawn(0)[-1, [8, 24, 40, 56]]) for _, picture in walk_frames(path))
    assert error <= 4  # nothing half decoded is among them
    near = read_number(read_at(path, [30 / RATE])[0])  # a lost one: the nearest that is whole
    assert near == min(seen, key=lambda number: abs(number - 30))


def test_seeking_that_lies_is_found_out(tmp_path: Path) -> None:
    # Without its table of key frames every frame of an mp4 counts as one.
    for name, codec, options in (
        ("h264.mp4", "libx264", {"x264-params": B_FRAMES}),
        ("mpeg4.mp4", "mpeg4", {"g": "16", "qmin": "1", "qmax": "2"}),
    ):
        path = write_frames(tmp_path / name, counted(), codec, options=options)
        assert b"stss" in path.read_bytes()
        path.write_bytes(path.read_bytes().replace(b"stss", b"free"))
        assert [read_number(picture) for picture in read_at(path, [0.45, 1.35, 1.9])] == [9, 27, 38]
        assert [read_number(picture) for picture in read_clip(path, 1.0, 4, 20)[0]] == [20, 21, 22, 23]


def test_a_size_that_changes_in_the_middle(tmp_path: Path) -> None:
    small = write_frames(tmp_path / "a.ts", counted(10))
    large = write_frames(tmp_path / "b.ts", [as_frame(drawn(number, 128, 96)) for number in range(10, 20)])
    tall = write_frames(tmp_path / "c.ts", [as_frame(drawn(number, 64, 96)) for number in range(20, 30)])
    path = tmp_path / "all.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in (small, large, tall)))
    walked = list(walk_frames(path))
    assert {picture.shape for _, picture in walked} == {(48, 64, 3)}
    assert (np.diff([time for time, _ in walked]) > 0).all()
    wide = [read_number(picture) for _, picture in walked if picture[:, :14].max() > 20]
    narrow = [read_number(picture[:, 16:48]) for _, picture in walked if picture[:, :14].max() <= 20]  # black beside it
    assert wide == sorted(wide) and {*range(6), *range(10, 16)} <= set(wide) <= set(range(20))
    assert narrow == list(range(20, 30))  # before a new size the decoder may forget what waits for its turn


def test_names_and_metadata_that_are_no_utf8(tmp_path: Path) -> None:
    path = write_frames(tmp_path / "tagged.mkv", counted(4))
    data = path.read_bytes()
    assert b"Lavf" in data
    path.write_bytes(data.replace(b"Lavf", b"\xff\xfe\xe9f"))
    assert numbers(path) == [0, 1, 2, 3]
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 %03d 'a:b'.mkv"))
    path.rename(odd)
    assert numbers(odd) == [0, 1, 2, 3] and probe_video(odd).frames == 4


def test_large_files_are_known_by_their_index(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = probe_video(plain)
    monkeypatch.setattr(decoding, "SCANNED_BYTES", 100)
    monkeypatch.setattr(decoding, "SCANNED_PACKETS", 10)
    assert probe_video(plain) == whole
    monkeypatch.setattr(video_file.VideoFile, "around", lambda *_: None)  # and without seeking it is walked
    assert [read_number(picture) for picture in read_at(plain, [0.5, 0.024, 0.026])] == [10, 0, 1]


def test_errors_cross_processes_and_arguments_are_checked(plain: Path) -> None:
    error = pickle.loads(pickle.dumps(UndecodableError("a.mp4", "hdr")))
    assert (type(error), error.path, error.reason) == (UndecodableError, "a.mp4", "hdr")
    for bad in (lambda: read_at(plain, [float("nan")]), lambda: read_clip(plain, 0, 0, 16), lambda: read_clip(plain, 0, 4, 0)):
        with pytest.raises(InputError):
            bad()
    with pytest.raises(InputError):
        walk_frames(plain, short_side=0)
    assert read_at(plain, []).shape == (0, 48, 64, 3)
