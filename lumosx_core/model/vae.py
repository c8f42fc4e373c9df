"""The Wan VAE (`wan_vae.py`): loading every file in circulation, and normalised latents in and out.

Legend: B = batch, F = frames (4n + 1), H, W = pixels (multiples of 8), T = (F + 3) / 4, h = H / 8, w = W / 8.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.json import parse_json
from lumosx_core.files.stored import StoredTensor, in_memory
from lumosx_core.files.weight_checks import VAE, FiniteCheck, check_kind, check_types, loaded
from lumosx_core.files.weights import open_weights, write_safetensors
from lumosx_core.model.checkpoint import check_keys, stored_as
from lumosx_core.model.memory import free_memory, is_out_of_memory
from lumosx_core.model.wan_vae import VaeConfig, WanVae
from lumosx_core.numbers import real_number, whole_number
from lumosx_core.progress import Progress

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan

log = logging.getLogger(__name__)
FORMAT = "lumosx-vae"
# How a decode is tried: (in bf16, in tiles), one after the other as memory runs out.
FALLBACKS = {"card": ((False, False), (True, False), (True, True)), "cpu": ((False, False), (False, True))}
TILE_PIXELS = 256  # side of the tiles


def save_vae(path: str | Path, vae: WanVae, *, dtype: torch.dtype = torch.float32) -> Path:
    """Write the VAE as one safetensors file in diffusers' key names, its config (JSON) in the metadata."""
    state = {key: in_memory(value) for key, value in vae.state_dict().items()}
    return write_vae(path, state, asdict(vae.config), dtype, what=f"what should become {path}")


def write_vae(
    path: str | Path,
    state: Mapping[str, StoredTensor],
    config: Mapping[str, Any],
    dtype: torch.dtype,
    *,
    what: str,
    progress: Progress | None = None,
) -> Path:
    """The same from stored tensors with diffusers' names, one at a time. Raises InputError for weights that are no finite
    numbers or beyond the type's range; `what` names them."""
    check = FiniteCheck(what)
    tensors = {key: stored_as(key, value, dtype, check) for key, value in state.items()}
    metadata = {"format": FORMAT, "config": json.dumps(dict(config))}
    return write_safetensors(path, tensors, metadata, progress=progress, finish=check.finish)


