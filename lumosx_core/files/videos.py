"""Video files in and out through PyAV: H.264 mp4 with our metadata inside, and frames as PNG.

Frames are uint8 arrays [F, H, W, 3], RGB. Every file is written under a temporary name and renamed when it is whole, so
that a full disk or Ctrl-C leaves no half file.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import whole_file, whole_folder
from lumosx_core.files.existing import existing_file
from lumosx_core.files.json import parse_json
from lumosx_core.numbers import real_number, whole_number

MAX_SIDE_PX = 16384  # of H.264
MAX_BYTES = 8 * 2**30  # of frames that are read
MAX_COMMENT = 16 * 2**20  # characters of metadata
DEFAULT_CRF = 16  # x264 quality, 0 (lossless) to 51; at 16 a difference is hard to see


def spread_frames(length: int, most: int) -> np.ndarray:
    """Which frames of a video are looked at: int [min(length, most)], evenly spread from the first to the last one; none of a
    video without frames."""
    return np.linspace(0, length - 1, min(most, length)).round().astype(int)


def write_video(
    path: str | Path,
    frames: np.ndarray,
    fps: float | Fraction,
    metadata: Mapping[str, Any] | None = None,
    *,
    crf: int = DEFAULT_CRF,
    enlarge: int = 1,
) -> Path:
    """Writes an mp4: H.264, yuv420p, BT.709, index in front (faststart); an existing file is replaced.

    frames: uint8 [F, H, W, 3] with even H and W. metadata: anything JSON can hold; stored as JSON in the mp4's `comment`
    (its "prompt" as plain text in `description`), `read_video_metadata` gives it back. enlarge: whole factor, every
    pixel becomes a square (for pixel art).

    Raises InputError for other frames, numbers out of range (fps 0.01 to 1000, crf 0 to 51, at most 16384 pixels on a side),
    metadata that JSON cannot hold, and a disk that refuses.
    """
    import av

    path = Path(path)
    frames = _checked_frames(frames)
    enlarge = whole_number(enlarge, "the enlargement of a video", least=1, most=MAX_SIDE_PX)
    crf = whole_number(crf, "crf", least=0, most=51)
    rate = real_number(float(fps) if isinstance(fps, Fraction) else fps, "frames per second", least=0.01, most=1000)
    if max(frames.shape[1:3]) * enlarge > MAX_SIDE_PX:
        raise InputError(
            f"a video of {frames.shape[2]}x{frames.shape[1]} pixels enlarged by {enlarge} is too large; H.264 takes "
            f"{MAX_SIDE_PX} pixels on a side"
        )
    if any(side * enlarge % 2 for side in frames.shape[1:3]):
        raise InputError(f"H.264 video needs even sides, got {frames.shape[2]}x{frames.shape[1]} pixels")
    tags = _tags(metadata or {})
    with whole_file(path, "the video") as partial:
        try:
            _encode(partial, frames, Fraction(rate).limit_denominator(1001), tags, crf, enlarge)
        except av.codec.codec.UnknownCodecError as error:
            raise InputError("this PyAV was built without libx264; install the `av` wheel from PyPI") from error
        except av.error.FFmpegError as error:
            raise OSError(str(error)) from error
    return path


def read_video(path: str | Path, *, max_frames: int | None = None) -> tuple[np.ndarray, float]:
    """Reads the frames of a video, at most `max_frames`: (uint8 [F, H, W, 3], frames per second).

    Raises InputError for a missing, unreadable or broken file, one without a video stream or frames, frames of several
    sizes, and more than `MAX_BYTES` of frames.
    """
    frames: list[np.ndarray] = []
    total = 0
    with _opened(path) as (container, stream):
        stream.thread_type = "AUTO"
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        for frame in container.decode(stream):
            if max_frames is not None and len(frames) >= max_frames:
                break
            if max(frame.width, frame.height) > MAX_SIDE_PX:
                raise InputError(f"{path} is {frame.width}x{frame.height} pixels; at most {MAX_SIDE_PX} on a side are read")
            frames.append(frame.to_ndarray(format="rgb24"))
            total += frames[-1].nbytes
            if frames[-1].shape != frames[0].shape:
                raise InputError(f"{path} changes its size within the video; give a video of one size")
            if total > MAX_BYTES:
                raise InputError(f"{path} has more than {MAX_BYTES // 2**30} GiB of frames; cut it shorter or make it smaller")
    if not frames:
        raise InputError(f"{path} has no frames; give a whole video file")
    return np.stack(frames), fps


def read_video_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata that `write_video` put into the file; empty if there is none of ours.

    Raises InputError for a missing, unreadable or broken file, and for metadata that begins as ours and is damaged.
    """
    with _opened(path) as (container, _):
        comment = container.metadata.get("comment", "")
    if not comment.lstrip().startswith("{"):
        return {}  # somebody else's comment
    if len(comment) > MAX_COMMENT:
        raise InputError(f"the metadata of {path} is larger than {MAX_COMMENT // 2**20} MiB; that is none of ours")
    return parse_json(comment, f"the metadata of {path}")


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[Any, Any]]:
    """(container, its video stream) of a file; whatever the decoder trips over while they are used becomes an InputError."""
    import av

    path = existing_file(path, "video", "give the path of a video file")
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise InputError(f"{path} has no video stream; give a video file")
            yield container, container.streams.video[0]
    except InputError:
        raise
    except Exception as error:  # FFmpeg's errors, and what PyAV raises for sizes and formats that no frame can have
        if isinstance(error, MemoryError) and not isinstance(error, av.error.FFmpegError):
            raise  # this machine's, not an absurd size in a damaged file
        raise InputError(f"cannot read the video {path} ({error}); give a whole video file") from error


