"""Prints one line for each kind of file: is each frame the right one, and how far are flat colours from the truth.

Run: python -m tests.core.data.decoding_table [KIND ...]
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lumosx_core.data.decoding import probe_video, read_at, read_clip, walk_frames
from tests.core.data.made_videos import KINDS, Made, colour_error, read_number


def judged(made: Made, short_side: int | None = None) -> tuple[list[str], float]:
    """(what is wrong, largest error of a flat colour in levels of 255) by every way of reading."""
    wrong, worst = [], 0.0
    facts = probe_video(made.path)
    if (facts.width, facts.height) != (made.width, made.height):
        wrong.append(f"size {facts.width}x{facts.height}")
    if facts.frames != len(made.times):
        wrong.append(f"{facts.frames} frames")
    length = made.times[-1] if len(made.times) > 1 else 1.0
    asked = [0.05 * length, 0.5 * length, 0.95 * length]

    def compare(way: str, pictures: np.ndarray | list[np.ndarray], numbers: list[int]) -> None:
        nonlocal worst
        seen = [read_number(picture) for picture in pictures]
        if seen != numbers:
            wrong.append(f"{way}: {seen} for {numbers}")
        worst = max([worst, *(colour_error(picture, made.colours) for picture in pictures)])

    compare("read_at", read_at(made.path, asked, short_side=short_side), [made.nearest(time) for time in asked])
    start = 0.31 * length
    clip, taken = read_clip(made.path, start, 9, 16, short_side=short_side)
    truth = [made.nearest(start + number / 16) for number in range(9)]
    compare("read_clip", clip, truth)
    if not np.allclose(taken, [made.times[made.numbers.index(number)] for number in truth], atol=0.0011):
        wrong.append(f"times {taken.tolist()}")
    walked = list(walk_frames(made.path, short_side=short_side))
    compare("walk", [picture for _, picture in walked], made.numbers)
    if not np.allclose([time for time, _ in walked], made.times, atol=0.0011):
        wrong.append("times of the walk")
    return wrong, worst


def main(names: list[str]) -> int:
    bad = 0
    print(f"{'kind':22}{'frames':>8}{'colour error':>14}{'seconds':>9}  wrong")  # noqa: T201
    with tempfile.TemporaryDirectory() as folder:
        for name in names or list(KINDS):
            made = KINDS[name](Path(folder))
            before = time.perf_counter()
            wrong, worst = judged(made, 480 if name == "eight_k" else None)
            seconds = time.perf_counter() - before
            bad += bool(wrong) or worst > 4
            print(f"{name:22}{len(made.times):8}{worst:14.2f}{seconds:9.2f}  {'; '.join(wrong) or '-'}", flush=True)  # noqa: T201
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
