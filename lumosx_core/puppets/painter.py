"""A tiny pixel-art painter: shapes are signed distances on a grid of puppet coordinates.

Shapes: H, W = pixels of the canvas. Coordinates (u, v) are puppet units: u to the right, v down, the feet stand at (0, 0).
At scale 1 a pixel of the drawing is UNITS_PER_PIXEL units wide. Negative distance is inside the shape.
"""

from collections.abc import Callable

import numpy as np

UNITS_PER_PIXEL = 1.5
OUTLINE = 1.4  # width of the dark contour in puppet units: one pixel at scale 1
Fill = tuple[float, ...] | Callable[[np.ndarray, np.ndarray], np.ndarray]


class Painter:
    """A canvas with colour, coverage and a label per pixel.

    `rgb` is float32 [H, W, 3] in 0..255, `label` int16 [H, W]: 0 where nothing was painted, else the label of the
    topmost shape there. `window` says which rows and columns of a larger frame the canvas covers.
    """

    def __init__(self, u_HW: np.ndarray, v_HW: np.ndarray, window: tuple[slice, slice] = (slice(None), slice(None))) -> None:
        self.window = window
        self.u, self.v = u_HW, v_HW
        self.rgb = np.zeros((*u_HW.shape, 3), np.float32)
        self.label = np.zeros(u_HW.shape, np.int16)

    def fill(self, distance_HW: np.ndarray, fill: Fill, label: int, outline: bool = True) -> None:
        """Paint a shape: `fill` inside, a dark contour of `fill` just outside it.

        `fill` is one colour, or a function (u, v) -> [N, 3] of the painted pixels (patterns).
        """
        grow = OUTLINE if outline else 0.0
        painted = distance_HW <= grow
        if not painted.any():
            return
        colour = fill(self.u[painted], self.v[painted]) if callable(fill) else np.asarray(fill, np.float32)
        inside = distance_HW[painted] <= 0
        shaded = np.where(inside[:, None], colour, np.asarray(colour) * 0.38)
        self.rgb[painted] = shaded
        self.label[painted] = label


def ellipse(u: np.ndarray, v: np.ndarray, cu: float, cv: float, ru: float, rv: float) -> np.ndarray:
    """Signed distance (first-order approximation) to an axis-aligned ellipse with centre (cu, cv) and radii (ru, rv)."""
    radius = np.hypot((u - cu) / ru, (v - cv) / rv)
    return (radius - 1.0) * min(ru, rv)


def box(u: np.ndarray, v: np.ndarray, u0: float, v0: float, u1: float, v1: float, corner: float = 0.0) -> np.ndarray:
    """Signed distance to the box (u0, v0)-(u1, v1) with corners rounded by `corner` units."""
    du = np.abs(u - (u0 + u1) / 2) - (u1 - u0) / 2 + corner
    dv = np.abs(v - (v0 + v1) / 2) - (v1 - v0) / 2 + corner
    return np.hypot(np.maximum(du, 0), np.maximum(dv, 0)) + np.minimum(np.maximum(du, dv), 0) - corner


def capsule(u: np.ndarray, v: np.ndarray, u0: float, v0: float, u1: float, v1: float, radius: float) -> np.ndarray:
    """Signed distance to the thick line from (u0, v0) to (u1, v1)."""
    du, dv = u1 - u0, v1 - v0
    along = np.clip(((u - u0) * du + (v - v0) * dv) / max(du * du + dv * dv, 1e-6), 0.0, 1.0)
    return np.hypot(u - u0 - along * du, v - v0 - along * dv) - radius


def trapezoid(u: np.ndarray, v: np.ndarray, v0: float, v1: float, half0: float, half1: float, cu: float = 0.0) -> np.ndarray:
    """Signed distance (approximate) to an upright trapezoid centred on u = cu: half width half0 at v0, half1 at v1."""
    half = half0 + (half1 - half0) * np.clip((v - v0) / (v1 - v0), 0.0, 1.0)
    return np.maximum(np.abs(u - cu) - half, np.maximum(v0 - v, v - v1))


def pattern_fill(colour: tuple[int, int, int], second: tuple[int, int, int], pattern: str, anchor_v: float) -> Fill:
    """A fill for `Painter.fill`: the pattern ("plain", "striped", "dotted", "checked") anchored at v = anchor_v.

    Dots and squares are about as large as a cell of the VAE's latents (4 pixels of the drawing): smaller ones it blurs. All
    patterns are symmetric about u = 0, so that a mirrored reference picture of a garment still tells how it looks.
    """
    first_3, second_3 = np.asarray(colour, np.float32), np.asarray(second, np.float32)

    def paint(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        w = v - anchor_v
        if pattern == "striped":
            use_second = np.mod(w, 9.0) >= 4.5
        elif pattern == "checked":
            use_second = (np.floor((u + 3.0) / 6.0) + np.floor(w / 6.0)) % 2 == 1
        elif pattern == "dotted":
            row = np.floor(w / 6.0)
            use_second = np.hypot(np.mod(u + 3.75 * (row % 2), 7.5) - 3.75, np.mod(w, 6.0) - 3.0) <= 2.5
        else:
            use_second = np.zeros(u.shape, bool)
        return np.where(use_second[:, None], second_3, first_3)

    return paint
