"""People in photographs, by a detector of the COCO classes: RT-DETR, RT-DETRv2 or D-FINE through transformers."""

import torch
from PIL import Image

from lumosx_core.detection.transformers_models import OnDemand
from lumosx_core.errors import InputError
from lumosx_core.eyes import Found
from lumosx_core.files.images import rgb_on_white

PERSON = ("person", "human", "people")
THRESHOLD = 0.5  # lowest score of a person


class PeopleDetector(OnDemand):
    """A `PeopleFinder` with a model of a local folder."""

    kinds = {
        "rt_detr_v2": ("RTDetrV2ForObjectDetection", "AutoImageProcessor"),
        "rt_detr": ("RTDetrForObjectDetection", "AutoImageProcessor"),
        "d_fine": ("DFineForObjectDetection", "AutoImageProcessor"),
    }

    def find_people(self, picture: Image.Image, threshold: float = THRESHOLD) -> list[Found]:
        """Everybody with at least that score, from left to right, boxes cut at the picture's edges.

        Raises InputError if the model knows no class "person".
        """
        loaded = self.loaded()
        names: dict[int, str] = loaded.model.config.id2label
        classes = [index for index, name in names.items() if name.lower() in PERSON]
        if not classes:
            raise InputError(
                f"the detector in {self.folder} knows {len(names)} classes, but no person "
                f"({', '.join(list(names.values())[:5])}, ...); give one that was trained on COCO"
            )
        rgb = rgb_on_white(picture)
        inputs = loaded.processor(images=rgb, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            outputs = loaded.model(**inputs)
        (result,) = loaded.processor.post_process_object_detection(
            outputs, threshold=threshold, target_sizes=[(rgb.height, rgb.width)]
        )
        found = []
        for score, label, box in zip(result["scores"], result["labels"], result["boxes"], strict=True):
            left, top, right, bottom = box.tolist()
            left, top, right, bottom = max(0, left), max(0, top), min(rgb.width, right), min(rgb.height, bottom)
            if int(label) in classes and left < right and top < bottom:
                found.append(Found(box=(left, top, right, bottom), score=float(score)))
        return sorted(found, key=lambda person: person.box[0] + person.box[2])
