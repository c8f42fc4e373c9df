"""Video files: pixels, rate and metadata come back, and nothing is left behind when writing fails."""

import resource
import signal
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.files.videos import read_video, read_video_metadata, write_png_frames, write_video

COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (10, 20, 30), (200, 120, 40)], np.uint8)


def bars(count: int = 5) -> np.ndarray:
    """Six colour bars of 16 pixels, moved on by one bar in every frame."""
    frames = [np.roll(COLOURS, number, axis=0).repeat(16, axis=0)[None].repeat(64, axis=0) for number in range(count)]
    return np.stack(frames)


def test_colours_rate_and_count_come_back(tmp_path: Path) -> None:
    path = write_video(tmp_path / "sub" / "x.mp4", bars(), 16, {"seed": 3})
    frames, fps = read_video(path)
    assert frames.dtype == np.uint8 and frames.shape == (5, 64, 96, 3) and fps == 16.0
    middles = (slice(None), slice(8, 56), slice(8, None, 16))  # chroma bleeds at the edges, not in the middle of a bar
    assert np.abs(frames[middles].astype(int) - bars()[middles]).max() <= 4
    assert read_video(path, max_frames=2)[0].shape == (2, 64, 96, 3)


def test_the_same_frames_are_the_same_file(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (5, 80, 96, 3), dtype=np.uint8)
    files = {write_video(tmp_path / f"{n}.mp4", frames, 8, enlarge=6).read_bytes() for n in range(8)}
    assert len(files) == 1


def test_what_is_in_the_file(tmp_path: Path) -> None:
    import av

    path = write_video(tmp_path / "x.mp4", bars(), Fraction(30000, 1001), {"prompt": "a man"})
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", Fraction(30000, 1001))
        assert container.metadata["description"] == "a man"
    content = path.read_bytes()
    assert content.find(b"moov") < content.find(b"mdat")  # faststart


def test_metadata_comes_back(tmp_path: Path) -> None:
    metadata = {
        "prompt": '\u00e9 \U0001f600; a=b\n# \\ "x"',
        "seed": 2**60,
        "relations": [{"spans": [[1, 2]], "x": None}],
        "long": "y" * 100_000,
        "fps": 0.1,
    }
    assert read_video_metadata(write_video(tmp_path / "x.mp4", bars(1), 8, metadata)) == metadata
    assert read_video_metadata(write_video(tmp_path / "x.mp4", bars(1), 8)) == {}


@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=("Cs",)), max_size=5),
        st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | st.integers() | st.booleans(),
    )
)
def test_any_metadata_comes_back(tmp_path_factory: pytest.TempPathFactory, metadata: dict[str, object]) -> None:
    path = tmp_path_factory.mktemp("video") / "x.mp4"
    assert read_video_metadata(write_video(path, bars(1), 8, metadata)) == metadata


def test_enlarged_pixels_are_squares(tmp_path: Path) -> None:
    frames = bars(1)[:, ::16, ::16][:, :2, :3]  # 2 x 3 pixels: red, green, blue
    shown, _ = read_video(write_video(tmp_path / "x.mp4", frames, 8, enlarge=16))
    assert shown.shape == (1, 32, 48, 3)
    assert np.abs(shown[0, 8::16, 8::16].astype(int) - frames[0]).max() <= 4


