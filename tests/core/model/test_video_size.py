"""Sizes of videos as latents and tokens, and pixels as the VAE reads them."""

import numpy as np
import pytest
import torch

from lumosx_core.errors import InputError
from lumosx_core.model.pixels import to_frames, to_unit_range
from lumosx_core.model.video_size import VideoSize


def test_latents_and_tokens_of_a_size() -> None:
    size = VideoSize(width=832, height=480, frames=81)
    assert size.latent == (21, 60, 104) and size.grid == (21, 30, 52)
    assert VideoSize(width=16, height=32, frames=1).grid == (1, 2, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 100}, "width is 100 pixels, expected a multiple of 16, for example 96"),
        ({"height": 0}, "height is 0, expected a whole number from 16"),
        ({"frames": 80}, "frames is 80, expected 4n \\+ 1, for example 81"),
        ({"frames": float("nan")}, "frames is nan"),
        ({"width": 10**6}, "width is 1000000"),
    ],
)
def test_other_sizes_are_errors(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        VideoSize(**{"width": 96, "height": 80, "frames": 17, **change})


def test_pixels_there_and_back() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 3), dtype=np.uint8)
    video = to_unit_range(frames)
    assert video.shape == (2, 3, 3, 4, 5) and video[0, 1, 2, 3, 4] == pytest.approx(frames[0, 2, 3, 4, 1] / 127.5 - 1)
    assert np.array_equal(to_frames(video[1]), frames[1])
    ends = to_frames(torch.tensor([-1.0, 0.0, 1.0, 1.5]).view(1, 1, 1, 4).expand(3, 1, 1, 4))
    assert ends[0, 0, :, 0].tolist() == [0, 128, 255, 255]
