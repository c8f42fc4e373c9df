"""Tables that are made once and looked up again."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

import torch

MOST = 16  # tables of a function that are kept
P = ParamSpec("P")
T = TypeVar("T")


def cached_table(make: Callable[P, T]) -> Callable[P, T]:
    """Keep the last tables of a function of hashable arguments that gives a tensor.

    Tensors without content (torch's FakeTensorMode, in which memory is counted) are kept apart, for the mode that they were
    made in: they are of no use elsewhere, and one with content is none there.
    """
    kept = lru_cache(MOST)(make)
    mode_of: list[Any] = [None]
    without_content = lru_cache(MOST)(make)

    @wraps(make)
    def table(*args: P.args, **kwargs: P.kwargs) -> T:
        mode = getattr(torch.empty(0), "fake_mode", None)
        if mode is None:
            return kept(*args, **kwargs)
        if mode is not mode_of[0]:
            without_content.cache_clear()
            mode_of[0] = mode
        return without_content(*args, **kwargs)

    return table
