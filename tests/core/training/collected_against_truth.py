"""Does a model learn from collected clips as it does from the truth of the renderer? Bar: a final loss of at most 1.1 times.

    python -m tests.core.training.collected_against_truth [--clips 200] [--steps 300]

The same puppet videos become two sets: one that `lumosx collect` made of the mp4 files alone, with the captions beside them,
and one of sample folders whose pictures the renderer painted. Both are prepared, and the nano preset is trained on each from
the same seed, for as many steps, with people grouped (sample folders know no whole people). Compared are the mean training
loss of the last tenth of the steps, and the loss on other clips with the renderer's pictures. Exit status 1 if a ratio is above
the bar, or if either loss does not fall.
"""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lumosx_core.cli.main import main as lumosx
from lumosx_core.data.demo_clips import write_demo_clips
from lumosx_core.puppets.samples import write_puppet_sample
from lumosx_core.training.step_log import read_step_log

BAR = 1.1
FRAMES = 9
SIZE = f"96x80x{FRAMES}"


@dataclass(frozen=True)
class Learnt:
    """What a training came to. clips: prepared. first, last: mean training loss of the first and the last tenth of the steps.
    other: loss on clips that were not trained on."""

    clips: int
    first: float
    last: float
    other: float


def write_truth(folder: Path, videos: Path, count: int, seed: int) -> None:
    """Write the videos, and each again as a sample folder with pictures by the renderer."""
    for number, spec in enumerate(write_demo_clips(videos, count, seed=seed, frames=FRAMES)):
        sample = write_puppet_sample(folder / f"{number:04d}", spec, np.random.default_rng((seed, number, 1)))
        shutil.copyfile(videos / f"{number:04d}.mp4", sample / "video.mp4")


def prepared(data: Path, cache: Path, workers: int, size: str) -> Path:
    """The clips of a folder, all of them, as training reads them."""
    arguments = ["--split", "all", "--out", str(cache), "--references", "2", "--buckets", size, "--workers", str(workers)]
    assert lumosx(["dataset", "prepare", str(data), *arguments]) == 0
    return cache


def learnt(cache: Path, other: Path, run: Path, steps: int, preset: str) -> Learnt:
    """Train a model of a preset on a cache."""
    numbers = ["--steps", str(steps), "--batch", "4", "--set", "draws.grouped=1", "--set", "training.save_every=1000000"]
    where = ["--device", "cpu", "--precision", "fp32", "--validation", str(other), "--validate-every", str(steps)]
    settings = ["--preset", preset, "--learning-rate", "0.001", "--set", "training.warmup_steps=10", *numbers, *where]
    assert lumosx(["train", "transformer", str(cache), "--out", str(run), *settings]) == 0
    figures = [row.figures for row in read_step_log(run / "log.jsonl")]
    losses, tenth = [row["loss"] for row in figures], max(1, steps // 10)
    clips = sum(bool(json.loads(line)["key"]) for line in (cache / "clips.jsonl").read_text("utf-8").splitlines())
    return Learnt(clips, float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:])), figures[-1]["validation"])


def compare(
    folder: Path, clips: int, steps: int, *, workers: int = 1, size: str = SIZE, preset: str = "nano", seed: int = 0
) -> dict[str, Learnt]:
    """Both trainings on the same videos: "collected" and "truth"."""
    write_truth(folder / "truth", folder / "videos", clips, seed)
    write_truth(folder / "other", folder / "other_videos", max(1, clips // 10), seed + 1)
    collect = ["collect", str(folder / "videos"), "--preset", "puppets", "--set", "caption.origin=given"]
    assert lumosx([*collect, "--out", str(folder / "dataset"), "--workers", str(workers)]) == 0
    other = prepared(folder / "other", folder / "other_cache", workers, size)
    found = {}
    for name, data in (("collected", "dataset"), ("truth", "truth")):
        cache = prepared(folder / data, folder / f"{name}_cache", workers, size)
        found[name] = learnt(cache, other, folder / f"{name}_run", steps, preset)
    return found


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = compare(Path(folder), options.clips, options.steps, workers=options.workers, seed=options.seed)
    for name, one in found.items():
        sys.stdout.write(f"{name:<10} {one.clips} clips, loss {one.first:.4f} -> {one.last:.4f}, others {one.other:.4f}\n")
    collected, truth = found["collected"], found["truth"]
    ratios = (collected.last / truth.last, collected.other / truth.other)
    sys.stdout.write(f"ratio      {ratios[0]:.3f}, others {ratios[1]:.3f} (bar {BAR})\n")
    return 0 if max(ratios) <= BAR and all(one.last < one.first for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
