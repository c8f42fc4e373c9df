"""What the scorer says of true renders and of exchanged ones in every puppet suite: run by hand.

    python tests/core/evaluation/suite_ceilings.py --count 30

Wanted: at least 99 % bound on true renders, at most 1 % where everybody wears the next person's things.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))  # run from anywhere, also without an installed package
from lumosx_core.evaluation.statistics import rate_interval  # noqa: E402
from lumosx_core.evaluation.suites import puppet_suite_cases, with_exchanged_things  # noqa: E402
from lumosx_core.puppets.render import render_clip  # noqa: E402
from lumosx_core.puppets.scorer import score_clip  # noqa: E402


def bound(people: int, things: int, count: int, seed: int, *, exchanged: bool) -> Iterator[tuple[float, float]]:
    """(bound, judged) of every case."""
    for case in puppet_suite_cases(people, things, count, seed):
        clip = with_exchanged_things(case.clip) if exchanged else case.clip
        outcomes = [a.outcome for a in score_clip(render_clip(clip).frames, case.clip.puppets).attributes]
        yield float(outcomes.count("bound")), float(len(outcomes) - outcomes.count("hidden"))


def main() -> None:
    """One line per suite."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=30, help="cases per suite")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for people in range(1, 5):
        for things in range(1, 4):
            told = []
            for exchanged in (False, True) if people > 1 else (False,):
                cases = bound(people, things, options.count, options.seed, exchanged=exchanged)
                told.append(f"{'exchanged' if exchanged else 'true'} {rate_interval(list(cases))}")
            print(f"{people} people, {things} things each: bound {', '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
