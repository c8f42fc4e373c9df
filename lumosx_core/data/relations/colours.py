"""Colour words against pixels: how far a thing's colour is from a word, in CIELAB, where distances are as people see them.

A word stands for several typical colours of things that are called so (in light and in shade), so that "white" fits a white
shirt in shadow and "blue" both sky and navy. Sources: the sRGB and CIELAB definitions (IEC 61966-2-1, CIE 15); the typical
colours are ours.
"""

import re

import numpy as np

WHITE_D65 = np.array([0.95047, 1.0, 1.08883])
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
TYPICAL: dict[str, tuple[str, ...]] = {
    "red": ("d02828", "a01818", "e04040", "801010"), "orange": ("e88020", "d06818", "f0a040"),
    "yellow": ("e8d030", "f0e060", "c0a820"), "green": ("309038", "186028", "60b060", "506830"),
    "blue": ("2850c0", "2028d8", "102060", "4878d8", "80b0e0"), "purple": ("7838a0", "502070", "a068c0"),
    "pink": ("e890b0", "f0b0c0", "d85890"), "brown": ("704828", "503018", "906840"),
    "black": ("181818", "303030", "080808"), "white": ("f4f4f4", "d8d8d8", "c0c0c0"),
    "grey": ("808080", "606060", "a8a8a8"), "beige": ("d8c8a8", "c0a880"),
    "teal": ("209090", "106868", "50b0a8"), "gold": ("c8a030", "a88020"), "silver": ("b8b8c0", "989898"),
}  # fmt: skip
SAME = {
    "gray": "grey", "violet": "purple", "navy": "blue", "turquoise": "teal", "cyan": "teal", "golden": "gold", "tan": "beige",
    "cream": "beige", "crimson": "red", "scarlet": "red", "maroon": "red", "magenta": "pink", "khaki": "beige",
    "lavender": "purple",
    "burgundy": "red", "blond": "yellow", "blonde": "yellow", "olive": "green",
}  # fmt: skip


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of sRGB uint8 [..., 3]: float64, lightness 0 to 100 first."""
    value = np.asarray(rgb, np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    xyz = linear @ TO_XYZ.T / WHITE_D65
    root = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * root[..., 1] - 16, 500 * (root[..., 0] - root[..., 1]), 200 * (root[..., 1] - root[..., 2])], -1)


def colour_word(phrase: str) -> str | None:
    """The first colour word of a phrase, None if there is none."""
    for word in re.findall(r"[a-z]+", phrase.lower()):
        word = SAME.get(word, word)
        if word in TYPICAL:
            return word
    return None


def colour_distance(word: str, lab: np.ndarray) -> float:
    """How far colours in CIELAB [..., 3] are from a word: 0 for a typical one; the smallest over both."""
    typical = to_lab(np.array([[int(code[k : k + 2], 16) for k in (0, 2, 4)] for code in TYPICAL[word]], np.uint8))
    return float(np.linalg.norm(np.asarray(lab)[..., None, :] - typical, axis=-1).min())


def main_colours(frame: np.ndarray, mask: np.ndarray) -> tuple[float, ...]:
    """The one or two colours that cover most of a mask bool [H, W] of a frame uint8 [H, W, 3], in CIELAB, one after the other:
    3 or 6 numbers; none for an empty mask. The second only if it covers a fifth or more."""
    pixels = frame[mask]
    if not len(pixels):
        return ()
    coarse = (pixels // 32).astype(np.int32) @ np.array([64, 8, 1])
    counts = np.bincount(coarse, minlength=512)
    result: list[float] = []
    for index in counts.argsort()[::-1][:2]:
        if result and counts[index] < 0.2 * len(pixels):
            break
        result += [round(float(v), 2) for v in np.median(to_lab(pixels[coarse == index]), axis=0)]
    return tuple(result)
