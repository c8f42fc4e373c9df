"""Tensors that lie in a file and are read when they are needed, whole or a part at a time."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch

AT_ONCE = 2**24  # numbers that are in memory together where a tensor passes in parts


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a file: its shape and type are known, its numbers are read by `read`, anew each time."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], torch.Tensor]
    read_part: Callable[[int, int], torch.Tensor] | None = None  # numbers start ... stop - 1 of the flat tensor

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

    def parts(self) -> Iterator[torch.Tensor]:
        """The flat tensor, at most AT_ONCE numbers at a time. What cannot be read in parts is read whole first."""
        part = self.read_part or _slices(self)
        for start in range(0, self.numel, AT_ONCE):
            yield part(start, min(start + AT_ONCE, self.numel))

    def changed(self, dtype: torch.dtype, change: Callable[[torch.Tensor], torch.Tensor]) -> "StoredTensor":
        """With every number changed by itself, as it is read; the new type is `dtype`, the shape stays."""
        part = self.read_part
        return StoredTensor(
            self.shape,
            dtype,
            lambda: change(self.read()),
            None if part is None else lambda start, stop: change(part(start, stop)),
        )


def _slices(value: StoredTensor) -> Callable[[int, int], torch.Tensor]:
    flat = value.read().detach().reshape(-1)
    return lambda start, stop: flat[start:stop]


StoredState = Mapping[str, StoredTensor]


def in_memory(tensor: torch.Tensor) -> StoredTensor:
    """A tensor that is there already, in the place of one that lies in a file."""
    return StoredTensor(
        tuple(tensor.shape), tensor.dtype, lambda: tensor, lambda start, stop: tensor.detach().reshape(-1)[start:stop]
    )
