"""Video files: pixels, rate and metadata come back, and nothing is left behind when writing fails."""

import resource
import signal
from fractions import Fraction
from pathlib import Path

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
        (np.zeros((1, 16, 16, 3), np.uint8), 0, {}, "above 0, got 0"),
        (np.zeros((1, 16, 16, 3), np.uint8), 16, {"enlarge": 0}, "got 0"),
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
