"""The two sub-commands of `train` that are about data: `check` reads everything and trains nothing, `prepare` encodes."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lumosx_core.model.video_size import VideoSize


def add_check(parser: argparse.ArgumentParser) -> None:
    """Options of `train check`."""
    _add_data(parser, "all")
    parser.add_argument("--sheet", type=Path, help="picture to write (default: outputs/train_check.png)")


def add_prepare(parser: argparse.ArgumentParser) -> None:
    """Options of `train prepare`, which is `dataset prepare`, too."""
    _add_data(parser, "train")  # what is kept for tests is not trained on
    parser.add_argument("--out", type=Path, required=True, metavar="CACHE", help="folder of the prepared clips")
    parser.add_argument(
        "--references",
        type=int,
        default=8,
        metavar="N",
        help="encoded variants of every picture (default: 8); 0: they are encoded while training, each time in another one",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the variants")
    parser.add_argument("--workers", type=int, help="processes (default: one per core)")
    parser.add_argument("--left-out", type=float, default=5.0, metavar="PERCENT", help="stop if more clips cannot be used")


def _add_data(parser: argparse.ArgumentParser, split: str) -> None:
    parser.add_argument(
        "data", type=Path, help="a collected dataset, or a folder of sample folders with video.mp4, or of info.json"
    )
    parser.add_argument("--model", type=Path, help="model folder: VAE, text encoder, tokenizer (default: the embedded one)")
    parser.add_argument(
        "--split",
        choices=("train", "val", "test", "all"),
        default=split,
        help=f"the part of a collected dataset (default: {split})",
    )
    parser.add_argument("--fps", type=float, help="frames per second to train at (default: the model's)")
    parser.add_argument("--buckets", nargs="+", metavar="WxHxF", help="sizes, such as 832x480x81 (default: around the model's)")


def run_check(options: argparse.Namespace) -> int:
    """Check; status 1 if clips are left out."""
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.data.augment import Augmentation
    from lumosx_core.data.check import check_clips, check_sheet
    from lumosx_core.data.training_clips import find_training_clips
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.files.images import save_image

    model, text_len, fps, buckets = _model(options)
    clips, faults = find_training_clips(options.data, options.split)
    with ProgressBars() as progress:
        report = check_clips(clips, faults, model, buckets, text_len=text_len, fps=fps, progress=progress)
    print(report.table())
    if report.usable:
        sheet = options.sheet or Path("outputs/train_check.png")
        writable_folder(sheet.parent)
        print(f"sheet          {save_image(check_sheet(report, model, fps=fps, ranges=Augmentation()), sheet)}")
    return 1 if report.left_out else 0


def run_prepare(options: argparse.Namespace) -> int:
    """Encode; status 1 if more clips than allowed cannot be used."""
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.data.augment import Augmentation
    from lumosx_core.data.cache_size import check_cache_room
    from lumosx_core.data.prepare import model_settings, prepare_clips
    from lumosx_core.data.training_clips import find_training_clips
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.files.room import gib
    from lumosx_core.model.memory import stored_sizes
    from lumosx_core.numbers import real_number, seed_number, whole_number

    variants = whole_number(options.references, "--references", least=0, most=1000)
    allowed = real_number(options.left_out, "--left-out", least=0, most=100)
    model, text_len, fps, buckets = _model(options)
    clips, faults = find_training_clips(options.data, options.split)
    sizes = stored_sizes(model / "transformer.safetensors")
    total, free = check_cache_room(clips, options.out, sizes, buckets, fps, variants)
    print(f"disk           about {gib(total)} GiB" + ("" if free is None else f"; {gib(free)} are free"))
    ranges = Augmentation()
    settings = model_settings(
        model, text_len=text_len, fps=fps, variants=variants, seed=seed_number(options.seed), ranges=ranges
    )
    with ProgressBars() as progress:
        report = prepare_clips(
            clips,
            faults,
            writable_folder(options.out),
            model,
            settings,
            buckets,
            ranges,
            workers=options.workers,
            progress=progress,
        )
    for clip in report.left_out:
        print(f"left out: {clip.name}: {clip.reason}")
    usable = len(report.clips) - len(report.left_out)
    print(f"clips          {usable} ({report.prepared} of them new), {len(report.left_out)} left out")
    print(f"cache          {options.out}")
    share = 100 * len(report.left_out) / max(1, len(report.clips))
    if share > allowed:
        print(f"{share:.1f} % of the clips are left out, at most {allowed:g} % may be (--left-out)")
    return 1 if share > allowed or not usable else 0


def _model(options: argparse.Namespace) -> "tuple[Path, int, float, tuple[VideoSize, ...]]":
    """(model folder, text length, frames per second, buckets)."""
    from lumosx_core.data.buckets import default_buckets, parse_buckets
    from lumosx_core.model.memory import stored_sizes
    from lumosx_core.model.video_size import VideoSize
    from lumosx_core.numbers import real_number
    from lumosx_core.sampling.config import read_defaults
    from lumosx_core.sampling.pipeline import NANO_FOLDER, check_files

    model = options.model or NANO_FOLDER
    check_files(model)
    defaults = read_defaults(model)
    size = VideoSize(width=defaults.width, height=defaults.height, frames=defaults.frames)
    fps = real_number(options.fps if options.fps is not None else defaults.fps, "--fps", least=1, most=240)
    buckets = parse_buckets(options.buckets) if options.buckets else default_buckets(size)
    return model, stored_sizes(model / "transformer.safetensors").text_len, fps, buckets
