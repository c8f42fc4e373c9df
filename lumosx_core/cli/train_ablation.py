"""`train ablation`: what each part of the relations is worth, at a size that two cores can train."""

import argparse
from pathlib import Path


def add_ablation(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"), help="folder of the runs (default: runs/ablation)")
    parser.add_argument("--settings", nargs="+", metavar="NAME", help="only these, such as none full (default: all)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of every setting (default: 3)")
    parser.add_argument("--workers", type=int, help="runs at a time (default: one per core)")
    parser.add_argument("--debug", action="store_true", help="tiny sizes, seconds on a CPU")


def run_ablation(options: argparse.Namespace) -> int:
    """Render, train, sample, judge and report; what is there is kept, and the table tells whatever is finished."""
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.evaluation.ablation import ablation_suite, measure_binding
    from lumosx_core.evaluation.ablation_report import write_ablation_report
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.nano.ablation import (
        DEBUG_PLAN,
        MODEL,
        SETTINGS,
        AblationPlan,
        AblationRun,
        known_settings,
        prepare_clips,
        train_run,
    )
    from lumosx_core.numbers import whole_number
    from lumosx_core.sampling.pipeline import NANO_FOLDER
    from lumosx_core.workers import run_in_processes, worker_count

    plan = DEBUG_PLAN if options.debug else AblationPlan()
    names, seeds = known_settings(options.settings), whole_number(options.seeds, "--seeds", least=1, most=100)
    workers, out = worker_count(options.workers), writable_folder(options.out)
    plan.begin(out)
    suite = ablation_suite(out, cases=plan.cases, frames=plan.frames)
    prepare_clips(plan, out, NANO_FOLDER, workers, lambda line: print(line, flush=True))
    runs = [
        AblationRun(plan=plan, setting=name, seed=seed, out=out, nano=NANO_FOLDER) for seed in range(seeds) for name in names
    ]
    titles = {name: setting.title for name, setting in SETTINGS.items()}

    def trained(run: AblationRun) -> None:
        print(f"trained        {run.setting}, seed {run.seed}", flush=True)
        write_ablation_report(out, titles)

    print(f"training       {len(runs)} runs, {workers} at a time; the steps of each are in its log.jsonl", flush=True)
    run_in_processes(train_run, runs, workers, trained)
    for number, run in enumerate(runs, start=1):
        print(f"sampling       {run.setting}, seed {run.seed} ({number} of {len(runs)})", flush=True)
        with ProgressBars() as progress:
            measure_binding(run.folder / MODEL, suite, run.folder, workers=workers, progress=progress)
        write_ablation_report(out, titles)
    print(f"table          {out / 'ablation.md'}\nchart          {out / 'ablation.png'}")
    return 0
