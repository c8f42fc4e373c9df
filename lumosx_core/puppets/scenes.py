"""Backgrounds and objects of the puppet world.

A background is wider than the frame, so that the camera can pan over it. Lengths in puppet units.
"""

from dataclasses import dataclass

import numpy as np

from lumosx_core.puppets.painter import UNITS_PER_PIXEL, Painter, box, capsule, ellipse, pattern_fill, trapezoid
from lumosx_core.puppets.spec import PALETTE, PATTERNS

SCENE_TOP, SCENE_HEIGHT, SCENE_WIDTH = 3.0, 60.0, 129.0  # y of the upper edge, height, width
HORIZON = 44
SCENES = ("park", "beach", "street", "room", "desert", "snow", "night", "stage")
OBJECT_KINDS = ("ball", "lamp", "plant", "box", "balloon", "mushroom")
OBJECT_LABEL = 30


@dataclass(frozen=True, kw_only=True)
class ObjectSpec:
    """A thing on the ground: kind (OBJECT_KINDS), two palette colours and a pattern, by name."""

    kind: str
    colour: str
    second: str
    pattern: str

    @property
    def adjectives(self) -> str:
        """Words for the look, e.g. "red striped"."""
        return self.colour if self.pattern == "plain" else f"{self.colour} {self.pattern}"


def sample_object(rng: np.random.Generator) -> ObjectSpec:
    """A random object."""
    first, second = rng.choice(len(PALETTE), size=2, replace=False)
    colours = tuple(PALETTE)
    return ObjectSpec(
        kind=OBJECT_KINDS[int(rng.integers(len(OBJECT_KINDS)))],
        colour=colours[first],
        second=colours[second],
        pattern=PATTERNS[int(rng.integers(len(PATTERNS)))],
    )


def paint_object(p: Painter, thing: ObjectSpec) -> None:
    """Paint an object standing at (0, 0), about 12 units wide and 14 to 26 high."""
    u, v = p.u, p.v
    colour, fill = (
        PALETTE[thing.colour],
        pattern_fill(PALETTE[thing.colour], PALETTE[thing.second], thing.pattern, -14.0),
    )
    if thing.kind == "ball":
        p.fill(ellipse(u, v, 0, -6.0, 6.0, 6.0), fill, OBJECT_LABEL)
    elif thing.kind == "lamp":
        p.fill(box(u, v, -0.9, -18.0, 0.9, -1.0), (90, 84, 90), OBJECT_LABEL)
        p.fill(ellipse(u, v, 0, -1.2, 4.0, 1.4), (90, 84, 90), OBJECT_LABEL)
        p.fill(trapezoid(u, v, -26.0, -17.0, 3.2, 6.6), fill, OBJECT_LABEL)
    elif thing.kind == "plant":
        for cu, cv in ((-3.6, -13.0), (3.6, -13.0), (0.0, -17.0)):
            p.fill(ellipse(u, v, cu, cv, 3.2, 5.0), (62, 150, 72), OBJECT_LABEL)
        p.fill(trapezoid(u, v, -9.0, 0.0, 6.0, 4.4), fill, OBJECT_LABEL)
    elif thing.kind == "box":
        p.fill(box(u, v, -7.0, -12.0, 7.0, 0.0, 0.6), fill, OBJECT_LABEL)
        p.fill(box(u, v, -7.8, -13.6, 7.8, -10.6, 0.6), colour, OBJECT_LABEL)
    elif thing.kind == "balloon":
        p.fill(capsule(u, v, 0, -14.0, 0, -1.0, 0.75), (240, 240, 240), OBJECT_LABEL, outline=False)
        p.fill(ellipse(u, v, 0, -20.0, 5.6, 6.6), fill, OBJECT_LABEL)
    else:  # mushroom
        p.fill(box(u, v, -2.8, -8.0, 2.8, 0.0, 1.4), (244, 230, 204), OBJECT_LABEL)
        p.fill(np.maximum(ellipse(u, v, 0, -7.0, 8.4, 8.4), v + 7.0), fill, OBJECT_LABEL)


