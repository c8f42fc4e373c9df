"""Between pixels of 0 to 255 and what the VAE reads and gives, -1 to 1.

Legend: B = videos, F = frames, H, W = pixels.
"""

import numpy as np
import torch


def to_unit_range(frames_BFHW3: np.ndarray) -> torch.Tensor:
    """uint8 frames to float32 [B, 3, F, H, W]: 0 -> -1, 255 -> 1."""
    return torch.from_numpy(np.array(frames_BFHW3)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1.0


def to_frames(video_3FHW: torch.Tensor) -> np.ndarray:
    """uint8 frames [F, H, W, 3] of a video in -1..1; what lies outside is cut off."""
    return ((video_3FHW.permute(1, 2, 3, 0).float().cpu() + 1) * 127.5).round().clamp(0, 255).byte().numpy()
