"""From a decoded frame to a picture: upright, square pixels, RGB in SDR BT.709, scaled on the way.

One pass of FFmpeg's scaler turns planes into RGB of the final size, so no second full picture of an 8K frame exists; only
HDR goes through 16 bit RGB of the final size.
"""

from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np

from lumosx_core.data.tone_mapping import tone_mapped

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

HdrWay = Literal["tone_map", "drop"]
MAX_SIDE_PX = 16384
MOST_UNEQUAL = 8  # sample aspect ratios beyond 8:1 are damage and count as square
HD_LINES = 720  # pictures without a named matrix: BT.601 below, BT.709 from here on, as players do
SAME_SHAPE = 0.01  # relative difference of two aspect ratios that rounding makes

# ITU-T H.273 tables 2 to 4: the numbers in a stream.
TRANSFER_PQ, TRANSFER_HLG = 16, 18
PRIMARIES = {9: "bt2020", 12: "p3"}  # the others differ little from BT.709 and are taken for it
UNSPECIFIED = 2
MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}  # H.273 to the scaler's: BT.709, FCC, BT.601 (twice), SMPTE 240M, BT.2020
BT_601, BT_709, BT_2020 = 5, 1, 9
LIMITED, FULL = 1, 2

Orientation = tuple[bool, bool, bool]  # transpose, then mirror left-right, then upside down
UPRIGHT: Orientation = (False, False, False)


class UnknownColoursError(ValueError):
    """A colour matrix that the scaler does not know."""


class PictureMaker:
    """Turns the frames of one video into pictures of one size: that of the first frame, upright.

    A later frame of another size is scaled to it; where its shape differs it is put in the middle, with black beside it.
    """

    def __init__(self, first: "VideoFrame", aspect: Fraction | None, short_side: int | None) -> None:
        from av.video.reformatter import VideoReformatter

        self._scaler = VideoReformatter()
        self._aspect = aspect
        width, height = upright_size(first, aspect)
        scale = 1.0 if short_side is None else min(1.0, short_side / min(width, height))
        scale = min(scale, MAX_SIDE_PX / max(width, height))
        self.width, self.height = (max(1, round(side * scale)) for side in (width, height))

    def picture(self, frame: "VideoFrame") -> np.ndarray:
        """uint8 [height, width, 3]. Raises UnknownColoursError."""
        width, height = upright_size(frame, self._aspect)
        fit = min(self.width / width, self.height / height)
        if abs(self.width * height / (self.height * width) - 1) <= SAME_SHAPE:
            return self._scaled(frame, self.width, self.height)
        inner = self._scaled(frame, max(1, round(width * fit)), max(1, round(height * fit)))
        canvas = np.zeros((self.height, self.width, 3), np.uint8)
        top, left = (self.height - inner.shape[0]) // 2, (self.width - inner.shape[1]) // 2
        canvas[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        return canvas

    def _scaled(self, frame: "VideoFrame", width: int, height: int) -> np.ndarray:
        from av.video.reformatter import ColorRange, Interpolation

        turned = orientation(frame)
        if turned[0]:
            width, height = height, width
        transfer, primaries = hdr_of(frame), PRIMARIES.get(int(frame.color_primaries), "bt709")
        if transfer and int(frame.color_primaries) == UNSPECIFIED:
            primaries = "bt2020"
        deep = bool(transfer) or primaries != "bt709"
        matrix = matrix_of(frame)
        small = self._scaler.reformat(
            frame,
            width=width,
            height=height,
            format="rgb48le" if deep else "rgb24",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=range_of(frame),
            dst_color_range=int(ColorRange.JPEG),
            interpolation=int(Interpolation.BICUBIC),
            threads=1,  # waiting for each other costs more than small pictures do, and workers share the cores
        )
        pixels = small.to_ndarray()
        if deep:
            pixels = tone_mapped(pixels, transfer, primaries)
        return turned_upright(pixels, turned)


def hdr_of(frame: "VideoFrame") -> str:
    """ "pq", "hlg" or "" of a frame."""
    return {TRANSFER_PQ: "pq", TRANSFER_HLG: "hlg"}.get(int(frame.color_trc), "")


def matrix_of(frame: "VideoFrame") -> int:
    """The scaler's number of the Y'CbCr matrix; by the lines where the stream names none. Raises UnknownColoursError."""
    matrix = int(frame.colorspace)
    if frame.format.is_rgb or matrix == 0:
        return BT_709
    if matrix == UNSPECIFIED or matrix == 3:  # 3 is reserved
        if hdr_of(frame) or int(frame.color_primaries) == 9:
            return BT_2020
        return BT_601 if frame.height < HD_LINES else BT_709
    if matrix not in MATRICES:
        raise UnknownColoursError(f"colour matrix {matrix} of ITU-T H.273")
    return MATRICES[matrix]


def range_of(frame: "VideoFrame") -> int:
    """The scaler's number of the range: limited (16 to 235) unless the stream or the pixel format says full."""
    if frame.format.is_rgb or frame.format.name.startswith("yuvj"):
        return FULL
    return int(frame.color_range) or LIMITED


def orientation(frame: "VideoFrame") -> Orientation:
    """How the frame is turned and mirrored to stand upright, from the display matrix in its side data.

    The matrix (ISO/IEC 14496-12 section 8.3.2: a, b, u, c, d, v, x, y, w as int32) puts the point (p, q) at
    (a p + c q + x, b p + d q + y); angles between the right ones are rounded to the nearest.
    """
    from av.sidedata.sidedata import SideData

    data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, SideData) or data.buffer_size != 36:
        return UPRIGHT
    a, b, _, c, d = (int(number) for number in np.frombuffer(memoryview(data), "=i4")[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0


def turned_upright(pixels: np.ndarray, turned: Orientation) -> np.ndarray:
    """[H, W, 3] after `turned`, in one piece of memory."""
    transpose, mirror, upside_down = turned
    if transpose:
        pixels = pixels.swapaxes(0, 1)
    if mirror:
        pixels = pixels[:, ::-1]
    if upside_down:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def upright_size(frame: "VideoFrame", aspect: Fraction | None) -> tuple[int, int]:
    """(width, height) of the whole frame upright with square pixels; the narrower side of a pixel is made longer."""
    width, height = frame.width, frame.height
    if aspect and Fraction(1, MOST_UNEQUAL) <= aspect <= MOST_UNEQUAL:
        width, height = (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))
    return (height, width) if orientation(frame)[0] else (width, height)
