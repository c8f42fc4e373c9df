"""Tables that are made once and looked up again."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar, cast

import torch

MOST = 16  # tables of a function that are kept
P = ParamSpec("P")
T = TypeVar("T")


def cached_table(make: Callable[P, T]) -> Callable[P, T]:
    """Keep the last tables of a function of hashable arguments that gives a tensor.

    Tensors without content (torch's FakeTensorMode, in which memory is counted) are kept apart, for the mode that they were
    made in: they are of no use elsewhere, and one with content is none there.
    """
    kept = cast(Callable[P, T], lru_cache(MOST)(make))
    mode_of_last: Any = None
    without_content = kept

    @wraps(make)
    def table(*args: P.args, **kwargs: P.kwargs) -> T:
        nonlocal mode_of_last, without_content
        mode = getattr(torch.empty(0), "fake_mode", None)
        if mode is None:
            return kept(*args, **kwargs)
        if mode is not mode_of_last:
            mode_of_last, without_content = mode, cast(Callable[P, T], lru_cache(MOST)(make))
        return without_content(*args, **kwargs)

    return table
