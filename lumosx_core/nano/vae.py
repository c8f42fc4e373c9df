"""Second step of the nano recipe: train a small Wan VAE (8x8x4, 16 channels) on puppet pictures and clips.

The module is `model/wan_vae.py`; here is its recipe. Pictures come first: with a single frame a causal
convolution sees zeros before it, so only its last time slice matters and the network is a cheap 2D one
(`single_frame_convolutions`). The time convolutions then start as "repeat the picture" and learn motion from clips.

Shapes: B = batch, F = frames (4n + 1), H, W = pixels.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lumosx_core.model.pixels import to_unit_range
from lumosx_core.model.wan_vae import CausalConv3d, Resample, VaeConfig, WanVae
from lumosx_core.nano.clips import read_shard
from lumosx_core.nano.stage_state import load_stage, save_stage
from lumosx_core.puppets.clip import BLOCK
from lumosx_core.training.guards import StepGuard, check_finite
from lumosx_core.training.resume import DIVERGED, load_optimizer

SAVE_EVERY = 100  # steps


@dataclass(frozen=True, kw_only=True)
class VaeRecipe:
    """Sizes and schedule of the nano VAE."""

    base_dim: int = 16  # channels at full resolution; Wan has 96
    picture_steps: int = 1500
    decoder_steps: int = 300  # the encoder is kept as it starts for so many steps of the first phase
    clip_steps: int = 800
    crop: int = 48  # side of the random crops, pixels
    picture_batch: int = 12
    clip_batch: int = 3
    clip_frames: int = 9
    learning_rate: float = 1e-3  # cosine to a twentieth in each phase
    kl_weight: float = 2e-4
    seed: int = 0


def build_vae(base_dim: int, pictures_N3HW: torch.Tensor) -> WanVae:
    """A Wan VAE of that width whose encoder starts as the 16 principal components of 8x8 patches of the pictures.

    From a random start a network this small needs ten times the steps to find latents that carry anything. The trunk is
    residual, so with silent branches it is linear: strided convolutions collect patches, the last one projects them.
    SiLU at the end is undone by carrying every component twice, silu(a) - silu(-a) = a, and the norm before it by a
    large constant channel. Time convolutions start as averages (encoder) and repetitions (decoder).
    pictures_N3HW: float in [-1, 1], sides multiples of 8.
    """
    vae = WanVae(VaeConfig(base_dim=base_dim, num_res_blocks=1))
    with torch.no_grad():
        for name, module in vae.named_modules():
            if not isinstance(module, (torch.nn.Conv2d, CausalConv3d)):
                continue
            # Unit gain over the taps that a picture reaches; torch's default is five times weaker and trains slowly.
            fan_in = module.in_channels * module.kernel_size[-1] * module.kernel_size[-2]
            torch.nn.init.normal_(module.weight, std=fan_in**-0.5)
            torch.nn.init.zeros_(module.get_parameter("bias"))
            if name.endswith(("conv2", "proj")):  # residual branches start silent
                torch.nn.init.zeros_(module.weight)
            if isinstance(module, CausalConv3d) and module.kernel_size[0] == 3:
                module.weight[:, :, :-1] = 0
                if name.endswith("time_conv"):
                    _start_as_average_or_repeat(module)
        _start_as_principal_components(vae, pictures_N3HW)
        # Little noise in the latents at first (standard deviation 0.14).
        vae.quant_conv.weight.zero_()
        vae.quant_conv.weight[:16, :16, 0, 0, 0] = torch.eye(16)
        vae.quant_conv.get_parameter("bias")[16:] = -4.0
    return vae


def _start_as_average_or_repeat(conv: CausalConv3d) -> None:
    """Halving time (stride 2): the mean of the two newest frames. Doubling it: each output is the newest frame."""
    channels = conv.in_channels
    conv.weight.zero_()
    if conv.stride[0] == 2:
        conv.weight[:, :, 1:, 0, 0] = 0.5 * torch.eye(channels)[:, :, None]
    else:
        conv.weight[:, :, -1, 0, 0] = torch.eye(channels).repeat(conv.out_channels // channels, 1)


def _start_as_principal_components(vae: WanVae, pictures_N3HW: torch.Tensor) -> None:
    """Write the linear path described in `build_vae` into the encoder."""
    constant = 30.0
    encoder = vae.encoder
    encoder.conv_in.weight[:3] = 0
    encoder.conv_in.weight[:3, :, -1, 1, 1] = torch.eye(3)
    features, width = pictures_N3HW, 3
    blocks = list(encoder.down_blocks)
    resamples = [(k, block) for k, block in enumerate(blocks) if isinstance(block, Resample)]
    for stage, (index, resample) in enumerate(resamples):
        shortcut = getattr(blocks[index - 1], "conv_shortcut", None)
        if isinstance(shortcut, CausalConv3d):
            shortcut.weight[:width] = 0
            shortcut.weight[:width, :width, 0, 0, 0] = torch.eye(width)
        conv = resample.resample[1]
        assert isinstance(conv, torch.nn.Conv2d)
        conv_bias = conv.get_parameter("bias")
        patches = F.unfold(features, 2, stride=2)  # [N, width*4, positions], channel-major as conv weights are
        rows = patches.transpose(1, 2).reshape(-1, width * 4)
        mean = rows.mean(0)
        variance, axes = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
        last = stage == len(resamples) - 1
        kept = 16 if last else min(width * 4, conv.out_channels)
        projection = axes[:, -kept:].T  # [kept, width*4]
        if last:
            projection = projection / variance[-kept:, None].sqrt()
        bias = -(projection @ mean)
        height, breadth = features.shape[2] // 2, features.shape[3] // 2
        features = torch.einsum("kc,ncp->nkp", projection, patches) + bias[:, None]
        features = features.reshape(len(features), kept, height, breadth)
        taps = projection.reshape(kept, width, 2, 2)
        signs = (1, -1) if last else (1,)
        if last:
            conv.weight.zero_()
        for k, sign in enumerate(signs):
            conv.weight[k * kept : (k + 1) * kept] = 0
            conv.weight[k * kept : (k + 1) * kept, :width, :2, :2] = sign * taps
            conv_bias[k * kept : (k + 1) * kept] = sign * bias
        if last:
            conv_bias[2 * kept] = constant
        width = kept
    gain = constant / encoder.conv_out.in_channels**0.5
    encoder.conv_out.weight[:16] = 0
    encoder.conv_out.weight[:16, :16, -1, 1, 1] = gain * torch.eye(16)
    encoder.conv_out.weight[:16, 16:32, -1, 1, 1] = -gain * torch.eye(16)


@contextmanager
def single_frame_convolutions() -> Iterator[None]:
    """Within this context causal 3D convolutions over a single frame run as 2D ones. Same values, a third of the work."""
    original = CausalConv3d.forward

    def forward(self: CausalConv3d, x: torch.Tensor, previous: torch.Tensor | None = None) -> torch.Tensor:
        if x.shape[2] != 1 or previous is not None or self.kernel_size[0] != 3:
            return original(self, x, previous)
        padding = (self.around[2], self.around[0])
        return F.conv2d(x[:, :, 0], self.weight[:, :, -1], self.bias, padding=padding).unsqueeze(2)

    CausalConv3d.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        CausalConv3d.forward = original  # type: ignore[method-assign]


class ClipPool:
    """All frames and reference pictures of some shards in memory, and random crops of them."""

    def __init__(self, shards: list[Path], seed: int) -> None:
        loaded = [read_shard(path) for path in shards]
        self.frames = [clip for shard in loaded for clip in shard.frames]
        self.references = np.concatenate([shard.references for shard in loaded])
        self.rng = np.random.default_rng(seed)

    def _crop(self, clip: np.ndarray, size: int) -> np.ndarray:
        """A random size x size crop of uint8 [F, H, W, 3] on the grid of the drawing's pixels, mirrored half of the time."""
        top = BLOCK * int(self.rng.integers((clip.shape[1] - size) // BLOCK + 1))
        left = BLOCK * int(self.rng.integers((clip.shape[2] - size) // BLOCK + 1))
        crop = clip[:, top : top + size, left : left + size]
        return crop[:, :, ::-1] if self.rng.random() < 0.5 else crop

    def pictures(self, batch: int, size: int) -> torch.Tensor:
        """[B, 3, 1, size, size] in [-1, 1]: half video frames, half references."""
        crops = []
        for k in range(batch):
            if k % 2:
                source = self.references[int(self.rng.integers(len(self.references)))][None]
            else:
                clip = self.frames[int(self.rng.integers(len(self.frames)))]
                source = clip[int(self.rng.integers(len(clip)))][None]
            crops.append(self._crop(source, size))
        return to_unit_range(np.stack(crops))

    def clips(self, batch: int, frames: int, size: int) -> torch.Tensor:
        """[B, 3, F, size, size] in [-1, 1]."""
        crops = []
        for _ in range(batch):
            clip = self.frames[int(self.rng.integers(len(self.frames)))]
            start = int(self.rng.integers(len(clip) - frames + 1))
            crops.append(self._crop(clip[start : start + frames], size))
        return to_unit_range(np.stack(crops))


def train_vae(recipe: VaeRecipe, shards: list[Path], state: Path, log: Callable[[str], None]) -> WanVae:
    """Train both phases.

    shards: of clips (`clips.py`). state: file that is written every `SAVE_EVERY` steps and taken up if it is there. log:
    called with a line of figures now and then. Raises InputError if the state was begun with another recipe.
    """
    torch.manual_seed(recipe.seed)
    pool = ClipPool(shards, recipe.seed)
    vae = build_vae(recipe.base_dim, pool.pictures(512, 64)[:, :, 0])
    begun = load_stage(state, recipe, vae, pool.rng, (1, max(recipe.picture_steps, recipe.clip_steps)))
    rate = recipe.learning_rate
    guard = StepGuard("vae")
    with single_frame_convolutions():
        for index, (phase, steps) in enumerate((("pictures", recipe.picture_steps), ("clips", recipe.clip_steps))):
            if begun is not None and index < begun[0][0]:
                continue
            optimizer = torch.optim.AdamW(vae.parameters(), lr=rate, weight_decay=0.0, betas=(0.9, 0.98))
            first = 0
            if begun is not None and index == begun[0][0]:
                first = begun[0][1]
                load_optimizer(optimizer, begun[1], state)
            started = time.monotonic()
            for step in range(first, steps):
                warm = min(1.0, (step + 1) / 50)
                decay = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps))
                for group in optimizer.param_groups:
                    group["lr"] = rate * warm * decay
                # References are single pictures for ever: one step in four keeps them in practice.
                still = phase == "pictures" or step % 4 == 3
                video = (
                    pool.pictures(recipe.picture_batch, recipe.crop)
                    if still
                    else pool.clips(recipe.clip_batch, recipe.clip_frames, recipe.crop)
                )
                vae.encoder.requires_grad_(phase == "clips" or step >= recipe.decoder_steps)
                posterior = vae.encode(video).latent_dist
                decoded = vae.decode(posterior.sample()).sample
                difference = decoded - video
                mean, variance = posterior.mean, posterior.var
                kl = 0.5 * (mean.square() + variance - 1.0 - posterior.logvar).mean()
                loss = difference.abs().mean() + recipe.kl_weight * kl
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                norm = torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
                if not guard.counts(step, {"loss": loss.item(), "norm": norm.item()}):
                    continue
                optimizer.step()
                if step % 50 == 0:
                    psnr = 10 * math.log10(4.0 / float(difference.detach().square().mean()))
                    log(
                        f"{phase} {step}/{steps} l1 {float(difference.detach().abs().mean()):.4f} psnr {psnr:.2f} "
                        f"kl {float(kl.detach()):.2f} std {float(variance.detach().mean().sqrt()):.3f} "
                        f"mean {float(mean.detach().std()):.2f} {'still' if still else ''} "
                        f"{(time.monotonic() - started) / (step + 1 - first):.2f} s/step"
                    )
                if (step + 1) % SAVE_EVERY == 0:
                    save_stage(state, recipe, [index, step + 1], vae, optimizer, pool.rng)
    check_finite(vae.state_dict(), "the VAE", DIVERGED)
    return vae
