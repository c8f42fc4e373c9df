"""Tokens of white paper that leave the sequence: which they are, and that everything else stays where and what it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode

from lumosx_core.errors import InputError
from lumosx_core.model.attention_backends import sdpa_attention
from lumosx_core.model.config import PRESETS
from lumosx_core.model.pixels import blank_tokens
from lumosx_core.model.relational_attention import multilevel_bias, relational_cross_attention, relational_self_attention
from lumosx_core.model.rope import rope_table
from lumosx_core.model.token_layout import KeyRange, TokenLayout, kept_tokens
from lumosx_core.model.transformer import LumosXTransformer

H, W = 3, 5
HALF = bytes([0, 0, 1, 1, 1] * H)  # the right side of a picture
SOME = bytes([1] * 4 + [0] * 11)
KINDS, SUBJECTS = ("object", "face", "attribute", "face"), (None, 0, 0, 1)
WHOLE = TokenLayout(2, H, W, kinds=KINDS, subjects=SUBJECTS)
FEWER = replace(WHOLE, blank=(HALF, bytes(15), SOME, HALF))


def kept() -> torch.Tensor:
    places = kept_tokens(FEWER, torch.device("cpu"))
    assert places is not None
    return places


def test_a_token_is_blank_where_it_and_its_neighbours_are_white() -> None:
    picture = np.full((48, 80, 3), 255, np.uint8)
    picture[0, 0, 2] = 254  # one channel of one pixel of token (0, 0)
    assert blank_tokens(picture) == bytes([0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1])
    picture[20, 79] = 0  # in token (1, 4)
    assert blank_tokens(picture) == bytes([0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 1, 1, 0, 0])
    assert blank_tokens(np.full((48, 80, 3), 255, np.uint8)) == bytes(15)  # nothing else to show: it stays whole
    assert blank_tokens(np.zeros((48, 80, 3), np.uint8)) == bytes(15)


def test_the_layout_counts_what_is_there() -> None:
    assert FEWER.reference_lens == (6, 15, 11, 6) and FEWER.seq_len == 30 + 38
    assert FEWER.groups == ((30, 36), (36, 62), (62, 68))
    assert kept()[30:36].tolist() == [30, 31, 35, 36, 40, 41]
    assert torch.equal(FEWER.positions(), WHOLE.positions()[kept()])
    weighted = replace(FEWER, strengths=(0.5, 1.0, 1.0, 2.0))
    assert weighted.key_ranges() == (
        KeyRange(0, 30, 1.0),
        KeyRange(30, 36, 0.5),
        KeyRange(36, 62, 1.0),
        KeyRange(62, 68, 2.0),
    )
    assert weighted.key_ranges(36, 62) == (KeyRange(36, 62, 1.0),)


def test_nothing_left_out_is_the_layout_without_it() -> None:
    assert replace(WHOLE, blank=(bytes(15),) * 4) == WHOLE and kept_tokens(WHOLE, torch.device("cpu")) is None


@pytest.mark.parametrize(
    ("blank", "words"),
    [
        ((HALF,), "4 kinds but 1 pictures with blank tokens"),
        ((HALF, HALF, HALF, bytes([1] * 15)), "not all 1"),
        ((HALF, HALF, HALF, bytes(14)), "expected 15 bytes"),
        ((HALF, HALF, HALF, bytes([2] * 15)), "of 0 or 1"),
    ],
)
def test_marks_that_do_not_fit_are_errors(blank: tuple[bytes, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(WHOLE, blank=blank)


@pytest.mark.parametrize("strengths", [(), (1.0, 0.3, 2.0, 1.0)])
@pytest.mark.parametrize("videos", [1, 2])
def test_self_attention_is_that_of_the_tokens_that_are_there(strengths: tuple[float, ...], videos: int) -> None:
    whole = replace(WHOLE, strengths=strengths, videos=videos)
    fewer = replace(whole, blank=FEWER.blank)
    places = kept_tokens(fewer, torch.device("cpu"))
    q, k, v = torch.randn(3, 2, whole.seq_len, 2, 12, generator=torch.Generator().manual_seed(1))
    allowed = torch.zeros(whole.seq_len, whole.seq_len, dtype=torch.bool)
    for a, b, c, d in whole.self_attention_rectangles():
        allowed[a:b, c:d] = True
    bias = torch.zeros(whole.seq_len, whole.seq_len).masked_fill(~allowed, -torch.inf)
    for (start, stop), strength in zip(whole.reference_spans, strengths, strict=False):
        bias[:, start:stop] += torch.tensor(strength).log()
    dense = bias[places][:, places]
    expected = F.scaled_dot_product_attention(*(x[:, places].transpose(1, 2) for x in (q, k, v)), attn_mask=dense)
    got = relational_self_attention(q[:, places], k[:, places], v[:, places], fewer, sdpa_attention)
    assert (got - expected.transpose(1, 2)).abs().max() < 1e-5


@pytest.mark.parametrize("pool", [2, 8])
@pytest.mark.parametrize("pool_layout", ["released", "aligned"])
def test_the_others_read_the_bias_that_they_would_read_beside_zeros(pool: int, pool_layout: str) -> None:
    generator = torch.Generator().manual_seed(2)
    q, (k, v) = torch.randn(2, 60, 2, 12, generator=generator), torch.randn(2, 2, 7, 2, 12, generator=generator)
    levels = torch.rand(1, 4, 7, generator=generator) * 2 - 1
    rows = kept()[30:] - 30
    beside_zeros = torch.zeros_like(q).index_copy(1, rows, q[:, rows])
    how = {"ratio": 0.5, "pool": pool, "pool_layout": pool_layout}
    expected = multilevel_bias(beside_zeros, k, levels, WHOLE, **how)[:, :, rows]
    assert torch.equal(multilevel_bias(q[:, rows], k, levels, FEWER, **how), expected)
    video = torch.randn(2, 30, 2, 12, generator=generator)
    whole = relational_cross_attention(torch.cat([video, beside_zeros], 1), k, v, WHOLE, levels, sdpa_attention, **how)
    got = relational_cross_attention(torch.cat([video, q[:, rows]], 1), k, v, FEWER, levels, sdpa_attention, **how)
    assert (got - whole[:, kept()]).abs().max() < 1e-6


@torch.no_grad()
def test_the_video_depends_on_what_is_there_alone() -> None:
    torch.manual_seed(0)
    config = PRESETS["debug"]
    model = LumosXTransformer(config).train(False)
    torch.nn.init.normal_(model.head.head.weight, std=0.2)
    latent, stills = torch.randn(1, 16, 2, 2 * H, 2 * W), torch.randn(1, 4, 16, 2 * H, 2 * W)
    text, levels, time = torch.randn(1, 9, config.text_dim), torch.rand(1, 4, config.text_len), torch.tensor([500.0])
    rows: list[int] = []
    handle = model.blocks[0].register_forward_pre_hook(lambda module, given: rows.append(given[0].shape[1]))  # noqa: ARG005
    whole, fewer = (model(latent, time, text, stills, layout, levels) for layout in (WHOLE, FEWER))
    assert rows == [90, 68] and fewer.shape == whole.shape and (whole - fewer).abs().max() > 1e-3
    for column, changes in ((9, False), (3, True)):  # in the part of the object that is left out, and in that which is there
        other = stills.clone()
        other[:, 0, :, :, column] += 1
        assert (not torch.equal(model(latent, time, text, other, FEWER, levels), fewer)) == changes
    handle.remove()


def test_tables_with_content_and_without_do_not_mix() -> None:
    layout = replace(FEWER, frames=4)  # which no other test has asked for
    with FakeTensorMode():
        counted = rope_table(layout, 12, torch.device("cpu"))
        assert counted.shape == (1, layout.seq_len, 1, 6) and type(counted) is not torch.Tensor
    table = rope_table(layout, 12, torch.device("cpu"))
    assert type(table) is torch.Tensor and table[0, 0, 0, 0] == 1
    with FakeTensorMode():
        assert type(rope_table(layout, 12, torch.device("cpu"))) is not torch.Tensor
    assert rope_table(layout, 12, torch.device("cpu")) is table
