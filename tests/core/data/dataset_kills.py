"""Kills commands that change a collected dataset, before each of their file operations (`kill_harness.py` says how).

    python -m tests.core.data.dataset_kills [remove apply filter split][:N] ...

Each command changes a small collection of puppet clips. Whatever operation it is killed before, every file is the old or the
new one, and the same command, given again, ends as one that nobody disturbed. COMMAND:N takes N of its operations at random.
Exit status 1 if something was lost.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

from lumosx_core.cli.main import main as lumosx
from tests.core import kill_harness

CLIPS = 4
LOADED = (
    "lumosx_core.data.collect",
    "lumosx_core.data.remove",
    "lumosx_core.data.stages",
    "lumosx_core.sampling.pipeline",
    "ftfy",
    "pyarrow.parquet",
    "pyarrow.compute",
    "jinja2",
    "sqlite3",
)


def collected(root: Path) -> int:
    """A collection of which one clip has been removed, so that there is a salt; and a file of corrections."""
    from lumosx_core.data.corrections import basis_of
    from lumosx_core.data.demo_clips import write_demo_clips
    from lumosx_core.data.pack import read_manifest
    from lumosx_core.data.store import open_store

    dataset = root / "of" / "clips"
    write_demo_clips(root / "of" / "videos", CLIPS, seed=5, frames=9)
    status = lumosx(["collect", str(root / "of" / "videos"), "--preset", "puppets", "--out", str(dataset), "--workers", "1"])
    status |= lumosx(["dataset", "remove", str(dataset), "--clip", _clip(dataset)])
    clip = read_manifest(dataset)[1]["sample"]
    with open_store(dataset) as store:
        told = {"clip": clip, "basis": basis_of(store.results(clip)), "verdict": "reject"}
    (root / "corrections.jsonl").write_text(json.dumps(told) + "\n", "utf-8")
    return status


def _clip(dataset: Path) -> str:
    from lumosx_core.data.pack import read_manifest

    return read_manifest(dataset)[0]["sample"]


def remove(root: Path) -> int:
    """Take out the video of the first clip that was there at the beginning."""
    dataset = root / "of" / "clips"
    names = sorted(path.name for path in (root / "of" / "videos").glob("*.mp4"))
    return lumosx(["dataset", "remove", str(dataset), "--source", names[1]])


def apply(root: Path) -> int:
    """Reject a clip."""
    return lumosx(["dataset", "apply", str(root / "of" / "clips"), str(root / "corrections.jsonl")])


def filtered(root: Path) -> int:
    """Another threshold."""
    return lumosx(["dataset", "filter", str(root / "of" / "clips"), "--set", "keep.most_people=1"])


def split(root: Path) -> int:
    """Another draw."""
    return lumosx(["dataset", "split", str(root / "of" / "clips"), "--seed", "3", "--val", "0.4", "--test", "0.4"])


COMMANDS: dict[str, tuple[kill_harness.Action, kill_harness.Action]] = {
    "remove": (collected, remove),
    "apply": (collected, apply),
    "filter": (collected, filtered),
    "split": (collected, split),
}


def main() -> int:
    """Try the commands that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=f"of {', '.join(COMMANDS)} (default: all)")
    options = parser.parse_args()
    for module in LOADED:  # before the forks: what each would load
        importlib.import_module(module)
    kill_harness.COMMANDS.update(COMMANDS)
    failed = 0
    for name, _, points in (given.partition(":") for given in options.commands or COMMANDS):
        faults = kill_harness.try_command(name, int(points) if points else None, (0, 1), lambda line: _say(line))
        for fault in faults:
            _say(f"  {fault}")
        failed += bool(faults)
    return 1 if failed else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
