"""Collect a dataset of relational samples: from folders of videos to clips, people, their things, and whose each thing is.

Every relation carries its evidence, every clip that is left out its reason, and a page shows it all (OUT/page.html). Nothing is
downloaded; models are local folders named in the configuration (`--preset photo`), or the embedded puppet analyser (`--preset
puppets`). The same command goes on after an interruption, takes new videos in, and applies changed thresholds in seconds.
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lumosx_core.data.collect import CollectReport
    from lumosx_core.data.collect_config import CollectConfig
    from lumosx_core.data.engine import Engine
    from lumosx_core.tokenizers import Tokenizer

DEMO_CLIPS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "inputs", nargs="*", type=Path, metavar="INPUT", help="videos, folders of videos, or lists (.csv, .jsonl)"
    )
    parser.add_argument("--out", type=Path, help="folder of the dataset (default with --demo: outputs/collect_demo)")
    parser.add_argument("--demo", action="store_true", help=f"make {DEMO_CLIPS} videos of the puppet world and collect them")
    parser.add_argument("--preset", choices=("photo", "puppets"), help="numbers to start from (default: photo)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with other numbers")
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", dest="changes", help="one number, such as keep.least_face=96"
    )
    parser.add_argument("--workers", type=int, help="processes (default: one per core, of the whole cluster with --engine ray)")
    parser.add_argument(
        "--engine",
        choices=("process", "ray"),
        default="process",
        help="who works: processes on this machine (default), or those of a Ray cluster, pip install 'lumosx[cluster]'",
    )
    parser.add_argument(
        "--worker-gpus",
        type=float,
        metavar="SHARE",
        help="of a GPU, that a worker of --engine ray takes (default: 1 where models.device is cuda, else 0)",
    )
    parser.add_argument("--retry", choices=("failed",), help="do again what failed")
    parser.add_argument(
        "--dry-run", action="store_true", help="say videos, stages, models found and missing and bytes needed; write nothing"
    )
    parser.add_argument("--print-config", action="store_true", help="print every setting with its meaning, and do nothing")


def run(options: argparse.Namespace) -> int:
    """Collect; status 1 if no clip became a sample, with --dry-run if it could not be done."""
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.data.collect import collect
    from lumosx_core.data.collect_config import COLLECT_PRESETS, CollectConfig
    from lumosx_core.data.demo_clips import write_demo_clips
    from lumosx_core.data.settings import read_config, to_toml
    from lumosx_core.errors import InputError

    preset = options.preset or ("puppets" if options.demo else "photo")
    config = read_config(CollectConfig, COLLECT_PRESETS[preset], options.config, options.changes)
    if options.print_config:
        print(to_toml(config), end="")
        return 0
    if options.demo == bool(options.inputs):
        raise InputError("give videos, folders of videos or lists to collect from, or --demo for videos made on the spot")
    out = options.out or (Path("outputs/collect_demo") if options.demo else None)
    if out is None:
        raise InputError("give the folder of the dataset with --out")
    if options.dry_run:
        from lumosx_core.data.plan import plan_collection

        if options.demo:
            raise InputError("--demo makes its videos first; give videos with --dry-run, or leave it out")
        plan = plan_collection(options.inputs, out, config)
        print(plan.text())
        return 1 if plan.missing or not plan.paths or plan.bytes_needed > plan.bytes_free else 0
    tokenizer = tokenizer_of(config)
    inputs = options.inputs
    with chosen_engine(options, config) as engine, ProgressBars() as progress:
        if options.demo:
            inputs, out = [out / "videos"], out / "dataset"
            write_demo_clips(inputs[0], DEMO_CLIPS, progress=progress)
        report = collect(
            inputs, out, config, tokenizer, engine=engine, retry_failed=options.retry == "failed", progress=progress
        )
    print(summary(report))
    print(f"dataset        {out}\npage           {out / 'page.html'}")
    return 0 if report.samples or not report.clips else 1


@contextmanager
def chosen_engine(options: argparse.Namespace, config: "CollectConfig") -> Iterator["Engine"]:
    """The engine that the options name. Raises InputError for options that it has no use for."""
    from lumosx_core.data.engine import ProcessEngine
    from lumosx_core.errors import InputError

    if options.engine == "process":
        if options.worker_gpus is not None:
            raise InputError("--worker-gpus is for --engine ray; processes on this machine share its GPU anyway, leave it out")
        yield ProcessEngine(workers=options.workers)
        return
    from lumosx_core.data.engine_ray import ANY, RayEngine

    gpus = options.worker_gpus
    if gpus is None:
        gpus = float(config.models.device.startswith("cuda"))
    with RayEngine(workers=options.workers, gpus=gpus, address=os.environ.get("RAY_ADDRESS") or ANY) as engine:
        yield engine


def tokenizer_of(config: "CollectConfig") -> "Tokenizer":
    """The tokenizer of the model that a dataset is meant for; the embedded model's where none is named."""
    from lumosx_core.sampling.pipeline import NANO_FOLDER
    from lumosx_core.tokenizers import load_tokenizer

    return load_tokenizer(config.models.tokenizer or NANO_FOLDER / "spiece.model")


def summary(report: "CollectReport") -> str:
    """The funnel and what was left out, in lines."""
    lines = [f"{name:<14} {count:>7}" for name, count in (("videos", report.sources), *report.funnel)]
    lines += [f"  left out     {count:>7}  {reason.replace('_', ' ')}" for reason, count in sorted(report.dropped.items())]
    lines += [f"failed: {text}" for text in report.failed[:10]] + [f"not readable: {text}" for text in report.unreadable[:10]]
    if report.stale:
        lines.append(
            f"corrections of {report.stale} clips fit no more, since something else was found there; review them again"
        )
    if len(report.failed) > 10:
        lines.append(f"... and {len(report.failed) - 10} more failures, all in dropped.parquet")
    return "\n".join(lines)
