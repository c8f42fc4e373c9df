"""What the transformers of an ablation show when they are sampled: the same cases and the same noise for all of them."""

from pathlib import Path

from lumosx_core.errors import InputError
from lumosx_core.evaluation.generate_run import generate_run
from lumosx_core.evaluation.runs import Run
from lumosx_core.evaluation.scoring import PUPPETS, score_run
from lumosx_core.evaluation.suites import read_suite, write_puppet_suite
from lumosx_core.progress import Progress

SUITE, RUN = "suite", "run"
SEED = 777  # of the cases; no other suite of this project has it


def ablation_suite(out: Path, *, cases: int, frames: int) -> Path:
    """The suite in <out>/suite, written unless it is there: two held-out people with two things each, in the three wordings.

    cases, frames: as of `write_puppet_suite`. Raises InputError if another one is there.
    """
    folder = out / SUITE
    if not folder.exists():
        write_puppet_suite(folder, people=2, things=2, count=cases, seed=SEED, frames=frames)
    suite = read_suite(folder)
    if (len(suite.cases), suite.frames, suite.seed) != (cases, frames, SEED):
        raise InputError(f"{folder} is another suite; choose another output folder")
    return folder


def measure_binding(model: Path, suite: Path, folder: Path, *, workers: int, progress: Progress | None = None) -> Run:
    """Sample a model folder on the suite and score the videos, in <folder>/run; what is there is kept. Raises as `generate_run`
    and `score_run`."""
    run = generate_run(suite, model, folder / RUN, workers=workers, progress=progress)
    score_run(run, [PUPPETS], workers=workers, progress=progress)
    return run
