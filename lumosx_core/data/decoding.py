"""Frames of any video by their time, right: upright, square pixels, whole frames, SDR BT.709, through PyAV alone.

What is respected: display matrices (turned and mirrored), sample aspect ratios, interlaced frames (bwdif), full and limited
range, the Y'CbCr matrix (BT.601 below 720 lines and BT.709 from there on, where none is named), 10 bit, PQ, HLG and wide
primaries (`tone_mapping`), presentation times (variable rates, negative ones, edit lists, reordered frames), sizes that
change. Frames are scaled while they are converted, one at a time, so a video of 8K takes little memory. Damaged frames are
left out up to the next key frame; a file that breaks off gives what is there. Times are seconds from the first frame's.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lumosx_core.data.frame_pictures import HdrWay, PictureMaker, UnknownColoursError, hdr_of, upright_size
from lumosx_core.data.video_file import UndecodableError, VideoFile
from lumosx_core.errors import InputError
from lumosx_core.numbers import real_number, whole_number

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["HdrWay", "UndecodableError", "VideoFacts", "probe_video", "read_at", "read_clip", "walk_frames"]

SCANNED_BYTES = 2 * 2**30  # files up to here are read once to know every frame's time
SCANNED_PACKETS = 2000  # of larger ones
LOOKED_AT = 4  # frames that are decoded to know the facts
UNEVEN = 0.1  # of the usual distance of two frames; more is a variable rate


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """width, height: upright, square pixels. duration_s: from the first frame to the end of the last.

    fps: average rate by presentation times, 0 where one frame says nothing. frames: None where the file is too large to be
    read for it and its index does not say. hdr: "", "pq" or "hlg". codec, pixel_format: FFmpeg's names.
    """

    width: int
    height: int
    duration_s: float
    fps: float
    frames: int | None
    variable_rate: bool
    hdr: str
    interlaced: bool
    codec: str
    pixel_format: str
    audio: bool


def probe_video(path: str | Path) -> VideoFacts:
    """The facts of a video; decodes its first frames and reads the times of the others.

    Raises UndecodableError, and InputError where no file is.
    """
    with VideoFile(path) as video:
        frames = list(islice(video.walk(), LOOKED_AT))
        interlaced = video.interlaced
        width, height = upright_size(frames[0], video.aspect)
        codec = video.stream.codec_context.name
        audio = bool(video.container.streams.audio)
        rate = float(video.stream.average_rate or video.stream.guessed_rate or 0)
        promised = float((video.stream.duration or 0) * video.time_base) or (video.container.duration or 0) / 1e6
    ticks, last, whole = _ticks(path)
    if len(ticks) > 1:
        distances = np.diff(ticks)
        usual, span = float(np.median(distances)), int(ticks[-1] - ticks[0])
        variable = bool(np.any(np.abs(distances - usual) > max(1.5, UNEVEN * usual)))
        rate = float((len(ticks) - 1) / (span * video.time_base))
        end = float((span + (last or Fraction(usual))) * video.time_base)
    else:
        variable, end = False, float(last * video.time_base) or (1 / rate if rate else 0.0)
    return VideoFacts(
        width=width,
        height=height,
        duration_s=end if whole else max(end, promised),
        fps=rate,
        frames=len(ticks) if whole else None,
        variable_rate=variable,
        hdr=hdr_of(frames[0]),
        interlaced=interlaced,
        codec=codec,
        pixel_format=frames[0].format.name,
        audio=audio,
    )


def walk_frames(
    path: str | Path, *, short_side: int | None = None, hdr: HdrWay = "tone_map"
) -> Iterator[tuple[float, np.ndarray]]:
    """Every frame in order of presentation: (seconds from the first frame, uint8 [H, W, 3] RGB).

    short_side: pictures are made smaller so that their shorter side has at most so many pixels. hdr: "drop" refuses PQ and
    HLG with the reason "hdr". All pictures have the size of the first. Raises UndecodableError (also in the middle: no
    frames, no times, colours that are unknown), and InputError where no file is.
    """
    short_side, hdr = _checked(short_side, hdr)
    return _walk(path, short_side, hdr)


def read_at(path: str | Path, times: Sequence[float], *, short_side: int | None = None, hdr: HdrWay = "tone_map") -> np.ndarray:
    """The frames shown nearest these times: uint8 [N, H, W, 3], in the order of `times`; of two as near, the earlier.

    Times before the first frame or behind the last give these. Decoding begins at the key frame before each time; where a
    file does not lead there, it is walked from its start. Arguments and errors as of `walk_frames`.
    """
    return _read(path, [real_number(time, "a time in seconds") for time in times], short_side, hdr)[0]


def read_clip(
    path: str | Path, start_s: float, frames: int, fps: float, *, short_side: int | None = None, hdr: HdrWay = "tone_map"
) -> tuple[np.ndarray, np.ndarray]:
    """`frames` frames from `start_s` on at `fps`: (uint8 [F, H, W, 3], float64 [F] the times of the frames that were taken).

    Picture k is the frame shown nearest start_s + k / fps. Arguments and errors as of `walk_frames`.
    """
    frames = whole_number(frames, "frames of a clip", least=1)
    fps = real_number(fps, "frames per second", least=0.001, most=100_000)
    start_s = real_number(start_s, "the start of a clip in seconds")
    times = [start_s + number / fps for number in range(frames)]
    return _read(path, times, short_side, hdr, together=True)


def _checked(short_side: int | None, hdr: HdrWay) -> tuple[int | None, HdrWay]:
    if short_side is not None:
        short_side = whole_number(short_side, "the shorter side of frames in pixels", least=1)
    if hdr not in ("tone_map", "drop"):
        raise InputError(f'hdr is {hdr!r}; expected "tone_map" or "drop"')
    return short_side, hdr


def _maker(video: VideoFile, first: "VideoFrame", short_side: int | None, hdr: HdrWay) -> PictureMaker:
    if hdr == "drop" and hdr_of(first):
        raise UndecodableError(video.path, "hdr")
    return PictureMaker(first, video.aspect, short_side)


def _picture(video: VideoFile, maker: PictureMaker, frame: "VideoFrame") -> np.ndarray:
    try:
        return maker.picture(frame)
    except UnknownColoursError as error:
        raise video.error(str(error)) from error


def _walk(path: str | Path, short_side: int | None, hdr: HdrWay) -> Iterator[tuple[float, np.ndarray]]:
    with VideoFile(path) as video:
        maker, zero = None, 0
        for frame in video.walk():
            if maker is None:
                maker, zero = _maker(video, frame, short_side, hdr), _pts(frame)
            yield float((_pts(frame) - zero) * video.time_base), _picture(video, maker, frame)


def _read(
    path: str | Path, times: list[float], short_side: int | None, hdr: HdrWay, together: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(pictures [N, H, W, 3], times of their frames [N]) nearest `times`; together: they are near each other."""
    short_side, hdr = _checked(short_side, hdr)
    found = None
    try:
        with VideoFile(path, strict=True) as video:
            found = _found(video, times, short_side, hdr, together)
    except UndecodableError:
        pass  # the walk finds as much as there is, or says what is wrong
    if found is None:
        with VideoFile(path) as video:
            found = _found(video, times, short_side, hdr, None)
    assert found is not None
    return found