@pytest.mark.parametrize(
    ("frames", "fps", "options", "message"),
    [
        (np.zeros((2, 16, 16, 3), np.float32), 16, {}, r"float32 \[2, 16, 16, 3\], expected uint8"),
        (np.zeros((16, 16, 3), np.uint8), 16, {}, r"\[16, 16, 3\]"),
        (np.zeros((0, 16, 16, 3), np.uint8), 16, {}, r"\[0, 16, 16, 3\]"),
        (np.zeros((1, 15, 16, 3), np.uint8), 16, {}, "even sides, got 16x15"),
        (np.zeros((1, 16, 16, 3), np.uint8), 0, {}, "frames per second is 0, expected a number"),
        (np.zeros((1, 16, 16, 3), np.uint8), 16, {"enlarge": 0}, "enlargement of a video is 0"),
        (np.zeros((1, 16, 16, 3), np.uint8), float("nan"), {}, "frames per second is nan"),
        (np.zeros((1, 16, 16, 3), np.uint8), float("inf"), {}, "frames per second is inf"),
        (np.zeros((1, 16, 16, 3), np.uint8), 1e-9, {}, "frames per second is 1e-09"),
        (np.zeros((1, 16, 16, 3), np.uint8), 16, {"enlarge": 10**30}, "enlargement of a video is 1000"),
        (np.zeros((1, 16, 16, 3), np.uint8), 16, {"enlarge": 1.5}, "expected a whole number"),
        (np.zeros((1, 16, 16, 3), np.uint8), 16, {"enlarge": 2000}, "16x16 pixels enlarged by 2000 is too large"),
        (np.zeros((1, 16, 16, 3), np.uint8), 16, {"crf": 99}, "crf is 99"),
        (np.zeros((1, 16, 16, 3), np.uint8), 16, {"metadata": {"x": object()}}, "JSON can hold"),
        (np.zeros((1, 16, 16, 3), np.uint8), 16, {"metadata": {"x": float("nan")}}, "JSON can hold"),
        (np.zeros((1, 16, 16, 3), np.uint8), 16, {"metadata": {"prompt": "\udcff"}}, "JSON can hold"),
    ],
)
def test_what_cannot_be_written(
    tmp_path: Path, frames: np.ndarray, fps: float, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_video(tmp_path / "x.mp4", frames, fps, **options)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_places(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.mp4").mkdir()
    for path in (tmp_path / "file" / "x.mp4", tmp_path / "folder.mp4"):
        with pytest.raises(InputError, match="cannot write the video"):
            write_video(path, bars(1), 8)
    with pytest.raises(InputError, match="cannot write frames"):
        write_png_frames(tmp_path / "file" / "frames", bars(1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.mp4"]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 128, 128, 3), dtype=np.uint8)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(InputError, match="cannot write the video"):
            write_video(tmp_path / "x.mp4", noise, 16)
        with pytest.raises(InputError, match="cannot write frames"):
            write_png_frames(tmp_path / "frames", noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "x.mp4", bars(1), 8, {"seed": 1})

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lumosx_core.files.atomic.os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_video(path, bars(2), 8, {"seed": 2})
    assert [item.name for item in tmp_path.iterdir()] == ["x.mp4"] and read_video_metadata(path) == {"seed": 1}


def test_what_cannot_be_read(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "x.mp4", bars(), 16).read_bytes()
    cases = {"empty.mp4": b"", "text.mp4": b"hello", "cut.mp4": whole[:200]}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
    for name in (*cases, "missing.mp4", "."):
        for read in (read_video, read_video_metadata):
            with pytest.raises(InputError):
                read(tmp_path / name)
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    assert read_video_metadata(tmp_path / "x.png") == {}


def test_png_frames(tmp_path: Path) -> None:
    paths = write_png_frames(tmp_path / "frames", bars(3))
    assert [path.name for path in paths] == ["00000.png", "00001.png", "00002.png"]
    assert np.array_equal(np.stack([np.asarray(Image.open(path)) for path in paths]), bars(3))
    with pytest.raises(InputError, match="would be overwritten"):
        write_png_frames(tmp_path / "frames", bars(1))
    assert len(write_png_frames(tmp_path / "frames", bars(1), overwrite=True)) == 1
    assert len(list((tmp_path / "frames").iterdir())) == 1
    (tmp_path / "frames" / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="would be overwritten"):
        write_png_frames(tmp_path / "frames", bars(1), overwrite=True)


def commented(path: Path, comment: str) -> Path:
    """A small mp4 with that comment."""
    with av.open(str(path), mode="w", format="mp4") as container:
        container.metadata["comment"] = comment
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for packet in [*stream.encode(av.VideoFrame(16, 16, "yuv420p")), *stream.encode()]:
            container.mux(packet)
    return path


def test_metadata_of_others_is_none_and_damaged_metadata_is_said(tmp_path: Path) -> None:
    for comment in ("", "made with love", "[1, 2]", "7", "null", "<x/>"):
        assert read_video_metadata(commented(tmp_path / "x.mp4", comment)) == {}
    for comment in ('{"a": ' * 100_000, '{"prompt": "x', '{"a": NaN}', '{"a": ' + "9" * 5000 + "}", "{not json}"):
        with pytest.raises(InputError, match="the metadata of .*x.mp4"):
            read_video_metadata(commented(tmp_path / "x.mp4", comment))


def test_any_damaged_file_is_a_video_or_an_input_error(tmp_path: Path) -> None:
    """320 files: bytes exchanged, cut out, put in, the end cut off; in the header and in the frames."""
    rng = np.random.default_rng(4)
    noise = rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    whole = write_video(tmp_path / "whole.mp4", noise, 8, {"prompt": "a man", "seed": 3}).read_bytes()
    header = whole.index(b"mdat")  # the index is in front
    path, read, slowest = tmp_path / "x.mp4", 0, 0.0
    for number in range(320):
        spoilt = bytearray(whole)
        for _ in range(int(rng.integers(1, 5))):
            place, many = int(rng.integers(0, header if number % 2 else len(spoilt))), int(rng.integers(1, 9))
            change = rng.integers(8)
            if change < 5:
                spoilt[place : place + many] = rng.bytes(len(spoilt[place : place + many]))
            elif change == 5:
                del spoilt[place : place + many]
            elif change == 6:
                spoilt[place:place] = rng.bytes(many)
            else:
                del spoilt[max(place, 40) :]
        path.write_bytes(spoilt)
        started = time.monotonic()
        for reader in (read_video, read_video_metadata):
            try:
                reader(path)
                read += 1
            except InputError as error:
                assert "x.mp4" in str(error), number
            except Exception as error:
                raise AssertionError(f"video {number}: {error!r}") from error
        slowest = max(slowest, time.monotonic() - started)
    assert 100 < read < 640 and slowest < 5, (read, slowest)
