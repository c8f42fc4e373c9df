"""Records one per line (JSON Lines): appended as they come, so that what is done survives every kind of end."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import whole_file
from lumosx_core.files.json import MAX_BYTES, parse_json, parse_record

Record = TypeVar("Record")
log = logging.getLogger(__name__)


def append_record(path: Path, record: Any) -> None:
    """Add a dataclass as one line, in a single write. Raises InputError when the disk refuses."""
    import json

    line = json.dumps(asdict(record), ensure_ascii=False, allow_nan=False) + "\n"
    try:
        with open(path, "ab", buffering=0) as file:
            file.write(line.encode("utf-8"))
    except OSError as error:
        raise InputError(f"cannot write {path} ({error}); free some space or check its permissions") from error


def read_records(path: Path, kind: type[Record]) -> list[Record]:
    """The records of a file of `append_record`; none if there is no file.

    A last line without an end is what a writer left that was killed: it is removed from the file, with a logged warning.
    Raises InputError, naming file and line, for a line that is no such record.
    """
    if not path.exists():
        return []
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"{path} is no file of ours (no file, or above {MAX_BYTES // 2**20} MiB); choose another output folder"
            )
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path} ({error}); check its permissions") from error
    whole, _, rest = content.rpartition(b"\n")
    records = []
    for number, line in enumerate(whole.split(b"\n") if whole else (), 1):
        source = f"line {number} of {path}"
        try:
            records.append(parse_record(kind, parse_json(line, source), source))
        except InputError as error:
            raise InputError(f"{error}; delete that line, and what it stood for is done again") from error
    if rest:
        log.warning("%s: the last line was cut off and is dropped; what it stood for is done again", path)
        with whole_file(path) as partial:
            partial.write_bytes(content[: len(content) - len(rest)])
    return records
