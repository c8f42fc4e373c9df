"""Plain attention callables."""

import torch
import torch.nn.functional as F


def sdpa_attention(q_BLnd: torch.Tensor, k_BSnd: torch.Tensor, v_BSnd: torch.Tensor) -> torch.Tensor:
    """Unmasked attention [B, L, n, d] by torch's scaled_dot_product_attention."""
    q, k, v = (x.transpose(1, 2) for x in (q_BLnd, k_BSnd, v_BSnd))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
