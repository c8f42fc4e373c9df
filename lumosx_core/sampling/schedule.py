"""The noise schedule of flow-matching models (Wan2.1, as the published sampler uses it)."""

import torch

from lumosx_core.sampling.limits import checked_shift, checked_steps


def flow_sigmas(steps: int, shift: float = 8.0) -> torch.Tensor:
    """float32 [steps + 1]: noise levels from 1 down, then 0.

    sigma = shift*u / (1 + (shift-1)*u) at u = linspace(1, 0, steps + 1) without its last point. Raises InputError for
    other steps than 1 to 10,000 and a shift that is no number above 0.
    """
    steps, shift = checked_steps(steps), checked_shift(shift)
    u = torch.linspace(1, 0, steps + 1, dtype=torch.float64)[:steps]
    sigmas = shift * u / (1 + (shift - 1) * u)
    return torch.cat([sigmas, sigmas.new_zeros(1)]).float()


def timesteps_from_sigmas(sigmas: torch.Tensor) -> torch.Tensor:
    """int64 [steps]: what the model is called with, trunc(1000 * sigma), for every sigma but the last.

    A small tolerance keeps an exact 942 from becoming 941 in float32.
    """
    return (sigmas[:-1].double() * 1000 + 1e-4).long()
