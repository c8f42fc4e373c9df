"""Look at a collected dataset, and change it: what is in it, what is right, which part is for what, who is taken out.

DATASET is a folder that `lumosx collect` made.
"""

import argparse
from pathlib import Path

from lumosx_core.cli.dataset_changes import add_filter, add_remove, add_split
from lumosx_core.cli.dataset_formats import add_export, add_import
from lumosx_core.cli.dataset_review import add_apply, add_review
from lumosx_core.cli.train_data import add_prepare, run_prepare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    stats = what.add_parser("stats", help="count samples, people, things, sources, licences, and what was left out")
    check = what.add_parser("check", help="read every file of it")
    show = what.add_parser("show", help="print one sample")
    for sub, run_it in ((stats, _stats), (check, _check), (show, _show)):
        add_dataset(sub)
        sub.set_defaults(run_it=run_it)
    show.add_argument("--clip", metavar="ID", help="the sample (default: the first)")
    show.add_argument("--out", type=Path, help="write it as a sample folder, too, as generate reads it")
    add_review(add_dataset(what.add_parser("review", help="a page to correct what was collected, by mouse and keys")))
    add_apply(add_dataset(what.add_parser("apply", help="put the corrections of that page into the dataset")))
    add_split(add_dataset(what.add_parser("split", help="train, val and test without a source or a person in two of them")))
    add_filter(add_dataset(what.add_parser("filter", help="other thresholds, or a part of it as a new dataset")))
    add_remove(
        add_dataset(what.add_parser("remove", help="take clips, videos or a person out, so that nothing of them is left"))
    )
    add_export(add_dataset(what.add_parser("export", help="write it as sample folders, info.json, or for other trainers")))
    add_import(what.add_parser("import", help="make a dataset of sample folders, info.json or OpenS2V"))
    prepare = what.add_parser("prepare", help="encode it once for lumosx train transformer (train prepare is the same)")
    add_prepare(prepare)
    prepare.set_defaults(run_it=run_prepare)


def add_dataset(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The folder, which every one takes."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of the dataset")
    return parser


def run(options: argparse.Namespace) -> int:
    """Do it; status 1 if a check found something."""
    return options.run_it(options)


def _stats(options: argparse.Namespace) -> int:
    from lumosx_core.data.statistics import statistics_text

    print(statistics_text(options.dataset))
    return 0


def _check(options: argparse.Namespace) -> int:
    from lumosx_core.data.dataset import check_dataset

    faults = check_dataset(options.dataset)
    print("\n".join(faults) or "every file is there and whole")
    return 1 if faults else 0


def _show(options: argparse.Namespace) -> int:
    import json

    from lumosx_core.data.dataset import RelationalDataset
    from lumosx_core.errors import InputError
    from lumosx_core.sample_folder import write_sample

    dataset = RelationalDataset(options.dataset)
    names = dataset.rows.column("sample")
    if not names:
        raise InputError(f"{options.dataset} has no samples")
    wanted = options.clip or names[0]
    if wanted not in names:
        raise InputError(f"{options.dataset} has no sample {wanted!r}; the first are {', '.join(names[:3])}")
    item = dataset[names.index(wanted)]
    print(json.dumps(json.loads(item.row["record"]), indent=2, ensure_ascii=False))
    if options.out is not None:
        print(f"sample folder  {write_sample(options.out, item.sample)}")
    return 0
