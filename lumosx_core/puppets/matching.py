"""Where a drawing fits into frames: mean squared differences of masked drawings, everywhere by FFT or near one place.

Shapes: F = frames, H, W = pixels of the drawing (BLOCK x BLOCK pixels of the video each).
"""

from functools import lru_cache

import numpy as np

from lumosx_core.puppets.clip import BLOCK
from lumosx_core.puppets.draw import Pose, paint_puppet
from lumosx_core.puppets.painter import UNITS_PER_PIXEL, Painter
from lumosx_core.puppets.spec import PuppetSpec

LEFT, TOP = 17, 38  # the drawing's foot is at (LEFT, TOP) of its canvas
CANVAS = (43, 35)
MOST_KEPT = 64  # outlines
SMALLEST = 4  # pixels that a drawing must show to be looked for


def drawing_pixels(frames: np.ndarray) -> np.ndarray:
    """float32 [F, H / BLOCK, W / BLOCK, 3] in 0..1: the mean of every block of pixels that shows one pixel of the drawing."""
    count, height, width, _ = frames.shape
    blocks = frames.reshape(count, height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3).astype(np.float32)
    return blocks.mean((2, 4)) / 255.0


class Matcher:
    """Mean squared differences of masked drawings against every place of some frames, by FFT."""

    def __init__(self, frames: np.ndarray) -> None:
        self.images = images = frames
        self.count, self.height, self.width = images.shape[:3]
        self.padded = (self.height + CANVAS[0], self.width + CANVAS[1])
        canvas = np.zeros((self.count, *self.padded, 3), np.float32)
        canvas[:, : self.height, : self.width] = images
        self.colours = np.fft.rfft2(canvas, axes=(1, 2))
        self.squares = np.fft.rfft2((canvas**2).sum(3), axes=(1, 2))
        inside = np.zeros(self.padded, np.float32)
        inside[: self.height, : self.width] = 1
        self.inside = np.fft.rfft2(inside)
        self.kept: dict[tuple, tuple[np.ndarray, np.ndarray, np.ndarray, float]] = {}

    def everywhere(self, rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """[F, H, W]: mean squared difference with the drawing's foot on each pixel; infinite where under 60 % of the drawing
        is inside the frame. rgb float [CANVAS, 3] in 0..1, mask bool [CANVAS]."""
        if mask.sum() < SMALLEST:
            return np.full((self.count, self.height, self.width), np.inf, np.float32)
        m = mask.astype(np.float32)
        t = rgb * m[..., None]
        m_f = np.conj(np.fft.rfft2(m, self.padded))
        t_f = np.conj(np.fft.rfft2(t, self.padded, axes=(0, 1)))
        t2_f = np.conj(np.fft.rfft2((t**2).sum(2), self.padded))
        product = self.squares * m_f - 2 * (self.colours * t_f).sum(3) + self.inside * t2_f
        total = np.fft.irfft2(product, self.padded, axes=(1, 2))
        area = np.fft.irfft2(self.inside * m_f, self.padded)
        # Correlation puts the canvas' top left corner on the pixel; move the answer to the foot.
        total, area = (np.roll(a, (TOP, LEFT), axis=(-2, -1))[..., : self.height, : self.width] for a in (total, area))
        mean = np.maximum(total, 0) / (3 * np.maximum(area, 1))
        return np.where(area >= 0.6 * m.sum(), mean, np.inf).astype(np.float32)

    def near(self, frame: int, rgb: np.ndarray, mask: np.ndarray, place: np.ndarray, reach: int, hidden: np.ndarray) -> float:
        """The smallest such difference with the foot within `reach` pixels of `place` (x, y) in one frame, over pixels
        that are not `hidden` (bool [H, W]); infinite where under 30 % of the drawing can be seen."""
        if int(mask.sum()) < SMALLEST:
            return np.inf
        pixels, seen, area, least = self._around(frame, mask, place, reach, hidden)
        r, g, b = rgb[mask].T
        difference = ((pixels[0] - r) ** 2 + (pixels[1] - g) ** 2 + (pixels[2] - b) ** 2) / 3 * seen
        mean = difference.sum(1) / np.maximum(area, 1)
        return float(np.where(area >= least, mean, np.inf).min())

    def _around(
        self, frame: int, mask: np.ndarray, place: np.ndarray, reach: int, hidden: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """What lies under a mask at every place within reach: colours [3, places, pixels], which of them can be seen, how
        many, and how many are needed. Kept, since a thing and its rivals mostly share one outline."""
        key = (frame, mask.tobytes(), int(place[0]), int(place[1]), reach, id(hidden.base), hidden.ctypes.data)
        if key not in self.kept:
            if len(self.kept) >= MOST_KEPT:
                self.kept.clear()
            rows, columns = np.nonzero(mask)
            dy, dx = (d.ravel() for d in np.mgrid[-reach : reach + 1, -reach : reach + 1])
            y = place[1] - TOP + rows[None] + dy[:, None]
            x = place[0] - LEFT + columns[None] + dx[:, None]
            seen = (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)
            y, x = y.clip(0, self.height - 1), x.clip(0, self.width - 1)
            seen &= ~hidden[y, x]
            pixels = np.ascontiguousarray(np.moveaxis(self.images[frame, y, x], 2, 0))
            self.kept[key] = pixels, seen, seen.sum(1), 0.3 * len(rows)
        return self.kept[key]


@lru_cache(maxsize=512)
def drawing(puppet: PuppetSpec, scale: float, turn: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rgb 0..1, label, |u|) of the puppet on the drawing canvas."""
    y, x = np.mgrid[0 : CANVAS[0], 0 : CANVAS[1]].astype(np.float32)
    painter = Painter((x + 0.5 - LEFT) * UNITS_PER_PIXEL / scale, (y + 0.5 - TOP) * UNITS_PER_PIXEL / scale)
    u = np.abs(painter.u)
    paint_puppet(painter, puppet, Pose(foot_x=0, foot_y=0, turn=turn))
    return painter.rgb / 255.0, painter.label, u
