"""The parts of `dataset` that read and write the formats of others: `export`, `import`."""

import argparse
from pathlib import Path

EXPORTS = ("samples", "info", "musubi", "diffusion-pipe", "diffsynth")
IMPORTS = ("samples", "info", "opens2v")
SHOWN = 10  # clips whose fault is printed


def add_export(parser: argparse.ArgumentParser) -> None:
    """Options of `dataset export`."""
    parser.add_argument("--as", choices=EXPORTS, required=True, dest="kind", help="what to write (docs/collecting.md)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, new or empty")
    parser.add_argument("--split", choices=("train", "val", "test", "all"), default="all", help="only this part (default: all)")
    parser.set_defaults(run_it=run_export)


def add_import(parser: argparse.ArgumentParser) -> None:
    """Options of `dataset import`."""
    parser.add_argument("given", type=Path, metavar="INPUT", help="a folder, or a JSON file")
    parser.add_argument("--as", choices=IMPORTS, required=True, dest="kind", help="what lies there (docs/collecting.md)")
    parser.add_argument("--out", type=Path, required=True, metavar="DATASET", help="folder of the new dataset")
    parser.add_argument(
        "--tokenizer", type=Path, help="spiece.model or folder of the model that it is meant for (default: the embedded one)"
    )
    parser.add_argument("--text-len", type=int, default=512, metavar="N", help="tokens of a caption (default: 512)")
    parser.set_defaults(run_it=run_import)


def run_export(options: argparse.Namespace) -> int:
    """Export; status 1 if samples are left out."""
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.data.exports import export_dataset

    with ProgressBars() as progress:
        report = export_dataset(options.dataset, options.out, options.kind, split=options.split, progress=progress)
    _tell(report.left_out)
    print(f"samples        {report.written}\nexport         {options.out}")
    return 1 if report.left_out else 0


def run_import(options: argparse.Namespace) -> int:
    """Import; status 1 if clips are left out."""
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.data.imports import import_dataset
    from lumosx_core.numbers import whole_number
    from lumosx_core.sampling.pipeline import NANO_FOLDER
    from lumosx_core.tokenizers import load_tokenizer

    text_len = whole_number(options.text_len, "--text-len", least=8, most=8192)
    tokenizer = load_tokenizer(options.tokenizer or NANO_FOLDER / "spiece.model")
    with ProgressBars() as progress:
        report = import_dataset(options.given, options.out, options.kind, tokenizer, text_len=text_len, progress=progress)
    _tell(report.left_out)
    print(f"samples        {report.samples}\ndataset        {options.out}")
    return 1 if report.left_out else 0


def _tell(left_out: tuple[tuple[str, str], ...]) -> None:
    for name, why in left_out[:SHOWN]:
        print(f"left out: {name}: {why}")
    if len(left_out) > SHOWN:
        print(f"... and {len(left_out) - SHOWN} more")
