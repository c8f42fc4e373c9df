"""What a video of some size will cost, in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lumosx_core.errors import InputError
from lumosx_core.model.config import PRESETS
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.video_size import VideoSize, checked_frames, checked_side
from lumosx_core.model.work import forward_operations
from lumosx_core.text_spans import BoundReference

PUBLISHED = VideoSize(width=832, height=480, frames=81)
MAX_VIDEO_TOKENS = 2**20  # a latent of 256 MiB; far beyond what any card samples


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a video costs beside one of the published size without references, of the released 1.3B model. tokens, pictures:
    how many. step: how many times as long a step takes, by its multiplications. memory: how many times the memory beside the
    weights, by the tokens that are in memory at once."""

    tokens: int
    pictures: int
    step: float
    memory: float


def checked_size(width: int, height: int, length: int) -> VideoSize:
    """A size. Raises InputError, naming the input, for sizes that are none and for those beyond what any card samples."""
    size = VideoSize(
        width=checked_side(width, "width"), height=checked_side(height, "height"), frames=checked_frames(length, "length")
    )
    tokens = math.prod(size.grid)
    if tokens > MAX_VIDEO_TOKENS:
        raise InputError(
            f"{width} x {height} pixels and {length} frames are {tokens:,} places for the model to look at, at most "
            f"{MAX_VIDEO_TOKENS:,} are allowed (832 x 480 and 81 frames have 32,760); take a smaller size or fewer frames"
        )
    return size


def work_of(size: VideoSize, references: Sequence[BoundReference]) -> Work:
    """What a video of that size with these references costs. Raises InputError for more than the model's positions can tell
    apart."""
    config = PRESETS["t2v_1_3b"]
    layout, published = TokenLayout.for_references(size.grid, references), TokenLayout(*PUBLISHED.grid)
    return Work(
        tokens=layout.seq_len,
        pictures=len(references),
        step=forward_operations(config, layout) / forward_operations(config, published),
        memory=layout.seq_len / published.seq_len,
    )


def told_work(size: VideoSize, references: Sequence[BoundReference]) -> str:
    """`work_of` in a sentence."""
    work = work_of(size, references)
    return (
        f"{work.tokens:,} tokens, {work.pictures} pictures. Beside 832 x 480 and 81 frames without pictures, a step takes "
        f"about {work.step:.2g} times as long, and {work.memory:.2g} times the memory beside the weights."
    )


def nano_warning(size: VideoSize) -> str:
    """What to do if LumosX Nano was not made for this size; empty if it was."""
    from lumosx_core.sampling.config import read_defaults
    from lumosx_core.sampling.pipeline import NANO_FOLDER

    made_for = read_defaults(NANO_FOLDER).size
    if size == made_for:
        return ""
    return (
        f"LumosX Nano was made for {made_for.width} x {made_for.height} pixels and {made_for.frames} frames, this is "
        f"{size.width} x {size.height} and {size.frames}: connect its outputs width, height and length."
    )
