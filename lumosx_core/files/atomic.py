"""Files and folders that are either written whole or not at all."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lumosx_core.errors import InputError


@contextmanager
def whole_file(path: str | Path, what: str = "the file") -> Iterator[Path]:
    """A temporary path in the folder of `path` (made if need be) to write to.

    It is renamed to `path` when the block ends well and removed when it does not, also on Ctrl-C. Raises InputError, which
    names `what`, when the disk refuses.
    """
    path = Path(path)
    partial = path.parent / f".{path.stem}.{uuid.uuid4().hex[:8]}.partial{path.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"cannot write {what} {path} ({error}); choose a writable place with free space") from error
    finally:
        if path.parent.is_dir():
            partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path, what: str) -> Iterator[Path]:
    """The same for a folder: a temporary one to fill, which takes the place of `folder` when the block ends well."""
    partial = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:8]}.partial"
    try:
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(partial, folder)
    except OSError as error:
        raise InputError(f"cannot write {what} {folder} ({error}); choose a writable place with free space") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text whole or not at all. Raises InputError when the disk refuses."""
    with whole_file(path) as partial:
        partial.write_text(text, "utf-8")


def writable_folder(folder: str | Path) -> Path:
    """The folder, made if need be, after a test that files can be written there: before the long work, not after it."""
    folder = Path(folder)
    probe = folder / f".{uuid.uuid4().hex[:8]}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"\0" * 65536)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise InputError(f"cannot write into {folder} ({error}); choose another output folder") from error
    finally:
        if folder.is_dir():
            probe.unlink(missing_ok=True)
    if free < 32 * 2**20:
        raise InputError(f"only {free // 2**20} MiB are free where {folder} is; free some space or choose another folder")
    return folder
