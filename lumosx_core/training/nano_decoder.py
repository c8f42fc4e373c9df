"""Fifth step of the nano recipe: the VAE's decoder learns to read latents that are not exact.

A transformer's latents are a little off, and a decoder that has seen exact ones only turns that into a crumpled texture.
Here the decoder sees the latents of clips and references with noise, and the loss asks for the clean pixels. The encoder
stays as it is, so latents that are encoded already, and transformers trained on them, remain valid.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from safetensors import safe_open

from lumosx_core.model.vae import denormalize_latents
from lumosx_core.training.nano_data import read_shard
from lumosx_core.training.nano_vae import single_frame_convolutions, to_unit_range


@dataclass(frozen=True, kw_only=True)
class DecoderRecipe:
    """How the decoder is trained further."""

    steps: int = 4000
    shards: int = 16  # shards of clips that it learns from
    batch: int = 2  # clips of one step; in one step of four, four times as many references
    latent_frames: int = 3  # of a clip, from its start
    noise: float = 0.5  # the standard deviation of the noise is uniform between 0 and this
    learning_rate: float = 5e-4  # cosine to a twentieth
    seed: int = 0


def train_decoder(
    recipe: DecoderRecipe, vae: AutoencoderKLWan, shards: list[tuple[Path, Path]], log: Callable[[str], None]
) -> None:
    """Train `vae.decoder` and `vae.post_quant_conv` in place.

    shards: pairs of a shard of clips (`nano_data`) and the same encoded by this VAE (`latent_dataset`). log: called with a
    line of figures now and then.
    """
    rng = np.random.default_rng(recipe.seed)
    torch.manual_seed(recipe.seed)
    data = [_Pairs(*pair) for pair in shards]
    vae.requires_grad_(False)
    trained = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    for parameter in trained:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=0.0, betas=(0.9, 0.98))
    recent: list[float] = []
    started = time.monotonic()
    with single_frame_convolutions():
        for step in range(recipe.steps):
            shard = data[int(rng.integers(len(data)))]
            latents, pixels = (
                shard.references(rng, 4 * recipe.batch)
                if step % 4 == 3
                else shard.clips(rng, recipe.batch, recipe.latent_frames)
            )
            amount = recipe.noise * torch.from_numpy(rng.random((len(latents), 1, 1, 1, 1), dtype=np.float32))
            noisy = latents + amount * torch.randn_like(latents)
            warm = min(1.0, (step + 1) / 50)
            decay = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * warm * decay
            with torch.autocast("cpu", torch.bfloat16):
                decoded = vae.decode(denormalize_latents(vae, noisy)).sample
            loss = (decoded.float() - pixels).abs().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            recent.append(loss.item())
            if (step + 1) % 100 == 0 or step + 1 == recipe.steps:
                pace = (time.monotonic() - started) / (step + 1)
                mean = sum(recent[-100:]) / len(recent[-100:])
                log(f"step {step + 1}/{recipe.steps} l1 {mean:.4f} {pace:.2f} s/step")
    vae.requires_grad_(True)


class _Pairs:
    """One shard in memory, as pixels and as latents."""

    def __init__(self, clips: Path, encoded: Path) -> None:
        shard = read_shard(clips)
        self.frames, self.pictures = shard.frames, shard.references
        with safe_open(encoded, "pt") as latents:
            self.video, self.reference = latents.get_tensor("video"), latents.get_tensor("reference")

    def clips(self, rng: np.random.Generator, count: int, latent_frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents [B, 16, T, h, w] and pixels [B, 3, F, H, W] in [-1, 1] of random clips' beginnings."""
        rows = rng.integers(len(self.frames), size=count)
        latents = self.video[rows].float()[:, :, :latent_frames]
        return latents, to_unit_range(self.frames[rows][:, : 4 * latents.shape[2] - 3])

    def references(self, rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The same of random reference pictures, T = F = 1."""
        rows = rng.integers(len(self.pictures), size=count)
        return self.reference[rows].float()[:, :, None], to_unit_range(self.pictures[rows][:, None])
