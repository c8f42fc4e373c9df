"""Training and sampling in little memory: what a card does not hold all the time, and what is computed in parts.

The transformer knows of none of this: its modules are exchanged or wrapped, its names stay. All of it leaves the numbers as
they are (parts of the feed-forward within rounding), but for a base kept in fewer bits, whose weights are rounded once.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from lumosx_core.model.devices import STORAGE_TYPES, is_cuda
from lumosx_core.model.transformer import LumosXTransformer

LARGE = 2**16  # numbers; smaller tensors are not worth a copy
FP8_MOST = 448.0  # largest number of float8_e4m3fn


class Ram(Protocol):
    """Where tensors are that the card does not hold."""

    def put(self, tensor: torch.Tensor) -> Any:
        """Keep a copy; what `take` wants."""

    def take(self, kept: Any, device: torch.device) -> torch.Tensor:
        """The tensor again, on the device."""


class HostRam:
    """The machine's memory; pinned for a device that is a card, from where it is copied faster."""

    def __init__(self, device: torch.device | str) -> None:
        self.pinned = is_cuda(device)

    def put(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy there, equal to the bit."""
        return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=self.pinned).copy_(tensor)

    def take(self, kept: torch.Tensor, device: torch.device) -> torch.Tensor:
        """It, on the device."""
        return kept.to(device, non_blocking=True)


class NoRam:
    """Stands for the machine's memory in a count of the card's: what is put there is gone from the card."""

    def put(self, tensor: torch.Tensor) -> tuple[torch.Size, torch.dtype]:
        """Its shape and type."""
        return tensor.shape, tensor.dtype

    def take(self, kept: tuple[torch.Size, torch.dtype], device: torch.device) -> torch.Tensor:
        """A tensor like it."""
        return torch.empty(kept[0], dtype=kept[1], device=device)


def keep_inputs_in_ram(model: LumosXTransformer, ram: Ram) -> None:
    """What the forward keeps for the backward is kept outside of the card: with checkpointing the inputs of the blocks.

    Equal to the bit: copies go out and come back. Only tensors of LARGE numbers or more, and no weights.
    """
    forward = model.forward

    def put(tensor: torch.Tensor) -> Any:
        owner = tensor if tensor._base is None else tensor._base
        if tensor.numel() < LARGE or isinstance(owner, nn.Parameter):
            return tensor
        return tensor.device, ram.put(tensor)

    def take(kept: Any) -> torch.Tensor:
        return kept if isinstance(kept, torch.Tensor) else ram.take(kept[1], kept[0])

    def outside(*arguments: Any, **named: Any) -> torch.Tensor:
        with saved_tensors_hooks(put, take):
            return forward(*arguments, **named)

    model.forward = outside  # type: ignore[method-assign]


class FeedForwardInParts(nn.Sequential):
    """A feed-forward that is computed for a part of the tokens at a time, and again in the backward: its wide middle, several
    times a hidden state, is never there as a whole. Gradients of weights are sums over parts, equal within rounding."""

    def __init__(self, whole: nn.Sequential, parts: int) -> None:
        super().__init__(*whole)
        self.parts = parts

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, L, D] -> [B, L, D]."""
        done = []
        for part in x.chunk(self.parts, 1):
            done.append(checkpoint(super().forward, part, use_reentrant=False))
        return torch.cat(done, 1)


def feed_forward_in_parts(model: LumosXTransformer, parts: int) -> None:
    """Compute every block's feed-forward in so many parts."""
    for block in _blocks(model):
        block.ffn = FeedForwardInParts(block.ffn, parts)


class StoredLinear(nn.Linear):
    """A frozen linear layer whose weight is kept in another type, in another place, or both, and is there as itself while it is
    used: from the block's forward in the backward to its end.

    fp8: float8_e4m3fn times a power of two per output channel, so that nothing but the one rounding happens. ram: keeps the
    weight outside of the card. The bias stays as it is.
    """

    def __init__(self, base: nn.Linear, *, fp8: bool, ram: Ram | None) -> None:
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None, device="meta")
        self.bias, self.fp8, self.ram = base.bias, fp8, ram
        weight = base.weight.detach()
        scale = torch.ones(())
        if fp8:
            largest = weight.float().abs().amax(1, keepdim=True).clamp(min=2.0**-100)
            scale = torch.exp2(torch.ceil(torch.log2(largest / FP8_MOST)))
            weight = (weight.float() / scale).to(torch.float8_e4m3fn)
        self.scale: torch.Tensor
        self.register_buffer("scale", scale, persistent=False)
        self.kept: Any = None
        if ram is None:
            self.weight = nn.Parameter(weight, requires_grad=False)
        else:
            self.register_parameter("weight", None)
            self.kept = ram.put(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out]."""
        weight = self.weight if self.ram is None else self.ram.take(self.kept, x.device)
        if self.fp8:
            weight = weight.to(x.dtype) * self.scale.to(x.dtype)
        return F.linear(x, weight, self.bias)


def store_frozen(model: LumosXTransformer, base: str, ram: Ram | None) -> None:
    """Freeze a model, its weights kept as `base` says: "fp32", "bf16", "fp16", or "fp8": the matrices of the blocks so, the
    rest bf16.

    ram: None, or where the matrices of the blocks are while they are not used (blocks are streamed). The model is on the CPU.
    """
    dtype = STORAGE_TYPES["bf16" if base == "fp8" else base]
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(parameter.detach().to(dtype), requires_grad=False))
    if base != "fp8" and ram is None:
        return
    for block in _blocks(model):
        for name, layer in list(block.named_modules()):
            if isinstance(layer, nn.Linear):
                parent, _, own = name.rpartition(".")
                setattr(block.get_submodule(parent), own, StoredLinear(layer, fp8=base == "fp8", ram=ram))


def _blocks(model: LumosXTransformer) -> Iterator[Any]:
    yield from model.blocks
