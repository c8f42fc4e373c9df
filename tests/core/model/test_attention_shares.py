"""Shares of attention against a plain softmax, the record, and its picture."""

import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.drawing.attention import STRONGEST, draw_attention
from lumosx_core.drawing.palette import colour_of
from lumosx_core.errors import InputError
from lumosx_core.model.attention_shares import AttentionRecord, attention_shares
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.owners import owners
from lumosx_core.references import ReferenceSet, SceneReference, Subject

LAYOUT = TokenLayout(2, 2, 3, kinds=("object", "face", "attribute", "face"), subjects=(None, 0, 0, 1))


def test_shares_are_the_sums_of_the_probabilities() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(2, LAYOUT.seq_len, 3, 8, generator=generator) for _ in range(2))
    weights = torch.einsum("blnd,bsnd->bnls", q, k).div(8**0.5).softmax(-1)[:, :, : LAYOUT.video_len]
    expected = torch.stack([weights[..., start:stop].sum(-1).mean(1) for start, stop in LAYOUT.groups], -1)
    for queries in (q, q[:, : LAYOUT.video_len]):
        shares = attention_shares(queries, k, LAYOUT)
        assert shares.shape == (2, LAYOUT.video_len, 3)
        assert torch.allclose(shares, expected, atol=1e-6)


def test_more_groups_than_channels_are_refused() -> None:
    q = torch.zeros(1, LAYOUT.seq_len, 1, 2)
    with pytest.raises(InputError, match="3 groups of references, but at most 2"):
        attention_shares(q, q, LAYOUT)


def test_blocks_of_a_step_are_averaged_and_a_new_run_begins_anew() -> None:
    record = AttentionRecord()
    for sigma, value in ((1.0, 0.2), (1.0, 0.4), (0.5, 0.1)):
        record.add(sigma, torch.full((1, 2, 3, 2), value))
    assert record.sigmas == [1.0, 0.5]
    assert torch.allclose(record.shares()[:, 0, 0, 0, 0], torch.tensor([0.3, 0.1]))
    record.clear()
    with pytest.raises(InputError, match="no attention was recorded"):
        record.shares()


def test_picture_shows_each_owner_where_it_was_looked_at() -> None:
    picture = Image.new("RGB", (8, 8))
    references = ReferenceSet(
        subjects=(Subject(name="man", face=picture),), objects=(SceneReference(phrase="ball", image=picture),)
    )
    shares = torch.zeros(2, 2, 2, 2)
    shares[:, :, 0, 0] = 0.3  # left: the object
    shares[:, :, 1, 1] = 0.1  # right: the subject
    record = AttentionRecord()
    record.add(1.0, shares)
    drawn = np.asarray(draw_attention(references, record, np.full((5, 16, 16, 3), 128, dtype=np.uint8)))
    for owner, rows, coloured, grey in zip(owners(references), (100, 310), (220, 400), (400, 220), strict=True):
        strong = np.round(0.8 * 128 * (1 - STRONGEST) + np.array(colour_of(owner)) * STRONGEST)
        assert np.abs(drawn[rows : rows + 100, coloured] - strong).max() <= 2
        assert np.abs(drawn[rows : rows + 100, grey] - round(0.8 * 128)).max() <= 2
