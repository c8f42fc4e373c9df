"""Memory: what the weights of a model folder need where and when, and what is said when there is not enough."""

import gc
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from lumosx_core.errors import InputError
from lumosx_core.model.checkpoint import transformer_sizes
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.devices import is_cuda

# Of a card, what a plan may fill: the rest is for the context of CUDA, work space of kernels and holes between tensors. Ours.
USABLE = 7 / 8
LEVERS = (
    "fewer --frames, a smaller --width and --height, --sequential-cfg, --dtype bf16, fewer references, or --device cpu; "
    "other programs may hold memory too"
)


def from_three_and_four(counted: Callable[[int], int], total: int) -> int:
    """What `total` equal parts (blocks of a model, frames of a latent) take, where from the third on every one adds the same:
    counted with all of up to four, else with three and with four. counted: bytes by number of parts."""
    if total <= 4:
        return counted(total)
    few, more = counted(3), counted(4)
    return few + (total - 3) * (more - few)


@dataclass(frozen=True, kw_only=True)
class StoredWeights:
    """What the header of a safetensors file says, without reading a weight: shapes by name, types, metadata."""

    shapes: dict[str, tuple[int, ...]]
    types: tuple[str, ...]  # such as "BF16", sorted
    metadata: dict[str, str]

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(math.prod(shape) for shape in self.shapes.values())


def stored_weights(path: Path) -> StoredWeights:
    """The header of a safetensors file. Raises InputError if it is missing, damaged or no such file."""
    try:
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            types = tuple(sorted({str(part.get_dtype()) for part in slices.values()}))
            return StoredWeights(shapes=shapes, types=types, metadata=dict(file.metadata() or {}))
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}); make it again with `lumosx convert`") from error


def stored_sizes(path: Path) -> TransformerConfig:
    """The sizes of a stored transformer, from its metadata, else from its shapes. Raises InputError if it is none."""
    stored = stored_weights(path)
    shapes = {name: torch.empty(shape, device="meta") for name, shape in stored.shapes.items()}
    return transformer_sizes(str(path), shapes, stored.metadata)


def weights_bytes(path: Path, dtype: torch.dtype) -> int:
    """Bytes of a file's weights once they are loaded as `dtype`."""
    return stored_weights(path).parameters * dtype.itemsize


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on a card or in the machine."""
    told = str(error)
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and ("can't allocate memory" in told or "not enough memory" in told)
    )


@contextmanager
def memory_told(doing: str, device: torch.device) -> Iterator[None]:
    """Turns an error of memory that ran out within the block into an InputError of one line: what was being done, what did not
    fit, and what can be changed."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        what = str(error).strip().splitlines()[0][:160] if str(error).strip() else "no more memory"
        raise InputError(f"the memory of {device} ran out while {doing} ({what}); try {LEVERS}") from error


def free_memory() -> None:
    """Give memory back that nothing uses any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def peak_bytes(device: torch.device | str) -> int | None:
    """The most bytes that were in use so far: on a card, or by this process; None where the system does not tell."""
    if is_cuda(device):
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
