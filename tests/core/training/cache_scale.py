"""Are batches out of a cache of ten thousand clips of true size read as fast as out of one of a hundred, in flat memory?

    python -m tests.core.training.cache_scale [--clips 10000] [--reads 400]

The clips are files of the sizes that `lumosx train prepare` gives for 832x480x81, 480x832x81 and 832x480x49: two people with
two things each, objects and a background, two variants of every picture, 7 MB and more. Their numbers are holes in sparse
files: measured is finding, opening, mapping and turning them into batches, not a disk. Told are the samples per second on one
core, the time of a sample against that of a hundred clips (read in turns), the memory above that of the start, and whether
an epoch has every clip once; then what share of its time a debug run on the CPU waits for data.

Bars: 20 samples per second, 1.2 times, 300 MiB, every clip once, 2 percent. Exit status 1 if one is not met.
"""

import argparse
import json
import os
import struct
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from lumosx_core.cli.main import main as lumosx
from lumosx_core.data.clip_cache import (
    ABOUT,
    FORMAT,
    CachedClip,
    CachedEntity,
    CachedPerson,
    CacheSettings,
    ListedClip,
    clip_path,
    write_clip,
    write_list,
)
from lumosx_core.data.clip_dataset import ClipDataset
from lumosx_core.files.atomic import write_text
from lumosx_core.model.video_size import VideoSize
from lumosx_core.training.step_log import read_step_log
from tests.core.training.test_recipes import latents

BUCKETS = tuple(VideoSize(width=w, height=h, frames=f) for w, h, f in ((832, 480, 81), (480, 832, 81), (832, 480, 49)))
SMALL, VARIANTS = 100, 2
RATE, RATIO, MEMORY_MIB, WAITED = 20.0, 1.2, 300.0, 0.02


@dataclass(frozen=True)
class Scale:
    """samples_s: per second, of the large cache. ratio: time of a sample, large to small. memory_mib: above the start.
    once: whether an epoch has every clip once."""

    samples_s: float
    ratio: float
    memory_mib: float
    once: bool

    @property
    def good(self) -> bool:
        """Whether all bars are met."""
        return self.samples_s >= RATE and self.ratio <= RATIO and self.memory_mib <= MEMORY_MIB and self.once


def template(folder: Path, bucket: VideoSize) -> tuple[CachedClip, bytes, int]:
    """A clip's record, the header of its file without the record, and the size of its numbers."""
    grid = bucket.grid

    def entity(text: str, *pictures: str) -> CachedEntity:
        return CachedEntity(text=text, spans=((1, 3),), pictures=pictures)

    def person(n: int) -> CachedPerson:
        return CachedPerson(face=entity("man", f"face{n}"), attributes=(entity("hat", f"hat{n}"), entity("coat", f"coat{n}")))

    pictures = [f"{kind}{n}" for n in range(2) for kind in ("face", "hat", "coat")] + ["object0", "object1", "background"]
    clip = CachedClip(
        name="",
        caption="A man with a hat.",
        width=bucket.width,
        height=bucket.height,
        frames=bucket.frames,
        people=(person(0), person(1)),
        objects=(entity("dog", "object0"), entity("ball", "object1")),
        background=entity("street", "background"),
    )
    tensors = {
        "video": torch.zeros(16, *bucket.latent),
        "context": torch.zeros(60, 4096),
        "empty_context": torch.zeros(1, 4096),
        "people": torch.zeros(grid, dtype=torch.int8),
        **{name: torch.zeros(VARIANTS, 16, *bucket.latent[1:]) for name in pictures},
    }
    write_clip(folder, "template", clip, tensors)
    content = clip_path(folder, "template").read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    return clip, content[8 : 8 + length], len(content) - 8 - length


