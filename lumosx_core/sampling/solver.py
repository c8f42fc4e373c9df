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


def dpmpp_2m(velocity: Velocity, x: torch.Tensor, sigmas: torch.Tensor, callback: Callback | None = None) -> torch.Tensor:
    """DPM-Solver++ (2M, arXiv 2211.01095), midpoint, data prediction; first and last step of order 1: the published solver.

    The same to the bit as diffusers' DPMSolverMultistepScheduler with flow sigmas, without its import.
    """
    timesteps = timesteps_from_sigmas(sigmas).tolist()
    sigmas = sigmas.float()
    logs = (1 - sigmas).log() - sigmas.log()  # of alpha / sigma: where the solver counts its steps
    earlier = x  # the clean latent of the step before, when there is one
    for step, timestep in enumerate(timesteps):
        v = velocity(x, float(sigmas[step]), timestep)
        if callback is not None:
            callback(step, len(timesteps), x - float(sigmas[step]) * v)
        clean = x - sigmas[step] * v
        width = logs[step + 1] - logs[step]
        gain = (1 - sigmas[step + 1]) * (torch.exp(-width) - 1.0)
        x = (sigmas[step + 1] / sigmas[step]) * x.float() - gain * clean
        if 0 < step < len(timesteps) - 1:
            ratio = (logs[step] - logs[step - 1]) / width
            x = x - 0.5 * gain * ((1.0 / ratio) * (clean - earlier))
        x, earlier = x.to(clean.dtype), clean
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


def _unipc_scheduler() -> Any:
    from diffusers import UniPCMultistepScheduler

    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, solver_order=2)


unipc = _by_scheduler(_unipc_scheduler)
"""UniPC (bh2, order 2) by diffusers on our sigmas."""

SOLVERS: dict[str, Solver] = {
    "dpmpp_2m": dpmpp_2m,
    "euler": euler,
    "unipc": unipc,
}


def solver_named(name: str) -> Solver:
    """The solver of that name. Raises InputError listing the names."""
    if name not in SOLVERS:
        raise InputError(f"unknown solver {name!r}; expected one of {', '.join(SOLVERS)}")
    return SOLVERS[name]
