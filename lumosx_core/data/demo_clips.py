"""Videos to try the collection with: puppet clips, each with its caption beside it, as anybody's folder of videos would be."""

from pathlib import Path

import numpy as np

from lumosx_core.files.atomic import write_text
from lumosx_core.files.videos import write_video
from lumosx_core.numbers import whole_number
from lumosx_core.progress import Progress
from lumosx_core.puppets.clip import FPS, ClipSpec, sample_clip
from lumosx_core.puppets.render import render_clip

ENLARGE = 4


def write_demo_clips(
    folder: Path, count: int, seed: int = 0, *, frames: int = 17, progress: Progress | None = None
) -> list[ClipSpec]:
    """Write `count` videos of one to three people, "0000.mp4" with "0000.txt", and return what is in them."""
    whole_number(count, "the number of clips", least=1, most=10_000)
    specs = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        spec = sample_clip(
            rng,
            people=1 + number % 3,
            attributes=int(rng.integers(1, 4)),
            described=True,
            objects=int(rng.integers(0, 2)),
            held_out=True,
            frames=frames,
        )
        write_video(folder / f"{number:04d}.mp4", render_clip(spec).frames, FPS, enlarge=ENLARGE)
        write_text(folder / f"{number:04d}.txt", spec.caption.text + "\n")
        specs.append(spec)
        if progress is not None:
            progress("videos", number + 1, count)
    return specs
