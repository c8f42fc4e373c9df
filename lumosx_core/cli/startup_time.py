"""How long commands take from their first line to their end, in fresh processes that take turns."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lumosx_core.errors import InputError

if TYPE_CHECKING:
    from lumosx_core.progress import Progress

HERE = Path(__file__).parents[2]
TORCH = "import torch"  # what every command with a model waits for at least
SAMPLE = Path("lumosx_core") / "assets" / "samples" / "two_people"
LINES: dict[str, list[str]] = {
    "--help": ["--help"],
    "inspect": ["inspect", str(SAMPLE)],
    "generate, 1 step": ["generate", str(SAMPLE), "--steps", "1", "--frames", "1"],
    "demo": ["demo"],
}  # by name; those that write get --out


def startup_times(repeats: int, against: Path | None, progress: "Progress | None" = None) -> dict:
    """The table "startup" of every command against the import of torch; or, with the folder of another checkout, a table for
    each command, against the same command there. Raises InputError for a folder that is none, and where a command fails."""
    from lumosx_core.checks.turns import take_turns

    if against is not None and not (against / SAMPLE).is_dir():
        raise InputError(f"{against} is no checkout of this project: it lacks {SAMPLE}")
    with tempfile.TemporaryDirectory() as out:

        def command(folder: Path, words: list[str]) -> Callable[[], None]:
            written = [] if words[0] in ("--help", "inspect") else ["--out", out]
            return lambda: _run(folder, [sys.executable, "-m", "lumosx_core", *words, *written])

        if against is None:
            table = {TORCH: lambda: _run(HERE, [sys.executable, "-c", TORCH])}
            table |= {name: command(HERE, words) for name, words in LINES.items()}
            return take_turns({"startup": table}, repeats=repeats, progress=progress)
        both = {
            name: {"there": command(against.resolve(), words), "here": command(HERE, words)} for name, words in LINES.items()
        }
        return take_turns(both, repeats=repeats, progress=progress)


def _run(folder: Path, line: list[str]) -> None:
    ended = subprocess.run(line, cwd=folder, capture_output=True, text=True)
    if ended.returncode:
        told = (ended.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise InputError(f"{' '.join(line[1:])} failed in {folder}: {told}")
