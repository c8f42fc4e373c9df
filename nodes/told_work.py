"""What a video of some size will cost, in words."""

from collections.abc import Sequence

from lumosx_core.model.config import PRESETS
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.video_size import VideoSize
from lumosx_core.model.work import forward_operations
from lumosx_core.text_spans import BoundReference

PUBLISHED = VideoSize(width=832, height=480, frames=81)


def told_work(size: VideoSize, references: Sequence[BoundReference]) -> str:
    """Time and memory beside those of the published size without references, of the released 1.3B model: the work of a step,
    and the places that are in memory at once (which memory beside the weights grows with)."""
    config = PRESETS["t2v_1_3b"]
    layout, published = TokenLayout.for_references(size.grid, references), TokenLayout(*PUBLISHED.grid)
    work = forward_operations(config, layout) / forward_operations(config, published)
    places = layout.seq_len / published.seq_len
    return (
        f"{layout.seq_len:,} tokens, {len(references)} pictures. Beside 832 x 480 and 81 frames without pictures, a step takes "
        f"about {work:.2g} times as long, and {places:.2g} times the memory beside the weights."
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