def paint_scene(scene: str, seed: int) -> np.ndarray:
    """The background of that name, uint8 [40, 86, 3] (a pixel is UNITS_PER_PIXEL wide); the seed places clouds, trees,
    windows, ..."""
    rng = np.random.default_rng((SCENES.index(scene), seed))
    rows, columns = round(SCENE_HEIGHT / UNITS_PER_PIXEL), round(SCENE_WIDTH / UNITS_PER_PIXEL)
    y, x = (np.mgrid[0:rows, 0:columns].astype(np.float32) + 0.5) * UNITS_PER_PIXEL
    y = y + SCENE_TOP
    p = Painter(x, y)
    tint = rng.uniform(-14, 14, 3)

    def shade(r: float, g: float, b: float) -> tuple[int, int, int]:
        return tuple(int(c) for c in np.clip(np.array([r, g, b]) + tint, 0, 255))  # type: ignore[return-value]

    def everywhere(top: float, bottom: float, colour: tuple[int, int, int]) -> None:
        p.fill(box(x, y, -1, top, SCENE_WIDTH + 1, bottom), colour, 1, outline=False)

    sky = {
        "park": (156, 208, 244),
        "beach": (140, 214, 250),
        "street": (190, 206, 222),
        "room": (236, 214, 178),
        "desert": (250, 206, 140),
        "snow": (206, 224, 240),
        "night": (34, 38, 84),
        "stage": (112, 30, 48),
    }[scene]
    ground = {
        "park": (112, 186, 96),
        "beach": (240, 216, 150),
        "street": (124, 126, 134),
        "room": (166, 112, 70),
        "desert": (224, 164, 92),
        "snow": (246, 250, 254),
        "night": (52, 74, 92),
        "stage": (152, 98, 54),
    }[scene]
    everywhere(-1, HORIZON, shade(*sky))
    DETAILS[scene](p, rng)
    everywhere(HORIZON, SCENE_TOP + SCENE_HEIGHT + 1, shade(*ground))
    everywhere(HORIZON, HORIZON + 2, tuple(int(c * 0.82) for c in shade(*ground)))  # type: ignore[arg-type]
    return np.clip(p.rgb, 0, 255).astype(np.uint8)


def _spread(rng: np.random.Generator, count: int) -> np.ndarray:
    """`count` horizontal places over the width of the scene, evenly spread with some jitter."""
    step = SCENE_WIDTH / count
    return (np.arange(count) + 0.5) * step + rng.uniform(-0.25, 0.25, count) * step


def _clouds(p: Painter, rng: np.random.Generator, colour: tuple[int, int, int] = (250, 252, 255)) -> None:
    for cu in _spread(rng, 3):
        cv = rng.uniform(7, 15)
        for du, r in ((-5, 3.4), (0, 4.6), (5.5, 3.2)):
            p.fill(ellipse(p.u, p.v, cu + du, cv + (1.2 if du else 0), r * 1.5, r), colour, 1, outline=False)


def _park(p: Painter, rng: np.random.Generator) -> None:
    _clouds(p, rng)
    for cu in _spread(rng, 4):
        p.fill(box(p.u, p.v, cu - 2, 30, cu + 2, HORIZON + 1), (118, 78, 48), 1, outline=False)
        p.fill(ellipse(p.u, p.v, cu, 26, 10, 9), (64, 142, 74), 1, outline=False)
        p.fill(ellipse(p.u, p.v, cu - 3, 23, 5, 4), (90, 168, 92), 1, outline=False)


def _beach(p: Painter, rng: np.random.Generator) -> None:
    cu = rng.uniform(20, 108)
    p.fill(ellipse(p.u, p.v, cu, 11, 6, 6), (255, 236, 130), 1, outline=False)
    p.fill(box(p.u, p.v, -1, 30, SCENE_WIDTH + 1, HORIZON + 1), (56, 140, 200), 1, outline=False)
    for cv in (33, 38):
        wave = np.abs(np.mod(p.u + rng.uniform(0, 16), 16.0) - 8.0) - 5.0
        p.fill(np.maximum(wave, np.abs(p.v - cv) - 0.8), (190, 226, 244), 1, outline=False)


