"""What a writer that was killed leaves behind, how it is told from the work of one that lives, and how it is tidied up.

Unfinished files are called `.<beginning of the name>.<name's digest>.<writer>.partial<suffix>`, folders that were moved aside
`.<beginning of the name>.<name's digest>.<writer>.aside`. `<writer>` says which process of which machine made it:
`<machine>-<process id>-<start of the process>-<random>`. A process id may be given out again, hence the start; another
machine may write into the same shared folder, hence the machine, which also tells containers apart.
"""

import hashlib
import os
import re
import shutil
import socket
import sys
import time
import uuid
from functools import lru_cache
from pathlib import Path

PARTIAL, ASIDE = "partial", "aside"
SHOWN_BYTES = 60  # of a name, in the names made from it; all of them stay far below the 255 bytes of file systems
FOREIGN_AGE_S = 3 * 24 * 3600  # what a writer of another machine has not touched for so long is left over
_LEFTOVER = re.compile(r"\..*\.([0-9a-f]{8})\.([0-9a-f]{8})-(\d{1,10})-([0-9a-f]{8})-[0-9a-f]{8}\.(partial|aside)(\..*)?", re.S)


def hidden_name(path: Path, kind: str) -> Path:
    """A fresh hidden path beside `path` for this process: kind PARTIAL (with the suffix of `path`) or ASIDE."""
    shown = path.stem.encode("utf-8", "surrogateescape")[:SHOWN_BYTES].decode("utf-8", "ignore").strip(" .")
    suffix = path.suffix if kind == PARTIAL and len(path.suffix) <= 16 else ""
    start = _start_of(os.getpid()) or "0" * 8
    writer = f"{_machine()}-{os.getpid()}-{start}-{uuid.uuid4().hex[:8]}"
    return path.parent / f".{shown}.{_name_digest(path)}.{writer}.{kind}{suffix}"


def tidy(folder: Path) -> None:
    """Remove what writers that are gone left unfinished in this folder, and folders that they had moved aside and replaced.

    A folder that was moved aside and not replaced is put back. What cannot be removed stays: the next writer tries again.
    """
    for path, digest in _left_over(folder):
        if path.name.endswith(f".{ASIDE}"):
            present = [item for item in folder.iterdir() if item.name[0] != "." and _name_digest(item) == digest]
            if not present:
                continue  # the only copy; `restore` knows the name that it had
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            try:
                path.unlink(missing_ok=True)
            except OSError:
                continue


def restore(path: Path) -> None:
    """Put a folder back that a writer had moved aside when it was killed. Nothing happens if `path` exists, or if the writer
    lives. Every reader of a folder that `whole_folder` writes calls this first."""
    if os.path.lexists(path):
        return
    asides = [item for item, digest in _left_over(path.parent) if digest == _name_digest(path) and item.name.endswith(ASIDE)]
    for aside in asides:
        try:
            aside.rename(path)
            return
        except OSError:
            continue  # another process was faster, or may write here while this one may not


def _left_over(folder: Path) -> list[tuple[Path, str]]:
    """(path, digest of the name it stands for) of everything in the folder whose writer is gone."""
    try:
        names = [name for name in os.listdir(folder) if name[0] == "."]
    except OSError:
        return []
    found = [(folder / name, match) for name in names if (match := _LEFTOVER.fullmatch(name))]
    return [(path, match[1]) for path, match in found if _is_gone(path, match[2], int(match[3]), match[4])]


def _is_gone(path: Path, machine: str, process: int, start: str) -> bool:
    if machine != _machine():
        try:
            times = [path.lstat().st_mtime, *(item.lstat().st_mtime for item in path.rglob("*"))]
        except OSError:
            return False  # it changes right now
        return time.time() - max(times) > FOREIGN_AGE_S
    if not process_lives(process):
        return True
    now = _start_of(process)
    return now is not None and start != "0" * 8 and now != start


def process_lives(process: int) -> bool:
    """True if a process of that id runs on this machine, whosever it is."""
    if sys.platform == "win32":  # os.kill would end it there
        import ctypes

        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(0x00100000, False, process)  # SYNCHRONIZE
        if not handle:
            return kernel.GetLastError() == 5  # access denied: it runs for somebody else
        lives = kernel.WaitForSingleObject(handle, 0) != 0
        kernel.CloseHandle(handle)
        return lives
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return not _is_zombie(process)


def _stat_of(process: int) -> list[str] | None:
    """The fields of /proc/<id>/stat after the name; None where there is no such file."""
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None


def _is_zombie(process: int) -> bool:
    fields = _stat_of(process)
    return fields is not None and fields[0] in ("Z", "X")


def _start_of(process: int) -> str | None:
    """Eight hex digits that differ for processes of one id that started at different times; None if this is not known."""
    fields = _stat_of(process)
    if not fields or len(fields) < 20:
        return None
    return _digest(f"{_boot()} {fields[19]}")


@lru_cache(1)
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
    except OSError:
        return ""


def _machine() -> str:
    """Eight hex digits of this machine, or of this container: where process ids mean the same."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return _digest(f"{socket.gethostname()} {space}")


def _name_digest(path: Path) -> str:
    return _digest(path.name)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
