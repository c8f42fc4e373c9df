"""Collects the same videos by workers of this machine and by Ray, and compares what comes out, to the bit.

    python -m tests.core.data.engines [--clips 6]

Runs: processes with 1 and 2 workers; Ray with 1 and 2 workers; Ray with a worker killed (SIGKILL) when the first clip is
committed; and Ray with one video whose job ends its worker every time, which must be told as failed while the others come out.
Every file of a dataset but its work store must be the same. Last, 1,000 jobs that do nothing: the time that Ray takes for each.
Wants Ray (`pip install 'lumosx[cluster]'`) and Linux. Exit status 1 if a dataset differs.
"""

import argparse
import hashlib
import os
import signal
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

from lumosx_core.data import collect as collect_module
from lumosx_core.data.collect import collect
from lumosx_core.data.collect_config import PUPPETS
from lumosx_core.data.collected import CollectReport
from lumosx_core.data.demo_clips import write_demo_clips
from lumosx_core.data.engine import ProcessEngine
from lumosx_core.data.engine_ray import RayEngine
from lumosx_core.data.jobs import ClipJob, JobResult, collect_clip
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.tokenizers import load_tokenizer

FATAL = "fatal.mp4"  # the video whose clips end their workers


def deadly(job: ClipJob) -> JobResult:
    """Collect a clip; end this process at once if its video is the fatal one."""
    if job.path.name == FATAL:
        os.kill(os.getpid(), signal.SIGKILL)
    return collect_clip(job)


def parent_of(pid: int) -> int:
    """The process that started another one; 0 if that is gone (Linux)."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def own_workers() -> list[int]:
    """The actors of Ray Data that descend from this process: Ray writes their class into the command line (Linux)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue  # it ended meanwhile
        if words.startswith(b"ray::") and b"MapWorker" in words:
            ancestor = int(path.parent.name)
            while ancestor not in (0, 1, os.getpid()):
                ancestor = parent_of(ancestor)
            if ancestor == os.getpid():
                found.append(int(path.parent.name))
    return found


def digests(out: Path) -> dict[str, str]:
    """sha256 of every file of a dataset but those of its work store."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and ".work" not in path.relative_to(out).parts]
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(videos: Path, out: Path, engine: str, workers: int, *, kill: bool = False) -> tuple[CollectReport, int]:
    """Collect. engine: "process" or "ray". kill: end a worker of Ray when the first clip is done. (report, killed workers)."""
    killed: list[int] = []

    def on_progress(stage: str, *_: object) -> None:
        if kill and stage == "clips" and not killed:
            for pid in own_workers()[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    tokenizer = load_tokenizer(NANO_FOLDER / "spiece.model")
    with RayEngine(workers=workers) if engine == "ray" else nullcontext(ProcessEngine(workers=workers)) as doing:
        report = collect([videos], out, PUPPETS, tokenizer, engine=doing, progress=on_progress)
    return report, len(killed)


def run_fatal(videos: Path, out: Path) -> list[str]:
    """Collect with a video whose clip ends its worker: complaints."""
    with patch.object(collect_module, "collect_clip", deadly):
        report, _ = run(videos, out, "ray", 2)
    told = [text for text in report.failed if FATAL in text]
    if len(told) != 1 or report.samples != report.clips - 1:
        return [f"of {report.clips} clips {report.samples} came out, and {report.failed} failed"]
    return []


def seconds_of_a_job(count: int = 1000) -> float:
    """That Ray takes for a job that does nothing, with two workers."""
    results: list[int] = []
    with RayEngine(workers=2) as engine:
        engine.run(abs, [1, 2], results.append, lost=lambda *_: 0, time_limit_s=60.0)  # whatever is loaded first
        begin = time.perf_counter()
        engine.run(abs, list(range(count)), results.append, lost=lambda *_: 0, time_limit_s=60.0)
        seconds = time.perf_counter() - begin
    assert sorted(results) == sorted([1, 2, *range(count)])
    return seconds / count


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=6)
    options = parser.parse_args()
    runs = [("process", 2, False), ("ray", 1, False), ("ray", 2, False), ("ray", 2, True)]
    faults = 0

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_demo_clips(folder / "videos", options.clips, seed=5, frames=9)
        run(folder / "videos", folder / "first", "process", 1)
        for number, (engine, workers, kill) in enumerate(runs):
            begin = time.perf_counter()
            _, killed = run(folder / "videos", folder / str(number), engine, workers, kill=kill)
            same = digests(folder / str(number)) == digests(folder / "first") and killed == kill
            faults += not same
            seconds = time.perf_counter() - begin
            say(f"{engine} {workers}, {killed} killed, {seconds:.0f} s: {'the same' if same else 'DIFFERENT'}")
        (folder / "videos" / "0000.mp4").rename(folder / "videos" / FATAL)
        told = run_fatal(folder / "videos", folder / "fatal")
        faults += len(told)
        say("\n".join(told) or "a job that ends its worker: told as failed, all others came out")
        say(f"a job that does nothing takes {seconds_of_a_job() * 1000:.0f} ms")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
