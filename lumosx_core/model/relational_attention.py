"""Relational self- and cross-attention: functions of q, k, v, a `TokenLayout` and a plain attention callable.

The only place where these exist; the transformer and the ComfyUI bridge both call it. No L x L mask and no dense
[heads, L, text] bias is ever built.

Legend: B = batch, L = tokens, n = heads, d = head width, R = references, P = tokens of a frame, S = text positions.
"""

import math
from dataclasses import replace
from itertools import accumulate
from typing import Literal

import torch
import torch.nn.functional as F

from lumosx_core.model.attention_backends import Attention, AttentionBackend, VarlenAttention
from lumosx_core.model.token_layout import KeyRange, TokenLayout, kept_tokens

PoolLayout = Literal["released", "aligned"]
# Keys and values of the reference rows for one block's self-attention, [B, M, n, d] each; empty until they are computed.
ReferenceKeys = list[torch.Tensor]


def relational_self_attention(
    q_BLnd: torch.Tensor,
    k_BLnd: torch.Tensor,
    v_BLnd: torch.Tensor,
    layout: TokenLayout,
    attention: Attention,
    *,
    video_only: bool = False,
) -> torch.Tensor:
    """Attention under the causal self-attention mask, [B, L, n, d].

    The mask is a list of rectangles, so it is a few unmasked calls of `attention`: the video rows against all keys, then
    the groups, those of equal length together in one call, or all of them if the backend takes mixed lengths (its
    attribute `varlen`). video_only: only the first video_len rows are wanted (last
    block); q may then hold just those, and the result has just those.
    The keys of a reference count as often as its strength in the layout says, for every row that sees them; rows of the video
    outside of its region do not. Of several
    videos each sees its own keys and those of the references.
    """
    plain, varlen = _calls_of(attention)
    video, total = layout.video_len, layout.seq_len
    if layout.videos > 1:
        return _self_attention_of_videos(q_BLnd, k_BLnd, v_BLnd, layout, attention, video_only)
    if layout.strengths or layout.regions:
        return _self_attention_with_weights(q_BLnd, k_BLnd, v_BLnd, layout, plain, video_only)
    if video_only:
        return plain(q_BLnd[:, :video], k_BLnd, v_BLnd)
    if not layout.causal_self_attention_mask or total == video:
        return plain(q_BLnd, k_BLnd, v_BLnd)
    parts: list[torch.Tensor] = [plain(q_BLnd[:, :video], k_BLnd, v_BLnd)]
    runs = _equal_runs(layout)
    if varlen is not None and len(runs) > 1:
        return torch.cat([*parts, _groups_at_once(q_BLnd, k_BLnd, v_BLnd, layout, varlen)], 1)
    for start, stop, length in runs:
        folded = [
            x[:, start:stop].unflatten(1, (-1, length)).flatten(0, 1) for x in (q_BLnd, k_BLnd, v_BLnd)
        ]  # groups of equal length become rows of the batch
        parts.append(plain(*folded).reshape(len(q_BLnd), stop - start, *q_BLnd.shape[2:]))
    return torch.cat(parts, 1)


