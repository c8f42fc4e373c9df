"""A model on a suite, from the first video to the report; the benchmark of two people with two things each in one call."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lumosx_core.errors import InputError
from lumosx_core.evaluation.cases import MOST_CASES, PuppetCase, puppet_cases
from lumosx_core.evaluation.generate_run import generate_run, generation_config
from lumosx_core.evaluation.report import draw_sheet, random_cases, summarize
from lumosx_core.evaluation.report_page import write_run_page
from lumosx_core.evaluation.report_text import markdown
from lumosx_core.evaluation.runs import Run
from lumosx_core.evaluation.scoring import PUPPETS, metric_named, read_scores, score_run
from lumosx_core.evaluation.suites import Suite, puppet_suite, read_suite, write_suite
from lumosx_core.files.atomic import write_text
from lumosx_core.files.images import save_image
from lumosx_core.files.json import write_json
from lumosx_core.numbers import seed_number, whole_number
from lumosx_core.progress import Progress

TITLE = "2 people with 2 things each, described and plain"


def evaluate_puppets(
    model: str | Path,
    out: str | Path,
    *,
    count: int = 200,
    seed: int = 0,
    workers: int | None = 1,
    changes: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict:
    """Write the suite of `puppet_cases`, generate and score it, and report: returns the report as `summarize`.

    out: gets suite/ and a run (`runs.py` says what is in it). What is there is kept when the call is repeated. count: cases
    without the shuffled twins, which are told apart. Other arguments and errors as `generate_run` and `score_run`; InputError
    too if `out` holds another suite.
    """
    out = Path(out)
    count, seed = whole_number(count, "count", least=1, most=MOST_CASES), seed_number(seed)
    cases = list(puppet_cases(count, seed))
    manifest = puppet_suite(TITLE, cases[0], seed, apart=("shuffled",))
    run = run_own_suite(manifest, cases, model, out, changes=changes, workers=workers, progress=progress)
    return write_report(run)


def run_own_suite(
    manifest: Suite,
    cases: Sequence[PuppetCase],
    model: str | Path,
    out: Path,
    *,
    changes: Mapping[str, Any] | None,
    workers: int | None,
    progress: Progress | None,
) -> Run:
    """A scored run in `out` on a suite of its own in out/suite. Arguments and errors as of `evaluate_puppets`."""
    generation_config(model, manifest, changes)  # what is wrong is told before anything is written
    folder = out / "suite"
    if folder.exists():
        with TemporaryDirectory() as scratch:  # cases that are made anew must be those that are there
            if write_suite(Path(scratch) / "suite", cases, manifest) != read_suite(folder):
                raise InputError(f"{out} holds another suite, or one of another version; choose another output folder")
    else:
        write_suite(folder, cases, manifest)
    run = generate_run(folder, model, out, changes=changes, workers=workers, progress=progress)
    score_run(run, [PUPPETS], workers=workers, progress=progress)
    return run


def write_report(run: Run) -> dict[str, Any]:
    """Write report.json, report.md, report.html and sheet.png of the scores that are there; returns the report as `summarize`.

    Raises InputError if nothing is scored, and for a disk that refuses.
    """
    scores = read_scores(run)
    report = summarize(run, scores)
    write_json(run.folder / "report.json", report, "the report")
    write_text(run.folder / "report.md", markdown(report))
    write_run_page(run.folder / "report.html", run, report, scores)
    name, found = next(iter(sorted(scores.items())))
    save_image(draw_sheet(run, random_cases(run, found), found, metric_named(name)), run.folder / "sheet.png")
    return report
