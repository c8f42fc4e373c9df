"""Third step of the nano recipe: the VAE learns to keep patterns, and to be read when its latents are not exact.

The short training of `vae.py` asks for the least absolute error of a whole picture. Its answer to a few orange dots on a
blue shirt is a blue shirt: dots are small and rare, and the median of a dotted cloth is its ground. Here the squared error
counts too, for which a missing dot is the worst of mistakes, and people, clothes and objects weigh more than the scene.
The decoder sees latents with noise, since a transformer's latents are a little off. Latents may not drift far from what
the encoder made of the same pictures before: their order and widths (`balance_latents`) stay, and a transformer trained on
them needs a short training only.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lumosx_core.data.latent_shards import NOBODY
from lumosx_core.model.devices import arithmetic
from lumosx_core.model.pixels import to_unit_range
from lumosx_core.model.vae import denormalize_latents, normalize_latents
from lumosx_core.model.wan_vae import WanVae
from lumosx_core.nano.clips import TOKEN, ClipShard, read_shard
from lumosx_core.nano.stage_state import load_stage, save_stage
from lumosx_core.nano.vae import SAVE_EVERY, single_frame_convolutions
from lumosx_core.training.guards import StepGuard, check_finite
from lumosx_core.training.resume import DIVERGED, load_optimizer


@dataclass(frozen=True, kw_only=True)
class RefineRecipe:
    """How encoder and decoder are trained further, together."""

    steps: int = 2800
    shards: int = 22  # shards of clips that they learn from
    batch: int = 4  # clips of one step; in one step of four, four times as many references
    frames: int = 9  # of a clip, from its start
    noise: float = 0.3  # on normalised latents; its standard deviation is uniform between 0 and this
    subject_weight: float = 4.0  # of tokens that show a face, an attribute or an object; 1 elsewhere
    drift_weight: float = 0.03  # of the mean square distance of the latents from those before
    learning_rate: float = 8e-4  # cosine to 3 %
    seed: int = 0
    precision: str = "bf16"  # autocast; "fp32" is many times faster on CPUs that have no bf16 of their own


def refine_vae(recipe: RefineRecipe, vae: WanVae, shards: list[Path], state: Path, log: Callable[[str], None]) -> None:
    """Train the whole of `vae` in place.

    shards: of clips (`clips.py`). state: file that is written every `SAVE_EVERY` steps and taken up if it is there. log:
    called with a line of figures now and then. Raises InputError if the state was begun with another recipe.
    """
    rng = np.random.default_rng(recipe.seed)
    torch.manual_seed(recipe.seed)
    data = [read_shard(path) for path in shards]
    weights = [token_weights(shard, recipe.subject_weight) for shard in data]
    before = copy.deepcopy(vae).requires_grad_(False)
    vae.requires_grad_(True)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=recipe.learning_rate, weight_decay=0.0, betas=(0.9, 0.98))
    first = 0
    begun = load_stage(state, recipe, vae, rng, (recipe.steps,))
    if begun is not None:
        (first,) = begun[0]
        load_optimizer(optimizer, begun[1], state)
    guard = StepGuard("refine")
    recent: list[tuple[float, float, float]] = []
    started = time.monotonic()
    with single_frame_convolutions():
        for step in range(first, recipe.steps):
            chosen = int(rng.integers(len(data)))
            shard = data[chosen]
            if step % 4 == 3:
                rows = rng.integers(len(shard.references), size=4 * recipe.batch)
                pixels, weight = to_unit_range(shard.references[rows][:, None]), torch.ones(())
            else:
                rows = rng.integers(len(shard.frames), size=recipe.batch)
                pixels = to_unit_range(shard.frames[rows][:, : recipe.frames])
                weight = pixel_weights(weights[chosen][rows], recipe.frames)
            warm = min(1.0, (step + 1) / 100)
            decay = 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * warm * decay
            with arithmetic(recipe.precision, "cpu"):
                with torch.no_grad():
                    target = normalize_latents(before, before.encode(pixels).latent_dist.mode().float())
                latents = normalize_latents(vae, vae.encode(pixels).latent_dist.mode().float())
                amount = recipe.noise * torch.from_numpy(rng.random((len(latents), 1, 1, 1, 1), dtype=np.float32))
                noisy = latents + amount * torch.randn_like(latents)
                decoded = vae.decode(denormalize_latents(vae, noisy)).sample
            difference = decoded.float() - pixels
            drift = (latents - target).square().mean()
            error = (weight * (difference.abs() + 2 * difference.square())).mean()
            optimizer.zero_grad(set_to_none=True)
            (error + recipe.drift_weight * drift).backward()
            norm = torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
            if not guard.counts(step, {"error": error.item(), "drift": drift.item(), "norm": norm.item()}):
                continue
            optimizer.step()
            recent.append((error.item(), difference.square().mean().item(), drift.item()))
            if (step + 1) % 100 == 0 or step + 1 == recipe.steps:
                mean = np.mean(recent[-100:], axis=0)
                log(
                    f"step {step + 1}/{recipe.steps} error {mean[0]:.4f} psnr {10 * math.log10(4 / mean[1]):.2f} "
                    f"drift {mean[2]:.3f} {(time.monotonic() - started) / (step + 1 - first):.2f} s/step"
                )
            if (step + 1) % SAVE_EVERY == 0:
                save_stage(state, recipe, [step + 1], vae, optimizer, rng)
    check_finite(vae.state_dict(), "the refined VAE", DIVERGED)


def token_weights(shard: ClipShard, weight: float) -> torch.Tensor:
    """float32 [N, T, H/16, W/16], mean 1 over each clip: `weight` times as much where a face, an attribute or an object is
    seen as elsewhere."""
    owners = shard.owners.copy()
    for record, own in zip(shard.records, owners, strict=True):
        scene = [index for index, reference in enumerate(record["references"]) if reference["kind"] == "background"]
        own[np.isin(own, scene)] = NOBODY
    tokens = torch.where(torch.from_numpy(owners) == NOBODY, 1.0, weight)
    return tokens / tokens.mean((1, 2, 3), keepdim=True)


def pixel_weights(tokens_BTHW: torch.Tensor, frames: int) -> torch.Tensor:
    """[B, 1, frames, 16 H, 16 W]: the same for pixels; a latent frame stands for the four pixel frames that it ends with."""
    times = torch.cat([tokens_BTHW[:, :1], tokens_BTHW[:, 1:].repeat_interleave(4, 1)], 1)[:, :frames]
    return times.repeat_interleave(TOKEN, 2).repeat_interleave(TOKEN, 3)[:, None]
