"""Kills commands at their file operations, one after the other, and looks at what is left.

    python -m tests.core.kill_harness [--share I/N] [COMMAND[:N] ...]

For every file operation of a command (opening for writing, renaming, deleting, making a folder; Python announces each as an
audit event) a process runs the command over older results and is killed (SIGKILL) right before that operation. Then: every
older file is whole, in its old or its new version; no new file is half; the same command succeeds, and leaves the very files
of a run that nobody disturbed, nothing else. States on the disk that are the same as one already tried are not repeated.
COMMAND:N takes N of its operations at random (seed 0) instead of all; --share 1/2 takes the first of every two, for a second
process beside this one. Exit status 1 if something was lost.

It takes a machine with fork. The process that forks computes nothing: threads do not survive a fork.
"""

import argparse
import hashlib
import importlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from lumosx_core.cli.main import main as lumosx
from lumosx_core.files.leftovers import restore

ASSETS = Path(__file__).parents[2] / "lumosx_core" / "assets"
OPERATIONS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.link", "os.symlink"}
SAMPLE = str(ASSETS / "samples" / "two_people")
MANY = 20  # kills of a command that is told about after each
FAST = ["--frames", "5", "--steps"]
Action = Callable[[Path], int]


def convert(kind: str, name: str) -> tuple[Action, Action]:
    """(what is there before, the command): the same file in another type of storage."""

    def run(root: Path, storage: str) -> int:
        source = ASSETS / "nano" / f"{name}.safetensors"
        tokenizer = ["--tokenizer", str(ASSETS / "nano" / "spiece.model")]
        return lumosx(["convert", kind, str(source), str(root / "model"), "--storage", storage, *tokenizer])

    return lambda root: run(root, "fp16"), lambda root: run(root, "fp32")


def generate(root: Path, steps: str) -> int:
    """Videos with PNG frames over those of before."""
    return lumosx(["generate", SAMPLE, "--out", str(root / "out"), "--name", "v", "--png", *FAST, steps])


def sample(root: Path, people: int) -> int:
    """A small sample folder over another one."""
    from PIL import Image

    from lumosx_core.references import Attribute, ReferenceSet, Sample, SceneReference, Subject
    from lumosx_core.sample_folder import read_sample, write_sample

    picture = Image.new("RGB", (16, 16), (90 * people, 20, 60))
    subjects = [
        Subject(name="a man", tag=f"p{n}", face=picture, attributes=(Attribute(phrase=f"hat {people}", image=picture),))
        for n in range(people)
    ]
    references = ReferenceSet(subjects=tuple(subjects), background=SceneReference(phrase="park", image=picture))
    written = Sample(prompt=f"{people} people", references=references)
    write_sample(root / "sample", written, overwrite=True)
    assert read_sample(root / "sample").prompt == written.prompt
    return 0


def careless(root: Path, text: str) -> int:
    """What no command may be: it deletes and then writes, in two parts. The harness must find that."""
    (root / "a.txt").unlink(missing_ok=True)
    for part in (text[:2], text[2:]):
        with open(root / "a.txt", "a") as file:
            file.write(part)
    return 0


def train(root: Path) -> int:
    """The whole nano recipe at its smallest."""
    return lumosx(["train", "nano", "--debug", "--workers", "1", "--out", str(root / "run")])


def evaluate(root: Path) -> int:
    """Three cases of one step."""
    return lumosx(["evaluate", "puppets", "--count", "2", *FAST, "1", "--workers", "1", "--out", str(root / "out")])


def nothing(root: Path) -> int:  # noqa: ARG001 - the signature of actions
    """No older results."""
    return 0


CARELESS = (lambda root: careless(root, "older"), lambda root: careless(root, "newer"))
COMMANDS: dict[str, tuple[Action, Action]] = {
    "write_sample": (lambda root: sample(root, 1), lambda root: sample(root, 2)),
    "convert-transformer": convert("transformer", "transformer"),
    "convert-vae": convert("vae", "vae"),
    "convert-text-encoder": convert("text-encoder", "text_encoder"),
    "generate": (lambda root: generate(root, "1"), lambda root: generate(root, "2")),
    "evaluate": (nothing, evaluate),
    "train": (nothing, train),
}

