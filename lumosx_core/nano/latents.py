"""Fifth step of the nano recipe: rendered clips and their references to latents, captions to text states and levels."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from PIL import Image

from lumosx_core.files.weights import write_safetensors
from lumosx_core.model.text_encoder import load_text_encoder
from lumosx_core.model.token_layout import text_levels
from lumosx_core.model.vae import encode_video, load_vae
from lumosx_core.nano.clips import read_shard
from lumosx_core.nano.vae import single_frame_convolutions, to_unit_range
from lumosx_core.references import Attribute, ReferenceSet, SceneReference, Subject
from lumosx_core.text_spans import bind_prompt
from lumosx_core.workers import run_in_processes


def balance_latents(vae: AutoencoderKLWan, shard: Path, *, clips: int = 48, exponent: float = 0.5) -> None:
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
            weight, bias = (x.double() for x in (conv.weight[..., 0, 0, 0], conv.bias))
            if conv is vae.quant_conv:  # the means come first, then the logarithms of the variances
                weight[:16], bias[:16] = matrix @ weight[:16], matrix @ bias[:16] + shift
                weight[16:], bias[16:] = 0.0, -6.0
            else:  # it sees the new latents
                weight, bias = weight @ matrix, weight @ shift + bias
            conv.weight.copy_(weight[..., None, None, None])
            conv.bias.copy_(bias)


def _encode(vae: AutoencoderKLWan, frames_BFHW3: np.ndarray) -> torch.Tensor:
    return vae.encode(to_unit_range(frames_BFHW3)).latent_dist.mode()


def _phrases_only(references: list[dict]) -> ReferenceSet:
    """The references of a record as a ReferenceSet with blank pictures, to find their words in the caption."""
    blank = Image.new("RGB", (1, 1))
    subjects: dict[int, dict] = {}
    objects, background = [], None
    for r in references:
        if r["kind"] == "background":
            background = SceneReference(phrase=r["phrase"], image=blank)
        elif r["kind"] == "object":
            objects.append(SceneReference(phrase=r["phrase"], image=blank))
        elif r["kind"] == "face":
            subjects[r["subject"]] = {"name": r["phrase"], "attributes": []}
        else:
            subjects[r["subject"]]["attributes"].append(Attribute(phrase=r["phrase"], image=blank))
    people = tuple(Subject(name=s["name"], face=blank, attributes=tuple(s["attributes"])) for _, s in sorted(subjects.items()))
    return ReferenceSet(subjects=people, objects=tuple(objects), background=background)


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
    vae, text, text_len = load_vae(plan.vae), load_text_encoder(plan.text_encoder, plan.tokenizer), plan.text_len
    data = read_shard(plan.clips)
    frames, references, records = data.frames, data.references, data.records
    with single_frame_convolutions():
        video = torch.cat([encode_video(vae, to_unit_range(frames[k : k + 5])) for k in range(0, len(frames), 5)])
        still = torch.cat(
            [encode_video(vae, to_unit_range(references[k : k + 25, None])) for k in range(0, len(references), 25)]
        )
    levels, samples, prompts = [], [], []
    for record in records:
        bound = bind_prompt(record["caption"], _phrases_only(record["references"]), text.tokenizer, text_len=text_len)
        prompts.append(bound.prompt)
        levels.append(text_levels(bound.references, text_len))
        samples.append({"kinds": [r.kind for r in bound.references], "subjects": [r.subject for r in bound.references]})
    contexts = torch.cat([text.encode(prompts[k : k + 25], text_len) for k in range(0, len(prompts), 25)])
    empty = text.encode([""], text_len)[0, :1].tolist()
    tensors = {
        "video": video.half(),
        "reference": still[:, :, 0].half().contiguous(),
        "context": contexts.half(),
        "levels": torch.cat(levels).half(),
        "owners": torch.from_numpy(data.owners),
    }
    metadata = {"samples": json.dumps(samples), "empty_context": json.dumps(empty)}
    return write_safetensors(plan.target, tensors, metadata)
