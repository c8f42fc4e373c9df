"""A small video of the nano model, made by the core, through the nodes, and by the host: what tests compare."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import torch

from lumosx_core.references import Sample
from lumosx_core.sampling.config import GenerationConfig
from lumosx_core.sampling.generate import denoise, prepare
from lumosx_core.sampling.pipeline import LumosXPipeline

WIDTH, HEIGHT, LENGTH, STEPS, CFG, SHIFT, SEED = 64, 48, 5, 3, 1.5, 3.0, 7


def config(**changes: Any) -> GenerationConfig:
    return GenerationConfig(width=WIDTH, height=HEIGHT, frames=LENGTH, steps=STEPS, cfg=CFG, shift=SHIFT, **changes)


def core_latent(core: LumosXPipeline, sample: Sample, inputs: dict[str, Any], **changes: Any) -> torch.Tensor:
    """The core's normalised latent for references as the host normalises them (the nano VAE may have its own statistics), with
    the blank tokens that the inputs tell."""
    raw = inputs["references"].latents.transpose(0, 1)[None]
    latents = inputs["model"].model.process_latent_in(raw).transpose(1, 2)
    ready = prepare(core, sample, config(**changes))
    layout = ready.condition.layout
    if changes.get("blank_tokens") == "drop":
        layout = replace(layout, blank=inputs["references"].blank)
    passes = (each for each in (ready.condition, ready.negative) if each is not None)
    both = [replace(each, reference_latents=latents, layout=layout) for each in passes]
    if changes.get("negative_references") == "blank":
        both[1] = replace(both[1], reference_latents=torch.zeros_like(latents))
    return denoise(core, replace(ready, condition=both[0], negative=both[1]), config(**changes), [SEED])


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(10 * torch.log10(1 / (a - b).square().mean().clamp(min=1e-12)))


def run(nodes: ModuleType, inputs: dict[str, Any], **changes: Any) -> torch.Tensor:
    return nodes.Sampler.execute(**{**inputs, **changes}).args[0]["samples"]


def host_run(nodes: ModuleType, inputs: dict[str, Any], model: Any, steps: int = STEPS) -> torch.Tensor:
    """The host's own sampling of a MODEL, as SamplerCustom calls it."""
    import comfy.sample

    noise = comfy.sample.prepare_noise(inputs["latent"]["samples"], SEED)
    solver, sigmas = nodes.Solver.execute("dpmpp_2m").args[0], nodes.Scheduler.execute(steps, SHIFT).args[0]
    return comfy.sample.sample_custom(
        model,
        noise,
        CFG,
        solver,
        sigmas,
        inputs["positive"],
        inputs["negative"],
        inputs["latent"]["samples"],
        seed=SEED,
        disable_pbar=True,
    )
