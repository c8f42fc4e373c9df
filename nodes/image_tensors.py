"""ComfyUI's IMAGE, MASK and BOUNDING_BOX as pictures and boxes and back, and what its transparent pictures mean.

Legend: B = pictures of a batch, H, W = pixels, C = channels. A box is (left, top, right, bottom) in pixels of the picture.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from lumosx_core.detection.boxes import FARTHEST, INSIDE, Box, cut_by_mask
from lumosx_core.errors import InputError
from lumosx_core.files.images import MAX_SIDE_PX, rgb_on_white
from lumosx_core.numbers import real_number

TOLERANCE = 0.5  # so far outside 0..1 values may lie: nodes that scale or sharpen overshoot
MAX_BATCH_PIXELS = 2**28  # of all pictures of an IMAGE together
MAX_BOXES = 1000
BLACK_BORDER = 0.9  # share of exactly black pixels along the edges from which a picture stands on black


def pictures_of(image: torch.Tensor) -> list[Image.Image]:
    """IMAGE [B, H, W, C] with values 0..1 as B pictures: RGB, or RGBA if there are 4 channels.

    Values a little outside, as scaling leaves them, are cut off. Raises InputError for another shape or type, for more pixels
    than `MAX_BATCH_PIXELS`, and for values that are no numbers or far outside.
    """
    if image.ndim != 4 or image.shape[-1] not in (3, 4) or 0 in image.shape:
        raise InputError(f"the image has the shape {list(image.shape)}, expected [pictures, height, width, 3 or 4 channels]")
    if not image.is_floating_point():
        raise InputError(f"the image holds {str(image.dtype).removeprefix('torch.')} values, expected float values from 0 to 1")
    pixels = _unit_values(image, "image").mul(255).round().to(torch.uint8).cpu().numpy()
    return [Image.fromarray(picture) for picture in pixels]


def _unit_values(values: torch.Tensor, what: str) -> torch.Tensor:
    """The values of an IMAGE or MASK as float32 0..1. Raises InputError for too many, for NaN, and for other ranges."""
    height, width = values.shape[1:3] if values.ndim > 2 else values.shape
    count = values.shape[0] * height * width if values.ndim > 2 else height * width
    if max(height, width) > MAX_SIDE_PX or count > MAX_BATCH_PIXELS:
        raise InputError(
            f"the {what} has the shape {list(values.shape)}; at most {MAX_SIDE_PX} pixels on a side and {MAX_BATCH_PIXELS:,} "
            "in all are read; make it smaller"
        )
    values = values.detach().float()
    low, high = (float(edge) for edge in torch.aminmax(values))
    if not low >= -TOLERANCE or not high <= 1 + TOLERANCE:  # NaN as well
        raise InputError(
            f"the {what} has values from {low:g} to {high:g}, expected 0 to 1; values up to 255 are divided by 255 first, and "
            "NaN comes from a node that failed"
        )
    return values.clamp(0, 1)


def one_picture(image: torch.Tensor) -> Image.Image:
    """The picture of an IMAGE of one. Raises InputError for a batch of several."""
    pictures = pictures_of(image)
    if len(pictures) > 1:
        raise InputError(f"got a batch of {len(pictures)} images, expected one; pick one with the Get Image from Batch node")
    return pictures[0]


def image_of(pictures: Sequence[Image.Image]) -> torch.Tensor:
    """Pictures as an IMAGE [B, H, W, 3]; those smaller than the largest width and height are centred on white."""
    width, height = max(p.width for p in pictures), max(p.height for p in pictures)
    batch = np.full((len(pictures), height, width, 3), 255, dtype=np.uint8)
    for canvas, picture in zip(batch, pictures, strict=True):
        top, left = (height - picture.height) // 2, (width - picture.width) // 2
        canvas[top : top + picture.height, left : left + picture.width] = np.asarray(rgb_on_white(picture))
    return torch.from_numpy(batch).float() / 255


def masks_of(mask: torch.Tensor, pictures: Sequence[Image.Image], *, invert: bool = False) -> list[np.ndarray]:
    """MASK [B, H, W] or [H, W] with values 0..1 as a float32 [H, W] array for each picture; one mask serves them all.

    invert: 1 - mask, for the mask of Load Image, which is 1 where the picture is transparent.
    Raises InputError for an empty mask, for a number or a size that does not fit the pictures, and for values that are none.
    """
    values = mask_values(mask).cpu().numpy().reshape(-1, *mask.shape[-2:])
    values = 1 - values if invert else values
    if len(values) not in (1, len(pictures)):
        raise InputError(f"got {len(values)} masks for {len(pictures)} images; connect one mask, or one for each image")
    for number, each in enumerate(values, start=1):
        if not (each > INSIDE).any():
            raise InputError(
                f"mask {number} is empty ({each.shape[1]}x{each.shape[0]} pixels, none above {INSIDE}); draw one, or connect "
                "another output. Load Image gives an empty 64x64 mask for a picture without transparency"
            )
        if each.shape != (pictures[0].height, pictures[0].width):
            raise InputError(
                f"the mask has {each.shape[1]}x{each.shape[0]} pixels, the image {pictures[0].width}x{pictures[0].height}; "
                "connect the mask of this very image"
            )
    return [values[0] if len(values) == 1 else values[index] for index in range(len(pictures))]


def mask_values(mask: torch.Tensor) -> torch.Tensor:
    """The values 0..1 of a MASK [B, H, W] or [H, W], float32. Raises InputError for another shape, and for other values."""
    if mask.ndim not in (2, 3) or 0 in mask.shape or mask.is_complex():
        raise InputError(f"the mask has the shape {list(mask.shape)}, expected [masks, height, width], each at least 1")
    return _unit_values(mask, "mask")


def boxes_of(bounding_boxes: Any, count: int) -> list[list[Box]]:
    """BOUNDING_BOX for each of `count` pictures: one box or a list of them for all, or a list for every picture.

    A box is an object with x, y, width and height, as all nodes of ComfyUI give it. Raises InputError for anything else.
    """
    if isinstance(bounding_boxes, dict):
        bounding_boxes = [bounding_boxes]
    if not isinstance(bounding_boxes, (list, tuple)):
        raise InputError(f"the bounding boxes are a {type(bounding_boxes).__name__}, expected boxes with x, y, width, height")
    if len(bounding_boxes) > MAX_BOXES:
        raise InputError(f"got {len(bounding_boxes)} bounding boxes, at most {MAX_BOXES} are read; connect fewer")
    if all(isinstance(box, dict) for box in bounding_boxes):
        bounding_boxes = [bounding_boxes] * count
    if len(bounding_boxes) != count:
        raise InputError(f"got bounding boxes for {len(bounding_boxes)} images, there are {count}; connect those of this image")
    return [_boxes_of_one(boxes) for boxes in bounding_boxes]


def _boxes_of_one(boxes: Any) -> list[Box]:
    if isinstance(boxes, dict):
        boxes = [boxes]
    if not isinstance(boxes, (list, tuple, str)) or len(boxes) > MAX_BOXES:
        many = f"{len(boxes)} boxes, at most {MAX_BOXES} are read" if isinstance(boxes, (list, tuple)) else type(boxes).__name__
        raise InputError(f"the bounding boxes of one image are {many}; expected a list of boxes with x, y, width, height")
    return [_box(each) for each in ([boxes] if isinstance(boxes, str) else boxes)]


def _box(box: Any) -> Box:
    if not isinstance(box, dict) or not {"x", "y", "width", "height"} <= set(box):
        shown = f"with {sorted(map(str, box))}" if isinstance(box, dict) else repr(box)
        raise InputError(f"the bounding box {shown[:80]} is not understood, expected numbers x, y, width and height")
    x, y = (real_number(plain_number(box[key]), f"{key} of a bounding box", least=-FARTHEST, most=FARTHEST) for key in "xy")
    sides = ("width", "height")
    width, height = (real_number(plain_number(box[key]), f"{key} of a bounding box", least=0, most=FARTHEST) for key in sides)
    return x, y, x + width, y + height


def plain_number(value: Any) -> Any:
    """NumPy's numbers and tensors without dimensions as the number they hold; anything else as it is."""
    if isinstance(value, np.generic) or (isinstance(value, (torch.Tensor, np.ndarray)) and value.ndim == 0):
        return value.item()
    return value


