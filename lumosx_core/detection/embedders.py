"""How alike pictures are, and pictures and words: DINOv2 and CLIP in folders of the transformers library.

Legend: P = pictures or texts, D = numbers of an embedding.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from lumosx_core.detection.transformers_models import OnDemand
from lumosx_core.errors import InputError
from lumosx_core.files.images import rgb_on_white

BATCH = 16  # pictures at a time


class FolderEmbedder(OnDemand):
    """An `Embedder` with a model of a local folder. CLIP embeds words, too; its pictures and words are comparable."""

    kinds = {
        "dinov2": ("Dinov2Model", "AutoImageProcessor"),
        "dinov2_with_registers": ("Dinov2WithRegistersModel", "AutoImageProcessor"),
        "dinov3_vit": ("DINOv3ViTModel", "AutoImageProcessor"),
        "clip": ("CLIPModel", "CLIPProcessor"),
    }

    def embed(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """float32 [P, D], rows of length 1: of DINO the class token, of CLIP the projected one. Pictures go through the model's
        own processor, which may cut off what is beyond a square in the middle. Raises InputError as `load_folder`."""
        loaded = self.loaded()
        rows = []
        for start in range(0, len(pictures), BATCH):
            part = [rgb_on_white(picture) for picture in pictures[start : start + BATCH]]
            inputs = loaded.processor(images=part, return_tensors="pt").to(self.device)
            with torch.inference_mode():
                if loaded.kind == "clip":
                    found = _tensor(loaded.model.get_image_features(**inputs))
                else:
                    found = loaded.model(**inputs).last_hidden_state[:, 0]
            rows.append(_normalised(found))
        return np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)

    def embed_words(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [P, D], rows of length 1; what is longer than the model reads is cut off at its end. Raises InputError for a
        model that knows no words, and as `load_folder`."""
        loaded = self.loaded()
        if loaded.kind != "clip":
            raise InputError(f"the model in {self.folder} is of the kind {loaded.kind!r}, which knows no words; give CLIP")
        inputs = loaded.processor(text=list(texts), return_tensors="pt", padding=True, truncation=True).to(self.device)
        with torch.inference_mode():
            return _normalised(_tensor(loaded.model.get_text_features(**inputs)))


def _tensor(found: Any) -> torch.Tensor:
    """The features: a tensor up to transformers 4, a field of the output since."""
    return found if isinstance(found, torch.Tensor) else found.pooler_output


def _normalised(rows: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(rows.float(), dim=-1).cpu().numpy()
