"""Video files whose every frame is known: a number in coarse squares above four flat colours.

`KINDS` makes one file of each kind that the decoder must get right. What PyAV cannot write (display matrices, other edit
lists) is patched into the bytes of an mp4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange

WIDTH, HEIGHT = 64, 48
FRAMES = 40
RATE = 20
BITS = 8
COLOURS = np.array([[170, 70, 60], [60, 150, 80], [50, 80, 160], [128, 128, 128]], np.uint8)
# Dark enough that the curve for HDR leaves them alone (below 86 of 203 cd/m2).
DARK = np.array([[120, 60, 50], [50, 120, 70], [40, 60, 120], [110, 110, 110]], np.uint8)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A file, and what is true of it: the time in seconds and the number of each frame that is shown."""

    path: Path
    times: list[float]
    numbers: list[int]
    width: int = WIDTH
    height: int = HEIGHT
    colours: np.ndarray = field(default_factory=lambda: COLOURS)

    def nearest(self, time: float) -> int:
        """The number that is shown nearest a time; of two as near, the earlier."""
        return self.numbers[min(range(len(self.times)), key=lambda at: abs(self.times[at] - time))]


def drawn(number: int, width: int = WIDTH, height: int = HEIGHT, colours: np.ndarray = COLOURS) -> np.ndarray:
    """uint8 [height, width, 3]: eight squares, white for a set bit (the highest at the left), above four columns of colour."""
    bits = np.array([number >> bit & 1 for bit in reversed(range(BITS))], np.uint8) * np.uint8(180) + np.uint8(20)
    top = np.repeat(bits[np.arange(width) * BITS // width][None, :, None], 3, axis=2).repeat(height // 3, axis=0)
    below = colours[np.arange(width) * len(colours) // width][None].repeat(height - height // 3, axis=0)
    return np.concatenate([top, below])


def read_number(picture: np.ndarray) -> int:
    """The number in a picture, from the middles of its squares."""
    height, width = picture.shape[:2]
    number = 0
    for bit in range(BITS):
        middle = int((bit + 0.5) * width / BITS)
        number = number * 2 + int(picture[height // 6 - 1 : height // 6 + 2, middle - 1 : middle + 2].mean() > 110)
    return number


def colour_error(picture: np.ndarray, colours: np.ndarray) -> float:
    """The largest difference of a flat colour (its mean over the middle) from the truth, in levels of 255."""
    height, width = picture.shape[:2]
    errors = []
    for column, colour in enumerate(colours):
        left, right = (int((column + part) * width / len(colours)) for part in (0.3, 0.7))
        seen = picture[height * 5 // 9 : height * 3 // 4, left:right].mean(axis=(0, 1))
        errors.append(float(np.abs(seen - colour).max()))
    return max(errors)


def write_frames(
    path: Path,
    frames: Sequence[av.VideoFrame],
    codec: str = "libx264",
    *,
    fmt: str = "yuv420p",
    ticks: Sequence[int] | None = None,
    per_second: int = RATE,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    tags: dict[str, int] | None = None,
) -> Path:
    """Encodes frames that have their pixel format already; ticks: their times in 1 / per_second, by default 0, 1, 2, ...

    tags: of the codec context (color_range, colorspace, color_trc, color_primaries).
    """
    if codec == "libx264":
        options = {"crf": "4", "preset": "veryfast", "threads": "1"} | (options or {})
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=per_second, options=options or {})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, fmt
        stream.codec_context.time_base = Fraction(1, per_second)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = ticks[number] if ticks else number, Fraction(1, per_second)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def as_frame(pixels: np.ndarray, fmt: str = "yuv420p", matrix: int = 5, full: bool = False) -> av.VideoFrame:
    """A frame of uint8 or uint16 R'G'B' [H, W, 3]. matrix: the scaler's number (5: BT.601, 1: BT.709, 9: BT.2020)."""
    name = "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=name)
    wide = int(ColorRange.JPEG if full else ColorRange.MPEG)
    return frame.reformat(format=fmt, dst_colorspace=matrix, dst_color_range=wide, src_color_range=int(ColorRange.JPEG))


def counted(count: int = FRAMES) -> list[av.VideoFrame]:
    """The frames 0, 1, 2, ... as yuv420p."""
    return [as_frame(drawn(number)) for number in range(count)]


def steady(path: Path, count: int = FRAMES, **more: object) -> Made:
    """The truth of frames 0, 1, 2, ... at RATE."""
    return Made(path=path, times=[n / RATE for n in range(count)], numbers=list(range(count)), **more)


# Display matrices (a, b, c, d) in units of 1, and what undoes them: a picture as it must be stored to be shown upright.
MATRICES: dict[str, tuple[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray]]] = {
    "rotated_0": ((1, 0, 0, 1), lambda p: p),
    "rotated_90": ((0, 1, -1, 0), lambda p: np.rot90(p, 1)),  # shown turned clockwise, so stored turned the other way
    "rotated_180": ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    "rotated_270": ((0, -1, 1, 0), lambda p: np.rot90(p, -1)),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "mirrored_upside_down": ((1, 0, 0, -1), lambda p: p[::-1]),
    "mirrored_90": ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
    "mirrored_270": ((0, -1, -1, 0), lambda p: p[::-1, ::-1].swapaxes(0, 1)),
}


def turned(folder: Path, name: str) -> Made:
    """A file with one of the eight display matrices."""
    matrix, stored = MATRICES[name]
    path = write_frames(folder / f"{name}.mp4", [as_frame(stored(drawn(number))) for number in range(FRAMES)])
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    at += 52 if data[at] == 1 else 40  # the box with 64 bit times is longer
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(data)
    return steady(path)


def non_square(folder: Path) -> Made:
    """Pixels twice as wide as high: stored 64x48, shown 128x48."""
    frames = [as_frame(drawn(number, 2 * WIDTH)[:, ::2]) for number in range(FRAMES)]
    return steady(write_frames(folder / "non_square.mp4", frames, aspect=Fraction(2)), width=2 * WIDTH)


def variable_rate(folder: Path) -> Made:
    """Frames shown for 1, 1, 4 and 2 hundredths, again and again."""
    ticks = [0]
    for number in range(FRAMES - 1):
        ticks.append(ticks[-1] + (1, 1, 4, 2)[number % 4])
    path = write_frames(folder / "variable_rate.mp4", counted(), ticks=ticks, per_second=100)
    return Made(path=path, times=[tick / 100 for tick in ticks], numbers=list(range(FRAMES)))


def ten_bit(folder: Path) -> Made:
    frames = [as_frame(drawn(number), "yuv420p10le") for number in range(FRAMES)]
    return steady(write_frames(folder / "ten_bit.mp4", frames, fmt="yuv420p10le"))


def full_range(folder: Path) -> Made:
    frames = [as_frame(drawn(number), full=True) for number in range(FRAMES)]
    tags = {"color_range": int(ColorRange.JPEG), "colorspace": 5}
    return steady(write_frames(folder / "full_range.mp4", frames, tags=tags))


def encrypted(folder: Path) -> Path:
    """An mp4 under MPEG Common Encryption, whose key nobody has."""
    scheme = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "0f" * 16, "encryption_kid": "1e" * 16}
    return write_frames(folder / "encrypted.mp4", counted(8), container_options=scheme)


def _light(picture: np.ndarray) -> np.ndarray:
    """Linear BT.2020 in cd/m2 of a picture in SDR BT.709 (gamma 2.4, white at 203 cd/m2); the matrix is that of BT.2087."""
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    return (picture / 255.0) ** 2.4 @ to_2020.T * 203


def as_pq(picture: np.ndarray) -> np.ndarray:
    """The picture as uint16 R'G'B' by the inverse EOTF of SMPTE ST 2084."""
    y = (_light(picture) / 10000) ** 0.1593017578125
    return np.rint(((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375 * 65535).astype(np.uint16)


def as_hlg(picture: np.ndarray) -> np.ndarray:
    """The picture as uint16 R'G'B' for a display of 1000 cd/m2 by the inverse OOTF and the OETF of BT.2100."""
    display = _light(picture) / 1000
    luminance = (display @ [0.2627, 0.6780, 0.0593])[..., None]
    scene = display * luminance ** (1 / 1.2 - 1)
    high = 0.17883277 * np.log(np.maximum(12 * scene, 1) - 0.28466892) + 0.55991073
    return np.rint(np.where(scene <= 1 / 12, np.sqrt(3 * scene), high) * 65535).astype(np.uint16)


def as_wide(picture: np.ndarray) -> np.ndarray:
    """The picture as uint16 R'G'B' of SDR with BT.2020 primaries."""
    return np.rint((_light(picture) / 203) ** (1 / 2.4) * 65535).astype(np.uint16)


def wide(folder: Path, name: str, transfer: int, way: Callable[[np.ndarray], np.ndarray]) -> Made:
    """BT.2020 in 10 bit with the given transfer of ITU-T H.273."""
    frames = [as_frame(way(drawn(number, colours=DARK)), "yuv420p10le", 9) for number in range(FRAMES)]
    tags = {"color_range": int(ColorRange.MPEG), "colorspace": 9, "color_trc": transfer, "color_primaries": 9}
    return steady(write_frames(folder / f"{name}.mp4", frames, fmt="yuv420p10le", tags=tags), colours=DARK)


def interlaced(folder: Path) -> Made:
    """Upper field first. In the lowest lines a bar runs, four pixels from field to field."""
    frames = []
    for number in range(FRAMES):
        pixels = drawn(number)
        pixels[40:] = 20
        for field_number in (0, 1):
            left = (8 * number + 4 * field_number) % WIDTH
            pixels[40 + field_number :: 2, left : left + 8] = 250
        frames.append(as_frame(pixels, "yuv420p"))
    return steady(write_frames(folder / "interlaced.mp4", frames, options={"x264-params": "tff=1", "crf": "1"}))


def odd_sides(folder: Path) -> Made:
    frames = [as_frame(drawn(number, 63, 47)) for number in range(FRAMES)]
    return steady(write_frames(folder / "odd_sides.mkv", frames, "ffv1"), width=63, height=47)


def x264(folder: Path, name: str, parameters: str, *, container_options: dict[str, str] | None = None) -> Made:
    options = {"x264-params": parameters}
    return steady(write_frames(folder / name, counted(), options=options, container_options=container_options))


OPEN_GOP = "open-gop=1:keyint=10:min-keyint=10:scenecut=0:bframes=3:b-adapt=0"
B_FRAMES = "keyint=16:scenecut=0:bframes=3:b-adapt=0:b-pyramid=normal"


def edit_list(folder: Path) -> Made:
    """The edit list shows the media from frame 7 on for 20 frames; decoding must begin at frame 0."""
    path = x264(folder, "edit_list.mp4", B_FRAMES).path
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 4
    assert data[at : at + 8] == bytes([0, 0, 0, 0, 0, 0, 0, 1])  # version 0, one entry
    movie_at = data.index(b"mvhd") + 4
    movie, media = (int.from_bytes(data[place : place + 4], "big") for place in (movie_at + 12, data.index(b"mdhd") + 4 + 12))
    start = int.from_bytes(data[at + 12 : at + 16], "big") + 7 * media // RATE
    data[at + 8 : at + 16] = np.array([20 * movie // RATE, start], ">i4").tobytes()
    path.write_bytes(data)
    return Made(path=path, times=[n / RATE for n in range(20)], numbers=list(range(7, 27)))


def other(folder: Path, name: str, codec: str, fmt: str = "yuv420p", options: dict[str, str] | None = None) -> Made:
    """Another container and codec."""
    frames = [as_frame(drawn(number), fmt) for number in range(FRAMES)]
    return steady(write_frames(folder / name, frames, codec, fmt=fmt, options=options))


def one_frame(folder: Path) -> Made:
    return steady(write_frames(folder / "one_frame.mp4", counted(1)), count=1)


def eight_k(folder: Path) -> Made:
    """7680x4320 in HEVC; for the full form: it takes a minute."""
    frames = [as_frame(drawn(number, 7680, 4320), matrix=1) for number in range(6)]
    options = {"x265-params": "log-level=none:pools=2:frame-threads=1", "preset": "ultrafast", "crf": "10"}
    path = write_frames(folder / "eight_k.mp4", frames, "libx265", options=options)
    return steady(path, count=6, width=7680, height=4320)


XVID = {"bf": "2", "qmin": "1", "qmax": "2", "g": "12"}
KINDS: dict[str, Callable[[Path], Made]] = {
    **{name: lambda folder, name=name: turned(folder, name) for name in MATRICES},
    "non_square": non_square,
    "variable_rate": variable_rate,
    "ten_bit": ten_bit,
    "pq": lambda folder: wide(folder, "pq", 16, as_pq),
    "hlg": lambda folder: wide(folder, "hlg", 18, as_hlg),
    "wide_gamut": lambda folder: wide(folder, "wide_gamut", 14, as_wide),
    "full_range": full_range,
    "interlaced": interlaced,
    "odd_sides": odd_sides,
    "open_gop": lambda folder: x264(folder, "open_gop.mp4", OPEN_GOP),
    "b_frames": lambda folder: x264(folder, "b_frames.mp4", B_FRAMES),
    "no_duration": lambda folder: x264(folder, "no_duration.mkv", B_FRAMES, container_options={"live": "1"}),
    "edit_list": edit_list,
    "mkv": lambda folder: other(
        folder,
        "any.mkv",
        "libx265",
        options={"x265-params": "log-level=none:pools=none:frame-threads=1", "crf": "4", "preset": "fast"},
    ),
    "webm": lambda folder: other(folder, "any.webm", "libvpx-vp9", options={"lossless": "1", "cpu-used": "8"}),
    "avi": lambda folder: other(folder, "any.avi", "mpeg4", options=XVID),
    "mov": lambda folder: other(folder, "any.mov", "prores_ks", "yuv422p10le"),
    "mpegts": lambda folder: x264(folder, "any.ts", OPEN_GOP),
    "one_frame": one_frame,
    "eight_k": eight_k,
}
