"""What a strength other than 1 does to the nano model's videos: run by hand, half an hour and more.

    python tests/core/evaluation/strength_table.py --count 24

Two people with two things each, the same words for both, so that only the references tell whose is what. The strength is that
of the first person's face, first thing, or all pictures; the noise is the same for every strength. Rates with 95 % intervals
by bootstrap over cases.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))  # run from anywhere, also without an installed package
from lumosx_core.evaluation.cases import PuppetCase, puppet_suite_cases  # noqa: E402
from lumosx_core.evaluation.generate_cases import generate_frames  # noqa: E402
from lumosx_core.evaluation.statistics import rate_interval  # noqa: E402
from lumosx_core.puppets.scorer import score_clip  # noqa: E402
from lumosx_core.references import Sample  # noqa: E402
from lumosx_core.sampling.pipeline import LumosXPipeline, load_pipeline  # noqa: E402

WEIGHTED = ("face", "thing", "person")


def weighted(sample: Sample, what: str, strength: float) -> Sample:
    """The sample with that strength at the first person's `what`, of WEIGHTED."""
    first, *others = sample.references.subjects
    if what == "face":
        first = replace(first, face_strength=strength)
    elif what == "thing":
        first = replace(first, attributes=(replace(first.attributes[0], strength=strength), *first.attributes[1:]))
    else:
        first = replace(first, strength=strength)
    return replace(sample, references=replace(sample.references, subjects=(first, *others)))


def seen(pipeline: LumosXPipeline, case: PuppetCase, sample: Sample) -> dict[str, tuple[float, float]]:
    """Per column (hits, asked): of the first person the face, the first thing, the second thing; of the second person all."""
    score = score_clip(generate_frames(pipeline, sample, pipeline.defaults.config, case.seed), case.clip.puppets)
    own = [each.outcome for each in score.attributes if each.subject == 0]
    others = [each.outcome for each in score.attributes if each.subject == 1]
    return {
        "face": (float(score.identities[0]), 1.0),
        "thing bound": (float(own[0] == "bound"), 1.0),
        "thing hidden": (float(own[0] == "hidden"), 1.0),
        "other thing bound": (float(own[1] == "bound"), 1.0),
        "neighbour's bound": (float(others.count("bound")), float(len(others))),
    }


def main() -> None:
    """One line per strength."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=24, help="cases")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.5, 1.5, 0.0])
    options = parser.parse_args()
    pipeline = load_pipeline()
    cases = [case for case in puppet_suite_cases(2, 2, 3 * options.count, options.seed) if case.group == "same"]
    settings = [("all", 1.0), *((what, strength) for strength in options.strengths for what in WEIGHTED)]
    for what, strength in settings:
        rows = [seen(pipeline, c, c.sample if what == "all" else weighted(c.sample, what, strength)) for c in cases]
        rates = ", ".join(f"{column} {rate_interval([row[column] for row in rows])}" for column in rows[0])
        print(f"{what} x {strength:g}: {rates}", flush=True)


if __name__ == "__main__":
    main()
