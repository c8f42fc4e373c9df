"""Is there a file or a folder, and may it be read: asked in one place, so that "there is none" is only said when it is true."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from lumosx_core.errors import InputError


def existing_file(path: str | Path, noun: str, advice: str) -> Path:
    """The path, if a file is there that can be read.

    noun: names it in messages ("picture"); advice: what to do if there is none ("give the path of a PNG file").
    Raises InputError: nothing there, no file (a folder, a device), or one that cannot be read (permissions, names that are
    too long or no names).
    """
    path = Path(path)
    mode = _mode(path, noun)
    if mode is None:
        raise InputError(f"no {noun} at {path}; {advice}")
    if not stat.S_ISREG(mode):
        raise InputError(f"the {noun} {path} is {'a folder' if stat.S_ISDIR(mode) else 'no ordinary file'}; {advice}")
    return _opened(path, noun, lambda: path.open("rb").close())


def existing_folder(path: str | Path, noun: str, advice: str) -> Path:
    """The same for a folder whose content can be listed."""
    path = Path(path)
    mode = _mode(path, noun)
    if mode is None:
        raise InputError(f"no {noun} at {path}; {advice}")
    if not stat.S_ISDIR(mode):
        raise InputError(f"the {noun} {path} is a file, not a folder; {advice}")
    return _opened(path, noun, lambda: os.scandir(path).close())


def _mode(path: Path, noun: str) -> int | None:
    """The file's type and permissions; None if nothing is there."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # no permission for a folder above, a name too long or with a zero byte
        raise InputError(f"the {noun} {path} cannot be read ({error}); check its name and its permissions") from error


def _opened(path: Path, noun: str, open_it: Callable[[], None]) -> Path:
    """The path, after a try: what permissions say is not all (access lists, network shares)."""
    try:
        open_it()
    except OSError as error:
        raise InputError(f"the {noun} {path} cannot be read ({error.strerror or error}); change its permissions") from error
    return path
