"""Training data as files: shards of video latents, reference latents, text states and multilevel mask levels.

A shard is one safetensors file with float16 tensors
    video [N, C, T, h, w]     reference [M, C, h, w] (all samples' references, one after the other)
    context [N, S, text_dim]  (zeros past each prompt)     levels [M, S]
an int8 tensor
    owners [N, T, h/2, w/2]   which of its sample's references a token of the video shows; -1: none, or not known
and in its metadata `samples`: JSON, per sample its references' `kinds` and `subjects`; `empty_context`: JSON [n][text_dim],
the text states of the empty prompt. Latents are normalised. Training knows nothing else of where data came from.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from lumosx_core.errors import InputError
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.training.grounding import NOBODY


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples with equal layouts. Shapes as in the shard with a batch axis: references [B, R, C, 1, h, w], levels [B, R, S],
    owners int8 [B, T, H, W]."""

    video: torch.Tensor
    references: torch.Tensor
    context: torch.Tensor
    levels: torch.Tensor
    owners: torch.Tensor
    layout: TokenLayout


class LatentDataset:
    """All shards `latents-*.safetensors` of a folder in memory, sorted into buckets of equal structure.

    also: further shards. `refresh` picks up shards that arrived meanwhile. Batches are a pure function of (seed, step):
    resuming needs no loader state. Raises InputError when the folder holds no shard.
    """

    def __init__(self, folder: Path, also: Sequence[Path] = ()) -> None:
        self.folder, self.also = folder, tuple(also)
        self.buckets: dict[tuple, list[dict[str, torch.Tensor]]] = {}
        self.seen: set[Path] = set()
        self.empty_context = torch.zeros(0, 0)
        self.refresh()
        if not self.buckets:
            raise InputError(f"no training data: {folder} holds no latents-*.safetensors; prepare them first")

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.buckets.values())

    def refresh(self) -> None:
        """Load the shards that are new since last time."""
        for path in [*sorted(self.folder.glob("latents-*.safetensors")), *self.also]:
            if path in self.seen:
                continue
            self.seen.add(path)
            with safe_open(path, "pt") as shard:
                samples = json.loads(shard.metadata()["samples"])
                self.empty_context = torch.tensor(json.loads(shard.metadata()["empty_context"]))
                video, reference = shard.get_tensor("video"), shard.get_tensor("reference")
                context, levels = shard.get_tensor("context"), shard.get_tensor("levels")
                owners = shard.get_tensor("owners")
            at = 0
            for row, sample in enumerate(samples):
                rows = slice(at, at := at + len(sample["kinds"]))
                key = (tuple(sample["kinds"]), tuple(sample["subjects"]), video.shape[2])
                self.buckets.setdefault(key, []).append(
                    {
                        "video": video[row],
                        "reference": reference[rows],
                        "context": context[row],
                        "levels": levels[rows],
                        "owners": owners[row],
                    }
                )

    def batch(
        self,
        size: int,
        seed: int,
        step: int,
        *,
        text_dropout: float = 0.0,
        reference_dropout: float = 0.0,
        frames: tuple[int, ...] = (),
    ) -> Batch:
        """The batch of that step: a bucket drawn by its size, then `size` samples of it.

        text_dropout: share of samples whose text becomes the empty prompt. reference_dropout: share of samples that lose
        their text and their references too: these become zeros, and no token has an owner. frames: latent frames to keep,
        one of these at random (a causal VAE's first frames are a shorter clip); empty: all.
        """
        rng = np.random.default_rng((seed, step))
        keys = list(self.buckets)
        counts = np.array([len(self.buckets[key]) for key in keys], float)
        key = keys[int(rng.choice(len(keys), p=counts / counts.sum()))]
        rows = self.buckets[key]
        chosen = [rows[int(k)] for k in rng.choice(len(rows), size=size, replace=len(rows) < size)]
        kept = int(rng.choice(frames)) if frames else None
        video = torch.stack([row["video"] for row in chosen]).float()[:, :, :kept]
        context = torch.stack([row["context"] for row in chosen]).float()
        references = torch.stack([row["reference"] for row in chosen]).float()
        owners = torch.stack([row["owners"] for row in chosen])[:, :kept]
        drawn = rng.random(size)
        for n in np.flatnonzero(drawn < reference_dropout + text_dropout):
            context[n] = 0
            context[n, : len(self.empty_context)] = self.empty_context
        for n in np.flatnonzero(drawn < reference_dropout):
            references[n], owners[n] = 0, NOBODY
        kinds, subjects, _ = key
        grid = (video.shape[2], video.shape[3] // 2, video.shape[4] // 2)
        return Batch(
            video=video,
            references=references.unsqueeze(3),
            context=context,
            levels=torch.stack([row["levels"] for row in chosen]).float(),
            owners=owners,
            layout=TokenLayout(*grid, kinds=kinds, subjects=subjects),
        )
