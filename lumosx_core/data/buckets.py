"""Which size a clip is trained at: the bucket of nearest aspect, as long as the clip allows.

Legend: a bucket is a `VideoSize`: width, height (pixels), frames (4n + 1).
"""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.model.video_size import VideoSize

AREA_REACH = 0.12  # a bucket's area may differ so much from the largest size's, as a share
WIDEST = 2.0  # ratio of the sides


def default_buckets(size: VideoSize) -> tuple[VideoSize, ...]:
    """Buckets of about the area of a model's own size, of all aspects up to 1:2 and 2:1; each in several lengths: as long as
    the model's, half, a quarter, ... of the latent frames, and a single picture."""
    area = size.width * size.height
    shapes = {(size.width, size.height)}
    for width in range(16, 2 * int(math.sqrt(area)) + 17, 16):
        height = max(16, round(area / width / 16) * 16)
        near = abs(width * height / area - 1) <= AREA_REACH
        if near and max(width / height, height / width) <= max(WIDEST, size.width / size.height, size.height / size.width):
            shapes.add((width, height))
    lengths = [size.frames]
    while lengths[-1] > 1:
        lengths.append(1 + 4 * ((lengths[-1] - 1) // 8))
    return tuple(VideoSize(width=w, height=h, frames=f) for w, h in sorted(shapes) for f in lengths)


def parse_buckets(texts: Sequence[str]) -> tuple[VideoSize, ...]:
    """Buckets from texts such as "832x480x81". Raises InputError for anything else."""
    buckets = []
    for text in texts:
        parts = text.lower().split("x")
        if len(parts) != 3 or not all(part.isdecimal() for part in parts):
            raise InputError(f"{text!r} is no bucket; write WIDTHxHEIGHTxFRAMES, such as 832x480x81")
        buckets.append(VideoSize(width=int(parts[0]), height=int(parts[1]), frames=int(parts[2])))
    return tuple(buckets)


def bucket_of(width: int, height: int, frames: int, buckets: Sequence[VideoSize]) -> VideoSize | None:
    """The bucket for a clip of that size with so many frames at the training rate: nearest aspect, then the longest that fits;
    None if every bucket is longer than the clip."""
    fitting = [bucket for bucket in buckets if bucket.frames <= frames]
    if not fitting:
        return None
    aspect = math.log(width / height)
    return min(fitting, key=lambda b: (round(abs(math.log(b.width / b.height) - aspect), 6), -b.frames, -b.width * b.height))


def fit_frames(frames: np.ndarray, bucket: VideoSize) -> np.ndarray:
    """Frames uint8 [F, H, W, 3] scaled so that they cover the bucket, and cut to it around the middle; F stays."""
    if frames.shape[1:3] == (bucket.height, bucket.width):
        return frames
    scale = max(bucket.width / frames.shape[2], bucket.height / frames.shape[1])
    size = (max(bucket.width, round(frames.shape[2] * scale)), max(bucket.height, round(frames.shape[1] * scale)))
    left, top = (size[0] - bucket.width) // 2, (size[1] - bucket.height) // 2
    box = (left, top, left + bucket.width, top + bucket.height)
    smooth = Image.Resampling.BOX if _is_whole(frames, size) else Image.Resampling.LANCZOS
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, smooth).crop(box)) for frame in frames])


def _is_whole(frames: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether pixels become smaller by a whole factor, as drawn ones should by averaging blocks."""
    return frames.shape[2] % size[0] == 0 and frames.shape[1] % size[1] == 0
