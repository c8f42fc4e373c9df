"""The copy of a manifest: the same rows without reading them all, made again where it is missing or another one's."""

import pickle
import shutil
import sys
from pathlib import Path

import pyarrow
import pytest
from manifest_scale import measure
from small_collection import COUNT, Collected

from lumosx_core.data.manifest_rows import copy_of, open_rows, write_copy
from lumosx_core.data.pack import MANIFEST, parquet, read_manifest
from lumosx_core.errors import InputError


def test_rows_are_those_of_the_manifest(collected: Collected) -> None:
    expected, rows = read_manifest(collected.out), open_rows(collected.out / MANIFEST)
    assert len(rows) == COUNT and list(rows) == expected == [rows[n] for n in range(COUNT)]
    assert rows[-1] == expected[-1] and list(rows[1:]) == expected[1:] and list(rows[::2][::-1]) == expected[::2][::-1]
    assert rows.column("caption") == [row["caption"] for row in expected]
    two = rows.where("people", 2)
    assert list(two) == [row for row in expected if row["people"] == 2] and len(two) == 1
    assert [row["people"] for row in rows.keep([True, False, True])] == [expected[0]["people"], expected[2]["people"]]
    with pytest.raises(IndexError):
        rows[COUNT]


def test_the_copy_is_made_again_where_it_is_not_this_manifests(collected: Collected, tmp_path: Path) -> None:
    manifest = tmp_path / MANIFEST
    shutil.copyfile(collected.out / MANIFEST, manifest)
    copied = copy_of(collected.out / MANIFEST).read_bytes()
    expected = list(open_rows(manifest))
    assert copy_of(manifest).read_bytes() == copied  # missing: made, the same bytes as with the collection
    for damaged in (b"", copied[:-20], b"no arrow file"):
        copy_of(manifest).write_bytes(damaged)
        assert list(open_rows(manifest)) == expected and copy_of(manifest).read_bytes() == copied
    parquet().write_table(parquet().read_table(manifest).slice(1), manifest)
    assert list(open_rows(manifest)) == expected[1:]
    copy_of(manifest).unlink()
    copy_of(manifest).mkdir()  # nothing can be written there
    assert list(open_rows(manifest)) == expected[1:]


def test_pickled_rows_are_few_bytes_and_the_same_rows(collected: Collected, tmp_path: Path) -> None:
    few = parquet().read_table(collected.out / MANIFEST)
    manifest = tmp_path / MANIFEST
    parquet().write_table(pyarrow.concat_tables([few] * 100), manifest)
    rows = open_rows(manifest)
    assert rows.table.nbytes > 500_000
    for some in (rows[::50], rows.where("people", 2)[5:9]):
        content = pickle.dumps(some)
        assert len(content) < 8 * len(some) + 1000
        again = pickle.loads(content)
        assert list(again) == list(some) and again.column("caption") == some.column("caption")
    parquet().write_table(few, manifest)
    with pytest.raises(InputError, match=f"has {COUNT} rows now, and had {100 * COUNT}"):
        pickle.loads(content)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="NO /proc: private memory is read on Linux only")
def test_scale_in_its_short_form(collected: Collected, tmp_path: Path) -> None:
    found = measure(collected.out, tmp_path, 2000, samples=2)
    assert found.left == found.expected > 0
    assert write_copy(tmp_path / "large" / MANIFEST).stat().st_size > 2000 * 1000
    before = pyarrow.total_allocated_bytes()
    rows = open_rows(tmp_path / "large" / MANIFEST)
    assert rows[1999]["sample"] == f"{1999:016x}"
    assert rows.table.nbytes > 2000 * 1000 and pyarrow.total_allocated_bytes() - before < 100_000