# Loaded once, before the forks: what the commands would load each time.
LOADED = {
    "write_sample": ("lumosx_core.sample_folder",),
    "convert": ("lumosx_core.model.convert", "lumosx_core.sampling.pipeline", "torch._dynamo"),
    "generate": ("lumosx_core.sampling.generate", "torch._dynamo", "av"),
    "evaluate": ("lumosx_core.evaluation.evaluate", "torch._dynamo"),
    "train": ("lumosx_core.nano.recipe", "torch._dynamo"),
}


def in_a_process(action: Action, root: Path, kill_at: int = 0) -> tuple[int, int]:
    """(exit status, file operations) of the action in a forked process, killed before operation `kill_at` (0: not at all).

    The status is -SIGKILL if it was killed.
    """
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            count = len(pipe.read())
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), count
    status = 99
    try:
        os.close(read)
        log = os.open(root.parent / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        count = 0

        def hook(event: str, values: tuple) -> None:
            nonlocal count
            if _touches(event, values, str(root)):
                count += 1
                if count == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                os.write(write, b".")

        sys.addaudithook(hook)
        status = action(root)
    finally:
        os._exit(status)


def _touches(event: str, values: tuple, root: str) -> bool:
    """True for an operation that changes something below `root`."""
    if event == "open":
        path, mode, flags = values
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) or bool(mode and set(mode) & set("wax+"))
        return writes and isinstance(path, str | os.PathLike) and os.fspath(path).startswith(root)
    if event not in OPERATIONS:
        return False
    first = values[0]
    inside_a_folder_that_goes = event in ("os.remove", "os.rmdir") and values[1] != -1  # a name in an open folder
    return inside_a_folder_that_goes or (isinstance(first, str | os.PathLike) and os.fspath(first).startswith(root))


def contents(root: Path) -> dict[str, str]:
    """Every file below the root with a digest of what it says; writers' marks are taken out of hidden names."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.name == "lock" or path.name.endswith((".sqlite-wal", ".sqlite-shm")):
            continue  # the first two are read with their database
        name = re.sub(r"[0-9a-f]{8}-\d+-[0-9a-f]{8}-[0-9a-f]{8}", "*", str(path.relative_to(root)))
        if path.is_file():
            found[name] = digest(path)
        elif "*" in name:
            found[name] = "folder"
    return found


def digest(path: Path) -> str:
    """Of the bytes; of the values where bytes hold the name that a file was written under, or metadata in any order."""
    if path.suffix == ".safetensors" and path.name[0] != ".":
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.dumps(json.loads(content[8:start]), sort_keys=True).encode()
        return hashlib.sha256(header + content[start:]).hexdigest()
    if path.suffix == ".sqlite":
        return digest_of_database(path)
    if path.suffix != ".pt" or path.name[0] == ".":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    import torch

    return hashlib.sha256(repr(flat(torch.load(path, weights_only=True))).encode()).hexdigest()


def digest_of_database(path: Path) -> str:
    """Of all that an SQLite file says, with its log. It is copied first, since opening it would change it."""
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copy(file, folder)
        with closing(sqlite3.connect(Path(folder) / path.name)) as base:
            return hashlib.sha256("\n".join(sorted(base.iterdump())).encode()).hexdigest()


def flat(value: Any) -> Any:
    """Tensors in a tree as bytes."""
    if isinstance(value, dict):
        return [(key, flat(part)) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return [flat(part) for part in value]
    return value.contiguous().numpy().tobytes() if hasattr(value, "numpy") else value


def is_whole_safetensors(path: Path) -> bool:
    """True if the file is as long as its header says."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    if path.suffix != ".safetensors" or not 8 < start <= len(content):
        return False
    ends = [entry["data_offsets"][1] for key, entry in json.loads(content[8:start]).items() if key != "__metadata__"]
    return len(content) == start + max(ends)


