"""How reference pictures are varied in training, with the published ranges (method.md section 9).

A picture of a face, person, thing: random resized crop, rotation and a small shear on white, mild colour jitter and blur, flip,
and a random downscale. Of a background only crop, colour and blur: it is neither turned nor made coarse.

A change of what is drawn here counts `clip_cache.FORMAT` up, so that no cache mixes two ways.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from lumosx_core.files.images import rgb_on_white
from lumosx_core.numbers import real_number


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Ranges. crop: least share of a side that is kept; turn: degrees; downscale: least longer side in pixels (published: 0.67,
    20, 112); shear: tangent; colour: of brightness, contrast and saturation; blur: largest radius in pixels; flip: probability
    (the last four are ours: mild, small, a coin). strength 0 leaves pictures as they are. Raises InputError out of range."""

    crop: float = 0.67
    turn: float = 20.0
    shear: float = 0.08
    colour: float = 0.12
    blur: float = 0.8
    flip: float = 0.5
    downscale: int = 112

    def __post_init__(self) -> None:
        limits = {"crop": (0.1, 1), "turn": (0, 180), "shear": (0, 1), "colour": (0, 1), "blur": (0, 20), "flip": (0, 1)}
        for name, (least, most) in limits.items():
            real_number(getattr(self, name), f"augmentation: {name}", least=least, most=most)
        real_number(self.downscale, "augmentation: downscale", least=1, most=16_384)


NONE = Augmentation(crop=1.0, turn=0.0, shear=0.0, colour=0.0, blur=0.0, flip=0.0, downscale=16_384)


def augmented(picture: Image.Image, rng: np.random.Generator, ranges: Augmentation, *, scene: bool = False) -> Image.Image:
    """One variant of a picture, RGB on white. scene: a background. The same state of rng gives the same picture."""
    drawn = rng.uniform(-1, 1, 12).tolist()  # always as many, so that one range does not shift what comes after it
    picture = rgb_on_white(_in_other_light(picture, ranges.colour, drawn[6:9]))
    keep = ranges.crop + (1 - ranges.crop) * (drawn[0] + 1) / 2
    width, height = (max(1, round(keep * side)) for side in picture.size)
    left, top = round((picture.width - width) * (drawn[1] + 1) / 2), round((picture.height - height) * (drawn[2] + 1) / 2)
    picture = picture.crop((left, top, left + width, top + height))
    if not scene:
        picture = _turned(picture, ranges.turn * drawn[3], ranges.shear * drawn[4])
        if (drawn[5] + 1) / 2 < ranges.flip:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if ranges.blur and drawn[9] > 0:  # half of the pictures
        picture = picture.filter(ImageFilter.GaussianBlur(ranges.blur * drawn[9]))
    longest = max(picture.size)
    if not scene and drawn[10] > 0 and longest > ranges.downscale:
        side = ranges.downscale + (longest - ranges.downscale) * (drawn[11] + 1) / 2
        size = tuple(max(1, round(side / longest * s)) for s in picture.size)
        picture = picture.resize(size, Image.Resampling.BICUBIC)  # type: ignore[arg-type]
    return picture


def _in_other_light(picture: Image.Image, reach: float, amounts: list[float]) -> Image.Image:
    """Brightness, contrast and saturation changed, the alpha kept: the paper behind a cut-out stays white."""
    alpha = picture.convert("RGBA").getchannel("A") if picture.has_transparency_data else None
    changed = rgb_on_white(picture) if alpha is None else picture.convert("RGBA").convert("RGB")
    for enhance, amount in zip((ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color), amounts, strict=True):
        if reach:
            changed = enhance(changed).enhance(1 + reach * amount)
    if alpha is not None:
        changed.putalpha(alpha)
    return changed


def _turned(picture: Image.Image, degrees: float, shear: float) -> Image.Image:
    """Turned and sheared about the middle, on white paper that is large enough for all of it."""
    if not degrees and not shear:
        return picture
    angle = np.deg2rad(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) @ np.array([[1.0, shear], [0.0, 1.0]])
    middle = np.array([picture.width / 2, picture.height / 2])
    corners = np.linalg.inv(matrix) @ (np.array([[-1, 1, -1, 1], [-1, -1, 1, 1]]) * middle[:, None])
    width, height = (int(np.ceil(2 * reach - 1e-6)) for reach in np.abs(corners).max(1))
    shift = middle - matrix @ np.array([width / 2, height / 2])
    values = (matrix[0, 0], matrix[0, 1], shift[0], matrix[1, 0], matrix[1, 1], shift[1])
    return picture.transform(
        (width, height), Image.Transform.AFFINE, values, resample=Image.Resampling.BICUBIC, fillcolor=(255, 255, 255)
    )
