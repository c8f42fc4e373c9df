"""Counts the memory that tensors take while something runs, also of tensors without content at sizes that fit no machine."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):
    """A block in which the bytes of every tensor that an operation makes are counted for as long as the tensor lives.

    Views share the bytes of what they look at. What was there before counts once it is handed to `hold`. What an operation
    takes and gives back within itself is not seen, so a fused attention counts its output and not the work space of its
    kernel. Within torch's FakeTensorMode (entered first) nothing is computed, and the count is that of the true sizes.

    live, peak: bytes now, and the most at any moment since the block began or `forget_peak`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak = 0, 0
        self._storages: dict[int, weakref.ref] = {}

    def hold(self, *tensors: Any) -> None:
        """Count these tensors too (any nesting of lists, tuples and dicts of them; anything else in it is passed over)."""
        for tensor in tree_leaves(tensors):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())

    def forget_peak(self) -> None:
        """Begin the peak anew with what lives now."""
        self.peak = self.live

    def __torch_dispatch__(self, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ARG002
        """Run the operation and count what is new in its result."""
        out = func(*args, **(kwargs or {}))
        self.hold(out)
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        known = self._storages.get(id(storage))
        if known is not None and known() is storage:
            return
        size = storage.nbytes()

        def gone(reference: weakref.ref, name: int = id(storage)) -> None:
            if self._storages.get(name) is reference:
                del self._storages[name]
            self.live -= size

        self._storages[id(storage)] = weakref.ref(storage, gone)
        self.live += size
        self.peak = max(self.peak, self.live)
