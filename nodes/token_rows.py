"""Which rows of the tokens a patched model computes: the host hands in those of whole frames and wants them back.

Legend: B = batch, L = tokens, D = width.
"""

import torch
import torch.nn.functional as F

from lumosx_core.model.token_layout import TokenLayout, kept_tokens


def computed_rows(x_BLD: torch.Tensor, layout: TokenLayout, *, video_only: bool) -> torch.Tensor:
    """Videos with their references each, in whole frames -> the videos of a prompt one after the other and the references once,
    without what the layout leaves out. video_only: without the references."""
    if layout.videos > 1:
        length = layout.video_len // layout.videos
        rows = x_BLD.unflatten(0, (-1, layout.videos))
        x_BLD = torch.cat([rows[:, :, :length].flatten(1, 2), rows[:, 0, length:]], 1)
    if video_only:
        return x_BLD[:, : layout.video_len]
    kept = kept_tokens(layout, x_BLD.device)
    return x_BLD if kept is None else x_BLD.index_select(1, kept)


def whole_rows(x_BLD: torch.Tensor, layout: TokenLayout, *, video_only: bool) -> torch.Tensor:
    """The inverse of `computed_rows`; zeros where nothing was computed, which nobody reads."""
    references = len(layout.kinds) * layout.tokens_per_frame
    kept = None if video_only else kept_tokens(layout, x_BLD.device)
    if video_only:
        x_BLD = F.pad(x_BLD, (0, 0, 0, references))
    elif kept is not None:
        whole = x_BLD.new_zeros(len(x_BLD), layout.video_len + references, x_BLD.shape[2])
        x_BLD = whole.index_copy(1, kept, x_BLD)
    if layout.videos == 1:
        return x_BLD
    videos = x_BLD[:, : layout.video_len].unflatten(1, (layout.videos, -1)).flatten(0, 1)
    return torch.cat([videos, x_BLD[:, layout.video_len :].repeat_interleave(layout.videos, 0)], 1)
