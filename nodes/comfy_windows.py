"""The host's context windows: a longer video is sampled in parts that overlap, each of which sees all references."""

import logging
from typing import Any

import comfy.context_windows

from lumosx_core.errors import InputError

log = logging.getLogger(__name__)

TIME = 2  # the dimension of frames in a latent [B, 16, T, h, w]
FRAMES = 4  # of a video in every latent frame but the first


def check_windows(model_options: dict, *, frames: int, reserved: int, recorded: bool) -> None:
    """Raises InputError for context windows of a MODEL that cannot work: of one latent frame, with an overlap as long as they
    are, along another dimension than time, and for any while attention is recorded. Windows that hold the whole video are not
    used, and other nodes' own not looked at. frames: of the latent that the references were encoded for. reserved: for which
    the host was about to reserve memory, cut to a window before unless its windows come after LumosX: that is told in the log.
    """
    handler: Any = model_options.get("context_handler")
    if not isinstance(handler, comfy.context_windows.IndexListContextHandler):
        return
    length, overlap = handler.context_length, handler.context_overlap
    if handler.dim == TIME and max(frames, reserved) <= length:
        return
    if handler.dim != TIME:
        raise InputError(
            f"the context windows run along dimension {handler.dim} of the latent, expected {TIME}, time; "
            f"use Wan Context Windows, or set dim to {TIME}"
        )
    if length < 2:
        raise InputError(
            "a context window holds 1 frame of the video, in which nothing can move; set context_length to what the model was "
            "trained with: 81, nano 17"
        )
    if overlap >= length:
        raise InputError(
            f"the context windows overlap by {FRAMES * overlap} frames and are only {FRAMES * (length - 1) + 1} long; "
            "set context_overlap to less than context_length, about a third of it"
        )
    if recorded:
        raise InputError(
            "record_attention measures a video as a whole, and this one is sampled in context windows; "
            "switch record_attention off, or take the context windows away"
        )
    if reserved > length:
        log.warning(
            "the context windows come after LumosX Apply: the memory that ComfyUI reserves is without the references; connect "
            "Wan Context Windows before LumosX Apply"
        )
