"""The size of a video: what sizes there can be, and what they are as latents and as tokens."""

from dataclasses import dataclass
from typing import Any

from lumosx_core.errors import InputError
from lumosx_core.model.config import ROPE_TABLE_LENGTH
from lumosx_core.numbers import whole_number

MAX_SIDE = 16_384  # pixels; H.264 and the position tables end there too
MAX_FRAMES = 4 * (ROPE_TABLE_LENGTH - 1) + 1  # as many latent frames as the tables have positions


@dataclass(frozen=True, kw_only=True)
class VideoSize:
    """Sides in pixels, multiples of 16, and 4n + 1 frames. Raises InputError on construction for others."""

    width: int
    height: int
    frames: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", checked_side(self.width, "width"))
        object.__setattr__(self, "height", checked_side(self.height, "height"))
        object.__setattr__(self, "frames", checked_frames(self.frames, "frames"))

    @property
    def latent(self) -> tuple[int, int, int]:
        """Frames and sides of the latent: the first frame and every four after it; 8 x 8 pixels."""
        return (self.frames + 3) // 4, self.height // 8, self.width // 8

    @property
    def grid(self) -> tuple[int, int, int]:
        """Frames and sides in tokens: 16 x 16 pixels."""
        return (self.frames + 3) // 4, self.height // 16, self.width // 16


def checked_side(value: Any, name: str) -> int:
    """A side in pixels. Raises InputError for anything but a multiple of 16 up to MAX_SIDE."""
    side = whole_number(value, name, least=16, most=MAX_SIDE)
    if side % 16:
        raise InputError(f"{name} is {side} pixels, expected a multiple of 16, for example {max(16, round(side / 16) * 16)}")
    return side


def checked_frames(value: Any, name: str) -> int:
    """A number of frames. Raises InputError for anything but 4n + 1 up to MAX_FRAMES."""
    frames = whole_number(value, name, least=1, most=MAX_FRAMES)
    if frames % 4 != 1:
        raise InputError(f"{name} is {frames}, expected 4n + 1, for example {max(1, round((frames - 1) / 4) * 4 + 1)}")
    return frames
