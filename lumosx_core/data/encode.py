"""From clips with their references and captions to a shard of latents.

Legend: N = clips, M = references of all clips, F = frames, H, W = pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lumosx_core.data.latent_shards import LatentShard, SampleReferences
from lumosx_core.model.pixels import to_unit_range
from lumosx_core.model.text_encoder import TextEncoder
from lumosx_core.model.vae import encode_video
from lumosx_core.model.wan_vae import WanVae
from lumosx_core.owners import OwnedPhrase
from lumosx_core.text_spans import bind_phrases

CLIPS_AT_ONCE = 5
PICTURES_AT_ONCE = 25  # also captions


@dataclass(frozen=True, kw_only=True)
class Clips:
    """Clips of one size. frames: uint8 [N, F, H, W, 3]. references: uint8 [M, H, W, 3], prepared as the model sees them, in
    model order, clip after clip. owners: int8 [N, T, H/16, W/16], as in a shard. captions: one per clip, with the phrases of
    its references in the same order."""

    frames: np.ndarray
    references: np.ndarray
    owners: np.ndarray
    captions: Sequence[str]
    phrases: Sequence[Sequence[OwnedPhrase]]


def encode_clips(clips: Clips, vae: WanVae, text: TextEncoder, text_len: int) -> LatentShard:
    """Encode clips with the models that they are to be trained for. Raises InputError for a caption that does not hold its
    phrases in `text_len` tokens."""
    frames, stills = clips.frames, clips.references[:, None]
    video = [encode_video(vae, to_unit_range(part)) for part in _parts(frames, CLIPS_AT_ONCE)]
    reference = [encode_video(vae, to_unit_range(part)) for part in _parts(stills, PICTURES_AT_ONCE)]
    bound = [
        bind_phrases(caption, phrases, text.tokenizer, text_len=text_len)
        for caption, phrases in zip(clips.captions, clips.phrases, strict=True)
    ]
    prompts = [prompt.prompt for prompt in bound]
    contexts = [text.encode(prompts[k : k + PICTURES_AT_ONCE], text_len) for k in range(0, len(prompts), PICTURES_AT_ONCE)]
    return LatentShard(
        video=torch.cat(video),
        reference=torch.cat(reference)[:, :, 0],
        context=torch.cat(contexts),
        owners=torch.from_numpy(clips.owners),
        samples=[SampleReferences.of(prompt.references) for prompt in bound],
        empty_context=text.encode([""], text_len)[0, :1],
    )


def _parts(frames: np.ndarray, count: int) -> list[np.ndarray]:
    return [frames[k : k + count] for k in range(0, len(frames), count)]
