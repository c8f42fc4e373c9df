"""The work store: whole units, one writer, content by its digest."""

import subprocess
import sys
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest

from lumosx_core.data import records
from lumosx_core.data.store import StageResult, WorkStore
from lumosx_core.errors import InputError


def result(stage: str, record: str = "{}") -> StageResult:
    return StageResult(stage=stage, key=stage + record, status="done", record=record, seconds=0.5)


def test_a_unit_is_replaced_whole_and_survives(tmp_path: Path) -> None:
    with WorkStore(tmp_path / "w") as store:
        store.commit("a", [result("one"), result("two", '{"x":1}')])
        store.commit("b", [result("one")])
        store.commit("a", [result("one", '{"y":2}')])
        assert store.remember({"s": "1"}) == {"s": "1"}
    with WorkStore(tmp_path / "w") as store:
        assert store.results("a") == {"one": result("one", '{"y":2}')} and set(store.results("b")) == {"one"}
        assert store.results("a")["one"].content == {"y": 2}
        assert store.remember({"t": "2"}) == {"s": "1", "t": "2"}


def test_an_error_within_a_commit_leaves_the_old_unit(tmp_path: Path) -> None:
    with WorkStore(tmp_path / "w") as store:
        store.commit("a", [result("one")])
        with pytest.raises(InputError, match="cannot write the work store"):
            store.commit("a", [result("two"), result("two")])  # one stage twice
        assert set(store.results("a")) == {"one"}


def test_blobs_are_named_by_content_and_damage_is_seen(tmp_path: Path) -> None:
    with WorkStore(tmp_path / "w") as store:
        blob = store.blobs.put(b"hello")
        assert store.blobs.put(b"hello") == blob and store.blobs.get(blob) == b"hello"
        assert blob == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        store.blobs.path(blob).write_bytes(b"hellp")
        with pytest.raises(InputError, match="was damaged; delete that file.*collect again"):
            store.blobs.get(blob)
        store.blobs.path(blob).unlink()
        with pytest.raises(InputError, match="the work store lacks 2cf24dba.*collect again"):
            store.blobs.get(blob)


def test_every_file_that_a_record_names_is_known_by_its_field() -> None:
    named = {
        name
        for kind in vars(records).values()
        if isinstance(kind, type) and is_dataclass(kind)
        for name, hint in get_type_hints(kind, include_extras=True).items()
        if hint == records.Blob
    }
    assert named == set(records.BLOB_FIELDS)
    frame = records.FrameRecord(time_s=0.0, picture="ab", looks="", sharpness=1.0)
    content = [asdict(records.FramesRecord(width=1, height=1, frames=(frame, frame))), asdict(records.BackgroundRecord())]
    content[0]["frames"] = list(content[0]["frames"])
    assert list(records.blobs_in(content)) == ["ab", "ab"]


def test_two_writers_are_one_too_many_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom lumosx_core.data.store import WorkStore\n"
        "store = WorkStore(Path(sys.argv[1]))\nprint('have it', flush=True)\ntime.sleep(60)"
    )
    root = str(Path(__file__).parents[3])
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "w")], stdout=subprocess.PIPE, cwd=root)
    try:
        assert other.stdout is not None and other.stdout.readline() == b"have it\n"
        with pytest.raises(InputError, match=f"process {other.pid} collects into"):
            WorkStore(tmp_path / "w")
    finally:
        other.kill()
        other.wait()
    WorkStore(tmp_path / "w").close()


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    import sqlite3

    WorkStore(tmp_path / "w").close()
    base = sqlite3.connect(tmp_path / "w" / "state.sqlite")
    base.execute("UPDATE format SET version = 99")
    base.commit()
    base.close()
    with pytest.raises(InputError, match="format 99.*update LumosX"):
        WorkStore(tmp_path / "w")
