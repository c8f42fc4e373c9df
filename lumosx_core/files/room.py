"""How much room a disk has."""

import shutil
from pathlib import Path

GIB = 2**30


def free_bytes_at(place: Path) -> int | None:
    """Free bytes of the disk that a path is on, or would be; None where the disk does not tell."""
    there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.is_dir())
    try:
        return shutil.disk_usage(there).free
    except OSError:
        return None


def gib(nbytes: int) -> str:
    """ "7.9"; small ones with the digits that tell them from nothing."""
    return f"{nbytes / GIB:.1f}" if nbytes >= GIB else f"{nbytes / GIB:.2g}"
