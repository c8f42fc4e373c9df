"""The parts of `dataset` that change what is in it: `split`, `filter`, `remove`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lumosx_core.data.collect import CollectReport
    from lumosx_core.data.split import SplitRule

SHOWN = 20  # clips that are named one by one


def add_split(parser: argparse.ArgumentParser) -> None:
    """Options of `dataset split`."""
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    parser.add_argument("--val", type=float, default=0.05, metavar="SHARE", help="of the groups for validation (default: 0.05)")
    parser.add_argument("--test", type=float, default=0.05, metavar="SHARE", help="of the groups for the test (default: 0.05)")
    parser.add_argument(
        "--same-person",
        type=float,
        metavar="PRODUCT",
        help="faces whose embeddings have a larger product are one person (default: learnt from people in one clip)",
    )
    parser.set_defaults(run_it=run_split)


def add_filter(parser: argparse.ArgumentParser) -> None:
    """Options of `dataset filter`."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=C",
        dest="changes",
        help="another threshold, such as keep.least_face=96: applied in place to what the stages stored, runs no model",
    )
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="such as people=2, frames>=49, licence!=unknown, caption~hat; several must all hold",
    )
    parser.add_argument("--out", type=Path, metavar="NEW", help="with --where: folder of the new dataset")
    parser.set_defaults(run_it=run_filter)


def add_remove(parser: argparse.ArgumentParser) -> None:
    """Options of `dataset remove`."""
    parser.add_argument("--clip", action="append", default=[], metavar="ID", help="a clip")
    parser.add_argument("--source", action="append", default=[], metavar="S", help="a video: its id, file name or path")
    parser.add_argument("--like", type=Path, metavar="FACE", help="a picture of one face: every clip that shows the person")
    parser.add_argument(
        "--least", type=float, metavar="PRODUCT", help="how alike faces must be with --like (default: learnt, see split)"
    )
    parser.add_argument(
        "--cache", action="append", default=[], type=Path, help="a folder of lumosx train prepare, from which it goes, too"
    )
    parser.add_argument("--dry-run", action="store_true", help="with --like: only say which clips")
    parser.set_defaults(run_it=run_remove)


def run_split(options: argparse.Namespace) -> int:
    """Split; status 1 if a part stays empty though it has a share."""
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.data.pack import read_manifest
    from lumosx_core.data.repack import repack
    from lumosx_core.data.split import SplitRule, split_counts
    from lumosx_core.data.store import has_store

    rule = SplitRule(seed=options.seed, val=options.val, test=options.test, same_person=options.same_person)
    rows = read_manifest(options.dataset)
    if has_store(options.dataset):
        _decide_again(options.dataset, [], rule)
    else:
        with ProgressBars() as progress:
            repack(options.dataset, options.dataset, rows, progress, rule)
        print("only sources are kept apart: what is known of faces stays where the dataset was collected")
    counts = split_counts(read_manifest(options.dataset))
    for name, count in counts.items():
        print(f"{name:<14} {count}")
    empty = [name for name, share in (("val", rule.val), ("test", rule.test)) if share and not counts[name]]  # type: ignore[index]
    if empty:
        print(f"{' and '.join(empty)} got nothing: there are few groups of sources; try a larger share or another --seed")
    return 1 if empty else 0


def run_filter(options: argparse.Namespace) -> int:
    """Filter; status 1 if no sample is left."""
    from lumosx_core.cli.collect import summary
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.data.repack import conditions, filter_copy
    from lumosx_core.errors import InputError

    if bool(options.changes) == bool(options.where):
        raise InputError("give thresholds with --set, or conditions with --where and --out, one of the two")
    if bool(options.where) != (options.out is not None):
        raise InputError("--where makes a new dataset: give its folder with --out; --set changes the dataset itself")
    if options.where:
        where = conditions(options.where)
        with ProgressBars() as progress:
            kept, count = filter_copy(options.dataset, options.out, where, progress)
        print(f"samples        {kept} of {count}\ndataset        {options.out}")
        return 0
    report = _decide_again(options.dataset, options.changes, None)
    print(summary(report))
    print(f"lumosx collect keeps to these numbers with --config {options.dataset / 'config.toml'}")
    return 0 if report.samples else 1


def run_remove(options: argparse.Namespace) -> int:
    """Remove; status 1 if nobody like the face was found."""
    from lumosx_core.cli.collect import tokenizer_of
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.data.collect_config import CollectConfig
    from lumosx_core.data.pack import read_manifest, stored_config
    from lumosx_core.data.remove import people_like, remove_samples
    from lumosx_core.data.store import has_store
    from lumosx_core.errors import InputError
    from lumosx_core.files.images import open_image

    clips = list(options.clip)
    if not (clips or options.source or options.like):
        raise InputError("say what is to go: --clip ID, --source S, or --like FACE")
    if options.dry_run and not options.like:
        raise InputError("--dry-run says whom --like finds; give it, or leave --dry-run out")
    read_manifest(options.dataset, ["sample"])  # is there a dataset?
    if options.like is not None:
        found = people_like(options.dataset, open_image(options.like), options.least)
        for clip, product in found[:SHOWN]:
            print(f"like           {clip}  {product:.4f}")
        print(f"like           {len(found)} clips show the person")
        if options.dry_run or not found:
            return 0 if found else 1
        clips += [clip for clip, _ in found]
    config = stored_config(options.dataset) if has_store(options.dataset) else CollectConfig()
    with ProgressBars() as progress:
        report = remove_samples(
            options.dataset, tokenizer_of(config), clips=clips, sources=options.source, caches=options.cache, progress=progress
        )
    for name, count in (
        ("clips", len(report.clips)), ("look the same", report.repeated), ("videos", report.sources),
        ("prepared", report.cached), ("samples left", report.samples),
    ):  # fmt: skip
        print(f"{name:<14} {count}")
    if report.cached:
        print(
            "prepared clips went whole, also of samples that only had views of what was removed: run lumosx train prepare again"
        )
    print("the videos themselves, copies and exports elsewhere are yours to delete")
    return 0


def _decide_again(dataset: Path, changes: Sequence[str], rule: "SplitRule | None") -> "CollectReport":
    """The dataset out of what the stages stored, with changed thresholds or another split."""
    from lumosx_core.cli.collect import tokenizer_of
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.data.collect import decide_again
    from lumosx_core.data.collect_config import CollectConfig
    from lumosx_core.data.pack import stored_config
    from lumosx_core.data.settings import read_config
    from lumosx_core.data.store import check_store
    from lumosx_core.errors import InputError

    check_store(dataset)
    config = read_config(CollectConfig, stored_config(dataset), changes=changes)
    if others := [
        name for name in changes if name.partition(".")[0].strip() not in ("keep", "pairs", "pictures", "privacy", "pack")
    ]:
        raise InputError(
            f"{others[0]} changes what the stages find; run lumosx collect with it, filter has [keep], [pairs], "
            "[pictures] and [privacy]"
        )
    with ProgressBars() as progress:
        return decide_again(dataset, config, tokenizer_of(config), rule=rule, progress=progress)
