"""The parts of `lumosx evaluate` that measure a model on a suite: suite, import-opens2v, generate, score, report, videos."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumosx_core.cli.sampling_options import add_sampling_arguments, chosen_changes

if TYPE_CHECKING:
    from lumosx_core.evaluation.runs import Run


def add_run_commands(what: Any) -> None:
    """Add the commands to the subparsers of `lumosx evaluate`."""
    suite = what.add_parser("suite", help="write cases of 1 to 4 people with 1 to 3 things, in three wordings")
    suite.add_argument("--out", type=Path, required=True, help="folder of the suite")
    suite.add_argument("--people", type=int, help="1 to 4, four on a wider frame (default: 2)")
    suite.add_argument("--things", type=int, help="of each, 1 to 3 (default: 2)")
    suite.add_argument("--count", type=int, help="cases (default: 200)")
    suite.add_argument("--seed", type=int, default=0)
    suite.add_argument("--frames", type=int, help="of the videos, 4n + 1 (default: 17)")
    suite.add_argument(
        "--same-clothes", action="store_true", default=None, help="everybody wears the same kinds of things in other colours"
    )
    suite.add_argument(
        "--twins",
        nargs="+",
        choices=("order", "mirrored", "exchanged"),
        help="every case once more, same words and noise: pictures in another order or mirrored, things exchanged",
    )
    suite.add_argument("--samples", type=Path, metavar="FOLDER", help="instead the sample folders in FOLDER, of photographs")
    imported = what.add_parser("import-opens2v", help="write the cases of OpenS2V-Eval as a suite, and what was bound to what")
    imported.add_argument("cases", type=Path, metavar="FOLDER", help="with the JSON files and Images/, or one JSON file")
    imported.add_argument("out", type=Path, metavar="OUT", help="folder of the suite")
    imported.add_argument(
        "--people",
        choices=("whole", "faces"),
        default="whole",
        help="pictures of whole people are objects, as published, or are cropped to faces of subjects (default: whole)",
    )
    imported.add_argument("--eyes", metavar="FOLDER", help="of --people faces: models, or puppets (default: models/eyes)")
    imported.add_argument("--device", help="cpu or cuda, for these models (default: cpu)")
    imported.add_argument("--seed", type=int, default=0)
    generate = what.add_parser("generate", help="make the videos of a suite, or take those that another model made")
    generate.add_argument("suite", type=Path, metavar="SUITE", help="folder of the suite")
    generate.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    source = generate.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, help="model folder")
    source.add_argument("--videos", type=Path, metavar="FOLDER", help="videos that are there, each called <case>.mp4")
    generate.add_argument("--gaps", action="store_true", help="of --videos: cases without a whole video count as missing")
    generate.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: cpu)")
    generate.add_argument("--dtype", choices=("fp32", "bf16", "fp16"), help="of the weights in memory (default: fp32)")
    _add_share(generate)
    add_sampling_arguments(generate)
    score = what.add_parser("score", help="judge the videos of a run, each once; then report")
    score.add_argument("run_folder", type=Path, metavar="RUN")
    score.add_argument(
        "--metrics",
        nargs="+",
        metavar="METRIC",
        help="puppets (exact, of the puppet world), faces (likeness), binding (whose things), clip (things and words), motion, "
        "judge (a model behind a server) (default: puppets or faces, by the suite's kind)",
    )
    score.add_argument("--eyes", type=Path, metavar="FOLDER", help="folder of models for photographs (default: models/eyes)")
    score.add_argument("--device", help="of these models, those of faces aside: cpu, cuda, cuda:1, ... (default: cpu)")
    score.add_argument("--judge", metavar="MODEL", help="of the metric judge: a model that sees pictures")
    score.add_argument("--judge-url", metavar="URL", help="its OpenAI-compatible server (default: http://localhost:8000/v1)")
    _add_share(score)
    report = what.add_parser("report", help="what the scores of a run come to")
    report.add_argument("run_folder", type=Path, metavar="RUN")
    videos = what.add_parser("videos", help="the videos of a run as <case>.mp4, for the scripts of others")
    videos.add_argument("run_folder", type=Path, metavar="RUN")
    videos.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    videos.add_argument("--fps", type=float, default=16.0, help="frames per second (default: 16)")
    compare = what.add_parser("compare", help="runs of one suite side by side: is a difference more than chance?")
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="the first one is what the others are compared with")
    compare.add_argument("--out", type=Path, default=Path("outputs/compare"), help="folder of the comparison")


def _add_share(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--share", metavar="I/N", help="only every Nth case from the Ith on: one of N machines")
    parser.add_argument("--workers", type=int, help="processes (default: one per core, on a GPU one)")


def print_report(folder: Path, report: dict[str, Any]) -> None:
    """The rates, and where the files are."""
    from lumosx_core.evaluation.report_text import terminal_table

    print(terminal_table(report))
    print(f"page           {folder / 'report.html'}\ncontact sheet  {folder / 'sheet.png'}")


def _run_suite(options: argparse.Namespace) -> int:
    from lumosx_core.errors import InputError
    from lumosx_core.evaluation.suites import read_suite, write_puppet_suite, write_sample_suite

    names = ("people", "things", "count", "frames", "same_clothes", "twins")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.samples is not None:
        if given:
            option = f"--{next(iter(given)).replace('_', '-')}"
            raise InputError(
                f"--samples takes the sample folders as they are; leave {option} out, which is of the puppet world"
            )
        write_sample_suite(options.out, options.samples, seed=options.seed)
    else:
        write_puppet_suite(options.out, seed=options.seed, **{"people": 2, "things": 2, "count": 200, **given})
    suite = read_suite(options.out)
    print(f"suite          {options.out}: {len(suite.cases)} cases, {suite.title}")
    if suite.width is not None:
        print(f"videos         {suite.width} x {suite.height}, {suite.frames} frames")
    return 0


def _run_import(options: argparse.Namespace) -> int:
    from lumosx_core.cli.people import chosen_eyes
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.errors import InputError
    from lumosx_core.evaluation.import_opens2v import REPORT, import_opens2v
    from lumosx_core.sampling.pipeline import NANO_FOLDER
    from lumosx_core.tokenizers import load_tokenizer

    if options.people != "faces" and (options.eyes or options.device):
        raise InputError("--eyes and --device are of --people faces; add that, or leave them out")
    eyes = chosen_eyes(options.eyes or "models/eyes", options.device or "cpu") if options.people == "faces" else None
    with ProgressBars() as progress:
        report = import_opens2v(
            options.cases, options.out, load_tokenizer(NANO_FOLDER), eyes=eyes, seed=options.seed, progress=progress
        )
    added = [(case.name, label.label) for case in report.cases for label in case.labels if label.how == "added"]
    labels = report.labels()
    print(f"suite          {options.out}: {len(report.cases)} cases, {len(labels)} pictures")
    print(f"bound          {len(labels) - len(added)} of {len(labels)} labels ({report.bound():.1%})")
    print(f"added          {'; '.join(f'{label} of {case}' for case, label in added) or 'none'}")
    print("".join(f"left out       {name} holds no cases\n" for name in report.left_out), end="")
    print(f"report         {options.out / REPORT[1]}")
    return 0


def _run_videos(options: argparse.Namespace) -> int:
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.evaluation.generate_run import write_videos
    from lumosx_core.evaluation.runs import open_run

    run = open_run(options.run_folder)
    with ProgressBars() as progress:
        written, missing = write_videos(run, options.out, fps=options.fps, progress=progress)
    print(f"videos         {options.out}: {written} of {len(run.suite.cases)}" + (f", {missing} have none" if missing else ""))
    return 0


def _run_generate(options: argparse.Namespace) -> int:
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.errors import InputError
    from lumosx_core.evaluation.generate_run import generate_run, take_videos
    from lumosx_core.evaluation.runs import parse_share

    share = parse_share(options.share)
    if options.videos is not None:
        if chosen_changes(options) or any((options.share, options.device, options.dtype, options.workers)):
            raise InputError(
                "--videos takes videos as they are; leave the sampling options, --share, --device, --dtype and --workers out"
            )
        _told(take_videos(options.suite, options.videos, options.out, gaps=options.gaps))
        return 0
    if options.gaps:
        raise InputError("--gaps is of --videos; a model makes every video")
    with ProgressBars() as progress:
        run = generate_run(
            options.suite,
            options.model,
            options.out,
            changes=chosen_changes(options),
            device=options.device or "cpu",
            dtype=options.dtype or "fp32",
            share=share,
            workers=1 if options.workers is None and options.device not in (None, "cpu") else options.workers,
            progress=progress,
        )
    _told(run)
    return 0


def _told(run: "Run") -> None:
    cases = [run.case(case.name) for case in run.suite.cases]
    there = sum(case.exists() for case in cases)
    gaps = sum(bool(case.gap()) for case in cases)
    print(f"run            {run.folder}: {there - gaps} of {len(cases)} videos" + (f", {gaps} missing" if gaps else ""))
    print(f"next           lumosx evaluate score {run.folder}")


def _run_score(options: argparse.Namespace) -> int:
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.data.relations.server_transport import ServerSettings
    from lumosx_core.detection.known_models import ROOT
    from lumosx_core.errors import InputError
    from lumosx_core.evaluation.evaluate import write_report
    from lumosx_core.evaluation.runs import open_run, parse_share
    from lumosx_core.evaluation.scoring import FACES, JUDGE, PUPPETS, roles_of, score_run
    from lumosx_core.model.devices import check_device

    share = parse_share(options.share)
    run = open_run(options.run_folder)
    metrics = options.metrics or [PUPPETS if run.suite.kind == "puppets" else FACES]
    roles = {role for name in metrics for role in roles_of(name, run.suite.kind)}
    for option, given, used in (("--eyes", options.eyes, roles), ("--device", options.device, roles - {"faces"})):
        if given is not None and not used:
            raise InputError(f"{option} has no effect on {', '.join(metrics)}, which need no such models; leave it out")
    device = options.device or "cpu"
    check_device(device)
    asked = {"model": options.judge, "url": options.judge_url}
    told = {name: value for name, value in asked.items() if value is not None}
    if told and JUDGE not in metrics:
        raise InputError("--judge and --judge-url are of the metric judge; add it to --metrics, or leave them out")
    judge = ServerSettings(**told) if "model" in told else None
    with ProgressBars() as progress:
        workers = 1 if options.workers is None and device != "cpu" else options.workers
        score_run(
            run,
            metrics,
            models=options.eyes or ROOT,
            device=device,
            judge=judge,
            share=share,
            workers=workers,
            progress=progress,
        )
    print_report(run.folder, write_report(run))
    return 0


def _run_report(options: argparse.Namespace) -> int:
    from lumosx_core.evaluation.evaluate import write_report
    from lumosx_core.evaluation.runs import open_run

    run = open_run(options.run_folder)
    print_report(run.folder, write_report(run))
    return 0


def _run_compare(options: argparse.Namespace) -> int:
    from lumosx_core.evaluation.compare import compare_runs
    from lumosx_core.evaluation.comparison_text import comparison_markdown, terminal_comparison, write_comparison_page
    from lumosx_core.evaluation.runs import open_run
    from lumosx_core.files.atomic import writable_folder, write_text
    from lumosx_core.files.json import write_json

    comparison = compare_runs([open_run(folder) for folder in options.runs])
    out = writable_folder(options.out)
    write_json(out / "comparison.json", comparison, "the comparison")
    write_text(out / "comparison.md", comparison_markdown(comparison))
    write_comparison_page(out / "comparison.html", comparison)
    print(terminal_comparison(comparison))
    print(f"page           {out / 'comparison.html'}")
    return 0


RUN_COMMANDS = {
    "suite": _run_suite,
    "import-opens2v": _run_import,
    "generate": _run_generate,
    "score": _run_score,
    "report": _run_report,
    "videos": _run_videos,
    "compare": _run_compare,
}
