"""Relational attention against oracles that are written from the method's definition, with dense masks and plain loops."""

import math
import sys
import types
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from lumosx_core.checks.golden import backend_check
from lumosx_core.errors import InputError
from lumosx_core.model import attention_backends
from lumosx_core.model.attention_backends import sage_attention, sdpa_attention, select_attention
from lumosx_core.model.config import PRESETS
from lumosx_core.model.relational_attention import relational_cross_attention, relational_self_attention
from lumosx_core.model.rope import rope_table
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import CrossAttention, Relations, SelfAttention


@st.composite
def layouts(draw: st.DrawFn) -> TokenLayout:
    """Any mix of background, objects and subjects with one to four pictures, on any small grid."""
    frames, height, width = (draw(st.integers(1, n)) for n in (5, 5, 9))
    kinds, subjects = [], []
    if draw(st.booleans()):
        kinds, subjects = ["background"], [None]
    for _ in range(draw(st.integers(0, 3))):
        kinds, subjects = [*kinds, "object"], [*subjects, None]
    for number, images in enumerate(draw(st.lists(st.integers(1, 4), max_size=3))):
        kinds += ["face"] + ["attribute"] * (images - 1)
        subjects += [number] * images
    some = st.lists(st.sampled_from((0.0, 0.3, 1.0, 1.7, 4.0)), min_size=len(kinds), max_size=len(kinds))
    strengths = tuple(draw(st.one_of(st.just([]), some)))
    return TokenLayout(frames, height, width, kinds=tuple(kinds), subjects=tuple(subjects), strengths=strengths)


def stand_in_sage() -> types.ModuleType:
    """A module with SageAttention's two functions, computed by torch: our calls of it are what is tested."""
    module = types.ModuleType("sageattention")

    def sageattn(q, k, v, tensor_layout="HND", is_causal=False):
        assert tensor_layout == "NHD" and not is_causal
        return sdpa_attention(q, k, v)

    def sageattn_varlen(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, is_causal=False):
        assert not is_causal
        assert cu_seqlens_q.dtype == torch.int32 and torch.equal(cu_seqlens_q, cu_seqlens_k)
        lengths = cu_seqlens_q.diff()
        assert int(lengths.max()) == max_seqlen_q == max_seqlen_k and int(cu_seqlens_q[-1]) == len(q)
        parts = [
            sdpa_attention(*(x[a:b][None] for x in (q, k, v)))[0]
            for a, b in zip(cu_seqlens_q[:-1].tolist(), cu_seqlens_q[1:].tolist(), strict=True)
        ]
        return torch.cat(parts)

    module.sageattn, module.sageattn_varlen = sageattn, sageattn_varlen
    return module


@pytest.fixture
def sage(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "sageattention", stand_in_sage())
    return sage_attention()


def owner_of_tokens(layout: TokenLayout) -> list[object]:
    """Per token "video", or what makes its group: the subject's number, or the picture itself."""
    owners = ["video"] * layout.video_len
    for index, subject in enumerate(layout.subjects):
        owners += [("picture", index) if subject is None else ("subject", subject)] * layout.tokens_per_frame
    return owners


def nobody_looks_at(owner: tuple[str, int], layout: TokenLayout) -> bool:
    """Whether all pictures of a group have strength 0: then its rows feed nothing, and it sees itself as ever."""
    what, number = owner
    return not any(s for k, s in enumerate(layout.strengths) if number == (k if what == "picture" else layout.subjects[k]))


def dense_self_attention(q, k, v, layout):
    owners = owner_of_tokens(layout)
    mask = torch.tensor([[a == "video" or a == b for b in owners] for a in owners])
    scores = torch.einsum("bqnd,bknd->bnqk", q.double(), k.double()) / math.sqrt(q.shape[-1])
    for index, strength in enumerate(layout.strengths):  # log(strength) on what anybody sees of a reference
        start = layout.video_len + index * layout.tokens_per_frame
        bias = math.log(strength) if strength else -math.inf
        rows = [row for row, owner in enumerate(owners) if owner == "video" or not nobody_looks_at(owner, layout)]
        scores[:, :, rows, start : start + layout.tokens_per_frame] += bias
    weights = scores.masked_fill(~mask, -math.inf).softmax(-1)
    return torch.einsum("bnqk,bknd->bqnd", weights, v.double()).float()


