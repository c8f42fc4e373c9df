"""Cut-outs: what a mask shows of a picture, with a soft edge and without the faults of masks.

Masks of segmenters have holes, specks beside the thing, and hard steps. A cut-out is cleaned, gets an edge of a pixel or two,
keeps what was transparent already, and stands on white with a margin.

Legend: H, W = pixels.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image
from scipy import ndimage

from lumosx_core.detection.boxes import INSIDE, PixelBox, mask_box
from lumosx_core.errors import InputError
from lumosx_core.eyes import Box
from lumosx_core.files.images import MAX_PIXELS, rgb_on_white
from lumosx_core.numbers import real_number

Pieces = Literal["all", "largest"]
AROUND = np.ones((3, 3), bool)  # pieces that touch at a corner are one
SMALLEST_SIDE = 1e-3  # of a blur, pixels: less is none


@dataclass(frozen=True, kw_only=True)
class CutOutOptions:
    """How a thing is cut out. Raises InputError on construction for values out of range.

    pieces: "all", or only the "largest" connected one. specks: pieces below this share of the largest are dropped. holes:
    those below this share of the thing are closed; larger ones, such as the loop of a handle, are the background. edge: width
    of the soft edge in pixels, 0 for a hard one; a small thing, which is enlarged for the model, gets at most `edge_share` of
    its longer side. margin: white on every side, as a share of the thing's longer side.
    """

    pieces: Pieces = "all"
    specks: float = 0.02
    holes: float = 0.05
    edge: float = 1.5
    edge_share: float = 0.02
    margin: float = 0.05

    def __post_init__(self) -> None:
        if self.pieces not in ("all", "largest"):
            raise InputError(f"pieces is {self.pieces!r}, expected all or largest")
        for name, most in (("specks", 1.0), ("holes", 1.0), ("edge", 16.0), ("edge_share", 1.0), ("margin", 4.0)):
            real_number(getattr(self, name), name, least=0.0, most=most)


def clean_mask(mask: np.ndarray, options: CutOutOptions | None = None) -> np.ndarray:
    """The mask [H, W] (bool, or 0..1) as bool, without specks and small holes. Raises InputError for an empty one."""
    options = options or CutOutOptions()
    inside = np.asarray(mask) > INSIDE
    if inside.ndim != 2 or not inside.any():
        raise InputError(
            f"the mask of shape {inside.shape} shows nothing; expected [H, W] with at least one pixel above {INSIDE}"
        )
    kept = _large_pieces(inside, options)
    return kept | _small_holes(kept, options.holes)


def _large_pieces(inside: np.ndarray, options: CutOutOptions) -> np.ndarray:
    pieces, count = ndimage.label(inside, structure=AROUND)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    if options.pieces == "largest":
        return pieces == sizes.argmax()
    return (sizes >= options.specks * sizes.max())[pieces] & inside


def _small_holes(inside: np.ndarray, share: float) -> np.ndarray:
    holes, count = ndimage.label(~inside)  # background touches along sides only, where pieces touch at corners
    sizes = np.bincount(holes.ravel(), minlength=count + 1)
    outside = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
    small = sizes < share * inside.sum()
    small[outside] = False
    small[0] = False
    return small[holes]


def soften(mask: np.ndarray, edge: float) -> np.ndarray:
    """The mask bool [H, W] as float32 0..1 whose edge is `edge` pixels wide: 0.5 on the border, linear across it.

    What is farther than edge / 2 inside stays 1, outside 0, so that a thing neither grows nor glows.
    """
    if edge <= SMALLEST_SIDE:
        return mask.astype(np.float32)
    padded = np.pad(mask, 1, mode="edge")  # the picture's border is no edge of the thing
    # Distances run between the middles of pixels; the border lies half a pixel before the first one inside.
    inward = ndimage.distance_transform_edt(padded) - 0.5 if not padded.all() else np.full(padded.shape, np.inf)
    outward = ndimage.distance_transform_edt(~padded) - 0.5 if padded.any() else np.full(padded.shape, np.inf)
    signed = np.where(padded, inward, -outward)[1:-1, 1:-1]
    return np.clip(0.5 + signed / edge, 0.0, 1.0).astype(np.float32)


def cut_out(
    picture: Image.Image, mask: np.ndarray, options: CutOutOptions | None = None, *, frame: Box | None = None
) -> Image.Image:
    """What the mask [H, W] shows of the picture, as RGBA: cleaned, soft-edged, cropped with a margin, its alpha kept.

    frame: crop to this box at least, so that a small thing does not fill a large picture, and a half hidden one keeps its size.
    Outside the thing the colours are white, so that it lies on white whether a program looks at the alpha or not; `on_white`
    gives it as RGB. Raises InputError for a mask of another size or without anything, and for a result that is too large.
    """
    options = options or CutOutOptions()
    if np.shape(mask) != (picture.height, picture.width):
        raise InputError(
            f"the mask has the shape {np.shape(mask)}, the picture ({picture.height}, {picture.width}); give a mask as large "
            "as the picture"
        )
    inside = clean_mask(mask, options)
    left, top, right, bottom = mask_box(inside)
    alpha = soften(inside, min(options.edge, options.edge_share * max(right - left, bottom - top)))
    if picture.has_transparency_data:
        alpha = alpha * (np.asarray(picture.convert("RGBA"))[..., 3] / np.float32(255))
        colours = np.asarray(picture.convert("RGBA").convert("RGB"))
    else:
        colours = np.asarray(rgb_on_white(picture))
    if not (alpha > 0).any():
        raise InputError("the mask shows only what is transparent in the picture; give another mask")
    left, top, right, bottom = mask_box(alpha > 0)
    x0, y0, x1, y1 = _crop((left, top, right, bottom), options.margin, frame)
    if (x1 - x0) * (y1 - y0) > MAX_PIXELS:
        raise InputError(
            f"with the margin {options.margin:g} the cut-out has {x1 - x0}x{y1 - y0} pixels, at most {MAX_PIXELS:,} are made; "
            "give a smaller margin"
        )
    opacity = np.round(255 * alpha[top:bottom, left:right]).astype(np.uint8)
    part = np.where(opacity[..., None] > 0, colours[top:bottom, left:right], 255).astype(np.uint8)
    canvas = Image.new("RGBA", (x1 - x0, y1 - y0), (255, 255, 255, 0))
    canvas.paste(Image.fromarray(np.dstack([part, opacity])), (left - x0, top - y0))
    return canvas


def _crop(box: PixelBox, margin: float, frame: Box | None) -> PixelBox:
    left, top, right, bottom = box
    extra = round(margin * max(right - left, bottom - top))
    left, top, right, bottom = left - extra, top - extra, right + extra, bottom + extra
    if frame is None:
        return left, top, right, bottom
    x0, y0, x1, y1 = (round(side) for side in frame)
    return min(x0, left), min(y0, top), max(x1, right), max(y1, bottom)


def before_wall(picture: Image.Image, mask: np.ndarray, frame: Box, wall: tuple[int, int, int]) -> Image.Image:
    """The part of the picture in `frame` as RGB, with the plain colour `wall` wherever the mask [H, W] shows nothing and beyond
    the picture. Raises InputError as `cut_out` does."""
    cut = cut_out(picture, mask, CutOutOptions(margin=0), frame=frame)
    seen = mask_box(clean_mask(mask))
    x0, y0, x1, y1 = (round(side) for side in frame)
    canvas = Image.new("RGB", (max(1, x1 - x0), max(1, y1 - y0)), wall)
    canvas.paste(cut, (min(0, seen[0] - x0), min(0, seen[1] - y0)), cut)
    return canvas


def on_white(cut: Image.Image) -> Image.Image:
    """A cut-out as RGB on white, as the model was trained on."""
    return rgb_on_white(cut)
