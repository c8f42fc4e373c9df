"""What regions do to the nano model's videos: run by hand, some seconds for every video.

    python tests/core/evaluation/regions_table.py --count 100

Two people with two things each, the same words for both, so that only the references tell whose is what. The rows: without
regions; the first person left, the second right; and the other way round, which the order of the words speaks against. The
noise is the same in all rows. A person is on the wished side if the scorer finds them there in the mean of the scored frames.
Rates with 95 % intervals by bootstrap over cases.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))  # run from anywhere, also without an installed package
from lumosx_core.evaluation.cases import PuppetCase, puppet_suite_cases  # noqa: E402
from lumosx_core.evaluation.generate_cases import generate_frames  # noqa: E402
from lumosx_core.evaluation.statistics import rate_interval  # noqa: E402
from lumosx_core.puppets.clip import COLUMNS  # noqa: E402
from lumosx_core.puppets.scorer import score_clip  # noqa: E402
from lumosx_core.sampling.pipeline import LumosXPipeline, load_pipeline  # noqa: E402

ROWS = {"none": (), "left right": ("left", "right"), "right left": ("right", "left")}


def seen(pipeline: LumosXPipeline, case: PuppetCase, regions: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Per column (hits, asked): people on the wished side (without regions: the first one left), recognised, things bound."""
    config = replace(pipeline.defaults.config, regions=regions)
    score = score_clip(generate_frames(pipeline, case.sample, config, case.seed), case.clip.puppets)
    is_left = score.places[:, :, 0].mean(0) < COLUMNS / 2
    wished = [side == "left" for side in regions or ("left", "right")]
    outcomes = [each.outcome for each in score.attributes]
    return {
        "side": (float(sum(a == b for a, b in zip(is_left, wished, strict=True))), 2.0),
        "recognised": (float(sum(score.identities)), 2.0),
        "bound": (float(outcomes.count("bound")), float(len(outcomes) - outcomes.count("hidden"))),
    }


def main() -> None:
    """A line for every row after each case, so that a run that is stopped has told what it saw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="cases")
    parser.add_argument("--seed", type=int, default=21)
    options = parser.parse_args()
    pipeline = load_pipeline()
    cases = [case for case in puppet_suite_cases(2, 2, 3 * options.count, options.seed) if case.group == "same"]
    found: dict[str, list[dict[str, tuple[float, float]]]] = {name: [] for name in ROWS}
    for number, case in enumerate(cases[: options.count], start=1):
        for name, regions in ROWS.items():
            found[name].append(seen(pipeline, case, regions))
            rates = ", ".join(f"{column} {rate_interval([row[column] for row in found[name]])}" for column in found[name][0])
            print(f"{number} cases, {name}: {rates}", flush=True)


if __name__ == "__main__":
    main()
