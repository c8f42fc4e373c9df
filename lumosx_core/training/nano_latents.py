"""Fourth step of the nano recipe: rendered clips and their references to latents, captions to text states and levels."""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from PIL import Image
from safetensors.torch import save_file

from lumosx_core.model.text_encoder import TextEncoder
from lumosx_core.model.token_layout import text_levels
from lumosx_core.model.vae import encode_video
from lumosx_core.references import Attribute, ReferenceSet, SceneReference, Subject
from lumosx_core.text_spans import bind_prompt
from lumosx_core.training.nano_data import read_shard
from lumosx_core.training.nano_vae import single_frame_convolutions, to_unit_range
from lumosx_core.whole_files import whole_file


def latent_statistics(vae: AutoencoderKLWan, shard: Path, clips: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation [16] of the raw latents of a shard's clips and references, half of each."""
    frames, references, _ = read_shard(shard)
    with torch.no_grad(), single_frame_convolutions():
        video = torch.cat([_encode(vae, frames[k : k + 4]) for k in range(0, min(clips, len(frames)), 4)])
        still = _encode(vae, references[: 4 * clips, None])
    flat = torch.cat([x.transpose(0, 1).flatten(1)[:, :: 2 if k else 1] for k, x in enumerate((video, still))], 1)
    return flat.mean(1), flat.std(1)


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
    people = tuple(
        Subject(name=s["name"], face=blank, attributes=tuple(s["attributes"])) for _, s in sorted(subjects.items())
    )
    return ReferenceSet(subjects=people, objects=tuple(objects), background=background)


def encode_shard(
    clips: Path,
    target: Path,
    *,
    vae: AutoencoderKLWan,
    text: TextEncoder,
    text_len: int,
) -> None:
    """Write the latent shard of one clip shard (format: `latent_dataset`) unless it is there, whole or not at all."""
    if target.exists():
        return
    frames, references, records = read_shard(clips)
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
        "video": video.half(), "reference": still[:, :, 0].half().contiguous(),
        "context": contexts.half(), "levels": torch.cat(levels).half(),
    }  # fmt: skip
    with whole_file(target) as partial:
        save_file(tensors, partial, metadata={"samples": json.dumps(samples), "empty_context": json.dumps(empty)})