def write_cache(folder: Path, count: int) -> Path:
    """A cache of so many clips, a third in each bucket."""
    templates = []
    for number, bucket in enumerate(BUCKETS):
        templates.append(template(folder.parent / f"{folder.name}-template{number}", bucket))
    listed = []
    for number in range(count):
        clip, encoded, size = templates[number % len(templates)]
        clip = replace(clip, name=f"clip{number:06d}")
        header = json.loads(encoded)
        header["__metadata__"] = {"clip": json.dumps(asdict(clip))}
        text = json.dumps(header, separators=(",", ":")).encode("ascii")
        text += b" " * (-len(text) % 8)
        key = f"{number * 7919 % 256:02x}{number:030x}"
        path = clip_path(folder, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.truncate(8 + len(text) + size)
        listed.append(
            ListedClip(
                name=clip.name,
                key=key,
                width=clip.width,
                height=clip.height,
                frames=clip.frames,
                people=2,
                attributes=(2, 2),
                bodies=(False, False),
                objects=2,
                background=True,
            )
        )
    settings = CacheSettings(
        format=FORMAT, vae="v", text_encoder="t", text_len=512, fps=16.0, variants=VARIANTS, seed=0, augmentation={}
    )
    write_text(folder / ABOUT, json.dumps(asdict(settings)))
    write_list(folder, listed)
    return folder


def resident_mib() -> float:
    """Memory of this process that is its own: what is mapped from files can be dropped at any time."""
    with open("/proc/self/statm", encoding="ascii") as file:
        _, resident, shared = (int(number) for number in file.read().split()[:3])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Peak:
    """The largest `resident_mib` while a block runs, looked at a hundred times a second."""

    def __enter__(self) -> "Peak":
        self.before = self.most = resident_mib()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()
        return self

    def _look(self) -> None:
        while not self.ended.wait(0.01):
            self.most = max(self.most, resident_mib())

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    @property
    def above_mib(self) -> float:
        """Above what it was at the start."""
        return self.most - self.before


def waited(folder: Path) -> float:
    """The share of its time that a debug run waits for data, without its first steps."""
    run = ["train", "transformer", str(latents(folder / "data")), "--device", "cpu", "--recipe", "debug"]
    assert lumosx([*run, "--out", str(folder / "run")]) == 0
    steps = [step.figures for step in read_step_log(folder / "run" / "log.jsonl")][5:]
    return sum(step["waited"] or 0.0 for step in steps) / sum(step["seconds"] or 0.0 for step in steps)


def measure(folder: Path, clips: int, reads: int) -> Scale:
    """All figures, with caches that are written into a folder."""
    torch.set_num_threads(1)
    small, large = write_cache(folder / "small", min(SMALL, clips)), write_cache(folder / "large", clips)
    with Peak() as peak:
        caches = ClipDataset(small), ClipDataset(large)
        seconds = [0.0, 0.0]
        for data in caches:
            data.batch(1, 0, 0)
        for step in range(1, reads + 1):
            for number, data in enumerate(caches):
                before = time.process_time()
                data.batch(1, 0, step)
                seconds[number] += time.process_time() - before
    seen = sorted(index for batch, _ in caches[1].plan(4, 0, 0) for index in batch)
    return Scale(
        samples_s=reads / seconds[1],
        ratio=seconds[1] / seconds[0],
        memory_mib=peak.above_mib,
        once=seen == list(range(clips)),
    )


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--reads", type=int, default=400)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found, share = measure(Path(folder), options.clips, options.reads), waited(Path(folder))
    sys.stdout.write(
        f"samples per second on one core  {found.samples_s:.1f} (bar {RATE:g})\n"
        f"time of a sample, to {SMALL} clips   {found.ratio:.2f} (bar {RATIO:g})\n"
        f"memory above the start, MiB     {found.memory_mib:.0f} (bar {MEMORY_MIB:g})\n"
        f"every clip once an epoch        {'yes' if found.once else 'no'}\n"
        f"debug run waits for data, %     {100 * share:.2f} (bar {100 * WAITED:g})\n"
    )
    return 0 if found.good and share <= WAITED else 1


if __name__ == "__main__":
    sys.exit(main())
