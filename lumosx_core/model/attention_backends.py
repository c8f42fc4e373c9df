"""Plain attention callables: torch's own, SageAttention, FlashAttention, and the choice between them.

All take q, k, v as [B, L, n, d] and return [B, L, n, d]. Legend: B = batch, L = query tokens, S = key tokens, n = heads,
d = head width, N = tokens of several sequences one after the other.
"""

import importlib
import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from lumosx_core.errors import InputError
from lumosx_core.model.devices import is_cuda

log = logging.getLogger(__name__)

Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
# (q, k, v [N, n, d], cumulative lengths int32 [sequences + 1], longest) -> [N, n, d]: each sequence sees itself only.
VarlenAttention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int], torch.Tensor]

BACKENDS = ("auto", "sdpa", "sage", "flash")
PACKAGES = {"sage": "sageattention", "flash": "flash_attn"}
LARGEST_HEAD = {"sage": 128, "flash": 256}


@dataclass(frozen=True)
class AttentionBackend:
    """An attention callable with a name. `varlen`: sequences of different lengths in one call, if the library can."""

    name: str
    plain: Attention
    varlen: VarlenAttention | None = None

    def __call__(self, q_BLnd: torch.Tensor, k_BSnd: torch.Tensor, v_BSnd: torch.Tensor) -> torch.Tensor:
        """Unmasked attention [B, L, n, d]."""
        return self.plain(q_BLnd, k_BSnd, v_BSnd)


def sdpa_attention(q_BLnd: torch.Tensor, k_BSnd: torch.Tensor, v_BSnd: torch.Tensor) -> torch.Tensor:
    """Unmasked attention [B, L, n, d] by torch's scaled_dot_product_attention."""
    q, k, v = (x.transpose(1, 2) for x in (q_BLnd, k_BSnd, v_BSnd))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)


def sage_attention() -> AttentionBackend:
    """SageAttention: 8-bit scores, CUDA, fp16 or bf16. Groups of different lengths go through `sageattn_varlen`.

    Raises InputError if the package is not installed.
    """
    library = _library("sage")

    def plain(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return library.sageattn(q, k, v, tensor_layout="NHD", is_causal=False)

    def varlen(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, cumulative: torch.Tensor, longest: int) -> torch.Tensor:
        return library.sageattn_varlen(q, k, v, cumulative, cumulative, longest, longest, is_causal=False)

    return AttentionBackend("sage", plain, varlen)


def flash_attention() -> AttentionBackend:
    """FlashAttention 2: CUDA, fp16 or bf16. Raises InputError if the package is not installed."""
    library = _library("flash")

    def plain(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return library.flash_attn_func(q, k, v)

    def varlen(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, cumulative: torch.Tensor, longest: int) -> torch.Tensor:
        return library.flash_attn_varlen_func(q, k, v, cumulative, cumulative, longest, longest)

    return AttentionBackend("flash", plain, varlen)


def _library(name: str) -> Any:
    package = PACKAGES[name]
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(
            f"the attention backend {name!r} needs the package {package}, which cannot be imported ({error}); install it "
            "or choose 'sdpa'"
        ) from error


def why_unavailable(name: str, device: torch.device | str, dtype: torch.dtype, head_dim: int) -> str | None:
    """None if that backend ("sdpa", "sage", "flash") can run here, else the reason in a few words."""
    if name == "sdpa":
        return None
    if not is_cuda(device):
        return f"it runs on CUDA only, the model is on {torch.device(device).type}"
    if dtype not in (torch.float16, torch.bfloat16):
        return f"it needs fp16 or bf16, the model is {str(dtype).removeprefix('torch.')}"
    if head_dim > LARGEST_HEAD[name]:
        return f"it takes heads of at most {LARGEST_HEAD[name]} channels, the model has {head_dim}"
    if importlib.util.find_spec(PACKAGES[name]) is None:
        return f"the package {PACKAGES[name]} is not installed"
    return None


def select_attention(name: str, device: torch.device | str, dtype: torch.dtype, head_dim: int = 128) -> AttentionBackend:
    """The attention backend of that name for a model on `device` in `dtype`, with heads of `head_dim` channels.

    "auto" takes SageAttention where it runs, else torch, and says in the log which. Raises InputError for an unknown name
    and for an explicit choice that cannot run here: nothing else is put in its place.
    """
    if name not in BACKENDS:
        raise InputError(f"unknown attention backend {name!r}; expected one of {', '.join(BACKENDS)}")
    reason = why_unavailable("sage" if name == "auto" else name, device, dtype, head_dim)
    if name == "auto":
        name = "sdpa" if reason else "sage"
        log.info("attention: %s%s", name, f" (not SageAttention: {reason})" if reason else "")
    elif reason:
        raise InputError(f"the attention backend {name!r} is not available: {reason}; choose 'sdpa' or 'auto'")
    return {
        "sdpa": lambda: AttentionBackend("sdpa", sdpa_attention),
        "sage": sage_attention,
        "flash": flash_attention,
    }[name]()
