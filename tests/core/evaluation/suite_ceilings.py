"""What the scorer says of true renders and of exchanged ones in every puppet suite: run by hand.

    python tests/core/evaluation/suite_ceilings.py --count 30

Wanted: at least 99 % bound on true renders, at most 1 % where everybody wears the next person's things, and one person alone
the same kinds of things in other colours.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))  # run from anywhere, also without an installed package
from lumosx_core.evaluation.cases import FRAMES, TWINS, puppet_suite_cases, with_exchanged_things  # noqa: E402
from lumosx_core.evaluation.statistics import rate_interval  # noqa: E402
from lumosx_core.puppets.render import render_clip  # noqa: E402
from lumosx_core.puppets.scorer import score_clip  # noqa: E402


def bound(
    people: int, things: int, count: int, seed: int, *, exchanged: bool, faults: bool = False, **changes: Any
) -> Iterator[tuple[float, float]]:
    """(bound, judged) of every case. faults: print what is not judged as wanted. changes: of `puppet_suite_cases`."""
    for case in puppet_suite_cases(people, things, count, seed, **changes):
        clip = with_exchanged_things(case.clip) if exchanged else case.clip
        score = score_clip(render_clip(clip).frames, case.clip.puppets)
        outcomes = [a.outcome for a in score.attributes]
        for a in score.attributes if faults else ():
            if a.outcome != "hidden" and (a.outcome == "bound") == exchanged:
                seen = f"error {a.error:.4f}, best other {a.rival:.4f}, recognised {score.identities[a.subject]}"
                print(f"  {case.name} {'exchanged' if exchanged else 'true'}: {a.kind} of {a.subject} {a.outcome}, {seen}")
        yield float(outcomes.count("bound")), float(len(outcomes) - outcomes.count("hidden"))


def main() -> None:
    """One line per suite."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=30, help="cases per suite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--people", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--things", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--same-clothes", action="store_true")
    parser.add_argument("--twins", nargs="+", default=[], choices=TWINS)
    parser.add_argument("--faults", action="store_true", help="print every thing that is not judged as wanted")
    options = parser.parse_args()
    changes = {"frames": options.frames, "same_clothes": options.same_clothes, "twins": options.twins}
    for people in options.people:
        for things in options.things:
            told = []
            for exchanged in (False, True):
                cases = bound(
                    people, things, options.count, options.seed, exchanged=exchanged, faults=options.faults, **changes
                )
                told.append(f"{'exchanged' if exchanged else 'true'} {rate_interval(list(cases))}")
            print(f"{people} people, {things} things each: bound {', '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
