"""The noise schedule of flow-matching models (Wan2.1, as the published sampler uses it)."""

import torch

from lumosx_core.errors import InputError


def flow_sigmas(steps: int, shift: float = 8.0) -> torch.Tensor:
    """float32 [steps + 1]: noise levels from 1 down, then 0.

    sigma = shift*u / (1 + (shift-1)*u) at u = linspace(1, 0, steps + 1) without its last point. Raises InputError for
    steps < 1 or shift <= 0.
    """
    if steps < 1 or shift <= 0:
        raise InputError(f"schedule of {steps} steps with shift {shift}; expected at least 1 step and a shift above 0")
    u = torch.linspace(1, 0, steps + 1, dtype=torch.float64)[:steps]
    sigmas = shift * u / (1 + (shift - 1) * u)
    return torch.cat([sigmas, sigmas.new_zeros(1)]).float()


def timesteps_from_sigmas(sigmas: torch.Tensor) -> torch.Tensor:
    """int64 [steps]: what the model is called with, trunc(1000 * sigma), for every sigma but the last.

    A small tolerance keeps an exact 942 from becoming 941 in float32.
    """
    return (sigmas[:-1].double() * 1000 + 1e-4).long()
