"""What the host reserves for a sampling: it reckons by the shape of the noise."""

import math
from typing import Any


def frames_of_bytes(base: Any, shape: list[int], size: int) -> int:
    """So many latent frames of noise [B, 16, T, h, w] need as much memory as `size` bytes, as the host's BaseModel reckons it
    for both passes."""
    longer = [2 * shape[0], *shape[1:2], shape[2] + 1, *shape[3:]]
    frame = base.memory_required(longer) - base.memory_required([2 * shape[0], *shape[1:]])
    return math.ceil(size / frame)