def opaque_part(transparency: torch.Tensor, picture: Image.Image) -> np.ndarray | None:
    """How opaque a picture is, float32 [H, W], from the mask that Load Image gives with it: 1 where it is transparent.

    None where nothing is transparent: for a file without transparency that mask is 64x64 zeros, whatever the picture's size.
    Raises InputError for a mask of another picture, and if nothing of the picture is visible.
    """
    if not (mask_values(transparency) > 0).any():
        return None
    return masks_of(transparency, [picture], invert=True)[0]


def cut_by_transparency(picture: Image.Image, opaque: np.ndarray | None, margin: float) -> Image.Image:
    """A picture that is cut out already, RGB: by `opaque` (from `opaque_part`) or its own alpha channel as `cut_by_mask` does;
    unchanged if it has neither.

    Raises InputError if nothing of it is visible, and for a picture on black: that is what Load Image makes of a transparent
    file whose mask is not connected.
    """
    if opaque is None and picture.mode == "RGBA":
        opaque = np.asarray(picture.getchannel("A"), dtype=np.float32) / 255
        if not (opaque > INSIDE).any():
            raise InputError("the image is fully transparent; connect a picture that shows something")
    if opaque is not None:
        return cut_by_mask(picture.convert("RGB"), opaque, margin)
    pixels = np.asarray(picture)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    if (border == 0).all(-1).mean() >= BLACK_BORDER and (pixels > 0).any():
        raise InputError(
            "the image stands on black, not on white: Load Image shows a transparent picture so; connect its mask output too"
        )
    return picture


def check_way_round(picture: Image.Image, mask: np.ndarray) -> None:
    """Raises InputError if a mask [H, W] keeps nothing but plain black of a picture that shows something elsewhere: then it is
    the wrong way round, since under transparency files hold black."""
    pixels = np.asarray(picture.convert("RGB"))
    inside = mask > INSIDE
    if inside.any() and not pixels[inside].any() and pixels[~inside].any():
        raise InputError(
            "the mask keeps only black of this image, it is the wrong way round; switch invert_mask the other way (the mask "
            "that Load Image gives with a transparent picture is white where the picture is transparent)"
        )
