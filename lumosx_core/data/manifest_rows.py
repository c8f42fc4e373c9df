"""The rows of a manifest one at a time, however many there are: an Arrow copy of it is mapped into memory, nothing is loaded.

    DATASET/manifest.arrow    the manifest again, uncompressed, with a stamp of the manifest that it was made of

The copy is made with the manifest, and again where it is missing or another manifest's.
"""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import whole_file

ROWS_AT_ONCE = 16_384
STAMP = b"manifest"
STAMPED = 2**16  # bytes of the end of a manifest, where its table of contents is
log = logging.getLogger(__name__)


def copy_of(manifest: Path) -> Path:
    """Where the copy of a manifest lies."""
    return manifest.with_suffix(".arrow")


def write_copy(manifest: Path) -> Path:
    """Write the copy of a manifest; the same bytes for the same manifest. Raises InputError when the disk refuses, and for a
    manifest that cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = copy_of(manifest)
    try:
        with pq.ParquetFile(manifest) as file, whole_file(path, "the copy of the manifest") as partial:
            schema = file.schema_arrow.with_metadata({STAMP: _stamp(manifest)})
            with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
                for batch in file.iter_batches(ROWS_AT_ONCE):
                    writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    except pa.ArrowException as error:
        raise InputError(f"cannot copy {manifest} ({error}); collect again, which writes it anew") from error
    return path


class ManifestRows(Sequence[dict[str, Any]]):
    """Rows of a manifest, read as they are asked for. `rows[i]` is a row as plain values, `rows[a:b:c]` are some of them.
    Pickled are the path and the numbers of the rows alone; loaded they are mapped again."""

    def __init__(self, manifest: Path, table: Any, numbers: np.ndarray) -> None:
        self.manifest = manifest
        self.table = table
        self.numbers = numbers  # which rows of the table, in order

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> "ManifestRows": ...
    def __getitem__(self, index: int | slice) -> "dict[str, Any] | ManifestRows":
        if isinstance(index, slice):
            return self._some(self.numbers[index])
        return self.table.slice(int(self.numbers[index]), 1).to_pylist()[0]

    def column(self, name: str) -> list[Any]:
        """The values of one column, which are read without the others."""
        values = self.table.column(name)
        if np.array_equal(self.numbers, np.arange(self.table.num_rows)):
            return values.to_pylist()
        return [values[int(number)].as_py() for number in self.numbers]  # `take` would join all parts of a large column

    def where(self, name: str, value: Any) -> "ManifestRows":
        """The rows whose column has this value."""
        import pyarrow.compute as pc

        equal = pc.equal(self.table.column(name), value).to_numpy()
        return self._some(self.numbers[equal[self.numbers]])

    def keep(self, kept: Sequence[bool]) -> "ManifestRows":
        """The rows for which it is true, one value for each."""
        return self._some(self.numbers[np.asarray(kept, bool)])

    def _some(self, numbers: np.ndarray) -> "ManifestRows":
        return ManifestRows(self.manifest, self.table, numbers)

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened_again, (self.manifest, self.numbers, self.table.num_rows)


def _opened_again(manifest: Path, numbers: np.ndarray, count: int) -> ManifestRows:
    rows = open_rows(manifest)
    if len(rows) != count:
        raise InputError(f"{manifest} has {len(rows)} rows now, and had {count} when it was opened; open the dataset again")
    return ManifestRows(manifest, rows.table, numbers)


def open_rows(manifest: Path) -> ManifestRows:
    """All rows of a manifest. Makes the copy where it is missing or not this manifest's; where that cannot be written, the
    manifest is read into memory. Raises InputError for a manifest that cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = _mapped(manifest)
    if table is None:
        try:
            write_copy(manifest)
            table = _mapped(manifest)
        except (InputError, OSError) as error:
            log.warning("the manifest is read into memory, since its copy cannot be written (%s)", error)
    if table is None:
        try:
            table = pq.read_table(manifest)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"cannot read {manifest} ({error}); collect again, which writes it anew") from error
    return ManifestRows(manifest, table, np.arange(table.num_rows))


def _mapped(manifest: Path) -> Any:
    """The table of the copy, mapped into memory; None where there is none, or not this manifest's."""
    import pyarrow as pa

    path = copy_of(manifest)
    if not path.is_file():
        return None
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowException):
        return None  # cut off, or no such file: it is made again
    return table if (table.schema.metadata or {}).get(STAMP) == _stamp(manifest) else None


def _stamp(manifest: Path) -> bytes:
    """Of the size of a manifest and its end, so that it need not be read."""
    try:
        size = os.path.getsize(manifest)
        with open(manifest, "rb") as file:
            file.seek(max(0, size - STAMPED))
            return f"{size} {hashlib.sha256(file.read()).hexdigest()}".encode("ascii")
    except OSError as error:
        raise InputError(f"cannot read {manifest} ({error}); collect again, which writes it anew") from error
