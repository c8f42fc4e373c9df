"""How much there is to compute for a video, before it is computed."""

from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.token_layout import TokenLayout


def forward_operations(config: TransformerConfig, layout: TokenLayout) -> int:
    """Multiplications of one pass of the transformer's blocks, which are nearly all of its work: the linear layers of every
    token, the pairs of self-attention that the layout allows, and cross-attention to the whole text."""
    dim, text = config.dim, config.text_len
    linear = layout.seq_len * (6 * dim**2 + 2 * dim * config.ffn_dim)  # q, k, v, o; q, o of the text; the feed-forward layers
    pairs = sum((q1 - q0) * (k1 - k0) for q0, q1, k0, k1 in layout.self_attention_rectangles())
    return config.num_layers * (linear + 2 * dim**2 * text + 2 * dim * (pairs + layout.seq_len * text))
