"""The numbers of a video and of its sampling, checked in one place: for `GenerationConfig` and for `pipeline.json`."""

from collections.abc import Callable, Mapping
from typing import Any

from lumosx_core.errors import InputError
from lumosx_core.model.config import ROPE_TABLE_LENGTH
from lumosx_core.model.flow import checked_shift, checked_steps
from lumosx_core.numbers import real_number, whole_number

MAX_SIDE = 16_384  # pixels; H.264 and the position tables end there too
MAX_FRAMES = 4 * (ROPE_TABLE_LENGTH - 1) + 1  # as many latent frames as the tables have positions
MAX_SCALE = 1000.0  # of guidance and the multilevel mask's ratio: far beyond every use
MAX_FPS = 1000
MAX_ENLARGE = 64


def checked_numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by name, as the int or float each is meant to be; names that are no sampling number are left out.

    Raises InputError, naming the field and its range, for NaN, infinities, fractions of whole numbers, and values out of range:
    width and height (multiples of 16), frames (4n + 1), steps, fps, cfg, shift, ratio (or None), enlarge.
    """
    checked: dict[str, Any] = {name: _CHECKS[name](value, name) for name, value in values.items() if name in _CHECKS}
    for name in {"width", "height"} & set(checked):
        if (value := checked[name]) % 16:
            raise InputError(
                f"{name} is {value} pixels, expected a multiple of 16, for example {max(16, round(value / 16) * 16)}"
            )
    if (frames := checked.get("frames", 1)) % 4 != 1:
        raise InputError(f"frames is {frames}, expected 4n + 1, for example {max(1, round((frames - 1) / 4) * 4 + 1)}")
    return checked


def _side(value: Any, name: str) -> int:
    return whole_number(value, name, least=16, most=MAX_SIDE)


def _scale(value: Any, name: str) -> float:
    return real_number(value, name, least=0, most=MAX_SCALE)


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "width": _side,
    "height": _side,
    "frames": lambda value, name: whole_number(value, name, least=1, most=MAX_FRAMES),
    "steps": checked_steps,
    "fps": lambda value, name: whole_number(value, name, least=1, most=MAX_FPS),
    "cfg": _scale,
    "shift": checked_shift,
    "ratio": lambda value, name: None if value is None else _scale(value, name),
    "enlarge": lambda value, name: whole_number(value, name, least=1, most=MAX_ENLARGE),
}
