"""Between pixels of 0 to 255 and what the VAE reads and gives, -1 to 1.

Legend: B = videos, F = frames, H, W = pixels.
"""

import numpy as np
import torch

TOKEN_PIXELS = 16  # side of what a token shows: the VAE makes one of 8 pixels, the patches take two of these


def to_unit_range(frames_BFHW3: np.ndarray) -> torch.Tensor:
    """uint8 frames to float32 [B, 3, F, H, W]: 0 -> -1, 255 -> 1."""
    return torch.from_numpy(np.array(frames_BFHW3)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1.0


def blank_tokens(picture_HW3: np.ndarray) -> bytes:
    """Of a prepared reference picture (uint8, sides in steps of 16) one byte per token, row by row: 1 where its 16 x 16 pixels
    and those of its eight neighbours are all white. All 0 for a picture that shows nothing else, which stays whole."""
    height, width = (side // TOKEN_PIXELS for side in picture_HW3.shape[:2])
    white = (picture_HW3 == 255).reshape(height, TOKEN_PIXELS, width, -1).all((1, 3))
    around = np.pad(white, 1, constant_values=True)
    blank = np.lib.stride_tricks.sliding_window_view(around, (3, 3)).all((2, 3))
    return bytes(white.size) if blank.all() else blank.astype(np.uint8).tobytes()


def to_frames(video_3FHW: torch.Tensor) -> np.ndarray:
    """uint8 frames [F, H, W, 3] of a video in -1..1; what lies outside is cut off."""
    return ((video_3FHW.permute(1, 2, 3, 0).float().cpu() + 1) * 127.5).round().clamp(0, 255).byte().numpy()