def dense_cross_attention(q, k, v, layout, levels, ratio, pool):
    """Every entry of the bias by its definition: cells of the zero-padded map, averaged over pool x pool places."""
    batch, _, heads, width = q.shape
    h, w = layout.height, layout.width
    padded_h, padded_w = h + (-h) % pool, w + (-w) % pool
    bias = torch.zeros(batch, heads, layout.seq_len, k.shape[1], dtype=torch.float64)
    for b in range(batch):
        for r in range(len(layout.kinds)):
            start = layout.video_len + r * h * w
            image = torch.zeros(padded_h, padded_w, heads, width, dtype=torch.float64)
            image[:h, :w] = q[b, start : start + h * w].double().reshape(h, w, heads, width)
            level = levels[b if len(levels) > 1 else 0, r].double()
            for row in range(h * w):
                y, x = row // padded_w // pool * pool, row % padded_w // pool * pool
                pooled = image[y : y + pool, x : x + pool].sum((0, 1)) / pool**2
                score = torch.einsum("nd,snd->ns", pooled, k[b].double()) / math.sqrt(width)
                bias[b, :, start + row] = ratio * score.abs() * level
    scores = torch.einsum("bqnd,bknd->bnqk", q.double(), k.double()) / math.sqrt(width) + bias
    return torch.einsum("bnqk,bknd->bqnd", scores.softmax(-1), v.double()).float()


def heads_of(generator: torch.Generator, batch: int, length: int) -> list[torch.Tensor]:
    return [torch.randn(batch, length, 2, 12, generator=generator) for _ in range(3)]


@settings(max_examples=60, deadline=None)
@given(layout=layouts(), batch=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_self_attention_equals_the_dense_mask_in_both_backends(layout: TokenLayout, batch: int, seed: int) -> None:
    q, k, v = heads_of(torch.Generator().manual_seed(seed), batch, layout.seq_len)
    expected = dense_self_attention(q, k, v, layout)
    original = sys.modules.get("sageattention")
    sys.modules["sageattention"] = stand_in_sage()
    try:
        backends = {"sdpa": sdpa_attention, "sage": sage_attention()}
    finally:
        sys.modules.pop("sageattention")
        if original is not None:
            sys.modules["sageattention"] = original
    for name, backend in backends.items():
        got = relational_self_attention(q, k, v, layout, backend)
        assert (got - expected).abs().max() < 1e-5, name
        video = relational_self_attention(q[:, : layout.video_len], k, v, layout, backend, video_only=True)
        assert (video - expected[:, : layout.video_len]).abs().max() < 1e-5, name


@settings(max_examples=40, deadline=None)
@given(
    layout=layouts(),
    batch=st.integers(1, 2),
    shared=st.booleans(),
    pool=st.sampled_from((2, 3, 8)),
    ratio=st.sampled_from((0.1, 0.5, 2.0)),
    seed=st.integers(0, 2**31),
)
def test_cross_attention_equals_the_dense_bias(
    layout: TokenLayout, batch: int, shared: bool, pool: int, ratio: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    q, _, _ = heads_of(generator, batch, layout.seq_len)
    k, v, _ = heads_of(generator, batch, 7)
    levels = torch.rand(1 if shared else batch, len(layout.kinds), 7, generator=generator) * 2 - 1
    expected = dense_cross_attention(q, k, v, layout, levels, ratio, pool)
    got = relational_cross_attention(q, k, v, layout, levels, sdpa_attention, ratio=ratio, pool=pool)
    assert (got - expected).abs().max() < 1e-5


def test_groups_of_different_length_take_one_varlen_call(sage) -> None:
    layout = TokenLayout(2, 2, 3, kinds=("object", "face", "attribute"), subjects=(None, 0, 0))
    calls = []
    original = sage.varlen

    def counted(*arguments):
        calls.append(arguments[3].tolist())
        return original(*arguments)

    backend = attention_backends.AttentionBackend("sage", sage.plain, counted)
    q, k, v = heads_of(torch.Generator().manual_seed(1), 2, layout.seq_len)
    got = relational_self_attention(q, k, v, layout, backend)
    assert calls == [[0, 6, 18, 24, 36]]  # two groups of 6 and 12 tokens, for both rows of the batch
    assert (got - dense_self_attention(q, k, v, layout)).abs().max() < 1e-5


def test_the_check_of_a_backend_sees_a_wrong_one(sage) -> None:
    check = backend_check(sage, "cpu", torch.bfloat16)
    assert check.passed and 0 < check.deviation < 0.02
    wrong = attention_backends.AttentionBackend("wrong", lambda q, k, v: sdpa_attention(q, k, v.roll(1, 1)))
    assert not backend_check(wrong, "cpu", torch.float32).passed


def test_no_mask_and_no_references_are_plain_attention() -> None:
    q, k, v = heads_of(torch.Generator().manual_seed(2), 1, 12)
    plain = sdpa_attention(q, k, v)
    unmasked = TokenLayout(1, 2, 3, kinds=("face",), subjects=(0,), causal_self_attention_mask=False)
    assert torch.equal(relational_self_attention(q, k, v, unmasked, sdpa_attention), plain)
    text_only = TokenLayout(2, 2, 3)
    assert torch.equal(relational_self_attention(q, k, v, text_only, sdpa_attention), plain)
    assert torch.equal(relational_cross_attention(q, k, v, text_only, None, sdpa_attention, ratio=0.5, pool=8), plain)


@settings(max_examples=30, deadline=None)
@given(layouts(), st.integers(2, 4), st.booleans())
def test_several_videos_see_what_each_sees_alone(alone: TokenLayout, count: int, video_only: bool) -> None:
    together = replace(alone, videos=count)
    length, generator = alone.video_len, torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(2, together.seq_len, 2, 8, generator=generator) for _ in range(3))
    out = relational_self_attention(q, k, v, together, sdpa_attention, video_only=video_only)
    assert out.shape[1] == (count * length if video_only else together.seq_len)
    for number in range(count):
        own = [torch.cat([x[:, number * length : (number + 1) * length], x[:, count * length :]], 1) for x in (q, k, v)]
        expected = relational_self_attention(*own, alone, sdpa_attention)
        got = torch.cat([out[:, number * length : (number + 1) * length], out[:, count * length :]], 1)
        assert (got - expected[:, : got.shape[1]]).abs().max() < 1e-5
    if not alone.strengths:
        mask = torch.zeros(together.seq_len, together.seq_len, dtype=torch.bool)
        for a, b, c, d in together.self_attention_rectangles():
            mask[a:b, c:d] = True
        dense = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), attn_mask=mask).transpose(1, 2)
        assert (out - dense[:, : out.shape[1]]).abs().max() < 1e-5


