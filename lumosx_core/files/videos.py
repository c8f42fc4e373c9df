"""Video files in and out through PyAV: H.264 mp4 with our metadata inside, and frames as PNG.

Frames are uint8 arrays [F, H, W, 3], RGB. Every file is written under a temporary name and renamed when it is whole, so
that a full disk or Ctrl-C leaves no half file.
"""

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import whole_file, whole_folder

DEFAULT_CRF = 16  # x264 quality, 0 (lossless) to 51; at 16 a difference is hard to see


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

    Raises InputError for other frames, metadata that JSON cannot hold, and a disk that refuses.
    """
    import av

    path = Path(path)
    frames = _checked_frames(frames)
    if enlarge < 1:
        raise InputError(f"a video can be enlarged by 1, 2, 3, ..., got {enlarge}")
    if any(side * enlarge % 2 for side in frames.shape[1:3]):
        raise InputError(f"H.264 video needs even sides, got {frames.shape[2]}x{frames.shape[1]} pixels")
    if not fps > 0:
        raise InputError(f"frames per second must be above 0, got {fps}")
    tags = _tags(metadata or {})
    with whole_file(path, "the video") as partial:
        try:
            _encode(partial, frames, Fraction(fps).limit_denominator(1001), tags, crf, enlarge)
        except av.codec.codec.UnknownCodecError as error:
            raise InputError("this PyAV was built without libx264; install the `av` wheel from PyPI") from error
        except av.error.FFmpegError as error:
            raise OSError(str(error)) from error
    return path


def read_video(path: str | Path, *, max_frames: int | None = None) -> tuple[np.ndarray, float]:
    """Reads the frames of a video, at most `max_frames`: (uint8 [F, H, W, 3], frames per second).

    Raises InputError for a missing or broken file and one without a video stream or frames.
    """
    import av

    path = _existing(path)
    frames: list[np.ndarray] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path} has no video stream; give a video file")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            fps = float(stream.average_rate or stream.guessed_rate or 0)
            for frame in container.decode(stream):
                if max_frames is not None and len(frames) >= max_frames:
                    break
                frames.append(frame.to_ndarray(format="rgb24"))
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"cannot read the video {path} ({error}); give a whole video file") from error
    if not frames:
        raise InputError(f"{path} has no frames; give a whole video file")
    return np.stack(frames), fps


def read_video_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata that `write_video` put into the file; empty if there is none of ours."""
    import av

    path = _existing(path)
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{path} has no video stream; give a whole video file")
            comment = container.metadata.get("comment", "")
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"cannot read the video {path} ({error}); give a whole video file") from error
    try:
        content = json.loads(comment)
    except ValueError:
        return {}  # somebody else's comment
    return content if isinstance(content, dict) else {}


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
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": "medium"})
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


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no video at {path}; give the path of a video file")
    return path


def _is_frame(path: Path) -> bool:
    return path.suffix == ".png" and path.stem.isdecimal()
