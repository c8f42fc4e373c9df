"""The work of a pass, beside what PyTorch itself counts."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.model.work import forward_operations

CONFIG = TransformerConfig(dim=96, num_heads=2, num_layers=3, ffn_dim=256, text_dim=32, text_len=64)


def test_it_is_what_the_blocks_multiply() -> None:
    layout = TokenLayout(3, 8, 10)
    model = LumosXTransformer(CONFIG)
    latent, text = torch.zeros(1, 16, 3, 16, 20), torch.zeros(1, 64, 32)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(latent, torch.tensor([700]), text, None, layout, None)
    inside = counter.get_total_flops() / 2  # with patches, time and head, a few percent of so small a model
    assert forward_operations(CONFIG, layout) == pytest.approx(inside, rel=0.05)


def test_references_cost_what_they_add_and_their_groups_look_at_themselves_alone() -> None:
    plain = TokenLayout(3, 8, 10)
    more = TokenLayout(3, 8, 10, kinds=("face", "face"), subjects=(0, 1))
    d, text, video, each = 96, 64, 240, 80
    added = 2 * each * (6 * d**2 + 2 * d * 256 + 2 * d * text) + 2 * d * (2 * each * video + 2 * each**2)
    assert forward_operations(CONFIG, more) - forward_operations(CONFIG, plain) == 3 * added
