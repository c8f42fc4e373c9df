"""Training data in memory: the samples of latent shards (`latent_shards.py`), and the batch of every step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lumosx_core.data.latent_shards import NOBODY, REMEDY, Sample, read_latents
from lumosx_core.errors import InputError
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.token_layout import TokenLayout


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples with equal layouts. Shapes as in the shard with a batch axis: references [B, R, C, h, w], levels [B, R, S],
    owners int8 [B, T, H, W]. samples: shard and row of each, for messages."""

    video: torch.Tensor
    references: torch.Tensor
    context: torch.Tensor
    levels: torch.Tensor
    owners: torch.Tensor
    layout: TokenLayout
    samples: tuple[str, ...] = ()

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch with its tensors on a device."""
        tensors = {name: getattr(self, name).to(device) for name in ("video", "references", "context", "levels", "owners")}
        return replace(self, **tensors)

    def part(self, first: int, end: int) -> "Batch":
        """The samples from number `first` to before `end`."""
        names = ("video", "references", "context", "levels", "owners")
        return replace(self, **{name: getattr(self, name)[first:end] for name in names}, samples=self.samples[first:end])


class LatentDataset:
    """All shards `latents-*.safetensors` of a folder in memory, sorted into buckets of equal structure.

    also: further shards. `refresh` picks up shards that arrived meanwhile. Batches are a pure function of (seed, step):
    resuming needs no loader state. Raises InputError when the folder holds no shard, for a shard that `read_latents`
    refuses, and for one of another latent or text width, or text length, than those before.
    """

    def __init__(self, folder: Path, also: Sequence[Path] = ()) -> None:
        self.folder, self.also = folder, tuple(also)
        self.buckets: dict[tuple, list[Sample]] = {}
        self.seen: set[Path] = set()
        self.empty_context = torch.zeros(0, 0)
        self.widths: tuple[int, int, int] | None = None  # latent channels, text_dim, text length
        self.first: Path | None = None
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
            samples, empty_context = read_latents(path)
            widths = (samples[0].video.shape[0], samples[0].context.shape[1], samples[0].context.shape[0])
            if self.widths is None:
                self.widths, self.first = widths, path
            if widths != self.widths:
                raise InputError(
                    f"{path} has {_words(widths)}, but {self.first} has {_words(self.widths)}; train on shards of one VAE and "
                    f"one text encoder: {REMEDY}"
                )
            self.seen.add(path)
            self.empty_context = empty_context
            for sample in samples:
                self.buckets.setdefault((sample.kinds, sample.subjects, *sample.video.shape[1:]), []).append(sample)

    def check_model(self, config: TransformerConfig) -> None:
        """Raises InputError unless the transformer reads latents and texts as the shards hold them."""
        wanted = (config.in_dim, config.text_dim, config.text_len)
        if self.widths != wanted:
            raise InputError(
                f"the shards of {self.folder} have {_words(self.widths or (0, 0, 0))}, but the transformer reads "
                f"{_words(wanted)}; choose the preset that the data was prepared for, or prepare it again"
            )

    def largest_layout(self) -> TokenLayout:
        """Of the samples with the most tokens."""
        layouts = [TokenLayout(f, h // 2, w // 2, kinds=kinds, subjects=owners) for kinds, owners, f, h, w in self.buckets]
        return max(layouts, key=lambda layout: layout.seq_len)

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
        video = torch.stack([row.video for row in chosen]).float()[:, :, :kept]
        context = torch.stack([row.context for row in chosen]).float()
        references = torch.stack([row.reference for row in chosen]).float()
        owners = torch.stack([row.owners for row in chosen])[:, :kept]
        drawn = rng.random(size)
        for n in np.flatnonzero(drawn < reference_dropout + text_dropout):
            context[n] = 0
            context[n, : len(self.empty_context)] = self.empty_context
        for n in np.flatnonzero(drawn < reference_dropout):
            references[n], owners[n] = 0, NOBODY
        kinds, subjects = rows[0].kinds, rows[0].subjects
        grid = (video.shape[2], video.shape[3] // 2, video.shape[4] // 2)
        return Batch(
            video=video,
            references=references,
            context=context,
            levels=torch.stack([row.levels for row in chosen]).float(),
            owners=owners,
            layout=TokenLayout(*grid, kinds=kinds, subjects=subjects),
            samples=tuple(row.name for row in chosen),
        )


def _words(widths: tuple[int, int, int]) -> str:
    return f"{widths[0]} latent channels and texts of {widths[2]} tokens x {widths[1]}"
