"""Flow matching as Wan2.1 is trained and sampled (method: LumosX, arXiv 2603.20192): shift, timesteps, velocity.

At noise level sigma = t / 1000 a noisy latent is x = (1 - sigma) * clean + sigma * noise, and the model predicts the velocity
noise - clean.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F

from lumosx_core.numbers import real_number, whole_number

Velocity = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (x_t, integer timestep [B]) -> velocity
Density = Literal["uniform", "logit_normal"]
U = TypeVar("U", float, torch.Tensor)
MAX_STEPS = 10_000
MAX_SHIFT = 1000.0  # far beyond every use


def checked_steps(value: Any, name: str = "steps") -> int:
    """The number of sampling steps. Raises InputError for anything but a whole number from 1 to MAX_STEPS."""
    return whole_number(value, name, least=1, most=MAX_STEPS)


def checked_shift(value: Any, name: str = "shift") -> float:
    """The shift of a schedule. Raises InputError for anything but a number above 0, up to MAX_SHIFT."""
    return real_number(value, name, above=0, most=MAX_SHIFT)


def shifted(u: U, shift: float) -> U:
    """The noise level in [0, 1] at the share `u` of a schedule, shift*u / (1 + (shift-1)*u): u for shift 1, noisier above."""
    return shift * u / (1 + (shift - 1) * u)


def flow_sigmas(steps: int, shift: float = 8.0) -> torch.Tensor:
    """float32 [steps + 1]: noise levels from 1 down, shifted, then 0, as the published sampler uses them.

    They lie at u = linspace(1, 0, steps + 1) without its last point. Raises InputError for other steps than 1 to 10,000 and a
    shift that is no number above 0.
    """
    steps, shift = checked_steps(steps), checked_shift(shift)
    sigmas = shifted(torch.linspace(1, 0, steps + 1, dtype=torch.float64)[:steps], shift)
    return torch.cat([sigmas, sigmas.new_zeros(1)]).float()


def timesteps_from_sigmas(sigmas: torch.Tensor) -> torch.Tensor:
    """int64 [steps]: what the model is called with, trunc(1000 * sigma), for every sigma but the last.

    A small tolerance keeps an exact 942 from becoming 941 in float32.
    """
    return (sigmas[:-1].double() * 1000 + 1e-4).long()


def sample_timesteps(count: int, generator: torch.Generator, shift: float = 1.0, density: Density = "uniform") -> torch.Tensor:
    """float32 [count] in [0, 1000): what a training step looks at; uniform for shift 1, noisier above.

    density: "uniform" as published, or "logit_normal" (Esser et al. 2024, arXiv 2403.03206, location 0, scale 1): more of the
    middle, less of both ends. The shift comes after it.
    """
    if density == "logit_normal":
        # The largest float32 below 1: sigmoid gives 1 from about 17 standard deviations on.
        u = torch.randn(count, generator=generator).sigmoid().clamp(max=1 - 2**-24)
    else:
        u = torch.rand(count, generator=generator)
    return shifted(u, shift) * 1000.0


def flow_matching_loss(
    velocity: Velocity,
    clean: torch.Tensor,
    noise: torch.Tensor,
    timestep: torch.Tensor,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean squared error per sample [B] of the predicted velocity against noise - clean.

    clean, noise: [B, C, T, h, w] of the video only (references stay clean and are not predicted). timestep: [B] in
    [0, 1000), not truncated in x_t; the model is called with trunc(t). weights: factors of the squared errors, broadcast to
    `clean`; none: 1 everywhere, as published.
    """
    sigma = (timestep / 1000.0).view(-1, *[1] * (clean.ndim - 1)).to(clean.dtype)
    noisy = (1 - sigma) * clean + sigma * noise
    predicted = velocity(noisy, timestep.trunc())
    errors = F.mse_loss(predicted.float(), (noise - clean).float(), reduction="none")
    return (errors if weights is None else errors * weights).flatten(1).mean(1)
