"""Fifth step of the nano recipe: rendered clips and their references to latents, captions to text states and spans."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lumosx_core.data.encode import Clips, encode_clips
from lumosx_core.data.latent_shards import write_latents
from lumosx_core.model.pixels import to_unit_range
from lumosx_core.model.text_encoder import load_text_encoder
from lumosx_core.model.vae import load_vae
from lumosx_core.model.wan_vae import WanVae
from lumosx_core.nano.clips import read_shard
from lumosx_core.nano.vae import single_frame_convolutions
from lumosx_core.owners import OwnedPhrase
from lumosx_core.workers import run_in_processes


def balance_latents(vae: WanVae, shard: Path, *, clips: int = 48, exponent: float = 0.5) -> None:
    """Turn and scale the latents of a trained VAE by what they do to the picture; videos come out as before.

    A VAE is free to give a faint texture the same weight as the colour of a coat, and the transformer would then spend
    its effort on both alike. Here the latents become the principal axes of their effect on the pixels, ordered, each as
    wide as its effect to the power of `exponent` (0: all alike, 1: as in the picture). Both maps are folded into
    `quant_conv` and `post_quant_conv`. The published statistics of Wan's latents are folded in too, so that every host
    can normalise these latents as it does Wan's own.

    shard: pictures to measure on; `clips` of them, and as many references. The spread of the posterior is left out (its
    mode is what is used): it is set to a small constant.
    """
    data = read_shard(shard)
    with torch.no_grad(), single_frame_convolutions():
        pictures = np.concatenate([data.frames[:clips, 0], data.references[:clips]])
        raw = torch.cat([_encode(vae, pictures[k : k + 16, None]) for k in range(0, len(pictures), 16)])
        shown = torch.cat([vae.decode(raw[k : k + 16]).sample[:, :, 0] for k in range(0, len(raw), 16)])
    z = raw.movedim(1, -1).flatten(0, -2).double()
    pixels = F.unfold(shown, 8, stride=8).transpose(1, 2).flatten(0, 1).double()
    mean = z.mean(0)
    z, pixels = z - mean, pixels - pixels.mean(0)
    variance, axes = torch.linalg.eigh(z.T @ z / len(z))
    whiten, spread = (axes @ torch.diag(v) @ axes.T for v in (variance.rsqrt(), variance.sqrt()))
    effect = torch.linalg.lstsq(z, pixels).solution  # [16, 192]: pixels of a cell per unit of latent
    turn, sizes, _ = torch.linalg.svd(spread @ effect, full_matrices=False)
    widths = sizes**exponent
    widths = widths / widths.square().mean().sqrt()
    wan_mean, wan_std = (torch.tensor(v).double() for v in (vae.config.latents_mean, vae.config.latents_std))
    forward = torch.diag(wan_std * widths) @ turn.T @ whiten  # new = forward @ (old - mean) + wan_mean
    backward = torch.linalg.inv(forward)
    with torch.no_grad():
        for conv, matrix, shift in (
            (vae.quant_conv, forward, wan_mean - forward @ mean),
            (vae.post_quant_conv, backward, mean - backward @ wan_mean),
        ):
            kept_bias = conv.get_parameter("bias")
            weight, bias = (x.double() for x in (conv.weight[..., 0, 0, 0], kept_bias))
            if conv is vae.quant_conv:  # the means come first, then the logarithms of the variances
                weight[:16], bias[:16] = matrix @ weight[:16], matrix @ bias[:16] + shift
                weight[16:], bias[16:] = 0.0, -6.0
            else:  # it sees the new latents
                weight, bias = weight @ matrix, weight @ shift + bias
            conv.weight.copy_(weight[..., None, None, None])
            kept_bias.copy_(bias)


def _encode(vae: WanVae, frames_BFHW3: np.ndarray) -> torch.Tensor:
    return vae.encode(to_unit_range(frames_BFHW3)).latent_dist.mode()


@dataclass(frozen=True, kw_only=True)
class EncodingPlan:
    """One shard to encode: the rendered `clips`, the `target`, and the models to encode with."""

    clips: Path
    target: Path
    vae: Path
    text_encoder: Path
    tokenizer: Path
    text_len: int


def encode_shards(plans: list[EncodingPlan], workers: int, on_result: Callable[[Path], None]) -> list[Path]:
    """Encode all shards in `workers` processes; on_result(path) is called as each is done. Finished ones are kept."""
    return run_in_processes(encode_shard, plans, workers, on_result)


def encode_shard(plan: EncodingPlan) -> Path:
    """Write the latent shard of one clip shard (format: `latent_shards`) unless it is there, whole or not at all."""
    if plan.target.exists():
        return plan.target
    vae, text = load_vae(plan.vae), load_text_encoder(plan.text_encoder, plan.tokenizer)
    data = read_shard(plan.clips)
    clips = Clips(
        frames=data.frames,
        references=data.references,
        owners=data.owners,
        captions=[record["caption"] for record in data.records],
        phrases=[[_phrase(reference) for reference in record["references"]] for record in data.records],
    )
    with single_frame_convolutions():
        return write_latents(plan.target, encode_clips(clips, vae, text, plan.text_len))


def _phrase(reference: dict) -> OwnedPhrase:
    """The words of a reference as a record keeps it. Clips have at most one object."""
    kind, subject = reference["kind"], reference["subject"]
    owner = {"background": "background", "object": "object 1"}.get(kind) or f"subject {subject + 1}"
    return OwnedPhrase(kind=kind, owner=owner, subject=subject, phrase=reference["phrase"])
