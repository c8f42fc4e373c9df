"""How long the scorer takes at most, and what it says of true renders: run by hand, `test_puppets.py` holds the short form.

    python tests/core/puppets/scorer_limits.py --clips 1000

Random clips of 1 to 4 people with 0 to 3 things each, as `score_clip` sees a finished video of 17 frames.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3]))  # run from anywhere, also without an installed package
from lumosx_core.puppets.clip import ClipSpec, sample_clip  # noqa: E402
from lumosx_core.puppets.render import render_clip  # noqa: E402
from lumosx_core.puppets.scorer import score_clip  # noqa: E402
from lumosx_core.workers import run_in_processes  # noqa: E402


def random_clip(seed: int) -> ClipSpec:
    """The clip of that number, the same at every call."""
    rng = np.random.default_rng((779, seed))
    people, worn = int(rng.integers(1, 5)), int(rng.integers(0, 4))
    return sample_clip(rng, people=people, attributes=worn, held_out=bool(seed % 2), frames=17)


def timed(seed: int) -> tuple[float, int, list[str]]:
    """Seconds, people and outcomes of a clip's true render."""
    clip = random_clip(seed)
    frames = render_clip(clip).frames
    started = time.process_time()  # of this process alone: other work on the machine is no part of it
    score = score_clip(frames, clip.puppets)
    return time.process_time() - started, len(clip.puppets), [attribute.outcome for attribute in score.attributes]


def main() -> None:
    """Print the longest times and the outcomes per number of people."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first clip")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    found = run_in_processes(timed, list(range(options.first, options.first + options.clips)), options.processes)
    seconds = sorted(row[0] for row in found)
    longest = ", ".join(f"{s:.2f}" for s in seconds[-3:])
    print(f"{len(found)} clips: median {seconds[len(seconds) // 2]:.2f} s, longest {longest} s of processor time")
    for people in range(1, 5):
        outcomes = Counter(outcome for _, count, all_ in found if count == people for outcome in all_)
        print(f"{people} people: {dict(outcomes)}")


if __name__ == "__main__":
    main()
