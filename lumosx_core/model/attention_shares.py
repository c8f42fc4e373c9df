"""Where the video looked: how much of every video token's attention goes to each owner's reference pictures.

Legend: B = batch, L = tokens, n = heads, d = head width, T, H, W = latent frames and token grid, P = H * W, G = groups (the
background, each object, each subject, in model order).
"""

from dataclasses import dataclass, field, replace

import torch

from lumosx_core.errors import InputError
from lumosx_core.model.attention_backends import sdpa_attention
from lumosx_core.model.relational_attention import rows_by_hidden
from lumosx_core.model.token_layout import TokenLayout


def attention_shares(q_BLnd: torch.Tensor, k_BLnd: torch.Tensor, layout: TokenLayout) -> torch.Tensor:
    """float32 [B, T*P, G] in 0..1: the attention of each video token that falls on each group, mean over the heads, with the
    layout's strengths and regions.

    One attention call whose values say which group a key belongs to, so that its result is the sum of the probabilities:
    as cheap as the attention itself, and no L x L tensor. q may hold the video rows only. Raises InputError for more groups
    than a head has channels (with strengths one is taken).
    """
    if layout.regions:
        return _shares_by_rows(q_BLnd, k_BLnd, layout)
    groups, most = layout.groups, k_BLnd.shape[-1] - bool(layout.strengths)
    if len(groups) > most:
        raise InputError(f"{len(groups)} groups of references, but at most {most} can be recorded")
    marks_BLnd = torch.zeros_like(k_BLnd)
    for index, (start, stop) in enumerate(groups):
        marks_BLnd[:, start:stop, :, index] = 1
    if layout.strengths:
        marks_BLnd = _weighted(marks_BLnd, layout)
    seen = sdpa_attention(q_BLnd[:, : layout.video_len], k_BLnd, marks_BLnd).float()
    if layout.strengths:
        seen = seen / seen[..., len(groups), None]
    return seen[..., : len(groups)].mean(2)


def _shares_by_rows(q_BLnd: torch.Tensor, k_BLnd: torch.Tensor, layout: TokenLayout) -> torch.Tensor:
    """`attention_shares` where rows see different references: hidden ones have the strength 0 for those that see the rest."""
    shares = k_BLnd.new_zeros(len(k_BLnd), layout.video_len, len(layout.groups), dtype=torch.float32)
    strengths = layout.strengths or (1.0,) * len(layout.kinds)
    for hidden, rows in rows_by_hidden(layout, q_BLnd.device):
        weights = tuple(0.0 if index in hidden else strength for index, strength in enumerate(strengths))
        seen = attention_shares(q_BLnd, k_BLnd, replace(layout, strengths=weights, regions=()))
        shares[:, rows] = seen[:, rows]
    return shares


def _weighted(marks_BLnd: torch.Tensor, layout: TokenLayout) -> torch.Tensor:
    """The marks, each key's as often as it counts; the channel behind those of the groups holds just that."""
    weights = torch.zeros_like(marks_BLnd[0, :, :1])
    for start, stop, weight in layout.key_ranges():
        weights[start:stop] = weight
    marks_BLnd[..., len(layout.groups)] = 1
    return marks_BLnd * weights


@dataclass
class AttentionRecord:
    """The shares of one sampling run. layout: of its tokens, None before the first run. sigmas: noise level of each recorded
    step, falling. Shares of several blocks or calls of one step are averaged."""

    layout: TokenLayout | None = None
    sigmas: list[float] = field(default_factory=list)
    _sums: list[torch.Tensor] = field(default_factory=list)
    _counts: list[int] = field(default_factory=list)

    def clear(self) -> None:
        """Forget everything: a new run begins."""
        self.sigmas, self._sums, self._counts = [], [], []

    def add(self, sigma: float, shares_THWG: torch.Tensor) -> None:
        """Take in the shares [T, H, W, G] of one block in the step at `sigma`."""
        if not self.sigmas or self.sigmas[-1] != sigma:
            self.sigmas.append(sigma)
            self._sums.append(torch.zeros_like(shares_THWG, device="cpu", dtype=torch.float32))
            self._counts.append(0)
        self._sums[-1] += shares_THWG.float().cpu()
        self._counts[-1] += 1

    def shares(self) -> torch.Tensor:
        """float32 [steps, T, H, W, G]. Raises InputError if nothing was recorded."""
        if not self.sigmas:
            raise InputError(
                "no attention was recorded yet; switch record_attention on, and connect the decoded frames too, so that the "
                "sampling comes first"
            )
        return torch.stack([total / count for total, count in zip(self._sums, self._counts, strict=True)])
