"""Counts the memory that tensors take while something runs, also of tensors without content at sizes that fit no machine."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):
    """A block in which the bytes of every tensor that an operation makes are counted for as long as the tensor lives.

    Views share the bytes of what they look at. What was there before, weights and inputs, counts only once it is handed to
    `hold`. What an operation takes and gives back within itself is not seen, so a fused attention counts its output and not the
    work space of its kernel. Within torch's FakeTensorMode (entered first) nothing is computed, and the count is that of the
    true sizes.

    live, peak: bytes now, and the most at any moment since the block began or `forget_peak`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak = 0, 0
        self._storages: dict[int, tuple[weakref.ref, int]] = {}  # and the bytes that were counted for it

    def hold(self, *tensors: Any) -> None:
        """Count these tensors too (any nesting of lists, tuples and dicts of them; anything else in it is passed over)."""
        for storage in _storages(tensors):
            self._see(storage, storage.nbytes())

    def forget_peak(self) -> None:
        """Begin the peak anew with what lives now."""
        self.peak = self.live

    def __torch_dispatch__(self, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ARG002
        """Run the operation and count what is new in its result."""
        for storage in _storages((args, kwargs)):
            if not self._knows(storage):
                self._see(storage, 0)
        out = func(*args, **(kwargs or {}))
        for storage in _storages(out):
            if not self._knows(storage):
                self._see(storage, storage.nbytes())
        return out

    def _knows(self, storage: torch.UntypedStorage) -> bool:
        known = self._storages.get(id(storage))
        return known is not None and known[0]() is storage

    def _see(self, storage: torch.UntypedStorage, size: int) -> None:
        """Count `size` bytes, in place of what was counted before, until the storage is gone."""
        name = id(storage)

        def gone(reference: weakref.ref) -> None:
            known = self._storages.get(name)
            if known is not None and known[0] is reference:
                self.live -= known[1]
                del self._storages[name]

        counted = self._storages[name][1] if self._knows(storage) else 0
        self._storages[name] = (weakref.ref(storage, gone), size)
        self.live += size - counted
        self.peak = max(self.peak, self.live)


def _storages(tensors: Any) -> list[torch.UntypedStorage]:
    return [tensor.untyped_storage() for tensor in tree_leaves(tensors) if isinstance(tensor, torch.Tensor)]
