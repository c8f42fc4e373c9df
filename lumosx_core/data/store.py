"""The work store of a collection: what every stage said of every video and clip, and the files that it made.

`DATASET/.work/state.sqlite` (written by one process, the driver) and `DATASET/.work/blobs/ab/<sha256>` (written by anybody: a
file's name is its content's digest, so that writing twice is the same). A unit (a source or a clip) is committed in one
transaction with all its stages. A row is used again while its key is the same: the key is made of the stage, its version, its
settings, the digests of its models and of the records that it reads.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lumosx_core.data.records import Blob, blobs_in
from lumosx_core.errors import InputError
from lumosx_core.files.atomic import remove_file, write_bytes

FORMAT = 1
WORK = ".work"  # in the folder of a dataset
STATE = "state.sqlite"
TABLES = """
CREATE TABLE IF NOT EXISTS format (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, source TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sources (source TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS stages (unit TEXT, stage TEXT, key TEXT NOT NULL, status TEXT NOT NULL, record TEXT NOT NULL,
    seconds REAL NOT NULL, PRIMARY KEY (unit, stage));
"""


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What a stage said of a unit. status: "done" (record: the JSON of its record), "dropped" (its reason and detail), or
    "failed" (message and traceback)."""

    stage: str
    key: str
    status: str
    record: str
    seconds: float = 0.0

    @property
    def content(self) -> Any:
        """The record as plain values."""
        return json.loads(self.record)


class Blobs:
    """Files named by their content below one folder; safe for many writers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, blob: Blob) -> Path:
        """Where the file of that digest lies."""
        return self.folder / blob[:2] / blob

    def holds(self, result: StageResult) -> bool:
        """Whether all files that the record of a stage names are there."""
        return result.status != "done" or all(os.path.exists(self.path(blob)) for blob in blobs_in(result.content))

    def put(self, content: bytes) -> Blob:
        """Keep this content; returns its digest. Raises InputError when the disk refuses."""
        blob = hashlib.sha256(content).hexdigest()
        path = self.path(blob)
        if not path.exists():
            write_bytes(path, content, "a file of the work store")
        return blob

    def get(self, blob: Blob) -> bytes:
        """The content. Raises InputError if the file is missing or was changed."""
        try:
            content = self.path(blob).read_bytes()
        except OSError as error:
            raise InputError(f"the work store lacks {blob[:16]} ({error}); {self._remedy()}") from error
        if hashlib.sha256(content).hexdigest() != blob:
            raise InputError(f"the file {self.path(blob)} of the work store was damaged; {self._remedy()}")
        return content

    def _remedy(self) -> str:
        return "delete that file, if it is there, and collect again, which makes it anew"


class WorkStore:
    """The store of one dataset, for the one process that writes it. Use as a context manager.

    Raises InputError if another process collects into the same dataset (it is named), if the folder cannot be written, and for
    a store of a newer format or a damaged one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = Blobs(folder / "blobs")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _Lock(folder / "lock")
            self._lock.take()
            self._base = sqlite3.connect(folder / STATE, isolation_level=None)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")
            self._base.execute("PRAGMA secure_delete=ON")  # what is removed is overwritten
            self._base.executescript(TABLES)
            row = self._base.execute("SELECT version FROM format").fetchone()
            if row is None:
                self._base.execute("INSERT INTO format VALUES (?)", (FORMAT,))
            elif row[0] != FORMAT:
                raise InputError(f"{folder} is a work store of format {row[0]}, this LumosX reads {FORMAT}; update LumosX")
        except sqlite3.Error as error:
            raise InputError(f"cannot use the work store {folder} ({error}); choose another --work folder") from error
        except OSError as error:
            raise InputError(f"cannot write into {folder} ({error}); choose a writable place") from error

    def __enter__(self) -> "WorkStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files and the lock."""
        self._base.close()
        self._lock.release()

    def results(self, unit: str) -> dict[str, StageResult]:
        """All that is known of a unit, by stage."""
        rows = self._base.execute("SELECT stage, key, status, record, seconds FROM stages WHERE unit = ?", (unit,))
        return {row[0]: StageResult(stage=row[0], key=row[1], status=row[2], record=row[3], seconds=row[4]) for row in rows}

    def commit(self, unit: str, results: Iterable[StageResult]) -> None:
        """Take these as all results of a unit, in one transaction."""
        with self._transaction():
            self._base.execute("DELETE FROM stages WHERE unit = ?", (unit,))
            self._base.executemany(
                "INSERT INTO stages VALUES (?, ?, ?, ?, ?, ?)",
                [(unit, r.stage, r.key, r.status, r.record, r.seconds) for r in results],
            )

    def remember(self, sources: dict[str, str]) -> dict[str, str]:
        """Keep what is known of sources, as JSON by their digest; all that were ever kept."""
        with self._transaction():
            self._base.executemany("INSERT OR REPLACE INTO sources VALUES (?, ?)", sources.items())
        return dict(self._base.execute("SELECT source, record FROM sources ORDER BY source"))

    def known_source(self, path: str, size: int, mtime_ns: int) -> str | None:
        """The digest of a file that was read before and has not changed since, by size and time."""
        row = self._base.execute(
            "SELECT source FROM files WHERE path = ? AND size = ? AND mtime_ns = ?", (os.fsencode(path), size, mtime_ns)
        ).fetchone()
        return row and row[0]

    def note_files(self, files: Iterable[tuple[str, int, int, str]]) -> None:
        """Remember the digests of files: (path, size, time of change in ns, digest) each."""
        with self._transaction():
            self._base.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", [(os.fsencode(path), *state) for path, *state in files]
            )

    def units(self) -> list[str]:
        """Every source and clip of which a stage said something, sorted."""
        return [row[0] for row in self._base.execute("SELECT DISTINCT unit FROM stages ORDER BY unit")]

    def blobs_of(self, units: Iterable[str]) -> set[Blob]:
        """The files that the records of these units name."""
        return {
            blob
            for unit in units
            for result in self.results(unit).values()
            if result.status == "done"
            for blob in blobs_in(result.content)
        }

    def forget(self, units: Sequence[str]) -> None:
        """Delete all that is known of these sources and clips, with the files that no other one names, so that no byte of it
        stays in the store. Done again after a kill it ends the same."""
        own, others = self.blobs_of(units), self.blobs_of(set(self.units()) - set(units))
        for blob in own - others:
            remove_file(self.blobs.path(blob))
        gone = [(unit,) for unit in units]
        with self._transaction():
            self._base.executemany("DELETE FROM stages WHERE unit = ?", gone)
            self._base.executemany("DELETE FROM sources WHERE source = ?", gone)
            self._base.executemany("DELETE FROM files WHERE source = ?", gone)
        try:
            self._base.execute("VACUUM")
            self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise InputError(f"cannot write the work store {self.folder} ({error}); free some space and go on") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._base.execute("BEGIN IMMEDIATE")
            yield
            self._base.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._base.execute("ROLLBACK")
            raise InputError(f"cannot write the work store {self.folder} ({error}); free some space and go on") from error
        except BaseException:
            with suppress(sqlite3.Error):
                self._base.execute("ROLLBACK")
            raise


def has_store(dataset: Path) -> bool:
    """Whether a dataset keeps what was found in its videos."""
    return (dataset / WORK / STATE).is_file()


def check_store(dataset: Path) -> None:
    """Raises InputError if a dataset has no work store."""
    if not has_store(dataset):
        raise InputError(
            f"{dataset} has no work store ({WORK}/{STATE}), which keeps what was found in the videos: it was imported, or "
            "copied, or the store was deleted; give the folder that lumosx collect made"
        )


def open_store(dataset: Path) -> WorkStore:
    """The work store of a dataset that is there. Raises InputError if it has none, and as `WorkStore` does."""
    check_store(dataset)
    return WorkStore(dataset / WORK)


class _Lock:
    """A lock that the system lets go of when its process ends, however it ends. The file says whose it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def take(self) -> None:
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock_file(file)
        except OSError:
            owner = os.pread(file, 32, 16).decode("ascii", "replace").strip("\0 \n") if hasattr(os, "pread") else ""
            os.close(file)
            whose = f"process {owner}" if owner else "another process"
            raise InputError(f"{whose} collects into {self.path.parent}; wait for it, or choose another --out") from None
        os.ftruncate(file, 0)
        os.lseek(file, 16, os.SEEK_SET)  # the first bytes are what is locked
        os.write(file, f"{os.getpid()}\n".encode("ascii"))
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
            remove_file(self.path)


def _lock_file(file: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
