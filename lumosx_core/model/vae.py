"""The Wan VAE (diffusers' AutoencoderKLWan): loading every file in circulation, and normalised latents in and out.

Legend: B = batch, F = frames (4n + 1), H, W = pixels (multiples of 8), T = (F + 3) / 4, h = H / 8, w = W / 8.
"""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.weights import StateDict, read_state_dict, write_safetensors
from lumosx_core.model.checkpoint import check_keys
from lumosx_core.model.memory import free_memory, is_out_of_memory

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan

log = logging.getLogger(__name__)
FORMAT = "lumosx-vae"
# How a decode is tried: (in bf16, in tiles), one after the other as memory runs out.
FALLBACKS = {"card": ((False, False), (True, False), (True, True)), "cpu": ((False, False), (False, True))}


def save_vae(path: str | Path, vae: "AutoencoderKLWan", *, dtype: torch.dtype = torch.float32) -> Path:
    """Write the VAE as one safetensors file in diffusers' key names, its config (JSON) in the metadata."""
    config = {key: value for key, value in dict(vae.config).items() if not key.startswith("_")}
    state = {key: value.to(dtype) for key, value in vae.state_dict().items()}
    return write_safetensors(path, state, {"format": FORMAT, "config": json.dumps(config)})


def load_vae(path: str | Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> "AutoencoderKLWan":
    """A VAE in evaluation mode from our own file, from `wan_2.1_vae.safetensors`, or from `vae.pth` (original Wan keys,
    plain or nested under `model_state`). Nothing is downloaded. Raises InputError if the file is no Wan VAE.
    """
    from diffusers import AutoencoderKLWan

    state, metadata = read_state_dict(path)
    if metadata.get("format") == FORMAT:
        config = json.loads(metadata["config"])
    else:
        config, state = _from_original(path, state)
    with torch.device("meta"):
        vae = AutoencoderKLWan(**config)
    check_keys(str(path), state, vae.state_dict())
    vae.load_state_dict({key: value.to(device, dtype) for key, value in state.items()}, assign=True)
    return vae.train(False)


def _from_original(path: str | Path, state: StateDict) -> tuple[dict[str, Any], StateDict]:
    """Config and diffusers state dict of original Wan2.1 keys; the width is read off the first convolution."""
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    first = state.get("encoder.conv1.weight")
    if first is None or "decoder.head.2.weight" not in state:
        raise InputError(f"{path} is no Wan2.1 VAE: expected keys such as encoder.conv1.weight; got {len(state)} others")
    return {"base_dim": first.shape[0]}, convert_wan_vae_to_diffusers(dict(state))


def _statistics(vae: "AutoencoderKLWan", like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean, std = (torch.tensor(values).view(1, -1, 1, 1, 1) for values in (vae.config.latents_mean, vae.config.latents_std))
    return mean.to(like.device, like.dtype), std.to(like.device, like.dtype)


@torch.no_grad()
def encode_video(vae: "AutoencoderKLWan", video: torch.Tensor) -> torch.Tensor:
    """[B, 3, F, H, W] in [-1, 1] -> normalised latent [B, 16, T, h, w] (the mode of the posterior).

    Raises InputError for frames other than 4n + 1 or sides that 8 does not divide.
    """
    frames, height, width = video.shape[2:]
    if frames % 4 != 1 or height % 8 or width % 8:
        raise InputError(f"video of {frames} frames, {width} x {height} pixels; expected 4n + 1 frames, sides in steps of 8")
    return normalize_latents(vae, vae.encode(video.to(vae.device, vae.dtype)).latent_dist.mode())


@torch.no_grad()
def decode_video(vae: "AutoencoderKLWan", latent: torch.Tensor) -> torch.Tensor:
    """Normalised latent [B, 16, T, h, w] -> [B, 3, F, H, W], clamped to [-1, 1] (diffusers does that)."""
    return vae.decode(denormalize_latents(vae, latent.to(vae.device, vae.dtype))).sample


def normalize_latents(vae: "AutoencoderKLWan", latent: torch.Tensor) -> torch.Tensor:
    """Latents of the VAE's own encoder, [B, 16, T, h, w], as the transformer takes them, same shape."""
    mean, std = _statistics(vae, latent)
    return (latent - mean) / std


def denormalize_latents(vae: "AutoencoderKLWan", latent: torch.Tensor) -> torch.Tensor:
    """Normalised latents as the VAE's own decoder takes them, same shape."""
    mean, std = _statistics(vae, latent)
    return latent * std + mean


def decode_within_memory(vae: "AutoencoderKLWan", latent: torch.Tensor) -> torch.Tensor:
    """As `decode_video`; where memory runs out it is tried again: on a card in bf16, then in bf16 and overlapping tiles of 256
    pixels; on a CPU, where bf16 takes many times as long, in tiles at once.

    The log says when that happens. The VAE's weights stay bf16 then, rounded. Raises the last error if memory is short for
    tiles too.
    """
    for half, tiles in FALLBACKS["cpu" if vae.device.type == "cpu" else "card"]:
        how = " and ".join(name for name, on in (("in bf16", half), ("in tiles", tiles)) if on)
        if how:
            log.warning("memory ran out while decoding; it is tried again %s, which changes the pixels a little", how)
        if half:
            torch.nn.Module.to(vae, torch.bfloat16)  # diffusers' own warns of nothing here
        if tiles:
            vae.enable_tiling()
        try:
            return decode_video(vae, latent)
        except (RuntimeError, MemoryError) as error:
            if tiles or not is_out_of_memory(error):
                raise
        finally:
            vae.disable_tiling()
            vae.clear_cache()
        free_memory()
    raise AssertionError("the last of FALLBACKS returns or raises")
