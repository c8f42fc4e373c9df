"""Speed of relational attention beside plain unmasked attention and attention with a dense mask, on the same tokens.

Legend: L = tokens, S = text positions, n = heads, d = head width.
"""

import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from lumosx_core.model.attention_backends import AttentionBackend
from lumosx_core.model.devices import is_cuda
from lumosx_core.model.relational_attention import (
    multilevel_bias,
    relational_cross_attention,
    relational_self_attention,
)
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.numbers import whole_number
from lumosx_core.progress import Progress

RATIO, POOL = 0.5, 8


def dense_self_mask(layout: TokenLayout) -> torch.Tensor:
    """Bool [L, L]: the causal self-attention mask written out."""
    mask = torch.zeros(layout.seq_len, layout.seq_len, dtype=torch.bool)
    for q_start, q_stop, k_start, k_stop in layout.self_attention_rectangles():
        mask[q_start:q_stop, k_start:k_stop] = True
    return mask


def measure_attention(
    layout: TokenLayout,
    *,
    heads: int,
    head_dim: int,
    text_len: int,
    backend: AttentionBackend,
    device: str,
    dtype: torch.dtype,
    repeats: int,
    progress: Progress | None = None,
) -> dict:
    """Median seconds and ratios to plain attention of every variant; on CUDA also peak memory in MiB.

    The variants take turns within every round, after one round that does not count. Random q, k, v, levels in -1..1.
    progress: its stage is "rounds".
    """
    whole_number(repeats, "repeats", least=1)
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    q, k, v = (random(1, layout.seq_len, heads, head_dim) for _ in range(3))
    text_k, text_v = (random(1, text_len, heads, head_dim) for _ in range(2))
    levels = torch.rand(1, len(layout.kinds), text_len, generator=generator).to(device) * 2 - 1
    mask = dense_self_mask(layout).to(device)

    def masked(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2)

    def dense_cross() -> torch.Tensor:
        rows = multilevel_bias(q[:, layout.video_len :], text_k, levels, layout, ratio=RATIO, pool=POOL, pool_layout="released")
        return masked(q, text_k, text_v, F.pad(rows, (0, 0, layout.video_len, 0)).to(dtype))

    variants: dict[str, dict[str, Callable[[], torch.Tensor]]] = {
        "self": {
            "plain": lambda: backend(q, k, v),
            "relational": lambda: relational_self_attention(q, k, v, layout, backend),
            "dense mask": lambda: masked(q, k, v, mask),
        },
        "cross": {
            "plain": lambda: backend(q, text_k, text_v),
            "relational": lambda: relational_cross_attention(
                q, text_k, text_v, layout, levels, backend, ratio=RATIO, pool=POOL
            ),
            "dense bias": dense_cross,
        },
    }
    times: dict[tuple[str, str], list[float]] = {}
    peaks: dict[tuple[str, str], float] = {}
    cuda = is_cuda(device)
    with torch.no_grad():
        for turn in range(repeats + 1):
            for kind, calls in variants.items():
                for name, call in calls.items():
                    seconds, peak = _timed(call, cuda)
                    if turn:
                        times.setdefault((kind, name), []).append(seconds)
                        peaks[kind, name] = max(peaks.get((kind, name), 0.0), peak)
            if progress is not None:
                progress("rounds", turn + 1, repeats + 1)
    report: dict = {
        "device": torch.cuda.get_device_name(device) if cuda else f"cpu, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "backend": backend.name,
        "dtype": str(dtype),
        "tokens": layout.seq_len,
        "video_tokens": layout.video_len,
        "references": len(layout.kinds),
        "heads": heads,
        "head_dim": head_dim,
        "text_len": text_len,
        "repeats": repeats,
        "memory": cuda,
    }
    for kind, calls in variants.items():
        plain = statistics.median(times[kind, "plain"])
        report[kind] = {
            name: {
                "seconds": statistics.median(times[kind, name]),
                "ratio": statistics.median(times[kind, name]) / plain,
                **({"peak_mib": peaks[kind, name]} if cuda else {}),
            }
            for name in calls
        }
    return report


def _timed(call: Callable[[], torch.Tensor], cuda: bool) -> tuple[float, float]:
    """Seconds and, on CUDA, MiB above what was allocated before."""
    before = 0
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    started = time.perf_counter()
    call()
    if cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    return seconds, (torch.cuda.max_memory_allocated() - before) / 2**20 if cuda else 0.0
