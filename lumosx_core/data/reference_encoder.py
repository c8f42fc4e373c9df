"""Pictures of references varied and encoded: before a training (`prepare.py`), or while it runs.

What variant `number` of a picture looks like is a function of (seed of the cache, clip, picture, number) alone, and each is
encoded by itself, so that both ways give the same numbers to the bit on one device.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lumosx_core.data.augment import NONE, Augmentation, augmented
from lumosx_core.data.clip_cache import CacheSettings, OpenClip
from lumosx_core.data.records import digest_of
from lumosx_core.errors import InputError
from lumosx_core.files.digests import file_digest
from lumosx_core.files.images import decoded, encoded_png
from lumosx_core.model.pixels import to_unit_range
from lumosx_core.model.vae import encode_video, load_vae
from lumosx_core.model.wan_vae import WanVae
from lumosx_core.references import prepare_reference_image

BACKGROUND = "background"  # what the tensors of backgrounds are called, before their number
STORED_MODES = ("L", "LA", "RGB", "RGBA")


def encoded_variant(
    vae: WanVae,
    picture: Image.Image,
    size: tuple[int, int],
    ranges: Augmentation,
    *,
    seed: int,
    clip: str,
    name: str,
    number: int,
) -> torch.Tensor:
    """float16 [C, h, w] on the CPU: variant `number` of a picture, 0: as it is, at that size (width, height) in pixels.

    name: of its tensor in the cache; a background is varied in its own way.
    """
    rng = np.random.default_rng((seed, int(digest_of([clip, name])[:12], 16), number))
    scene = name.startswith(BACKGROUND)
    shown = prepare_reference_image(augmented(picture, rng, ranges if number else NONE, scene=scene), *size)
    return encode_video(vae, to_unit_range(np.asarray(shown)[None, None]))[0, :, 0].half().cpu()


def stored_picture(picture: Image.Image) -> torch.Tensor:
    """uint8 [n]: a picture as a cache keeps it for `ReferenceEncoder`, without loss (PNG)."""
    if picture.mode not in STORED_MODES:
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    return torch.frombuffer(bytearray(encoded_png(picture)), dtype=torch.uint8)


class ReferenceEncoder:
    """Encodes what a cache without variants holds. model: the folder with the VAE that the cache was prepared with; device:
    where it computes. Raises InputError for another VAE."""

    def __init__(self, model: Path, settings: CacheSettings, device: str = "cpu") -> None:
        path = model / "vae.safetensors"
        if not path.is_file() or file_digest(path) != settings.vae:
            raise InputError(
                f"{path} is not the VAE that the clips were prepared with; name that model folder (--model), or "
                "prepare them again"
            )
        self.settings, self.ranges = settings, Augmentation(**_ranges(settings.augmentation))
        self.vae = load_vae(path, device=device)

    def variant(self, opened: OpenClip, name: str, number: int) -> torch.Tensor:
        """float16 [C, h, w] on the CPU: variant `number` of a picture of a clip."""
        clip = opened.clip
        picture = decoded(opened.tensor(name).numpy().tobytes())
        size = (clip.width, clip.height)
        return encoded_variant(
            self.vae, picture, size, self.ranges, seed=self.settings.seed, clip=clip.name, name=name, number=number
        )


def _ranges(kept: Mapping[str, float]) -> dict[str, Any]:
    return {name: int(value) if name == "downscale" else value for name, value in kept.items()}
