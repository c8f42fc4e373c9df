"""The second loss of grounded heads: its value by hand, its gradient, and who owns which token of a rendered clip."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.data.latent_shards import NOBODY
from lumosx_core.model.attention_backends import sdpa_attention
from lumosx_core.model.config import PRESETS
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.nano.clips import token_owners
from lumosx_core.nano.grounding import GroundedAttention, matrix_attention
from lumosx_core.puppets.clip import sample_clip
from lumosx_core.puppets.pictures import reference_set
from lumosx_core.puppets.render import render_clip

LAYOUT = TokenLayout(1, 1, 2, kinds=("face", "attribute", "face"), subjects=(0, 0, 1))


def test_matrix_attention_is_attention() -> None:
    q, k, v = (torch.randn(2, length, 3, 8) for length in (5, 7, 7))
    out, weights = matrix_attention(q, k, v)
    assert torch.allclose(out, sdpa_attention(q, k, v), atol=1e-6)
    assert weights.shape == (2, 3, 5, 7) and torch.allclose(weights.sum(-1), torch.ones(2, 3, 5))


def test_the_loss_by_hand() -> None:
    attention = GroundedAttention(LAYOUT)
    # Keys: two video tokens, then two tokens per picture. One head, queries of length one.
    scores = torch.log(torch.tensor([[1.0, 1, 3, 1, 1, 1, 1, 1], [2.0, 2, 1, 1, 1, 1, 1, 7]]))
    q = torch.eye(2)[None, :, None]  # [1, 2, 1, 2]
    k = scores.T[None, :, None] * 2**0.5  # undone by the scale of attention
    attention(q, k, k)
    assert [w.shape for w in attention.weights] == [(1, 1, 2, 8)]
    owners = torch.tensor([[[[0, 2]]]], dtype=torch.int8)
    expected = (-math.log(4 / 10) - math.log(8 / 16)) / 2
    assert float(attention.loss(owners, (0,), 1)) == pytest.approx(expected, rel=1e-6)
    one_known = torch.tensor([[[[0, NOBODY]]]], dtype=torch.int8)
    assert float(attention.loss(one_known, (0,), 1)) == pytest.approx(-math.log(4 / 10), rel=1e-6)
    assert float(attention.loss(torch.full_like(owners, NOBODY), (0,), 1)) == 0.0


def test_one_weight_matrix_per_block_and_a_gradient_that_teaches() -> None:
    torch.manual_seed(0)
    model = LumosXTransformer(PRESETS["debug"])
    model.initialize_weights()
    owners = torch.tensor([[[[1, 2]]]], dtype=torch.int8)
    inputs = (torch.randn(1, 16, 1, 2, 4), torch.tensor([500.0]), torch.randn(1, 5, 24), torch.randn(1, 3, 16, 2, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        attention = GroundedAttention(LAYOUT)
        model(*inputs, LAYOUT, None, attention=attention)
        assert len(attention.weights) == PRESETS["debug"].num_layers
        loss = attention.loss(owners, (1,), 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.9 and losses[-1] < 0.1


def test_owners_of_a_rendered_clip() -> None:
    rng = np.random.default_rng(4)
    clip = sample_clip(rng, people=2, attributes=2, objects=1, frames=9)
    references = reference_set(rng, clip, background=True).references()
    rendered = render_clip(clip)
    owners = token_owners(rendered, clip, references)
    assert owners.shape == (3, 5, 6) and owners.dtype == np.int8
    kinds = [reference.kind for reference in references]
    assert set(np.unique(owners)) <= {NOBODY, *range(len(references))} and kinds[:2] == ["background", "object"]
    faces = [index for index, kind in enumerate(kinds) if kind == "face"]
    for latent_frame, frame in ((0, 0), (2, 8)):
        for person, index in enumerate(faces):
            x0, y0, x1, y1 = rendered.face_boxes[frame, person]
            row, column = int((y0 + y1) / 2) // 16, int((x0 + x1) / 2) // 16
            assert owners[latent_frame, row, column] in (index, index + 1, index + 2)  # the face, or what it wears there
    assert (owners[:, :2, 0] == 0).all() or (owners[:, :2, 5] == 0).all()  # the background shows at a side
    nobody = replace(clip, puppets=(), placements=(), objects=(), object_places=())
    assert (token_owners(render_clip(nobody), nobody, references[1:2]) == NOBODY).all()


def test_balanced_latents_keep_the_pictures_and_are_ordered(tmp_path: Path) -> None:
    from lumosx_core.model.pixels import to_unit_range
    from lumosx_core.model.vae import decode_video, encode_video
    from lumosx_core.nano.latents import balance_latents
    from lumosx_core.nano.vae import build_vae

    rng = np.random.default_rng(0)
    frames = np.stack([render_clip(sample_clip(rng, frames=5)).frames for _ in range(24)])
    pictures = to_unit_range(frames[:, :1])[:, :, 0]
    vae = build_vae(12, pictures).train(False)
    shard = tmp_path / "clips-0000.safetensors"
    save_file(
        {"frames": torch.from_numpy(frames), "references": torch.from_numpy(frames[:, 4].copy()), "owners": torch.zeros(1)},
        shard,
        metadata={"clips": "[]"},
    )
    video = to_unit_range(frames[:2])
    with torch.no_grad():
        before = vae.decode(vae.encode(video).latent_dist.mode()).sample
    balance_latents(vae, shard, clips=24)
    latents = torch.cat([encode_video(vae, to_unit_range(frames[k : k + 4, :1])) for k in range(0, 24, 4)])
    assert (decode_video(vae, encode_video(vae, video)) - before.clamp(-1, 1)).abs().max() < 1e-3
    flat = latents.transpose(0, 1).flatten(1)
    assert flat.mean(1).abs().max() < 0.1
    covariance = torch.cov(flat)
    spread = covariance.diag().sqrt()
    assert 0.8 < float(spread.square().mean()) < 1.2 and spread[0] == spread.max() and spread[0] > 1.8 * spread[-1]
    assert (covariance / (spread[:, None] * spread)).fill_diagonal_(0).abs().max() < 0.2
