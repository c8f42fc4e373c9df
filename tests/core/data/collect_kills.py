"""Kills collections at random moments and compares what comes out in the end with a run that nobody disturbed.

    python -m tests.core.data.collect_kills [--kills N] [--clips N] [--whom group|parent|worker ...]

Each time the command is started anew on the same folder, killed (SIGKILL) after a random time: the whole process group, the
parent alone, or one worker; then it runs to its end. Every file of the dataset but its work store must be the same to the bit,
nothing half-written may lie about, and no process may be left 5 s after its parent. Exit status 1 if not.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from lumosx_core.data.demo_clips import write_demo_clips
from lumosx_core.files.leftovers import process_lives

ROOT = Path(__file__).parents[3]
WHOM = ("group", "parent", "worker")


def command(videos: Path, out: Path) -> list[str]:
    """The collection that is killed."""
    arguments = ["collect", str(videos), "--preset", "puppets", "--out", str(out), "--workers", "2", "--retry", "failed"]
    return [sys.executable, "-m", "lumosx_core", *arguments]


def start(videos: Path, out: Path) -> subprocess.Popen[bytes]:
    """The command in a process group of its own."""
    return subprocess.Popen(
        command(videos, out), cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def children(parent: int) -> list[int]:
    """The processes that a process has started (Linux)."""
    try:
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return []


def digests(out: Path) -> dict[str, str]:
    """sha256 of every file of a dataset but those of its work store."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".work" not in path.relative_to(out).parts
    }


def kill_once(videos: Path, out: Path, whom: str, after_s: float) -> list[str]:
    """Start, kill, and look for what is left behind: complaints."""
    process = start(videos, out)
    time.sleep(after_s)
    workers = children(process.pid)
    try:
        if whom == "group":
            os.killpg(process.pid, signal.SIGKILL)
        elif whom == "parent":
            os.kill(process.pid, signal.SIGKILL)
        elif workers:
            os.kill(random.choice(workers), signal.SIGKILL)
    except ProcessLookupError:
        pass  # it had ended
    if whom == "worker":
        return [] if process.wait(600) in (0, 1) else [f"a killed worker ended the run with {process.returncode}"]
    process.wait(60)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(map(process_lives, workers)):
        time.sleep(0.2)
    return [f"process {pid} outlived its parent" for pid in workers if process_lives(pid)]


def run_kills(folder: Path, kills: int, clips: int, whom: Sequence[str], seed: int = 0) -> list[str]:
    """All complaints; none if nothing was lost."""
    chance = random.Random(seed)
    random.seed(seed)
    write_demo_clips(folder / "videos", clips, seed=5, frames=9)
    begin = time.monotonic()
    assert start(folder / "videos", folder / "whole").wait(1200) == 0
    length = time.monotonic() - begin
    wanted = digests(folder / "whole")
    faults: list[str] = []
    for number in range(kills):
        kind = whom[number % len(whom)]
        out = folder / "killed"
        left = kill_once(folder / "videos", out, kind, chance.uniform(0.1, 1.1) * length)
        faults += [f"kill {number}: {fault}" for fault in left]
        if start(folder / "videos", out).wait(1200) != 0:
            faults.append(f"kill {number} ({kind}): the next run failed")
        found = digests(out)
        different = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        if different:
            faults.append(f"kill {number} ({kind}): {', '.join(different)} differ")
        if number % 2:  # now and then from the beginning
            shutil.rmtree(out)
        sys.stdout.write(f"{kind}: {number + 1} of {kills}, {len(faults)} faults so far\n")
        sys.stdout.flush()
    return faults


def main() -> int:
    """The full form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--whom", nargs="+", choices=WHOM, default=WHOM)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        faults = run_kills(Path(folder), options.kills, options.clips, options.whom)
    sys.stdout.write(("\n".join(faults) or f"{options.kills} kills, nothing lost, the same to the bit") + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
