"""Where a subject may appear: masks as tokens, and what the video's rows then see, against attention under a dense mask."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.model.attention_backends import sdpa_attention
from lumosx_core.model.attention_shares import attention_shares
from lumosx_core.model.regions import read_region, region_tokens, regions_of_references
from lumosx_core.model.relational_attention import relational_cross_attention, relational_self_attention
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.video_size import VideoSize

H, W = 2, 3
P = H * W
LEFT, RIGHT, CORNER = bytes([1, 0, 0] * H), bytes([0, 1, 1] * H), bytes([1, 0, 0, 0, 0, 0])
KINDS, SUBJECTS = ("object", "face", "attribute", "face"), (None, 0, 0, 1)
WHOLE = TokenLayout(2, H, W, kinds=KINDS, subjects=SUBJECTS)
APART = replace(WHOLE, regions=(b"", LEFT, LEFT, RIGHT))
SIZE = VideoSize(width=48, height=32, frames=5)


def dense(q: torch.Tensor, k: torch.Tensor, layout: TokenLayout) -> torch.Tensor:
    """Attention [B, n, L, L] as sections 4, 15 and 17 of docs/method.md say it, element by element."""
    weights = torch.zeros(layout.seq_len, layout.seq_len)
    for rows in layout.self_attention_rectangles():
        weights[rows.q_start : rows.q_stop, rows.k_start : rows.k_stop] = 1
    for index, (start, stop) in enumerate(layout.reference_spans):
        weights[:, start:stop] *= layout.strengths[index] if layout.strengths else 1
        region = layout.regions[index]
        for row in range(layout.video_len):
            if region and not region[row % P]:
                weights[row, start:stop] = 0
    scores = torch.einsum("blnd,bmnd->bnlm", q, k) / math.sqrt(q.shape[-1])
    return torch.softmax(scores + weights.log(), -1)


@pytest.mark.parametrize(
    "layout",
    [
        APART,
        replace(APART, regions=(CORNER, LEFT, b"", CORNER)),
        replace(APART, strengths=(1.0, 0.5, 1.0, 2.0)),
        replace(APART, blank=(bytes(P), CORNER, bytes(P), RIGHT)),
        replace(APART, causal_self_attention_mask=False),
    ],
    ids=["sides", "several", "strengths", "blank", "no mask"],
)
def test_rows_see_what_a_dense_mask_lets_them_see(layout: TokenLayout) -> None:
    q, k, v = torch.randn(3, 2, layout.seq_len, 2, 8, generator=torch.Generator().manual_seed(1)).unbind()
    shares = dense(q, k, layout)
    expected = torch.einsum("bnlm,bmnd->blnd", shares, v)
    out = relational_self_attention(q, k, v, layout, sdpa_attention)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    video = relational_self_attention(q, k, v, layout, sdpa_attention, video_only=True)
    torch.testing.assert_close(video, expected[:, : layout.video_len], atol=1e-5, rtol=1e-5)
    seen = torch.stack([shares[:, :, : layout.video_len, a:b].sum(-1).mean(1) for a, b in layout.groups], -1)
    torch.testing.assert_close(attention_shares(q, k, layout), seen, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("ratio", [0.0, 0.5])
def test_rows_do_not_see_the_words_of_those_who_are_hidden(ratio: float) -> None:
    levels = torch.zeros(1, 4, 6)
    levels[0, 0, 0] = 1  # the object's word, which is seen everywhere
    levels[0, 1:3, 1:3] = 1  # of subject 0
    levels[0, 3, 2:4] = 1  # of subject 1; both own word 2
    q, k, v = (torch.randn(1, n, 2, 8, generator=torch.Generator().manual_seed(n)) for n in (APART.seq_len, 6, 6))
    arguments = {"ratio": ratio, "pool": 8}
    plain = relational_cross_attention(q, k, v, WHOLE, levels, sdpa_attention, **arguments)
    out = relational_cross_attention(q, k, v, APART, levels, sdpa_attention, **arguments)
    assert torch.equal(out[:, APART.video_len :], plain[:, APART.video_len :])
    for row in range(APART.video_len):
        words = [0, 1, 2, 4, 5] if LEFT[row % P] else [0, 2, 3, 4, 5]
        expected = sdpa_attention(q[:, row : row + 1], k[:, words], v[:, words])
        torch.testing.assert_close(out[:, row : row + 1], expected, atol=1e-5, rtol=1e-5)
    video = relational_cross_attention(q[:, : APART.video_len], k, v, APART, levels, sdpa_attention, **arguments)
    torch.testing.assert_close(video, out[:, : APART.video_len])


def test_several_videos_have_the_same_regions() -> None:
    two = replace(APART, videos=2)
    q, k, v = torch.randn(3, 1, two.seq_len, 2, 8, generator=torch.Generator().manual_seed(2)).unbind()
    out = relational_self_attention(q, k, v, two, sdpa_attention)
    for number in range(2):
        rows = torch.cat([torch.arange(APART.video_len) + number * APART.video_len, torch.arange(two.video_len, two.seq_len)])
        alone = relational_self_attention(q[:, rows], k[:, rows], v[:, rows], APART, sdpa_attention)
        torch.testing.assert_close(out[:, rows], alone, atol=1e-5, rtol=1e-5)


def test_everywhere_is_the_layout_without_regions() -> None:
    assert replace(WHOLE, regions=(b"", bytes([1] * P), b"", b"")) == WHOLE
    assert regions_of_references((), SUBJECTS) == regions_of_references((b"", b""), SUBJECTS) == ()
    assert regions_of_references((LEFT,), SUBJECTS) == (b"", LEFT, LEFT, b"")


def test_sides_and_pictures_become_tokens(tmp_path: Path) -> None:
    wide = VideoSize(width=64, height=32, frames=5)
    assert [list(read_region(side, wide, "it")) for side in ("left", "right", "top", "bottom")] == [
        [1, 1, 0, 0] * 2,
        [0, 0, 1, 1] * 2,
        [1] * 4 + [0] * 4,
        [0] * 4 + [1] * 4,
    ]
    assert read_region("everywhere", wide, "it") == b""
    picture = np.zeros((32, 48), np.uint8)
    picture[:16, :8] = 255  # half of the first token
    picture[16:, 32:39] = 255  # less than half of the last
    Image.fromarray(picture).save(tmp_path / "mask.png")
    assert read_region(str(tmp_path / "mask.png"), SIZE, "it") == CORNER


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (np.ones((32, 64)), "it is 64 x 32 pixels, the video 48 x 32; make the mask as large"),
        (np.zeros((32, 48)), "it is empty"),
        (np.pad(np.ones((10, 10)), ((0, 22), (0, 38))), "smaller than the 16 x 16 pixels"),
    ],
    ids=["size", "empty", "small"],
)
def test_wrong_masks_are_told(region: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        region_tokens(region, SIZE, "it")


def test_wrong_words_and_too_many_are_told() -> None:
    with pytest.raises(InputError, match="it is 'middle', expected everywhere, left"):
        read_region("middle", SIZE, "it")
    with pytest.raises(InputError, match="3 regions are given for 2 subjects"):
        regions_of_references((LEFT, RIGHT, b""), SUBJECTS)
    with pytest.raises(InputError, match="4 kinds but 1 regions"):
        replace(WHOLE, regions=(LEFT,))
    with pytest.raises(InputError, match="expected 6 bytes of 0 or 1, not all 0"):
        replace(WHOLE, regions=(b"", bytes(P), b"", b""))
