"""Masks by Segment Anything 2, 2.1 and 3 in folders of transformers; the first version is in `segment_anything.py`."""

import numpy as np
import torch
from PIL import Image

from lumosx_core.detection.boxes import inside_picture
from lumosx_core.detection.transformers_models import FolderModel, OnDemand
from lumosx_core.errors import InputError
from lumosx_core.eyes import Box, Found
from lumosx_core.files.images import rgb_on_white

THRESHOLD = 0.3  # lowest score of a thing that Segment Anything 3 finds by its words
SURE = 0.5  # a mask's pixels above this are inside


class FolderSegmenter(OnDemand):
    """A `Segmenter` with a model of a local folder. Version 3 is also a `PhraseFinder`."""

    kinds = {"sam2": ("Sam2Model", "Sam2Processor"), "sam2_video": ("Sam2Model", "Sam2Processor"),
             "sam3": ("Sam3Model", "Sam3Processor"), "sam3_video": ("Sam3Model", "Sam3Processor")}  # fmt: skip

    def segment(self, picture: Image.Image, found: Found) -> np.ndarray:
        """The mask bool [H, W] of what is in the box; version 3 takes the phrase, too, and the mask it found by it if there is
        one already. Raises InputError for a box outside the picture and if nothing is found."""
        if found.mask is not None:
            return found.mask
        rgb, loaded = rgb_on_white(picture), self.loaded()
        box = inside_picture(found.box, rgb)
        if loaded.kind.startswith("sam3"):
            things = self._things(loaded, rgb, found.phrase, box)
            mask = things[0].mask if things else None
        else:
            inputs = loaded.processor(images=rgb, input_boxes=[[list(box)]], return_tensors="pt").to(self.device)
            with torch.inference_mode():
                outputs = loaded.model(**inputs, multimask_output=False)
            masks = loaded.processor.post_process_masks(outputs.pred_masks.cpu(), inputs["original_sizes"].cpu())[0]
            mask = masks[0, 0].numpy().astype(bool)
        if mask is None or not mask.any():
            raise InputError("Segment Anything found nothing there; move the box, or give a mask")
        return mask

    def find_phrase(self, picture: Image.Image, phrase: str, within: Box | None = None) -> list[Found]:
        """Version 3: the things of that name with their masks, the surest first; `within`: those whose middle is inside.
        Raises InputError for version 2, which knows no words."""
        rgb, loaded = rgb_on_white(picture), self.loaded()
        if not loaded.kind.startswith("sam3"):
            raise InputError(
                f"{self.folder} is Segment Anything 2, which knows no words; give a folder of GroundingDINO or OWLv2"
            )
        part = None if within is None else inside_picture(within, rgb)
        things = self._things(loaded, rgb, phrase, None)
        return [thing for thing in things if part is None or _holds(part, thing.box)]

    def _things(self, loaded: FolderModel, rgb: Image.Image, phrase: str, box: Box | None) -> list[Found]:
        given = {"text": phrase or "visual"}  # the word that stands for "what is in the box"
        if box is not None:
            given |= {"input_boxes": [[list(box)]], "input_boxes_labels": [[1]]}  # type: ignore[dict-item]
        inputs = loaded.processor(images=rgb, return_tensors="pt", **given).to(self.device)
        with torch.inference_mode():
            outputs = loaded.model(**inputs)
        (result,) = loaded.processor.post_process_instance_segmentation(
            outputs, threshold=THRESHOLD, mask_threshold=SURE, target_sizes=[(rgb.height, rgb.width)]
        )
        things = []
        for score, (left, top, right, bottom), mask in zip(
            result["scores"], result["boxes"].tolist(), result["masks"], strict=True
        ):
            things.append(
                Found(box=(left, top, right, bottom), score=float(score), phrase=phrase, mask=mask.cpu().numpy().astype(bool))
            )
        return sorted(things, key=lambda thing: -thing.score)


def _holds(outer: Box, inner: Box) -> bool:
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x < outer[2] and outer[1] <= y < outer[3]
