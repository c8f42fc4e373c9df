"""The parts of `dataset` in which somebody looks and corrects: `review` writes a page, `apply` takes what was saved there."""

import argparse
from pathlib import Path


def add_review(parser: argparse.ArgumentParser) -> None:
    """Options of `dataset review`."""
    parser.add_argument("--out", type=Path, help="the page to write (default: DATASET/review.html)")
    parser.add_argument("--most", type=int, default=120, metavar="N", help="clips on it, doubtful ones first (default: 120)")
    parser.set_defaults(run_it=run_review)


def add_apply(parser: argparse.ArgumentParser) -> None:
    """Options of `dataset apply`."""
    parser.add_argument("corrections", type=Path, nargs="?", metavar="FILE", help="the corrections.jsonl that the page saved")
    parser.add_argument("--undo", action="store_true", help="take back what was applied last")
    parser.set_defaults(run_it=run_apply)


def run_review(options: argparse.Namespace) -> int:
    """Write the page."""
    from lumosx_core.cli.collect import tokenizer_of
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.data.pack import stored_config
    from lumosx_core.data.review import write_review
    from lumosx_core.data.store import check_store
    from lumosx_core.numbers import whole_number

    most = whole_number(options.most, "--most", least=1, most=100_000)
    check_store(options.dataset)
    tokenizer = tokenizer_of(stored_config(options.dataset))
    with ProgressBars() as progress:
        page = write_review(options.dataset, tokenizer, options.out, most=most, progress=progress)
    print(f"page           {page}\n{options.dataset}: open the page in a browser, correct, save, then lumosx dataset apply")
    return 0


def run_apply(options: argparse.Namespace) -> int:
    """Apply or undo."""
    from lumosx_core.cli.collect import summary, tokenizer_of
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.data.pack import stored_config
    from lumosx_core.data.review import apply_corrections, undo
    from lumosx_core.data.store import check_store
    from lumosx_core.errors import InputError

    if options.undo == (options.corrections is not None):
        raise InputError("give the corrections.jsonl that the page of review saved, or --undo, one of the two")
    check_store(options.dataset)
    tokenizer = tokenizer_of(stored_config(options.dataset))
    with ProgressBars() as progress:
        if options.undo:
            count, report = undo(options.dataset, tokenizer, progress=progress)
        else:
            count, report = apply_corrections(options.dataset, options.corrections, tokenizer, progress=progress)
    print(summary(report))
    print(f"corrections    {count} {'taken back' if options.undo else 'applied (taken back with --undo)'}")
    return 0
