"""Grounding: some attention heads are told which reference picture a place of the video comes from.

Left alone, a small model spends thousands of steps before any head looks from a garment in the video at the right picture;
only then can it learn to copy. The puppet world knows the right picture for every token, so during training a few heads
get a second, small loss: minus the logarithm of the attention that they give to it. The model and its sampling stay as
they are.

Legend: B = batch, L = query tokens, S = key tokens, n = heads, d = head width, R = references, P = tokens of a frame,
T, H, W = token grid of the video.
"""

import torch

from lumosx_core.model.token_layout import TokenLayout

NOBODY = -1  # a token whose picture is not known, or that comes from none


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
        if weights.shape[2:] == (self.layout.video_len, self.layout.seq_len):
            self.weights.append(weights)
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
