"""Sampling through the host's own guidance and sampler calls, so that its cancel button, previews and progress bar work.

Legend: B = batch, T, h, w = latent frames and sides.
"""

from collections.abc import Callable
from typing import Any

import comfy.model_base
import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import torch

from lumosx_core.errors import InputError
from lumosx_core.sampling.solver import Callback, Velocity

from .comfy_bridge import check_size
from .io_types import EncodedReferences


def with_shift(model: Any, shift: float) -> Any:
    """A clone of the MODEL whose schedule has this shift, as the host's ModelSamplingSD3 node makes it: the percentages of
    start and end count along the schedule that is sampled."""
    patched = model.clone()
    sampling = comfy.model_base.model_sampling(model.model.model_config, comfy.model_base.ModelType.FLOW)
    sampling.set_parameters(shift=shift, multiplier=1000)
    patched.add_object_patch("model_sampling", sampling)
    return patched


def check_latent(latent: dict, references: EncodedReferences) -> None:
    """Raises InputError unless the LATENT is one of Wan2.1's ([B, 16, T, h, w]) at the size of the references."""
    shape = tuple(latent["samples"].shape)
    if len(shape) != 5 or shape[1] != references.latents.shape[1]:
        raise InputError(
            f"the latent is {list(shape)}, expected [batch, {references.latents.shape[1]}, frames, height, width] of a Wan2.1 "
            "video; take it from LumosX Encode References"
        )
    if not all(shape) or not latent["samples"].is_floating_point():
        raise InputError(
            f"the latent is {list(shape)} of {latent['samples'].dtype}, expected float values of at least one video and one "
            "frame; take it from LumosX Encode References"
        )
    check_size(references, *shape[3:])
    if not latent["samples"].isfinite().all():
        raise InputError("the latent holds NaN or infinite values; a node before has failed, take it from Encode References")


def sample_latent(
    model: Any, latent: dict, positive: Any, negative: Any, *, sampler: Any, sigmas: torch.Tensor, cfg: float, seed: int
) -> dict:
    """The LATENT with samples [B, 16, T, h, w] from the host's noise of that seed; each video of a batch has its own noise."""
    samples = latent["samples"]
    noise = comfy.sample.prepare_noise(samples, seed, latent.get("batch_index"))
    out = comfy.sample.sample_custom(
        model,
        noise,
        cfg,
        sampler,
        sigmas,
        positive,
        negative,
        samples,
        noise_mask=latent.get("noise_mask"),
        callback=latent_preview.prepare_callback(model, len(sigmas) - 1),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=seed,
    )
    return {**latent, "samples": out}


def host_sampler(solver: Callable[[Velocity, torch.Tensor, torch.Tensor, Callback | None], torch.Tensor]) -> Any:
    """A SAMPLER that runs one of the core's solvers on any guided model and SIGMAS of the host. It can be cancelled and
    shows previews like the host's own."""

    def sample(
        model: Any,
        noise: torch.Tensor,
        sigmas: torch.Tensor,
        extra_args: dict | None = None,
        callback: Callable | None = None,
        disable: bool | None = None,  # noqa: ARG001 - the host's signature
    ) -> torch.Tensor:
        latest = noise

        def velocity(x: torch.Tensor, sigma: float, timestep: int) -> torch.Tensor:  # noqa: ARG001 - the core's signature
            nonlocal latest
            comfy.model_management.throw_exception_if_processing_interrupted()
            latest = x
            return (x - model(x, x.new_full((len(x),), sigma), **(extra_args or {}))) / sigma

        def report(step: int, steps: int, clean: torch.Tensor) -> None:  # noqa: ARG001 - the core's signature
            if callback is not None:
                levels = {"sigma": sigmas[step], "sigma_hat": sigmas[step]}
                callback({"i": step, "denoised": clean, "x": latest, **levels})

        return solver(velocity, noise, sigmas.cpu(), report)

    return comfy.samplers.KSAMPLER(sample)