def faults_of_state(root: Path, before: dict[str, str], final: dict[str, str], final_root: Path) -> list[str]:
    """What is lost or half after a kill."""
    for folder in {Path(name).parent for name in [*before, *final]}:
        for part in [folder, *folder.parents]:
            restore(root / part)  # as every reader does
    faults = []
    now = contents(root)
    for name, said in now.items():
        path = root / name
        if "*" in name or said in (before.get(name), final.get(name)):
            continue
        if path.suffix == ".pt" or path.name == "state.json":  # an earlier step: it has been read
            continue
        if path.suffix == ".jsonl" and (final_root / name).read_bytes().startswith(path.read_bytes()):
            continue
        if name not in before and name not in final and is_whole_safetensors(path):  # a latent that is kept until it is decoded
            continue
        faults.append(f"{name} is neither old nor new nor whole")
    folders = {name.split("/")[1] for name in before if name.count("/") > 1}  # replaced as a whole
    for name in before:
        replaced_whole = name.count("/") > 1 and name.split("/")[1] in folders and name not in final
        made_again = name.endswith(".arrow")  # a copy of a table, made where it is missing
        if name not in now and not replaced_whole and not made_again:
            faults.append(f"{name} is lost")
    return faults


def try_command(name: str, points: int | None, share: tuple[int, int], say: Callable[[str], None]) -> list[str]:
    """All faults of one command; lines of progress go to `say`. share: (first, step) of the operations that are taken."""
    begin, command = COMMANDS.get(name, CARELESS)
    faults: list[str] = []
    started = time.monotonic()
    with scratch() as top:
        before_root = top / "before"
        before_root.mkdir()
        assert in_a_process(begin, before_root)[0] == 0, (top / "log.txt").read_text()
        before = contents(before_root)
        straight = fresh(before_root, top / "straight")
        status, operations = in_a_process(command, straight)
        assert status == 0, (top / "log.txt").read_text()
        final = contents(straight)
        if hidden := [file for file in final if "*" in file]:
            faults.append(f"undisturbed: {hidden} is left")
        chosen = list(range(1, operations + 1))
        if points is not None and points < operations:
            chosen = sorted(random.Random(0).sample(chosen, points))
        chosen = chosen[share[0] :: share[1]]
        seen: set[str] = set()
        repeated = 0
        for number in chosen:
            root = fresh(before_root, top / "killed")
            status, _ = in_a_process(command, root, number)
            if status != -signal.SIGKILL:
                faults.append(f"operation {number}: not killed, status {status}")
                continue
            state = repr(contents(root))
            faults += [f"operation {number}: {fault}" for fault in faults_of_state(root, before, final, straight)]
            if state in seen:
                continue
            seen.add(state)
            repeated += 1
            status, _ = in_a_process(command, root)
            after = contents(root)
            if status != 0:
                faults.append(f"operation {number}: the repeated command ends with {status}")
            for file in sorted(set(after) | set(final)):
                if after.get(file) != final.get(file):
                    kind = "is missing" if file not in after else "is left" if file not in final else "differs"
                    faults.append(f"operation {number}: after the repeated command {file} {kind}")
            if len(chosen) > MANY:
                say(f"  {name}: operation {number} of {operations}, {repeated} different states, {len(faults)} faults so far")
        log = (top / "log.txt").read_text() if (top / "log.txt").exists() else ""
        if "Traceback" in log:
            faults.append("a traceback: " + log[log.index("Traceback") :][:2000])
    say(
        f"{name}: killed at {len(chosen)} of {operations} file operations, {repeated} different states, "
        f"{len(faults)} faults, {time.monotonic() - started:.0f} s"
    )
    return faults


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        yield Path(folder).resolve()


def fresh(source: Path, target: Path) -> Path:
    """A copy of the state before."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target


def main() -> int:
    """Try the commands that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=f"of {', '.join(COMMANDS)} (default: all)")
    parser.add_argument("--share", default="1/1", metavar="I/N", help="the I-th of N shares of the operations")
    options = parser.parse_args()
    part, parts = (int(number) for number in options.share.split("/"))
    chosen = [name.partition(":") for name in options.commands or COMMANDS]
    names = [name for name, _, _ in chosen]
    for module in {module for name in names for module in LOADED[name.split("-")[0]]}:
        importlib.import_module(module)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    found = try_command("careless", None, (0, 1), lambda _: None)
    assert [any(word in fault for fault in found) for word in ("is lost", "neither old nor new")] == [True, True], found
    failed = 0
    for name, _, points in chosen:
        faults = try_command(name, int(points) if points else None, (part - 1, parts), lambda line: print(line, flush=True))  # noqa: T201
        for fault in faults:
            print(f"  {fault}", flush=True)  # noqa: T201
        failed += bool(faults)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
