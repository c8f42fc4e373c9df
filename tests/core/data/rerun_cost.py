"""What a run costs that finds everything done, against the run that did it; one with another threshold; and further views.

    python -m tests.core.data.rerun_cost [--clips 1000]

A few puppet clips are collected, and their time taken. Then that many videos are made, each a copy of one of them with some
bytes of its own behind its end, so that it is a video of its own; the work store gets for each what the stages said of the
first, as if they had looked at all of them. The dataset is packed, and the same command runs again. Compared are CPU seconds of
all processes, since other work may slow down a clock. No stage may run, which is seen by the workers that are asked for. Then
the same clips, again and again, are the shots of one video, in which everybody is somebody of other shots: the time to find all
further views. Bar: 2 % of the first run of as many clips, for the second run and for the views. Exit status 1 if it is not met.
"""

import argparse
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from unittest.mock import patch

from lumosx_core.data import engine as engine_module
from lumosx_core.data.collect import collect, decide_clips, known_clips
from lumosx_core.data.collect_config import PUPPETS
from lumosx_core.data.demo_clips import write_demo_clips
from lumosx_core.data.engine import ProcessEngine
from lumosx_core.data.pairs import Shown, with_further_views
from lumosx_core.data.records import SourceRecord, clip_id
from lumosx_core.data.sources import find_videos, identify, known_sources
from lumosx_core.data.store import WORK, WorkStore
from lumosx_core.files.json import parse_record
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.tokenizers import load_tokenizer

BAR = 0.02
FIRST = 4  # clips that are really collected
CONFIG = replace(PUPPETS, keep=replace(PUPPETS.keep, alike=0))  # copies look the same, and are wanted


@dataclass(frozen=True)
class Cost:
    """CPU seconds of packing all, of the run that has nothing to do, of another threshold. jobs: that these asked workers for.
    samples: of the three runs. pairs_s: of finding further views in one video of so many shots; views: how many were found."""

    pack_s: float
    again_s: float
    threshold_s: float
    jobs: int
    samples: tuple[int, ...]
    pairs_s: float
    views: int


def cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def copies(first: Path, folder: Path, count: int, clips: int) -> None:
    """Videos with captions, in turns copies of the first `clips` in `first`, each with an empty box of its own at the end."""
    folder.mkdir()
    for number in range(count):
        name = f"{number % clips:04d}"
        box = (24).to_bytes(4, "big") + b"free" + f"{number:016d}".encode("ascii")
        (folder / f"{number:06d}.mp4").write_bytes((first / f"{name}.mp4").read_bytes() + box)
        shutil.copyfile(first / f"{name}.txt", folder / f"{number:06d}.txt")


def tell_store(first: Path, out: Path, videos: Path, clips: int) -> None:
    """Give every copy what the stages said of its original."""
    shutil.copytree(first / WORK / "blobs", out / WORK / "blobs")
    with WorkStore(first / WORK) as known, WorkStore(out / WORK) as store:
        originals = {name: source.source for source in known_sources(known) for name in source.names}
        for source in identify(find_videos([videos]), store)[0]:
            original = originals[f"{int(source.names[0][:6]) % clips:04d}.mp4"]
            results = known.results(original)
            store.commit(source.source, results.values())
            for shot in parse_record(SourceRecord, results["shots"].content, "shots").shots:
                store.commit(clip_id(source.source, shot), known.results(clip_id(original, shot)).values())


def shots_of_one_video(first: Path, count: int) -> list[Shown]:
    """The samples of a collection, again and again, as shots of one video."""
    with WorkStore(first / WORK) as store:
        clips = known_clips(known_sources(store), store, CONFIG)
        decide_clips(clips, first, store, CONFIG, load_tokenizer(NANO_FOLDER / "spiece.model"))
    shown = [(clip.records, clip.decision) for clip in clips if clip.decision is not None and clip.is_sample]
    return [
        Shown(clip=f"{number:016x}", records=records, decision=decision)
        for number, (records, decision) in zip(range(count), cycle(shown), strict=False)
    ]


def measure(videos: Path, first: Path, folder: Path, count: int, clips: int, shots: int) -> Cost:
    """Everything but the first run. videos: of which `first` was collected; clips: how many of them are copied; shots: of the
    one video."""
    tokenizer = load_tokenizer(NANO_FOLDER / "spiece.model")
    copies(videos, folder / "videos", count, clips)
    tell_store(first, folder / "out", folder / "videos", clips)
    asked: list[int] = []
    strict = replace(CONFIG, keep=replace(CONFIG.keep, most_people=2))
    seconds, samples = [], []
    with patch.object(engine_module, "run_in_processes", lambda _, jobs, *__, **___: asked.append(len(jobs))):
        for config in (CONFIG, CONFIG, strict):
            begin = cpu_seconds()
            report = collect([folder / "videos"], folder / "out", config, tokenizer, engine=ProcessEngine(workers=1))
            samples.append(report.samples)
            seconds.append(cpu_seconds() - begin)
    one_video = shots_of_one_video(first, shots)
    begin = cpu_seconds()
    decisions = with_further_views(one_video, replace(CONFIG.pairs, most=1.0), CONFIG.keep)
    pairs_s = cpu_seconds() - begin
    views = sum(len(person.further) for decision in decisions.values() for person in decision.people)
    return Cost(*seconds, sum(asked), tuple(samples), pairs_s, views)


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--shots", type=int, default=80, help="of the one video")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_demo_clips(folder / "first_videos", FIRST, seed=5, frames=9)
        tokenizer = load_tokenizer(NANO_FOLDER / "spiece.model")
        begin = cpu_seconds()
        collect([folder / "first_videos"], folder / "first", CONFIG, tokenizer, engine=ProcessEngine(workers=1))
        clip_s = (cpu_seconds() - begin) / FIRST
        cost = measure(folder / "first_videos", folder / "first", folder, options.clips, FIRST, options.shots)
    share, share_of_pairs = cost.again_s / (clip_s * options.clips), cost.pairs_s / (clip_s * options.shots)
    lines = (
        f"first run      {clip_s:.2f} CPU s a clip, of {options.clips}: {clip_s * options.clips:.0f} s",
        f"packing all    {cost.pack_s:.1f} s, {cost.samples[0]} samples",
        f"again          {cost.again_s:.1f} s, {share:.2%} (bar {BAR:.0%}), {cost.jobs} jobs",
        f"threshold      {cost.threshold_s:.1f} s, {cost.samples[2]} samples",
        f"further views  {cost.pairs_s:.2f} s, {share_of_pairs:.2%}, {cost.views} in a video of {options.shots} shots",
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return (
        0 if max(share, share_of_pairs) <= BAR and cost.jobs == 0 and cost.samples[2] < cost.samples[1] == options.clips else 1
    )


if __name__ == "__main__":
    sys.exit(main())