class LargestTensor(TorchDispatchMode):
    """The largest number of elements that any operation put out, and which operation it was."""

    def __init__(self) -> None:
        super().__init__()
        self.largest, self.operation = 0, ""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.numel() > self.largest:
                self.largest, self.operation = tensor.numel(), str(func)
        return out


def test_memory_of_one_block_at_full_size() -> None:
    """81 frames at 832 x 480 with nine references: nothing above three hidden states, the bias included."""
    config = PRESETS["t2v_1_3b"]
    kinds = ("background", "object", "object") + ("face", "attribute", "attribute") * 2
    layout = TokenLayout(21, 30, 52, kinds=kinds, subjects=(None, None, None, 0, 0, 0, 1, 1, 1))
    rope = rope_table(layout, config.head_dim, torch.device("cpu"))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
        self_attention, cross_attention = SelfAttention(config), CrossAttention(config)
        x = torch.empty(1, layout.seq_len, config.dim)
        context, levels = torch.empty(1, config.text_len, config.dim), torch.empty(1, len(kinds), config.text_len)
        fake_rope = mode.from_tensor(rope)
        relations = Relations(
            layout=layout, rope=fake_rope, levels=levels, attention=sdpa_attention, ratio=0.5, pool_layout="released"
        )
        with LargestTensor() as seen:
            self_attention(x, relations)
            cross_attention(x, context, relations)
    hidden = layout.seq_len * config.dim
    assert layout.seq_len == 46_800
    assert hidden <= seen.largest <= 3 * hidden, f"{seen.operation} made {seen.largest / hidden:.2f} hidden states"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fast", "cpu", torch.float32), "unknown attention backend 'fast'; expected one of auto, sdpa, sage, flash"),
        (("sage", "cpu", torch.bfloat16), "'sage' is not available: it runs on CUDA only, the model is on cpu"),
        (("flash", "cuda", torch.float32), "'flash' is not available: it needs fp16 or bf16, the model is float32"),
        (("sage", "cuda", torch.float16, 256), "it takes heads of at most 128 channels, the model has 256"),
    ],
)
def test_a_backend_that_cannot_run_is_an_error(arguments: tuple, words: str) -> None:
    with pytest.raises(InputError) as raised:
        select_attention(*arguments)
    assert words in str(raised.value)


def test_auto_picks_and_says_what(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert select_attention("auto", "cpu", torch.float32).name == "sdpa"
    assert "attention: sdpa (not SageAttention: it runs on CUDA only, the model is on cpu)" in caplog.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the real SageAttention kernels are NOT tested")
def test_real_sage_attention_on_cuda() -> None:
    pytest.importorskip("sageattention", reason="sageattention is not installed: its kernels are NOT tested")
    layout, device = TokenLayout(3, 8, 12, kinds=("object", "face", "attribute"), subjects=(None, 0, 0)), "cuda"
    generator = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(1, layout.seq_len, 2, 128, generator=generator).to(device, torch.float16) for _ in range(3))
    got = relational_self_attention(q, k, v, layout, select_attention("sage", "cuda", torch.float16))
    expected = dense_self_attention(q.cpu().float(), k.cpu().float(), v.cpu().float(), layout)
    assert F.mse_loss(got.cpu().float(), expected) < 1e-4
