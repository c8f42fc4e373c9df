"""Sampling through the host's own guidance and sampler calls, so that its cancel button, previews and progress bar work.

Legend: B = batch, T, h, w = latent frames and sides.
"""

from typing import Any

import comfy.model_base
import comfy.sample
import comfy.utils
import latent_preview
import torch

from lumosx_core.errors import InputError

from .comfy_bridge import EncodedReferences, check_size


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


def check_prompt(positive: Any, references: EncodedReferences) -> None:
    """Raises InputError if the CONDITIONING is of a prompt with another number of tokens than the references' words were
    found in. The host's UMT5 pads with zeros; what other nodes append comes after them and does not count."""
    for states, _ in positive:
        padding = (~states[0].any(-1)).nonzero()
        tokens = int(padding[0]) if len(padding) else states.shape[1]
        if references.tokens and tokens != references.tokens:
            raise InputError(
                f"positive is of a prompt of {tokens} tokens, the words of the references were found in one of "
                f"{references.tokens}; give CLIP Text Encode the prompt that comes out of LumosX Relation Graph"
            )


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
