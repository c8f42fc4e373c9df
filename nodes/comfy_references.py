"""Reference pictures through the host's VAE.

Legend: R = references, H, W = pixels, T, h, w = latent frames and sides.
"""

from collections.abc import Sequence
from typing import Any

import comfy.ldm.wan.vae
import comfy.model_management
import comfy.utils
import numpy as np
import torch

from lumosx_core.errors import InputError
from lumosx_core.model.video_size import VideoSize

CHANNELS = 16  # of Wan2.1's latents
PUBLISHED_DIM = 96  # channels of the first layer of Wan2.1's VAE


def encode_references(vae: Any, pictures: Sequence[np.ndarray]) -> torch.Tensor:
    """Raw latents [R, 16, h, w] of pictures as `prepared_pictures` fits them: each encoded as a video of one frame, one after
    the other, so that no picture's latent depends on the others. Can be cancelled.

    Raises InputError for a VAE that is not Wan2.1's.
    """
    check_vae(vae)
    bar = comfy.utils.ProgressBar(len(pictures))
    latents = []
    for index, picture in enumerate(pictures):
        comfy.model_management.throw_exception_if_processing_interrupted()
        pixels = torch.from_numpy(picture[None].astype(np.float32) / 255)
        latents.append(vae.encode(pixels)[0, :, 0])
        bar.update_absolute(index + 1)
    return torch.stack(latents)


def empty_latent(size: VideoSize) -> torch.Tensor:
    """Zeros [1, 16, T, h, w] for a video of that size, where the host keeps what it is not working on."""
    return torch.zeros((1, CHANNELS, *size.latent), device=comfy.model_management.intermediate_device())


def is_small(vae: Any) -> bool:
    """Whether this is a VAE of fewer channels than Wan2.1's, as the embedded one is."""
    return getattr(vae.first_stage_model, "dim", PUBLISHED_DIM) < PUBLISHED_DIM


def check_vae(vae: Any) -> None:
    """Raises InputError, naming what was loaded, unless the VAE is Wan2.1's (or the nano one)."""
    network = vae.first_stage_model
    if type(network) is not comfy.ldm.wan.vae.WanVAE or network.z_dim != CHANNELS:
        kind = type(network)
        raise InputError(
            f"this VAE is {kind.__name__} of {kind.__module__.removeprefix('comfy.ldm.')} with {vae.latent_channels} latent "
            "channels; LumosX works with Wan2.1's: load wan_2.1_vae.safetensors with Load VAE, or use the LumosX Nano node"
        )