def _found(
    video: VideoFile, times: list[float], short_side: int | None, hdr: HdrWay, together: bool | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """As `_read`; together: None walks instead of seeking. None: seeking did not find them."""
    walk = video.walk()
    first = next(walk)
    maker, zero = _maker(video, first, short_side, hdr), _pts(first)
    ticks = [zero + time / float(video.time_base) for time in times]
    pictures: Found | None = ({}, {})
    if together is None:
        pictures = _walked_to(video, maker, chain([first], walk), ticks)
    else:
        walk.close()
        spans = [(min(ticks), max(ticks))] if together else [(tick, tick) for tick in sorted(set(ticks))]
        pictures = _sought(video, maker, zero, spans, ticks) if ticks else pictures
    if pictures is None:
        return None
    taken = [pictures[0][tick] for tick in ticks]
    stack = np.stack([pictures[1][pts] for pts in taken]) if taken else np.zeros((0, maker.height, maker.width, 3), np.uint8)
    return stack, np.array([float((pts - zero) * video.time_base) for pts in taken], np.float64)


Found = tuple[dict[float, int], dict[int, np.ndarray]]  # tick asked for -> pts of its frame -> picture


def _sought(
    video: VideoFile, maker: PictureMaker, zero: int, spans: list[tuple[float, float]], ticks: list[float]
) -> Found | None:
    """By seeking; None where the file does not lead to a frame that its packets promise."""
    nearest: dict[float, int] = {}
    pictures: dict[int, np.ndarray] = {}
    packets: list[Packet[VideoStream]] = []
    wanted: set[int] = set()

    def decoded() -> bool:
        if not wanted:
            return True
        every = video.interlaced
        for frame in video.frames_of(packets, wanted, every):
            pictures[_pts(frame)] = _picture(video, maker, frame)
        if video.interlaced and not every:  # it begins to be in the middle
            return decoded()
        return wanted <= pictures.keys()

    for low, high in spans:
        more = video.around(math.floor(max(low, zero)), math.ceil(max(high, zero)), zero)
        if not more:
            return None
        if packets and more[0].pts != packets[0].pts:
            if not decoded():
                return None
            wanted = set()
        packets = more
        shown = [packet.pts for packet in packets if packet.pts is not None and not packet.is_discard]
        shown = sorted(pts for pts in shown if pts >= max(zero, shown[0]))
        for tick in ticks if len(spans) == 1 else [low]:
            nearest[tick] = min(shown, key=lambda pts: abs(pts - tick))
            wanted.add(nearest[tick])
    return (nearest, pictures) if decoded() else None


def _walked_to(video: VideoFile, maker: PictureMaker, frames: Iterable["VideoFrame"], ticks: list[float]) -> Found:
    """From the start to the last of the times."""
    nearest: dict[float, int] = {}
    pictures: dict[int, np.ndarray] = {}
    left = sorted(set(ticks))
    before: VideoFrame | None = None

    def take(frame: "VideoFrame") -> None:
        nearest[left.pop(0)] = _pts(frame)
        if _pts(frame) not in pictures:
            pictures[_pts(frame)] = _picture(video, maker, frame)

    for frame in frames:
        while left and _pts(frame) >= left[0]:
            take(before if before is not None and left[0] - _pts(before) <= _pts(frame) - left[0] else frame)
        if not left:
            break
        before = frame
    while left and before is not None:
        take(before)
    return nearest, pictures


def _ticks(path: str | Path) -> tuple[np.ndarray, int, bool]:
    """(times in order, how long the last frame is shown or 0, whether these are all), in ticks.

    From the packets; of a large file from its index, if it has all frames and they lie within the file, else from the first.
    """
    with VideoFile(path) as video:
        size = video.path.stat().st_size
        if size > SCANNED_BYTES and "mp4" in video.container.format.name:
            index = [(entry.timestamp, entry.pos + entry.size) for entry in video.stream.index_entries if not entry.is_discard]
            if index and len(index) >= video.stream.frames and max(end for _, end in index) <= size:
                return np.unique(np.array([at for at, _ in index], np.int64)), 0, True
        most = None if size <= SCANNED_BYTES else SCANNED_PACKETS
        ticks: list[int] = []
        last: tuple[int, int] = (0, 0)
        for packet in islice(video.packets(), most):
            at = packet.dts if video.by_order or packet.pts is None else packet.pts
            if at is None or packet.is_discard or packet.is_corrupt:
                continue
            ticks.append(at)
            last = max(last, (at, packet.duration or 0))
    return np.unique(np.array(ticks, np.int64)), last[1], most is None


def _pts(frame: "VideoFrame") -> int:
    assert frame.pts is not None  # `VideoFile.walk` gives it
    return frame.pts