def write_png_frames(folder: str | Path, frames: np.ndarray, *, overwrite: bool = False) -> list[Path]:
    """Writes `00000.png`, `00001.png`, ... into a new folder and returns the paths.

    Raises InputError if the folder exists and is not empty (with `overwrite`: if it holds anything but such frames), and
    if the disk refuses.
    """
    folder = Path(folder)
    frames = _checked_frames(frames)
    old = sorted(folder.iterdir()) if folder.is_dir() else []
    if folder.is_file() or (old and not (overwrite and all(_is_frame(path) for path in old))):
        raise InputError(f"{folder} exists and would be overwritten; choose another folder or remove it")
    names = [f"{number:05d}.png" for number in range(len(frames))]
    with whole_folder(folder, "frames to") as partial:
        for name, frame in zip(names, frames, strict=True):
            Image.fromarray(frame).save(partial / name)
    return [folder / name for name in names]


def _encode(path: Path, frames: np.ndarray, rate: Fraction, tags: dict[str, str], crf: int, enlarge: int) -> None:
    import av
    from av.video.reformatter import ColorRange, Colorspace

    with av.open(str(path), mode="w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata.update(tags)
        stream = container.add_stream("libx264", rate=rate, options=_x264_options(crf))
        stream.height, stream.width = (side * enlarge for side in frames.shape[1:3])
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
        context.color_primaries = context.color_trc = 1  # BT.709, so that players show the colours that were written
        for pixels in frames:
            pixels = pixels.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _x264_options(crf: int) -> dict[str, str]:
    """Options of the encoder. Its code for AVX-512 gives other bytes from run to run (seen with PyAV 18.1); with the code for
    AVX2 the same frames are the same file every time."""
    import torch

    options = {"crf": str(crf), "preset": "medium"}
    if torch.backends.cpu.get_cpu_capability().startswith("AVX512"):  # nothing else may be forced: it must be there
        options["x264-params"] = "asm=avx2"
    return options


def _checked_frames(frames: np.ndarray) -> np.ndarray:
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise InputError(f"frames are {frames.dtype} {list(frames.shape)}, expected uint8 [F, H, W, 3] with F >= 1")
    return frames


def _tags(metadata: Mapping[str, Any]) -> dict[str, str]:
    if not metadata:
        return {}
    try:
        comment = json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False)
        comment.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise InputError(f"video metadata must be what JSON can hold ({error})") from error
    prompt = metadata.get("prompt")
    return {"comment": comment} | ({"description": prompt.replace("\0", " ")} if isinstance(prompt, str) and prompt else {})


def _is_frame(path: Path) -> bool:
    return path.suffix == ".png" and path.stem.isdecimal()
