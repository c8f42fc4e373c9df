"""Files and folders that are either written whole or not at all.

Everything is written under a hidden name beside its place (`leftovers.py` says which), brought to the disk (fsync: after a
power cut a renamed file could be empty otherwise) and renamed. A folder takes the place of an older one in three steps: the
old one is moved aside, the new one in, then the old one is deleted. Whoever is killed between the first two leaves the old
one aside; the next writer and the next reader put it back (`leftovers.restore`). What a killed writer left unfinished goes
when the next one writes into the same folder.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lumosx_core.errors import InputError
from lumosx_core.files.leftovers import ASIDE, PARTIAL, hidden_name, restore, tidy

MIN_FREE_BYTES = 32 * 2**20


@contextmanager
def whole_file(path: str | Path, what: str = "the file") -> Iterator[Path]:
    """A temporary path in the folder of `path` (made if need be) to write to, an empty file.

    It is renamed to `path` when the block ends well and removed when it does not, also on Ctrl-C. Its permissions are those
    of any new file (the umask), also where a library writes through a private file of its own. Raises InputError, which names
    `what`, when the disk refuses or something that is no file is in the way.
    """
    path = Path(path)
    partial = hidden_name(path, PARTIAL)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tidy(path.parent)
        if path.exists() and not path.is_file():
            raise InputError(
                f"cannot write {what} {path}: {'a folder' if path.is_dir() else 'no file'} is there; give another path"
            )
        with open(partial, "xb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
        yield partial
        _to_disk(partial)
        if partial.stat().st_mode & 0o777 != mode:
            partial.chmod(mode)
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"cannot write {what} {path} ({error}); choose a writable place with free space") from error
    finally:
        remove_file(partial)


@contextmanager
def whole_folder(folder: Path, what: str) -> Iterator[Path]:
    """The same for a folder: a temporary one to fill, which takes the place of `folder` when the block ends well."""
    partial, aside = hidden_name(folder, PARTIAL), hidden_name(folder, ASIDE)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        restore(folder)
        tidy(folder.parent)
        partial.mkdir()
        yield partial
        for path in partial.rglob("*"):
            if path.is_file():
                _to_disk(path)
        try:
            if folder.exists():
                os.rename(folder, aside)
            os.rename(partial, folder)
        except BaseException:
            if aside.exists() and not folder.exists():
                os.rename(aside, folder)
            raise
    except OSError as error:
        raise InputError(f"cannot write {what} {folder} ({error}); choose a writable place with free space") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(aside, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text whole or not at all. Raises InputError when the disk refuses."""
    with whole_file(path) as partial:
        partial.write_bytes(text.encode("utf-8"))


def write_bytes(path: str | Path, content: bytes, what: str = "the file") -> None:
    """Write bytes whole or not at all. Raises InputError, which names `what`, when the disk refuses."""
    with whole_file(path, what) as partial:
        partial.write_bytes(content)


def copy_file(source: str | Path, path: str | Path, what: str = "the file") -> None:
    """Copy a file's content whole or not at all; nothing happens if both are the same file. Raises InputError, which names
    `what`, if the source is no file or cannot be read, or the disk refuses."""
    source, path = Path(source), Path(path)
    if not source.is_file():
        raise InputError(f"there is no file {source} to copy as {what}; give the path of a file")
    if path.exists() and os.path.samefile(source, path):
        return
    with whole_file(path, what) as partial:
        try:
            shutil.copyfile(source, partial)
        except PermissionError as error:
            raise InputError(f"cannot read {what} {source} ({error}); check its permissions") from error


def writable_folder(folder: str | Path, stem: str = "") -> Path:
    """The folder, made if need be, after a test that files can be written there: before the long work, not after it.

    stem: what the files' names begin with; their file system may take shorter names than others. Raises InputError.
    """
    folder = Path(folder)
    probe = hidden_name(folder / "probe", PARTIAL)
    named = folder / f".{stem}{probe.name.removeprefix('.probe')}"  # longer than every name that is made from the stem
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tidy(folder)
        probe.write_bytes(b"\0" * 65536)
        if stem:
            os.rename(probe, named)
        os.listdir(folder)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise InputError(f"cannot write into {folder} ({error}); choose another output folder or a shorter name") from error
    finally:
        remove_file(probe)
        remove_file(named)
    if free < MIN_FREE_BYTES:
        raise InputError(f"only {free // 2**20} MiB are free where {folder} is; free some space or choose another folder")
    return folder


def writable_file(path: Path) -> Path:
    """The path, after the same test for one file. Raises InputError too if something that is no file is there."""
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is {'a folder' if path.is_dir() else 'no file'}; give the path of a file to write")
    writable_folder(path.parent, path.stem)
    return path


def _to_disk(path: Path) -> None:
    with open(path, "r+b") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):  # some network file systems have none
                raise


def remove_folder(folder: Path) -> None:
    """Delete a folder that is not needed any more; it is never seen half deleted. One that may not be deleted is no error."""
    hidden = hidden_name(folder, PARTIAL)
    try:
        os.rename(folder, hidden)
    except OSError:
        return
    shutil.rmtree(hidden, ignore_errors=True)


def remove_file(path: Path) -> None:
    """Delete a file that is not needed any more. One that is not there, or may not be deleted, is no error."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
