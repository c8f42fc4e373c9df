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
from lumosx_core.model.pixels import blank_tokens
from lumosx_core.model.video_size import VideoSize
from lumosx_core.references import Reference, prepare_reference_image

from .image_tensors import image_of

CHANNELS = 16  # of Wan2.1's latents
PUBLISHED_DIM = 96  # channels of the first layer of Wan2.1's VAE


def encode_references(vae: Any, references: Sequence[Reference], size: VideoSize) -> torch.Tensor:
    """Raw latents [R, 16, h, w]: every picture fitted on white and encoded as a video of one frame, one after the other,
    so that no picture's latent depends on the others. size: of the video. Can be cancelled.

    Raises InputError for a VAE that is not Wan2.1's.
    """
    check_vae(vae)
    bar = comfy.utils.ProgressBar(len(references))
    latents = []
    for index, reference in enumerate(references):
        comfy.model_management.throw_exception_if_processing_interrupted()
        pixels = image_of([prepare_reference_image(reference.image, size.width, size.height)])
        latents.append(vae.encode(pixels)[0, :, 0])
        bar.update_absolute(index + 1)
    return torch.stack(latents)


def blank_tokens_of(references: Sequence[Reference], size: VideoSize) -> tuple[bytes, ...]:
    """Of every picture, fitted on white, which tokens show nothing but white, as `TokenLayout` takes them."""
    pictures = (prepare_reference_image(reference.image, size.width, size.height) for reference in references)
    return tuple(blank_tokens(np.asarray(picture)) for picture in pictures)


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
