"""The relational mechanisms as others would compute them: with a mask and a bias that are written out, and with torch's
flex_attention. Measured beside the core's way, and equal to it.

Legend: L = tokens, S = text positions, n = heads, d = head width.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from lumosx_core.model.attention_backends import Attention
from lumosx_core.model.relational_attention import cell_of_row, multilevel_bias, multilevel_bias_of_cells
from lumosx_core.model.token_layout import TokenLayout

RATIO, POOL = 0.5, 8  # of the released model


def dense_self_mask(layout: TokenLayout) -> torch.Tensor:
    """Bool [L, L]: the causal self-attention mask written out."""
    mask = torch.zeros(layout.seq_len, layout.seq_len, dtype=torch.bool)
    for q_start, q_stop, k_start, k_stop in layout.self_attention_rectangles():
        mask[q_start:q_stop, k_start:k_stop] = True
    return mask


def dense_attention(layout: TokenLayout, levels_BRS: torch.Tensor, device: str) -> tuple[Attention, Attention]:
    """Self- and cross-attention [B, L, n, d] with a mask [L, L] and a bias [n, L, S] that are written out."""
    mask = dense_self_mask(layout).to(device)

    def own(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return _masked(q, k, v, mask)

    def text(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        rows = multilevel_bias(q[:, layout.video_len :], k, levels_BRS, layout, ratio=RATIO, pool=POOL, pool_layout="released")
        return _masked(q, k, v, F.pad(rows, (0, 0, layout.video_len, 0)).to(q.dtype))

    return own, text


def flex_attention(layout: TokenLayout, levels_BRS: torch.Tensor, device: str) -> tuple[Attention, Attention]:
    """Self- and cross-attention [B, L, n, d] by torch's flex_attention, compiled: a block mask, and a score function that reads
    the bias of a pooling cell. The first call compiles, which takes a minute."""
    from torch.nn.attention.flex_attention import create_block_mask
    from torch.nn.attention.flex_attention import flex_attention as flexible

    compiled: Callable[..., Any] = torch.compile(flexible)
    group = torch.full((layout.seq_len,), -1)
    for number, (start, stop) in enumerate(layout.groups):
        group[start:stop] = number
    group = group.to(device)

    def seen(batch: Any, head: Any, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:  # noqa: ARG001 - torch's signature
        return (group[q] == -1) | (group[q] == group[k])

    blocks = create_block_mask(seen, None, None, layout.seq_len, layout.seq_len, device=device)

    def call(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **how: Any) -> torch.Tensor:
        return compiled(*(x.transpose(1, 2) for x in (q, k, v)), **how).transpose(1, 2)

    video = layout.video_len
    cell = cell_of_row(layout.height, layout.width, POOL, "released", torch.device(device))
    image = torch.arange(len(layout.kinds), device=device)[:, None]

    def text(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        cells = multilevel_bias_of_cells(q[:, video:], k, levels_BRS, layout, ratio=RATIO, pool=POOL)
        # The rows of the video read one more cell, which is zero.
        place = F.pad((image * cells.shape[3] + cell).flatten(), (video, 0), value=len(image) * cells.shape[3])
        table = F.pad(cells.flatten(2, 3), (0, 0, 0, 1))

        def added(score: torch.Tensor, batch: Any, head: Any, row: Any, column: Any) -> torch.Tensor:
            return score + table[batch, head, place[row], column]

        return call(q, k, v, score_mod=added)

    return lambda q, k, v: call(q, k, v, block_mask=blocks), text


def _masked(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