def _street(p: Painter, rng: np.random.Generator) -> None:
    for cu in _spread(rng, 6):
        top = rng.uniform(6, 20)
        colour = tuple(int(c) for c in rng.choice([(176, 104, 84), (150, 146, 158), (198, 168, 120), (112, 128, 152)]))
        p.fill(box(p.u, p.v, cu - 10, top, cu + 10, HORIZON + 1), colour, 1, outline=False)
        windows = np.maximum(np.abs(np.mod(p.u - cu + 3, 6.0) - 3.0) - 1.6, np.abs(np.mod(p.v - top - 3, 8.0) - 3.0) - 2)
        inside = box(p.u, p.v, cu - 8.8, top + 2, cu + 8.8, HORIZON - 3)
        p.fill(np.maximum(windows, inside), (250, 230, 150), 1, outline=False)


def _room(p: Painter, rng: np.random.Generator) -> None:
    for cu in _spread(rng, 3):
        p.fill(box(p.u, p.v, cu - 9, 8, cu + 9, 28), (250, 250, 250), 1, outline=False)
        p.fill(box(p.u, p.v, cu - 7.5, 9.5, cu + 7.5, 26.5), (150, 206, 240), 1, outline=False)
        p.fill(box(p.u, p.v, cu - 0.8, 9.5, cu + 0.8, 26.5), (250, 250, 250), 1, outline=False)
    p.fill(box(p.u, p.v, -1, HORIZON - 4, SCENE_WIDTH + 1, HORIZON + 1), (190, 150, 110), 1, outline=False)


def _desert(p: Painter, rng: np.random.Generator) -> None:
    p.fill(ellipse(p.u, p.v, rng.uniform(24, 104), 12, 7, 7), (255, 244, 200), 1, outline=False)
    for cu in _spread(rng, 3):
        p.fill(ellipse(p.u, p.v, cu, HORIZON + 4, 26, 12), (206, 142, 80), 1, outline=False)
    for cu in _spread(rng, 3):
        for part in (
            (cu, 24, cu, 46, 2.2),
            (cu - 6, 30, cu - 6, 34, 1.6),
            (cu - 6, 35, cu, 36, 1.6),
            (cu + 6, 27, cu + 6, 32, 1.6),
            (cu + 6, 33, cu, 34, 1.6),
        ):
            p.fill(capsule(p.u, p.v, *part), (76, 140, 84), 1, outline=False)


def _snow(p: Painter, rng: np.random.Generator) -> None:
    for cu in _spread(rng, 3):
        p.fill(np.abs(p.u - cu) * 0.8 + (14 - p.v), (150, 172, 200), 1, outline=False)
        p.fill(np.maximum(np.abs(p.u - cu) * 0.8 + (14 - p.v), p.v - 22), (250, 252, 255), 1, outline=False)
    for cu in _spread(rng, 4):
        for tip, half in ((26, 4.5), (31, 6.5), (36, 8.5)):
            p.fill(trapezoid(p.u, p.v, tip, tip + 8, 0.5, half, cu), (54, 110, 96), 1, outline=False)


def _night(p: Painter, rng: np.random.Generator) -> None:
    p.fill(ellipse(p.u, p.v, rng.uniform(20, 108), 13, 7, 7), (246, 240, 196), 1, outline=False)
    for cu, cv in zip(_spread(rng, 12), rng.uniform(3, 28, 12), strict=True):
        p.fill(box(p.u, p.v, cu - 1, cv - 1, cu + 1, cv + 1), (240, 240, 210), 1, outline=False)
    for cu in _spread(rng, 3):
        p.fill(ellipse(p.u, p.v, cu, HORIZON + 3, 28, 13), (40, 56, 78), 1, outline=False)


def _stage(p: Painter, rng: np.random.Generator) -> None:
    folds = np.abs(np.mod(p.u + rng.uniform(0, 12), 12.0) - 6.0) - 2.6
    p.fill(np.maximum(folds, p.v - HORIZON), (140, 40, 60), 1, outline=False)
    p.fill(box(p.u, p.v, -1, -1, SCENE_WIDTH + 1, 5), (226, 176, 70), 1, outline=False)
    for cu in _spread(rng, 3):
        p.fill(trapezoid(p.u, p.v, 5, HORIZON, 3, 13, cu), (196, 96, 92), 1, outline=False)


DETAILS = {
    "park": _park, "beach": _beach, "street": _street, "room": _room,
    "desert": _desert, "snow": _snow, "night": _night, "stage": _stage,
}  # fmt: skip
