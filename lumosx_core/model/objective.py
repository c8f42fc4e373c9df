"""The flow-matching objective (method: LumosX, arXiv 2603.20192, as Wan2.1 is trained)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

Velocity = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (x_t, integer timestep [B]) -> velocity


def sample_timesteps(count: int, generator: torch.Generator, shift: float = 1.0) -> torch.Tensor:
    """float32 [count] in [0, 1000): uniform for shift 1; sigma = shift*u / (1 + (shift-1)*u) otherwise."""
    u = torch.rand(count, generator=generator)
    return 1000.0 * shift * u / (1.0 + (shift - 1.0) * u)


def flow_matching_loss(
    velocity: Velocity,
    clean: torch.Tensor,
    noise: torch.Tensor,
    timestep: torch.Tensor,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean squared error per sample [B] of the predicted velocity against noise - clean.

    clean, noise: [B, C, T, h, w] of the video only (references stay clean and are not predicted). timestep: [B] in
    [0, 1000), not truncated in x_t = (1 - t/1000) * clean + t/1000 * noise; the model is called with trunc(t).
    weights: factors of the squared errors, broadcast to `clean`; none: 1 everywhere, as published.
    """
    sigma = (timestep / 1000.0).view(-1, *[1] * (clean.ndim - 1)).to(clean.dtype)
    noisy = (1 - sigma) * clean + sigma * noise
    predicted = velocity(noisy, timestep.trunc())
    errors = F.mse_loss(predicted.float(), (noise - clean).float(), reduction="none")
    return (errors if weights is None else errors * weights).flatten(1).mean(1)
