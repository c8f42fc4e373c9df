"""How often a further view shows the same person: puppet videos of two shots, in which some people stay and others are new.

    python -m tests.core.data.pair_precision [--videos 40] [--seed 0]

The stages see mp4 files alone, and write the captions themselves. A further view is right if its person has the identity of the
person who got it. *Found*: of the people of samples who are in the other shot, how many got a view. Exit status 1 below 98 %.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lumosx_core.data.collect import collect
from lumosx_core.data.collect_config import PUPPETS
from lumosx_core.data.collected import Clip
from lumosx_core.data.demo_clips import ENLARGE
from lumosx_core.data.engine import ProcessEngine
from lumosx_core.files.videos import write_video
from lumosx_core.puppets.clip import FPS, ClipSpec, sample_clip
from lumosx_core.puppets.render import render_clip
from lumosx_core.puppets.scenes import SCENES
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.tokenizers import load_tokenizer

BAR = 0.98
FRAMES = 9
STAYS = 0.6  # how likely somebody of the second shot was in the first


@dataclass
class Pairs:
    """views: further views; right: those of the same person. there: people of samples who are in the other shot; found: those
    of them who got a view. samples: judged."""

    views: int = 0
    right: int = 0
    there: int = 0
    found: int = 0
    samples: int = 0


def two_shots(rng: np.random.Generator) -> tuple[ClipSpec, ClipSpec]:
    """Two shots of one video: other places, movements and things worn, some of the same people, in any order."""
    people = int(rng.integers(1, 4))
    first, second = (
        sample_clip(rng, people=people, attributes=2, described=True, held_out=True, frames=FRAMES) for _ in range(2)
    )
    stays = [n for n in range(people) if rng.random() < STAYS]
    places = rng.permutation(people)[: len(stays)]
    puppets = list(second.puppets)
    for n, place in zip(stays, places, strict=True):
        puppets[place] = replace(puppets[place], identity=first.puppets[n].identity)
    scene = SCENES[(SCENES.index(first.scene) + 1 + int(rng.integers(len(SCENES) - 1))) % len(SCENES)]
    return first, replace(second, puppets=tuple(puppets), scene=scene)


def write_two_shots(folder: Path, numbers: Iterable[int], seed: int) -> dict[str, tuple[ClipSpec, ClipSpec]]:
    """Write the videos of these numbers; what is in each, by its file name."""
    videos = {}
    for number in numbers:
        shots = two_shots(np.random.default_rng((seed, number)))
        frames = np.concatenate([render_clip(spec).frames for spec in shots])
        write_video(folder / f"{number:04d}.mp4", frames, FPS, enlarge=ENLARGE)
        videos[f"{number:04d}.mp4"] = shots
    return videos


def judge(clips: Sequence[Clip], videos: dict[str, tuple[ClipSpec, ClipSpec]]) -> Pairs:
    """Count the further views of decided clips. People of a track are told by their order from left to right."""
    pairs = Pairs()
    for clip in clips:
        shots = videos[clip.source.names[0]]
        mine, other = shots if clip.job.shot.start_s == 0 else shots[::-1]
        if not clip.is_sample or len(clip.records["people"].tracks) != len(mine.puppets):
            continue
        assert clip.decision is not None
        pairs.samples += 1
        for person in clip.decision.people:
            identity = mine.puppets[person.track].identity
            there = any(puppet.identity == identity for puppet in other.puppets)
            pairs.there += there
            pairs.found += there and bool(person.further)
            for view in person.further:
                pairs.views += 1
                pairs.right += view.track < len(other.puppets) and other.puppets[view.track].identity == identity
    return pairs


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    clips: list[Clip] = []
    with tempfile.TemporaryDirectory() as folder:
        videos = write_two_shots(Path(folder) / "videos", range(options.videos), options.seed)
        tokenizer = load_tokenizer(NANO_FOLDER / "spiece.model")
        given, out = [Path(folder) / "videos"], Path(folder) / "out"
        collect(given, out, PUPPETS, tokenizer, engine=ProcessEngine(workers=1), on_clip=lambda clip, _: clips.append(clip))
        pairs = judge(clips, videos)
    precision = pairs.right / max(1, pairs.views)
    sys.stdout.write(
        f"{pairs.samples} samples of {len(clips)} clips; further views right: {pairs.right} of {pairs.views} "
        f"({precision:.1%}); people found in the other shot: {pairs.found} of {pairs.there}\n"
    )
    return 0 if pairs.views and precision >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
