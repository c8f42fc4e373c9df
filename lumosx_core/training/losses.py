"""What a step is trained on: the loss is handed to the loop, which knows its total, its share per sample and its figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

import torch

from lumosx_core.data.latent_dataset import Batch
from lumosx_core.model.attention_backends import Attention
from lumosx_core.model.devices import arithmetic
from lumosx_core.model.flow import flow_matching_loss
from lumosx_core.model.relational_attention import PoolLayout
from lumosx_core.model.transformer import LumosXTransformer


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What one step learns from, on the device of the model: a batch, noise [B, C, T, h, w] for its videos and timesteps [B] in
    [0, 1000). precision: "fp32" or "bf16", of the model's own arithmetic. pool_layout: of the multilevel mask."""

    batch: Batch
    noise: torch.Tensor
    timestep: torch.Tensor
    precision: str = "fp32"
    pool_layout: PoolLayout = "released"

    def to(self, device: torch.device | str) -> "Draw":
        """The same on a device."""
        return replace(self, batch=self.batch.to(device), noise=self.noise.to(device), timestep=self.timestep.to(device))

    def parts(self, size: int) -> "list[Draw]":
        """The same in parts of at most `size` samples; whole for size 0."""
        count = len(self.timestep)
        return (
            [
                replace(
                    self,
                    batch=self.batch.part(first, first + size),
                    noise=self.noise[first : first + size],
                    timestep=self.timestep[first : first + size],
                )
                for first in range(0, count, size)
            ]
            if 0 < size < count
            else [self]
        )


@dataclass(frozen=True, kw_only=True)
class StepLoss:
    """total: the scalar to be differentiated. samples: its part per sample [B]. figures: what else is worth showing."""

    total: torch.Tensor
    samples: torch.Tensor
    figures: Mapping[str, torch.Tensor] = field(default_factory=dict)


class Loss(Protocol):
    """The loss of a run. in_parts: whether that of a batch is the mean of its samples', and so can be computed in parts."""

    in_parts: ClassVar[bool]

    def check(self, model: LumosXTransformer, *, gradient_checkpointing: bool) -> None:
        """Raises InputError if this model cannot be trained on it."""

    def __call__(self, model: LumosXTransformer, draw: Draw) -> StepLoss:
        """The loss of one step."""


class PublishedLoss:
    """The flow-matching loss of every place of the video alike (LumosX, arXiv 2603.20192)."""

    in_parts: ClassVar[bool] = True

    def check(self, model: LumosXTransformer, *, gradient_checkpointing: bool) -> None:
        """Every model can be trained on it."""

    def __call__(self, model: LumosXTransformer, draw: Draw) -> StepLoss:
        """Mean over the batch."""
        losses = flow_losses(model, draw)
        return StepLoss(total=losses.mean(), samples=losses)


def flow_losses(
    model: LumosXTransformer,
    draw: Draw,
    *,
    weights: torch.Tensor | None = None,
    attention: Attention | None = None,
) -> torch.Tensor:
    """[B]: the flow-matching loss of each sample of a draw.

    weights: of the squared errors, broadcast to the videos (none: 1). attention: a plain attention callable for the model
    instead of its own.
    """
    batch = draw.batch

    def velocity(noisy: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return model(
            noisy,
            timestep,
            batch.context,
            batch.references,
            batch.layout,
            batch.levels,
            attention=attention,
            pool_layout=draw.pool_layout,
        )

    with arithmetic(draw.precision, draw.noise.device):
        return flow_matching_loss(velocity, batch.video, draw.noise, draw.timestep, weights)
