"""Muon (Jordan 2024) in float32: `torch.optim.Muon` orthogonalises in bfloat16, which makes a tenth of a step of the last bit
of a gradient, and that is another one for every order of adding up."""

import math
from typing import Any

import torch

from lumosx_core.training.parallelize import like, own_share, whole


class Float32Muon(torch.optim.Muon):
    """`torch.optim.Muon`, orthogonalising in float32; a matrix in shares is gathered for it, and so handled as a whole one.

    The five Newton-Schulz products cost more than in bfloat16 on a card, which is why this is for trainings in float32.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step of every matrix that has a gradient. closure: must be None, the loop computes gradients."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                kept = self.state[parameter]
                if not kept:
                    kept["momentum_buffer"] = torch.zeros_like(parameter.grad)
                momentum = kept["momentum_buffer"].lerp_(parameter.grad, 1 - group["momentum"])
                update = whole(parameter.grad.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum)
                step = orthogonal(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
                rows, columns = parameter.shape
                original = group["adjust_lr_fn"] in (None, "original")
                factor = math.sqrt(max(1.0, rows / columns)) if original else 0.2 * math.sqrt(max(rows, columns))
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(like(own_share(step, parameter), parameter), alpha=-group["lr"] * factor)


def orthogonal(matrix: torch.Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> torch.Tensor:
    """[m, n] -> [m, n]: the matrix with all singular values brought to about 1, in float32, by `steps` rounds of
    X <- aX + (bG + cGG)X with G = XX' and (a, b, c) the coefficients (Newton-Schulz; torch.optim.Muon has them)."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).float()
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
