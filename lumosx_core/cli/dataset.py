"""Look at a collected dataset: `stats` counts, `check` reads every file of it, `show` prints one sample.

DATASET is a folder that `lumosx collect` made.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("what", choices=("stats", "check", "show"))
    parser.add_argument("dataset", type=Path, metavar="DATASET")
    parser.add_argument("--clip", metavar="ID", help="show: the sample (default: the first)")
    parser.add_argument("--out", type=Path, help="show: write it as a sample folder, too, as generate reads it")


def run(options: argparse.Namespace) -> int:
    """Count, check or show; status 1 if a check found something."""
    return {"stats": _stats, "check": _check, "show": _show}[options.what](options)


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
    names = [row["sample"] for row in dataset.rows]
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
