"""Checks of the numbers that users give, before any work: one message for every kind of fault."""

import math
from typing import Any

from lumosx_core.errors import InputError

MAX_SEED = 2**64 - 1


def whole_number(value: Any, name: str, *, least: int | None = None, most: int | None = None) -> int:
    """The value as an int. Raises InputError, naming `name` and the range, for fractions, NaN, truth values, texts, and
    numbers below `least` or above `most`."""
    integral = type(value) is int or (isinstance(value, float) and value.is_integer())
    if not integral or (least is not None and value < least) or (most is not None and value > most):
        raise InputError(f"{name} is {_shown(value)}, expected a whole number{_range(least, most)}")
    return int(value)


def real_number(
    value: Any, name: str, *, above: float | None = None, least: float | None = None, most: float | None = None
) -> float:
    """The value as a float. Raises InputError, naming `name` and the range, for NaN, infinities, truth values, texts, and
    numbers that are not above `above`, or below `least`, or above `most`."""
    number = type(value) in (int, float) and abs(value) <= 1e300 and math.isfinite(value)
    low = (above is not None and number and value <= above) or (least is not None and number and value < least)
    if not number or low or (most is not None and value > most):
        start = f" above {above:g}" if above is not None else ""
        raise InputError(f"{name} is {_shown(value)}, expected a number{start}{_range(least, most)}")
    return float(value)


def seed_number(value: Any, name: str = "seed") -> int:
    """A seed of torch's generators: a whole number from 0 to 2**64 - 1. Raises InputError for others."""
    return whole_number(value, name, least=0, most=MAX_SEED)


def _range(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    return f" from {least} on" if least is not None else f" up to {most}" if most is not None else ""


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # more digits than Python prints
        text = "a number of thousands of digits"
    return text if len(text) <= 40 else f"{text[:40]}..."