def _self_attention_of_videos(
    q_BLnd: torch.Tensor,
    k_BLnd: torch.Tensor,
    v_BLnd: torch.Tensor,
    layout: TokenLayout,
    attention: Attention,
    video_only: bool,
) -> torch.Tensor:
    """`relational_self_attention` of several videos: the first together with the references, whose rows are computed once, the
    others as rows of the batch, each beside a copy of the references' keys."""
    video, one = layout.video_len, replace(layout, videos=1)
    length, others = one.video_len, layout.videos - 1

    def first(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[:, :length], x[:, video:]], 1)

    def apart(x: torch.Tensor) -> torch.Tensor:
        return x[:, length:video].unflatten(1, (others, length)).flatten(0, 1)

    def beside_references(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([apart(x), x[:, video:].repeat_interleave(others, 0)], 1)

    out = relational_self_attention(first(q_BLnd), first(k_BLnd), first(v_BLnd), one, attention, video_only=video_only)
    rest = relational_self_attention(
        apart(q_BLnd), beside_references(k_BLnd), beside_references(v_BLnd), one, attention, video_only=True
    )
    return torch.cat([out[:, :length], rest.unflatten(0, (-1, others)).flatten(1, 2), out[:, length:]], 1)


def _self_attention_with_weights(
    q_BLnd: torch.Tensor, k_BLnd: torch.Tensor, v_BLnd: torch.Tensor, layout: TokenLayout, plain: Attention, video_only: bool
) -> torch.Tensor:
    """`relational_self_attention` where some keys count more or less than once, or not for all rows: one group after the
    other."""
    video = layout.video_len
    parts = [_video_rows(q_BLnd[:, :video], k_BLnd, v_BLnd, layout, plain)]
    if not video_only:
        groups = layout.groups if layout.causal_self_attention_mask else ((video, layout.seq_len),)
        seen = layout.groups if layout.causal_self_attention_mask else ((0, layout.seq_len),)
        parts += [
            _counted(q_BLnd[:, a:b], k_BLnd, v_BLnd, layout.key_ranges(*keys), plain)
            for (a, b), keys in zip(groups, seen, strict=True)
        ]
    return torch.cat(parts, 1)


def _video_rows(
    q_BMnd: torch.Tensor, k_BLnd: torch.Tensor, v_BLnd: torch.Tensor, layout: TokenLayout, plain: Attention
) -> torch.Tensor:
    """Attention of the video's rows, [B, M, n, d]: those that see the same references together, which are rectangles again."""
    if not layout.regions:
        return _counted(q_BMnd, k_BLnd, v_BLnd, layout.key_ranges(), plain)
    out = torch.empty_like(q_BMnd)
    for hidden, rows in rows_by_hidden(layout, q_BMnd.device):
        seen = _counted(q_BMnd.index_select(1, rows), k_BLnd, v_BLnd, layout.key_ranges(hidden=hidden), plain)
        out.index_copy_(1, rows, seen.to(out.dtype))
    return out


def rows_by_hidden(layout: TokenLayout, device: torch.device) -> list[tuple[frozenset[int], torch.Tensor]]:
    """(references that are hidden, int64 rows of the videos) for every set of hidden references, all rows once."""
    frames = torch.arange(layout.videos * layout.frames, device=device)[:, None] * layout.tokens_per_frame
    return [
        (hidden, (frames + torch.tensor(list(marks), device=device).nonzero()[:, 0]).flatten())
        for hidden, marks in layout.hidden_by_place.items()
    ]


def _counted(
    q_BMnd: torch.Tensor, k_BLnd: torch.Tensor, v_BLnd: torch.Tensor, ranges: tuple[KeyRange, ...], plain: Attention
) -> torch.Tensor:
    """Attention of M rows to these ranges of the keys, each key counted `weight` times, [B, M, n, d].

    A key that counts w times is a bias of log(w) on its logits. Kernels without masks compute it as a quotient:
    softmax(l + log w) v = (softmax(l) (w * v)) / (softmax(l) w), two calls instead of one. Nothing cancels in it, since all
    weights are positive (keys of weight 0 are in no range); where all are equal, one call is enough.
    """
    if sum(keys.stop - keys.start for keys in ranges) < k_BLnd.shape[1]:
        k_BLnd, v_BLnd = (torch.cat([x[:, keys.start : keys.stop] for keys in ranges], 1) for x in (k_BLnd, v_BLnd))
    if len({keys.weight for keys in ranges}) == 1:
        return plain(q_BMnd, k_BLnd, v_BLnd)
    weights = torch.cat([v_BLnd.new_full((keys.stop - keys.start,), keys.weight) for keys in ranges])[None, :, None, None]
    mass = plain(q_BMnd, k_BLnd, weights.expand_as(v_BLnd).contiguous())
    return plain(q_BMnd, k_BLnd, v_BLnd * weights) / mass


def _calls_of(attention: Attention) -> tuple[Attention, VarlenAttention | None]:
    """The library's own functions for plain attention and for mixed lengths."""
    return (attention.plain, attention.varlen) if isinstance(attention, AttentionBackend) else (attention, None)


def _groups_at_once(
    q_BLnd: torch.Tensor, k_BLnd: torch.Tensor, v_BLnd: torch.Tensor, layout: TokenLayout, varlen: VarlenAttention
) -> torch.Tensor:
    """Every group's attention to itself in one call, [B, R * P, n, d]."""
    video, batch = layout.video_len, len(q_BLnd)
    lengths = torch.tensor([stop - start for start, stop in layout.groups] * batch)
    ends = F.pad(lengths.cumsum(0), (1, 0)).to(q_BLnd.device, torch.int32)
    q, k, v = (x[:, video:].flatten(0, 1) for x in (q_BLnd, k_BLnd, v_BLnd))
    return varlen(q, k, v, ends, int(lengths.max())).unflatten(0, (batch, -1))


def _equal_runs(layout: TokenLayout) -> tuple[tuple[int, int, int], ...]:
    """(start, stop, length) of runs of neighbouring groups that have the same length."""
    runs: list[tuple[int, int, int]] = []
    for start, stop in layout.groups:
        if runs and runs[-1][2] == stop - start:
            runs[-1] = (runs[-1][0], stop, stop - start)
        else:
            runs.append((start, stop, stop - start))
    return tuple(runs)


def with_reference_keys(
    k_BLnd: torch.Tensor, v_BLnd: torch.Tensor, layout: TokenLayout, kept: ReferenceKeys | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values of all rows: as they are where all are there, else with the kept ones behind the video's. Those of the
    references are put into `kept` where it is empty."""
    if kept is None:
        return k_BLnd, v_BLnd
    if not kept:
        kept += [x[:, layout.video_len :].clone() for x in (k_BLnd, v_BLnd)]  # a view would keep the video's too
        return k_BLnd, v_BLnd
    return torch.cat([k_BLnd, kept[0]], 1), torch.cat([v_BLnd, kept[1]], 1)


def relational_cross_attention(
    q_BLnd: torch.Tensor,
    k_BSnd: torch.Tensor,
    v_BSnd: torch.Tensor,
    layout: TokenLayout,
    levels_BRS: torch.Tensor | None,
    attention: Attention,
    *,
    ratio: float,
    pool: int,
    pool_layout: PoolLayout = "released",
) -> torch.Tensor:
    """Attention to the text with the multilevel mask's bias on the reference rows, [B, L, n, d].

    levels_BRS: [B or 1, R, S] from `text_levels`; None (or ratio 0) is plain attention. q may hold the video rows only: there
    is nothing to bias then. Video rows outside of a subject's region do not see the words that it alone owns.
    """
    plain, _ = _calls_of(attention)
    video = layout.video_len
    if layout.regions and levels_BRS is not None:
        rows = _video_rows_to_text(q_BLnd[:, :video], k_BSnd, v_BSnd, layout, levels_BRS, plain)
        if q_BLnd.shape[1] == video:
            return rows
        if ratio == 0:
            return torch.cat([rows, plain(q_BLnd[:, video:], k_BSnd, v_BSnd)], 1)
    elif levels_BRS is None or ratio == 0 or layout.seq_len == video or q_BLnd.shape[1] == video:
        return plain(q_BLnd, k_BSnd, v_BSnd)
    else:
        rows = plain(q_BLnd[:, :video], k_BSnd, v_BSnd)
    references = biased_cross_attention(
        q_BLnd[:, video:], k_BSnd, v_BSnd, layout, levels_BRS, ratio=ratio, pool=pool, pool_layout=pool_layout
    )
    return torch.cat([rows, *references], 1)


def _video_rows_to_text(
    q_BMnd: torch.Tensor,
    k_BSnd: torch.Tensor,
    v_BSnd: torch.Tensor,
    layout: TokenLayout,
    levels_BRS: torch.Tensor,
    plain: Attention,
) -> torch.Tensor:
    """Attention of the video's rows to the text, [B, M, n, d]: where pictures of a subject are hidden, so are its own words."""
    out = torch.empty_like(q_BMnd)
    owned = levels_BRS > 0
    for hidden, rows in rows_by_hidden(layout, q_BMnd.device):
        some = q_BMnd.index_select(1, rows)
        if hidden:
            away = [index in hidden for index in range(len(layout.kinds))]
            away_R = torch.tensor(away, device=owned.device)
            seen_BS = ~owned[:, away_R].any(1) | owned[:, ~away_R].any(1)
            q, k, v = (x.transpose(1, 2) for x in (some, k_BSnd, v_BSnd))
            seen = F.scaled_dot_product_attention(q, k, v, attn_mask=seen_BS[:, None, None]).transpose(1, 2)
        else:
            seen = plain(some, k_BSnd, v_BSnd)
        out.index_copy_(1, rows, seen.to(out.dtype))
    return out


def biased_cross_attention(
    q_BMnd: torch.Tensor,
    k_BSnd: torch.Tensor,
    v_BSnd: torch.Tensor,
    layout: TokenLayout,
    levels_BRS: torch.Tensor,
    *,
    ratio: float,
    pool: int,
    pool_layout: PoolLayout = "released",
) -> list[torch.Tensor]:
    """Attention of the reference rows [B, M, n, d] alone to the text, under their bias: [B, rows, n, d] of a few reference
    images each, so many that no bias is larger than three times a hidden state [L, n * d]."""
    p, text, width = layout.tokens_per_frame, k_BSnd.shape[1], q_BMnd.shape[-1]
    images = max(1, (3 * layout.seq_len * width) // (p * text))  # of which the bias [B, n, images * P, S] is small enough
    parts = []
    keys, values = k_BSnd.transpose(1, 2), v_BSnd.transpose(1, 2)
    ends = tuple(accumulate(layout.reference_lens, initial=0))
    count = len(layout.kinds)
    for first in range(0, count, images):
        rows = q_BMnd[:, ends[first] : ends[min(first + images, count)]]
        levels = levels_BRS[:, first : first + images]
        bias = multilevel_bias(rows, k_BSnd, levels, layout, ratio=ratio, pool=pool, pool_layout=pool_layout, first=first)
        parts.append(F.scaled_dot_product_attention(rows.transpose(1, 2), keys, values, attn_mask=bias).transpose(1, 2))
    return parts


def multilevel_bias(
    q_BMnd: torch.Tensor,
    k_BSnd: torch.Tensor,
    levels_BRS: torch.Tensor,
    layout: TokenLayout,
    *,
    ratio: float,
    pool: int,
    pool_layout: PoolLayout,
    first: int = 0,
) -> torch.Tensor:
    """The additive bias [B, n, M, S] of the M rows of R neighbouring reference images, the first of them number `first`: that
    of their cells, read by row. Rows that are left out count as zeros of their cells, as those beyond the border do; the
    others read what they would read beside them."""
    cell = cell_of_row(layout.height, layout.width, pool, pool_layout, q_BMnd.device)
    kept = kept_tokens(layout, q_BMnd.device)
    if kept is None:
        cells = multilevel_bias_of_cells(q_BMnd, k_BSnd, levels_BRS, layout, ratio=ratio, pool=pool)
        return cells.index_select(3, cell).flatten(2, 3)
    images, p = levels_BRS.shape[1], layout.tokens_per_frame
    start, stop = layout.reference_spans[first][0], layout.reference_spans[first + images - 1][1]
    places = kept[start:stop] - layout.video_len - first * p
    whole = q_BMnd.new_zeros(len(q_BMnd), images * p, *q_BMnd.shape[2:]).index_copy(1, places, q_BMnd)
    cells = multilevel_bias_of_cells(whole, k_BSnd, levels_BRS, layout, ratio=ratio, pool=pool).flatten(2, 3)
    return cells.index_select(2, places // p * (cells.shape[2] // images) + cell[places % p])


def multilevel_bias_of_cells(
    q_BMnd: torch.Tensor, k_BSnd: torch.Tensor, levels_BRS: torch.Tensor, layout: TokenLayout, *, ratio: float, pool: int
) -> torch.Tensor:
    """The additive bias [B, n, R, cells, S] of the pooling cells of R reference images, whose rows are q.

    ratio * |s| * level with s = (q averaged over cells of pool x pool tokens) . k / sqrt(d).
    """
    batch, _, heads, width = q_BMnd.shape
    h, w = layout.height, layout.width
    images = levels_BRS.shape[1]
    grid = q_BMnd.reshape(batch * images, h, w, heads * width).permute(0, 3, 1, 2)
    padded = F.pad(grid, (0, -w % pool, 0, -h % pool))
    cells = F.avg_pool2d(padded, pool).flatten(2)  # [B*R, n*d, cells]
    cells = cells.reshape(batch, images, heads, width, -1).permute(0, 2, 1, 4, 3)  # [B, n, R, cells, d]
    scores = torch.einsum("bnrcd,bsnd->bnrcs", cells, k_BSnd).abs() * (ratio / math.sqrt(width))
    return scores * levels_BRS[:, None, :, None].to(scores.dtype)


def cell_of_row(height: int, width: int, pool: int, pool_layout: PoolLayout, device: torch.device) -> torch.Tensor:
    """int64 [P]: the pooling cell that each row of an image reads.

    "released": row r reads place (r // W', r % W') of the padded map of width W' (sheared when W' differs from W, as the
    released weights were trained); "aligned": its own place.
    """
    padded_width = width + (-width % pool)
    stride = padded_width if pool_layout == "released" else width
    rows = torch.arange(height * width, device=device)
    y, x = rows // stride, rows % stride
    return (y // pool) * (padded_width // pool) + x // pool
