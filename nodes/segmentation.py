"""Masks from boxes or points by Segment Anything (package segment-anything, weights sam_vit_*.pth)."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lumosx_core.errors import InputError, quoted
from lumosx_core.files.weights import open_weights
from lumosx_core.model.weight_checks import kind_of, loaded
from lumosx_core.numbers import real_number
from lumosx_core.packages import install_command

from .image_tensors import FARTHEST, Box, inside_picture

Point = tuple[float, float]
MODEL_TYPES = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}  # by the width of image_encoder.pos_embed
MAX_POINTS = 100
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"


def parse_box(text: str) -> Box | None:
    """ "x,y,x,y" (left, top, right, bottom in pixels) as a box; None for an empty text. Raises InputError for anything else."""
    if not text.strip():
        return None
    shown = quoted(text)
    match = re.fullmatch(",".join([_NUMBER] * 4), text)
    if not match:
        raise InputError(f"the box {shown} is not understood, expected four numbers: left, top, right, bottom")
    left, top, right, bottom = (_place(number, f"the box {shown}") for number in match.groups())
    if left >= right or top >= bottom:
        raise InputError(f"the box {shown} is empty; expected left < right and top < bottom")
    return left, top, right, bottom


def parse_points(text: str) -> list[Point]:
    """ "x,y; x,y" in pixels as points. Raises InputError for anything else."""
    parts = [part for part in text.split(";") if part.strip()]
    if len(parts) > MAX_POINTS:
        raise InputError(f"got {len(parts)} points, at most {MAX_POINTS} are read; a few on the thing are enough")
    matches = [re.fullmatch(f"{_NUMBER},{_NUMBER}", part) for part in parts]
    if not all(matches):
        raise InputError(f"the points {quoted(text)} are not understood, expected pairs of numbers like 120,80; 64,200")
    what = f"the points {quoted(text)}"
    return [(_place(match[1], what), _place(match[2], what)) for match in matches if match]


def _place(digits: str, what: str) -> float:
    return real_number(float(digits), f"a number of {what}", least=-FARTHEST, most=FARTHEST)


def load_sam(path: Path) -> Any:
    """The model of a Segment Anything checkpoint (vit_b, vit_l or vit_h; .pth or .safetensors), on the CPU.

    Raises InputError if the package is missing, for files that are something else, and for weights that are no numbers.
    """
    try:
        from segment_anything import sam_model_registry
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that does not fit torch
        raise InputError(
            f"cutting out needs the package segment-anything and a torchvision that fits torch ({error}); run  "
            f"{install_command(['segment-anything'])}  and start ComfyUI again, or connect a mask"
        ) from error
    stored = open_weights(path)[0]
    positions = stored.get("image_encoder.pos_embed")
    kind = MODEL_TYPES.get(positions.shape[-1]) if positions and positions.shape else None
    if kind is None:
        raise InputError(
            f"{path} is no Segment Anything model of the first version (vit_b, vit_l or vit_h) but {kind_of(stored)}; choose "
            "sam_vit_b_01ec64.pth, or connect the mask of another node"
        )
    weights = loaded(str(path), stored, torch.float32, "cpu")
    with torch.device("meta"):  # no time for random weights
        sam = sam_model_registry[kind]()
    try:
        sam.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        fault = " ".join(str(error).split())[:300]
        raise InputError(f"{path} does not fit Segment Anything {kind} ({fault}); get the official file") from error
    sam.pixel_mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)  # not in the file; of ImageNet, 0..255
    sam.pixel_std = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
    return sam.requires_grad_(False)


def check_prompts(picture: Image.Image, boxes: Sequence[Box], points: Sequence[Point]) -> None:
    """Raises InputError without boxes and points, for several boxes with points, and for places outside the picture."""
    if not boxes and not points:
        raise InputError("cutting out needs to know where: give a box or points, or connect bounding boxes")
    if len(boxes) > 1 and points:
        raise InputError(f"got {len(boxes)} boxes and {len(points)} points; give points with one box at most")
    for x, y in points:
        if not (0 <= x < picture.width and 0 <= y < picture.height):
            raise InputError(f"the point ({x:g}, {y:g}) is outside the image of {picture.width}x{picture.height} pixels")
    for box in boxes:
        inside_picture(box, picture)


def segment(sam: Any, picture: Image.Image, boxes: Sequence[Box], points: Sequence[Point]) -> np.ndarray:
    """The mask bool [H, W] of what is in the boxes (together), or in one box or none with the points on it.

    Runs on the device the model is on. Raises InputError as `check_prompts` does, and if nothing is found.
    """
    from segment_anything import SamPredictor

    check_prompts(picture, boxes, points)
    boxes = [inside_picture(box, picture) for box in boxes]
    predictor = SamPredictor(sam)
    predictor.set_image(np.array(picture.convert("RGB")))
    mask = np.zeros((picture.height, picture.width), dtype=bool)
    for box in boxes or [None]:
        candidates, qualities, _ = predictor.predict(
            point_coords=np.array(points) if points else None,
            point_labels=np.ones(len(points), dtype=int) if points else None,
            box=None if box is None else np.array(box),
            multimask_output=box is None and len(points) == 1,  # one point can mean a part or the whole: take the best
        )
        mask |= candidates[int(np.argmax(qualities))]
    if not mask.any():
        raise InputError("Segment Anything found nothing there; move the box or the points, or connect a mask")
    return mask
