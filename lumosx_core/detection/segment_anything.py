"""Masks from boxes or points by Segment Anything (package segment-anything, weights sam_vit_*.pth)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lumosx_core.detection.boxes import Box, Point, inside_picture
from lumosx_core.errors import InputError
from lumosx_core.eyes import Found
from lumosx_core.files.images import rgb_on_white
from lumosx_core.files.weight_checks import kind_of, loaded
from lumosx_core.files.weights import open_weights
from lumosx_core.packages import install_command

MODEL_TYPES = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}  # by the width of image_encoder.pos_embed


def load_sam(path: Path) -> Any:
    """The model of a Segment Anything checkpoint (vit_b, vit_l or vit_h; .pth or .safetensors), on the CPU.

    Raises InputError if the package is missing, for files that are something else, and for weights that are no numbers.
    """
    try:
        from segment_anything import sam_model_registry
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that does not fit torch
        raise InputError(
            f"cutting out needs the package segment-anything and a torchvision that fits torch ({error}); run  "
            f"{install_command(['segment-anything'])}  and start again, or give a mask"
        ) from error
    stored = open_weights(path)[0]
    positions = stored.get("image_encoder.pos_embed")
    kind = MODEL_TYPES.get(positions.shape[-1]) if positions and positions.shape else None
    if kind is None:
        raise InputError(
            f"{path} is no Segment Anything model of the first version (vit_b, vit_l or vit_h) but {kind_of(stored)}; choose "
            "sam_vit_b_01ec64.pth, or give a mask"
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


class SamSegmenter:
    """A `Segmenter` by a checkpoint of the first version; loaded when it is needed first, kept until `free`. lend: as of
    `transformers_models.OnDemand`."""

    def __init__(self, path: Path, *, device: str = "cpu") -> None:
        self.path, self.device = path, device
        self.lend: Callable[[Any], None] | None = None
        self._sam: Any = None

    def segment(self, picture: Image.Image, found: Found) -> np.ndarray:
        """The mask bool [H, W] of what is in the box, or the mask that is known already. Raises InputError as `load_sam` and
        `segment` do."""
        return found.mask if found.mask is not None else self.segment_at(picture, [found.box], [])

    def segment_at(self, picture: Image.Image, boxes: Sequence[Box], points: Sequence[Point]) -> np.ndarray:
        """As `segment` of this module. Raises InputError as that and `load_sam` do; places are checked before the model is
        loaded."""
        rgb = rgb_on_white(picture)
        check_prompts(rgb, boxes, points)
        if self._sam is None:
            self._sam = load_sam(self.path).to("cpu" if self.lend else self.device)
        sam = self._sam
        if self.lend is not None:
            self.lend(sam)
        return segment(sam, rgb, boxes, points)

    def free(self) -> None:
        """Let go of the model; the next use loads it again."""
        self._sam = None


def check_prompts(picture: Image.Image, boxes: Sequence[Box], points: Sequence[Point]) -> None:
    """Raises InputError without boxes and points, for several boxes with points, and for places outside the picture."""
    if not boxes and not points:
        raise InputError("cutting out needs to know where: give a box or points")
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
    inside: list[Box | None] = [inside_picture(box, picture) for box in boxes]
    predictor = SamPredictor(sam)
    predictor.set_image(np.array(picture.convert("RGB")))
    mask = np.zeros((picture.height, picture.width), dtype=bool)
    for box in inside or [None]:
        candidates, qualities, _ = predictor.predict(
            point_coords=np.array(points) if points else None,
            point_labels=np.ones(len(points), dtype=int) if points else None,
            box=None if box is None else np.array(box),
            multimask_output=box is None and len(points) == 1,  # one point can mean a part or the whole: take the best
        )
        mask |= candidates[int(np.argmax(qualities))]
    if not mask.any():
        raise InputError("Segment Anything found nothing there; move the box or the points, or give a mask")
    return mask
