"""Grounding: some attention heads are told which reference picture a place of the video comes from.

Left alone, a small model spends thousands of steps before any head looks from a garment in the video at the right picture;
only then can it learn to copy. The puppet world knows the right picture for every token, so during training a few heads
get a second, small loss: minus the logarithm of the attention that they give to it. The model and its sampling stay as
they are.

Legend: B = batch, L = query tokens, S = key tokens, n = heads, d = head width, R = references, P = tokens of a frame,
T, H, W = token grid of the video.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from lumosx_core.data.latent_dataset import Batch
from lumosx_core.data.latent_shards import NOBODY
from lumosx_core.errors import InputError
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.numbers import real_number, whole_number
from lumosx_core.training.config import MAX_COUNT, MAX_WEIGHT
from lumosx_core.training.losses import Draw, StepLoss, flow_losses


def matrix_attention(q_BLnd: torch.Tensor, k_BSnd: torch.Tensor, v_BSnd: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unmasked attention by two matrix products: (output [B, L, n, d], weights [B, n, L, S] in float32).

    Same values as torch's fused function. On a CPU with sequences of a few hundred tokens training is a quarter faster with
    it, since the backward pass of the fused one is slow there.
    """
    q, k, v = (x.transpose(1, 2) for x in (q_BLnd, k_BSnd, v_BSnd))
    weights = ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).float().softmax(-1)
    return (weights.to(v.dtype) @ v).transpose(1, 2), weights


class GroundedAttention:
    """A plain attention callable for one forward pass that keeps the weights with which the video looks at everything."""

    def __init__(self, layout: TokenLayout) -> None:
        self.layout = layout
        self.weights: list[torch.Tensor] = []  # per block [B, n, video_len, seq_len]

    def __call__(self, q_BLnd: torch.Tensor, k_BSnd: torch.Tensor, v_BSnd: torch.Tensor) -> torch.Tensor:
        """Unmasked attention [B, L, n, d]."""
        out, weights = matrix_attention(q_BLnd, k_BSnd, v_BSnd)
        # Without the causal mask the rows of the pictures are in the same call, except in the last block.
        rows = (self.layout.video_len, *(() if self.layout.causal_self_attention_mask else (self.layout.seq_len,)))
        if weights.shape[2] in rows and weights.shape[3] == self.layout.seq_len:
            self.weights.append(weights[:, :, : self.layout.video_len])
        return out

    def loss(self, owners_BTHW: torch.Tensor, blocks: tuple[int, ...], heads: int) -> torch.Tensor:
        """Mean of -log(attention to the right picture) over the owned tokens of the video, a scalar.

        owners: int [B, T, H, W], index of a reference or NOBODY. blocks: which transformer blocks; of each the first
        `heads` heads. Zero if nothing is owned.
        """
        owners = owners_BTHW.flatten(1)[:, None, :, None].long()  # [B, 1, L, 1]
        known = (owners != NOBODY).squeeze(-1)
        total = torch.zeros((), device=owners.device)
        for block in blocks:
            weights = self.weights[block][:, :heads, :, self.layout.video_len :]
            by_picture = weights.unflatten(-1, (-1, self.layout.tokens_per_frame)).sum(-1)  # [B, heads, L, R]
            right = by_picture.gather(-1, owners.clamp(min=0).expand(-1, heads, -1, -1)).squeeze(-1)
            total = total - (right.clamp(min=1e-6).log() * known).sum() / (heads * known.sum().clamp(min=1))
        return total / max(1, len(blocks))


@dataclass(frozen=True, kw_only=True)
class GroundedLoss:
    """The published loss, weighed by who is seen where, and the second loss of grounded heads; both need data with owners.
    Raises InputError on construction for values out of range.

    subject_weight: of the loss where a face, an attribute or an object is seen; 1 elsewhere. grounding: weight of the second
    loss, asked of the transformer blocks `blocks`, of the first `heads` heads of each.
    """

    subject_weight: float = 1.0
    grounding: float = 0.0
    blocks: tuple[int, ...] = (1, 2, 3)
    heads: int = 2
    in_parts: ClassVar[bool] = False  # both losses are weighed by who is seen in the whole batch

    def __post_init__(self) -> None:
        real_number(self.subject_weight, "training: subject_weight", above=0, most=MAX_WEIGHT)
        real_number(self.grounding, "training: grounding", least=0, most=MAX_WEIGHT)
        whole_number(self.heads, "training: grounded heads", least=0, most=MAX_COUNT)
        for block in self.blocks:
            whole_number(block, "training: grounded blocks", least=0, most=MAX_COUNT)

    def check(self, model: LumosXTransformer, *, gradient_checkpointing: bool) -> None:
        """Raises InputError if the model has no such blocks or heads, or throws away what grounding looks at."""
        if not self.grounding:
            return
        if gradient_checkpointing:
            raise InputError("training: grounding keeps what gradient_checkpointing throws away; set one of them to 0 or False")
        blocks, heads = model.config.num_layers, model.config.num_heads
        if max(self.blocks, default=0) >= blocks or self.heads > heads:
            raise InputError(
                f"training: grounding of {self.heads} heads in the blocks {self.blocks}, but the model has {heads} heads and "
                f"the blocks 0 to {blocks - 1}"
            )

    def __call__(self, model: LumosXTransformer, draw: Draw) -> StepLoss:
        """The loss of one step; figures: "grounding" where it is asked for."""
        weights = subject_weights(draw.batch, self.subject_weight)
        attention = GroundedAttention(draw.batch.layout) if self.grounding else None
        losses = flow_losses(model, draw, weights=weights, attention=attention)
        if attention is None:
            return StepLoss(total=losses.mean(), samples=losses)
        grounding = attention.loss(draw.batch.owners, self.blocks, self.heads)
        total = losses.mean() + self.grounding * grounding
        return StepLoss(total=total, samples=losses, figures={"grounding": grounding})


def subject_weights(batch: Batch, weight: float) -> torch.Tensor:
    """float32 [B, 1, T, h, w], mean 1: the weight of the loss at every place of the batch's videos.

    Tokens that show a face, an attribute or an object weigh `weight` times as much as the rest, whose look is partly
    left open by the prompt: what cannot be known there only adds noise to the gradient.
    """
    scene = [index for index, kind in enumerate(batch.layout.kinds) if kind == "background"]
    others = torch.isin(batch.owners, torch.tensor([NOBODY, *scene], dtype=batch.owners.dtype, device=batch.owners.device))
    tokens = torch.where(others, 1.0, weight)
    return (tokens / tokens.mean()).repeat_interleave(2, 2).repeat_interleave(2, 3)[:, None]
