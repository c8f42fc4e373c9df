"""Things in photographs by the words for them: GroundingDINO, MM-GroundingDINO or OWLv2 through transformers.

One phrase is asked for at a time: of several, GroundingDINO merges the words.
"""

from typing import Any

import torch
from PIL import Image

from lumosx_core.detection.boxes import inside_picture
from lumosx_core.detection.transformers_models import OnDemand
from lumosx_core.errors import InputError
from lumosx_core.eyes import Box, Found
from lumosx_core.files.images import rgb_on_white

THRESHOLDS = {"grounding-dino": 0.25, "mm-grounding-dino": 0.25, "owlv2": 0.1, "owlvit": 0.1}  # the libraries' own
MARGIN = 0.05  # of the part's longer side, around a part of the picture that is looked at alone


class PhraseDetector(OnDemand):
    """A `PhraseFinder` with a model of a local folder."""

    kinds = {
        "grounding-dino": ("GroundingDinoForObjectDetection", "GroundingDinoProcessor"),
        "mm-grounding-dino": ("MMGroundingDinoForObjectDetection", "GroundingDinoProcessor"),
        "owlv2": ("Owlv2ForObjectDetection", "Owlv2Processor"),
        "owlvit": ("OwlViTForObjectDetection", "OwlViTProcessor"),
    }

    def find_phrase(
        self, picture: Image.Image, phrase: str, within: Box | None = None, threshold: float | None = None
    ) -> list[Found]:
        """The boxes with at least that score (None: the model's usual one), the surest first, cut at the edges.

        within: the model is shown only this part of the picture, with a small margin, and boxes whose middle is outside it are
        dropped. Raises InputError for an empty phrase and for a part that is outside the picture.
        """
        if not phrase.strip():
            raise InputError("the phrase to look for is empty; give words such as red jacket")
        rgb = rgb_on_white(picture)
        part: Box = (0.0, 0.0, float(rgb.width), float(rgb.height)) if within is None else inside_picture(within, rgb)
        extra = 0.0 if within is None else MARGIN * max(part[2] - part[0], part[3] - part[1])
        left, top = int(max(0, part[0] - extra)), int(max(0, part[1] - extra))
        right, bottom = round(min(rgb.width, part[2] + extra)), round(min(rgb.height, part[3] + extra))
        shown = rgb.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
        found = []
        for score, (x0, y0, x1, y1) in self._boxes(shown, phrase.strip(), threshold):
            x0, y0 = max(0.0, x0) + left, max(0.0, y0) + top
            x1, y1 = min(float(shown.width), x1) + left, min(float(shown.height), y1) + top
            middle = (x0 + x1) / 2, (y0 + y1) / 2
            if x0 < x1 and y0 < y1 and part[0] <= middle[0] < part[2] and part[1] <= middle[1] < part[3]:
                found.append(Found(box=(x0, y0, x1, y1), score=score, phrase=phrase))
        return sorted(found, key=lambda thing: -thing.score)

    def _boxes(self, picture: Image.Image, phrase: str, threshold: float | None) -> list[tuple[float, list[float]]]:
        loaded = self.loaded()
        least = THRESHOLDS[loaded.kind] if threshold is None else threshold
        size = [(picture.height, picture.width)]
        dino = loaded.kind.endswith("grounding-dino")
        # GroundingDINO was trained on lower-case phrases that end with a full stop.
        words: Any = f"{phrase.lower().rstrip('.')}." if dino else [[phrase]]
        inputs = loaded.processor(images=picture, text=words, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            outputs = loaded.model(**inputs)
        process = loaded.processor.post_process_grounded_object_detection
        if dino:
            (result,) = process(outputs, inputs["input_ids"], threshold=least, text_threshold=least, target_sizes=size)
        else:
            (result,) = process(outputs, threshold=least, target_sizes=size)
        return [(float(score), box.tolist()) for score, box in zip(result["scores"], result["boxes"], strict=True)]
