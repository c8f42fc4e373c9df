"""Wan's three-axis rotary position embedding at given (t, y, x) positions.

Legend: L = tokens, d = head width, n = heads.
"""

import torch

from lumosx_core.model.cached_tables import cached_table
from lumosx_core.model.token_layout import TokenLayout

BASE = 10000.0


def axis_widths(head_dim: int) -> tuple[int, int, int]:
    """Channels of one head that rotate with time, height and width."""
    sixth = head_dim // 6
    return head_dim - 4 * sixth, 2 * sixth, 2 * sixth


def rope_angles(positions_L3: torch.Tensor, head_dim: int) -> torch.Tensor:
    """float64 [L, d/2]: the rotation angle of every channel pair at integer positions [L, 3]."""
    parts = []
    for axis, width in enumerate(axis_widths(head_dim)):
        frequencies = BASE ** -(torch.arange(0, width, 2, dtype=torch.float64) / width)
        parts.append(positions_L3[:, axis].double().cpu()[:, None] * frequencies)
    return torch.cat(parts, 1)


@cached_table
def rope_table(layout: TokenLayout, head_dim: int, device: torch.device) -> torch.Tensor:
    """complex64 [1, L, 1, d/2]: unit rotations of the layout's tokens, computed in float64."""
    angles = rope_angles(layout.positions(), head_dim)
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)[None, :, None].to(device)


def apply_rope(x_BLnd: torch.Tensor, table_1L1c: torch.Tensor) -> torch.Tensor:
    """Rotate adjacent channel pairs of [B, L, n, d] by the table, in float32; returns x's dtype."""
    pairs = torch.view_as_complex(x_BLnd.float().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * table_1L1c).flatten(-2).to(x_BLnd.dtype)
