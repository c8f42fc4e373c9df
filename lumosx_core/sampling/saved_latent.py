"""A finished latent on disk, until its video is written: hours of sampling are not lost to a decode that fails.

One safetensors file: `latent` float32 [1, 16, T, h, w]; its metadata holds `format`, the `prompt` as the model read it, and
`record`, the JSON that the video will carry.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.json import parse_json
from lumosx_core.files.weights import read_safetensors, write_safetensors

FORMAT = "lumosx-latent"


@dataclass(frozen=True, kw_only=True)
class SavedLatent:
    """latent: float32 [1, 16, T, h, w]. prompt: as the model read it. record: metadata of the video, with its `seed` and
    `config`."""

    latent: torch.Tensor
    prompt: str
    record: dict[str, Any]


def save_latent(path: Path, latent: torch.Tensor, prompt: str, record: dict[str, Any]) -> Path:
    """Write a latent whole or not at all. Raises InputError when the disk refuses."""
    metadata = {"format": FORMAT, "prompt": prompt, "record": json.dumps(record, ensure_ascii=False)}
    return write_safetensors(path, {"latent": latent.detach().float().cpu()}, metadata)


def read_latent(path: Path) -> SavedLatent:
    """The content of such a file. Raises InputError if it is missing, damaged or of something else."""
    tensors, metadata = read_safetensors(path)
    latent = tensors.get("latent")
    if metadata.get("format") != FORMAT or latent is None or latent.ndim != 5 or 0 in latent.shape:
        raise InputError(f"{path} is no latent that `lumosx generate` kept; give a file NAME_SEED.latent.safetensors")
    if not torch.isfinite(latent).all():
        raise InputError(f"the latent {path} holds values that are no numbers; sample again")
    record = parse_json(metadata.get("record", ""), f"the record in {path}")
    config = record.get("config") if isinstance(record, dict) else None
    if not isinstance(config, dict) or type(config.get("fps")) is not int or type(record.get("seed")) is not int:
        raise InputError(f"the record in {path} lacks its seed or its frames per second; sample again")
    return SavedLatent(latent=latent, prompt=metadata.get("prompt", ""), record=record)
