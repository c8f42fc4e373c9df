"""Which device and which type of numbers a name means: for the weights of models, their arithmetic and what is stored."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import autocast

from lumosx_core.errors import InputError

GIB = 2**30
# Types that weights are stored in. Models compute in the first three; fp8_e4m3fn is for the disk alone.
STORAGE_TYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp8_e4m3fn": torch.float8_e4m3fn,
}
WEIGHTS_TYPES = ("fp32", "bf16", "fp16")
PRECISIONS = ("fp32", "bf16")  # of the arithmetic of training, whose weights stay float32


def weights_type(name: str, *, what: str = "type of weights", names: Sequence[str] = WEIGHTS_TYPES) -> torch.dtype:
    """The torch type of "fp32", "bf16", "fp16" or, where `names` holds it, "fp8_e4m3fn".

    what: how an error calls it. Raises InputError for a name that is none of `names`.
    """
    if name not in names:
        raise InputError(f"{what} {name!r}, expected one of {', '.join(names)}")
    return STORAGE_TYPES[name]


def storage_name(dtype: torch.dtype) -> str:
    """The name of a type of weights, such as "bf16"."""
    return next(name for name, stored in STORAGE_TYPES.items() if stored == dtype)


def check_device(device: str) -> None:
    """Raises InputError if torch has no such device on this machine."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {device!r} cannot be used ({str(error).splitlines()[0]}); `lumosx doctor` lists those that can"
        ) from error


def is_cuda(device: torch.device | str) -> bool:
    """Whether a device is a card of CUDA (or of ROCm, which has that name in torch)."""
    return torch.device(device).type == "cuda"


def free_bytes(device: torch.device | str) -> int | None:
    """Bytes that are free on a card; None for every other device, whose memory is the machine's."""
    return torch.cuda.mem_get_info(device)[0] if is_cuda(device) else None


def arithmetic(precision: str, device: torch.device | str) -> AbstractContextManager[None]:
    """A block whose matrix products are computed in that precision: torch's autocast for "bf16", nothing for "fp32".

    Raises InputError for other precisions.
    """
    weights_type(precision, what="precision", names=PRECISIONS)
    return autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16")
