"""Solvers of the flow ODE, all with one signature.

    solver(velocity, x, sigmas, callback=None) -> x at the last sigma

velocity(x, sigma, timestep) -> v with sigma a float and timestep an int; x: noise at sigmas[0], any shape;
sigmas: float32 [N + 1] from `flow_sigmas`; callback(step, steps, x0) is called after every step with the current estimate
of the clean latent, and may raise to cancel.
"""

from collections.abc import Callable
from typing import Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.model.flow import timesteps_from_sigmas

Velocity = Callable[[torch.Tensor, float, int], torch.Tensor]
Callback = Callable[[int, int, torch.Tensor], None]
Solver = Callable[..., torch.Tensor]


def euler(velocity: Velocity, x: torch.Tensor, sigmas: torch.Tensor, callback: Callback | None = None) -> torch.Tensor:
    """Explicit Euler steps."""
    timesteps = timesteps_from_sigmas(sigmas).tolist()
    levels = sigmas.double().tolist()
    for step, timestep in enumerate(timesteps):
        v = velocity(x, levels[step], timestep)
        if callback is not None:
            callback(step, len(timesteps), x - levels[step] * v)
        x = x + (levels[step + 1] - levels[step]) * v
    return x


def _by_scheduler(make: Callable[[], Any]) -> Solver:
    """A diffusers multistep scheduler as a solver, over exactly our sigmas (its own spacing differs in the first place)."""

    def solve(velocity: Velocity, x: torch.Tensor, sigmas: torch.Tensor, callback: Callback | None = None) -> torch.Tensor:
        scheduler, timesteps = make(), timesteps_from_sigmas(sigmas)
        scheduler.set_timesteps(len(timesteps))
        scheduler.sigmas = sigmas.float()
        scheduler.timesteps = timesteps
        scheduler.num_inference_steps = len(timesteps)
        for step, timestep in enumerate(timesteps.tolist()):
            sigma = float(sigmas[step])
            v = velocity(x, sigma, timestep)
            if callback is not None:
                callback(step, len(timesteps), x - sigma * v)
            # By index, not by value: two steps of a long schedule may share an integer timestep.
            scheduler._step_index = step
            x = scheduler.step(v, timesteps[step], x, return_dict=False)[0]
        return x

    return solve


def _published_scheduler() -> Any:
    from diffusers import DPMSolverMultistepScheduler

    return DPMSolverMultistepScheduler(
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        lower_order_final=True,
        final_sigmas_type="zero",
    )


def _unipc_scheduler() -> Any:
    from diffusers import UniPCMultistepScheduler

    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, solver_order=2)


dpmpp_2m = _by_scheduler(_published_scheduler)
"""DPM-Solver++ (2M), midpoint, data prediction; first and last step of order 1: the published solver."""

unipc = _by_scheduler(_unipc_scheduler)
"""UniPC (bh2, order 2) by diffusers on our sigmas."""

SOLVERS: dict[str, Solver] = {
    "dpmpp_2m": dpmpp_2m, "euler": euler, "unipc": unipc,
}  # fmt: skip


def solver_named(name: str) -> Solver:
    """The solver of that name. Raises InputError listing the names."""
    if name not in SOLVERS:
        raise InputError(f"unknown solver {name!r}; expected one of {', '.join(SOLVERS)}")
    return SOLVERS[name]