def load_vae(path: str | Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> WanVae:
    """A VAE in evaluation mode from our own file, from `wan_2.1_vae.safetensors`, from `vae.pth` (original Wan keys, plain
    or nested under `model_state`), or in diffusers' names. Nothing is downloaded. Raises InputError if the file is no Wan VAE.
    """
    stored, vae, _ = open_vae(path)
    vae.load_state_dict(loaded(str(path), stored, dtype, device), assign=True)
    return vae.train(False)


def open_vae(path: str | Path) -> tuple[dict[str, StoredTensor], WanVae, dict[str, Any]]:
    """(tensors with diffusers' names, a VAE without memory for them, its config) of a VAE of any kind; numbers are read when
    they are needed. Raises InputError if the file is something else, which is said."""
    stored, metadata = open_weights(path)
    check_kind(str(path), stored, VAE, "Wan2.1 VAE")
    if metadata.get("format") == FORMAT:
        config = _checked_config(parse_json(metadata.get("config", ""), f"the metadata of {path}"), f"the metadata of {path}")
    elif "encoder.conv1.weight" in stored:
        config, stored = _from_original(path, stored)
    else:
        config = _diffusers_config(path, stored)
    vae = empty_vae(config, str(path))
    check_keys(str(path), stored, vae.state_dict())
    check_types(str(path), stored)
    return stored, vae, asdict(vae.config)


def empty_vae(config: Mapping[str, Any], source: str) -> WanVae:
    """A VAE of that config without memory for its weights. Raises InputError, naming the source, if it makes none."""
    try:
        with torch.device("meta"):
            return WanVae(VaeConfig(**config))
    except InputError as error:
        raise InputError(f"the sizes of {source} make no VAE: {error}") from error
    except (TypeError, ValueError, RuntimeError, IndexError, ZeroDivisionError) as error:
        raise InputError(f"the sizes of {source} make no VAE ({str(error)[:200]}); get the file again") from error


def _from_original(path: str | Path, stored: dict[str, StoredTensor]) -> tuple[dict[str, Any], dict[str, StoredTensor]]:
    """Config and diffusers' names of original Wan2.1 keys; the width is read off the first convolution."""
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    shape = stored["encoder.conv1.weight"].shape
    if len(shape) != 5 or "decoder.head.2.weight" not in stored:
        raise InputError(f"{path} is no Wan2.1 VAE: expected keys such as decoder.head.2.weight; got {len(stored)} others")
    if shape[1] != 3:
        raise InputError(f"{path} takes {shape[1]} channels where Wan2.1's VAE takes 3 (Wan2.2's has 12); get Wan2.1_VAE.pth")
    try:
        return {"base_dim": shape[0]}, convert_wan_vae_to_diffusers(dict(stored))
    except (KeyError, IndexError, AttributeError, ValueError) as error:
        raise InputError(f"{path} is no whole Wan2.1 VAE ({error}); get it again") from error


def _diffusers_config(path: str | Path, stored: Mapping[str, StoredTensor]) -> dict[str, Any]:
    """Config of diffusers' own names without ours in the metadata: Wan2.1's, the width from the first convolution."""
    first = stored.get("encoder.conv_in.weight")
    if first is None or len(first.shape) != 5 or first.shape[1] != 3:
        raise InputError(f"{path} is no Wan2.1 VAE: its first convolution is {first.shape if first else 'missing'}")
    return {"base_dim": first.shape[0]}


def _checked_config(config: Any, source: str) -> dict[str, Any]:
    """The config of a VAE of ours, if no number of it is absurd: before such a model is built."""
    known = {field.name for field in fields(VaeConfig)}
    if not isinstance(config, dict) or not set(config) <= known:
        raise InputError(f"{source} holds no config of a VAE; get the file again")

    def check(value: Any, depth: int) -> None:
        if isinstance(value, list) and len(value) <= 1024 and depth:
            for item in value:
                check(item, depth - 1)
        elif isinstance(value, int) and not isinstance(value, bool):
            whole_number(value, f"{source}: a size", least=0, most=4096)
        elif isinstance(value, float):
            real_number(value, f"{source}: a number", least=-1e6, most=1e6)
        elif not (value is None or isinstance(value, bool | str)):
            raise InputError(f"{source} holds no config of a VAE; get the file again")

    for value in config.values():
        check(value, 2)
    if whole_number(config.get("num_res_blocks", 2), f"{source}: num_res_blocks", least=0, most=64) and any(
        isinstance(item, int) and item > 64 for item in config.get("dim_mult", []) or []
    ):
        raise InputError(f"{source}: dim_mult is {str(config['dim_mult'])[:80]}; get the file again")
    return config


def _statistics(vae: "WanVae | AutoencoderKLWan", like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean, std = (torch.tensor(values).view(1, -1, 1, 1, 1) for values in (vae.config.latents_mean, vae.config.latents_std))
    return mean.to(like.device, like.dtype), std.to(like.device, like.dtype)


@torch.no_grad()
def encode_video(vae: WanVae, video: torch.Tensor) -> torch.Tensor:
    """[B, 3, F, H, W] in [-1, 1] -> normalised latent [B, 16, T, h, w] (the mode of the posterior).

    Raises InputError for frames other than 4n + 1 or sides that 8 does not divide.
    """
    frames, height, width = video.shape[2:]
    if frames % 4 != 1 or height % 8 or width % 8:
        raise InputError(f"video of {frames} frames, {width} x {height} pixels; expected 4n + 1 frames, sides in steps of 8")
    return normalize_latents(vae, vae.encode(video.to(vae.device, vae.dtype)).latent_dist.mode())


@torch.no_grad()
def decode_video(vae: "WanVae | AutoencoderKLWan", latent: torch.Tensor) -> torch.Tensor:
    """Normalised latent [B, 16, T, h, w] -> [B, 3, F, H, W], clamped to [-1, 1]."""
    return vae.decode(denormalize_latents(vae, latent.to(vae.device, vae.dtype))).sample


def normalize_latents(vae: WanVae, latent: torch.Tensor) -> torch.Tensor:
    """Latents of the VAE's own encoder, [B, 16, T, h, w], as the transformer takes them, same shape."""
    mean, std = _statistics(vae, latent)
    return (latent - mean) / std


def denormalize_latents(vae: "WanVae | AutoencoderKLWan", latent: torch.Tensor) -> torch.Tensor:
    """Normalised latents as the VAE's own decoder takes them, same shape."""
    mean, std = _statistics(vae, latent)
    return latent * std + mean


def fallbacks_of(device: torch.device) -> tuple[tuple[bool, bool], ...]:
    """How a decode is tried there: (in bf16, in tiles), one after the other."""
    return FALLBACKS["cpu" if device.type == "cpu" else "card"]


def decode_within_memory(vae: WanVae, latent: torch.Tensor, start: int = 0) -> torch.Tensor:
    """As `decode_video`; where memory runs out it is tried again: on a card in bf16, then in bf16 and overlapping tiles of 256
    pixels; on a CPU, where bf16 takes many times as long, in tiles at once.

    start: so many ways are left out, since they are known not to fit. The log says when memory ran out. The VAE's weights stay
    bf16 then, rounded. Raises the last error if memory is short for tiles too.
    """
    for number, (half, tiles) in enumerate(fallbacks_of(vae.device)):
        if number < start:
            continue
        how = " and ".join(name for name, on in (("in bf16", half), ("in tiles", tiles)) if on)
        if number > start:
            log.warning("memory ran out while decoding; it is tried again %s, which changes the pixels a little", how)
        if half:
            vae.to(torch.bfloat16)
        try:
            return decode_video(_in_tiles(vae) if tiles else vae, latent)
        except (RuntimeError, MemoryError) as error:
            if tiles or not is_out_of_memory(error):
                raise
        free_memory()
    raise AssertionError("the last of FALLBACKS returns or raises")


def _in_tiles(vae: WanVae) -> "AutoencoderKLWan":
    """diffusers' VAE, which decodes in overlapping tiles and blends them, on the very same weights."""
    from diffusers import AutoencoderKLWan

    config = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(vae.config).items()}
    with torch.device("meta"):
        tiled = AutoencoderKLWan(**config)
    tiled.load_state_dict(vae.state_dict(), assign=True)
    tiled.enable_tiling(tile_sample_min_height=TILE_PIXELS, tile_sample_min_width=TILE_PIXELS)
    return tiled.train(False)
