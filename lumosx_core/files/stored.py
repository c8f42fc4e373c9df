"""Tensors that lie in a file and are read when they are needed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a file: its shape and type are known, its numbers are read by `read`, anew each time."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], torch.Tensor]

    @property
    def numel(self) -> int:
        """How many numbers it has."""
        count = 1
        for side in self.shape:
            count *= side
        return count

    @property
    def nbytes(self) -> int:
        """How many bytes its numbers take."""
        return self.numel * self.dtype.itemsize


StoredState = Mapping[str, StoredTensor]


def in_memory(tensor: torch.Tensor) -> StoredTensor:
    """A tensor that is there already, in the place of one that lies in a file."""
    return StoredTensor(tuple(tensor.shape), tensor.dtype, lambda: tensor)
