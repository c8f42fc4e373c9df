"""What one does with a dataset: other thresholds, parts of it, and taking somebody out so that nothing is left."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_collection import COUNT, Collected, run_collect

from lumosx_core.cli.main import main
from lumosx_core.data import remove as remove_module
from lumosx_core.data.clip_cache import ListedClip, clip_path, write_list
from lumosx_core.data.dataset import RelationalDataset, check_dataset
from lumosx_core.data.manifest_rows import copy_of
from lumosx_core.data.pack import MANIFEST, read_file, read_manifest
from lumosx_core.data.removal import read_removed
from lumosx_core.data.repack import conditions
from lumosx_core.data.split import read_rule
from lumosx_core.data.store import open_store
from lumosx_core.errors import InputError
from lumosx_core.files.images import encoded_png


def digests(out: Path) -> dict[str, str]:
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".work" not in path.parts
    }


def contents(out: Path) -> dict[str, dict[str, bytes]]:
    return {row["sample"]: {p["name"]: read_file(out, p) for p in row["files"]} for row in read_manifest(out)}


def holds(folder: Path, needle: bytes) -> list[str]:
    """The files below a folder in which these bytes stand."""
    return [str(path) for path in sorted(folder.rglob("*")) if path.is_file() and needle in path.read_bytes()]


@pytest.fixture
def dataset(collected: Collected, tmp_path: Path) -> Path:
    return Path(shutil.copytree(collected.out, tmp_path / "out"))


def test_filter_by_thresholds_and_back(dataset: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    before = digests(dataset)
    monkeypatch.setattr("lumosx_core.data.engine.run_in_processes", lambda *_, **__: pytest.fail("a stage ran"))
    assert main(["dataset", "filter", str(dataset), "--set", "keep.most_people=2"]) == 0
    assert "1  too many people" in capsys.readouterr().out
    assert len(read_manifest(dataset)) == COUNT - 1 and check_dataset(dataset) == []
    assert main(["dataset", "filter", str(dataset), "--set", "keep.most_people=3"]) == 0
    shards = {"samples-00000.tar", "samples-00001.tar", "samples-00002.tar"}
    assert digests(dataset).keys() - shards == before.keys() - shards
    assert {path.name for path in dataset.glob("*.tar")} == shards - {"samples-00000.tar"}  # never under the name of an old one
    assert len(read_manifest(dataset)) == COUNT and check_dataset(dataset) == []
    for given, told in (
        (["--set", "keep.most_people=99"], "from 1 to 12"),
        (["--set", "shots.fps=8"], "run lumosx collect with it"),
        ([], "--set, or conditions with --where"),
        (["--where", "people=2"], "give its folder with --out"),
        (["--where", "peple=2", "--out", "x"], "a sample has no 'peple'; known: sample"),
        (["--where", "people=two", "--out", "x"], "expected a number"),
        (["--where", "people~2", "--out", "x"], "people is a number"),
        (["--where", "caption<a", "--out", "x"], "caption is a text"),
        (["--where", "background=1", "--out", "x"], "background is true or false"),
        (["--where", "people", "--out", "x"], "is no condition"),
        (["--where", "people=9", "--out", "x"], f"none of the {COUNT} samples"),
        (["--where", "people=2", "--out", str(dataset)], "holds a dataset already"),
    ):
        assert main(["dataset", "filter", str(dataset), *given]) == 2 and told in capsys.readouterr().err, given


def meets(row: dict[str, Any], text: str) -> bool:
    (condition,) = conditions([text])
    return condition.holds(row[condition.field])


def test_conditions() -> None:
    row = {
        "people": 2,
        "fps": 8.0,
        "caption": "A Man in a hat",
        "licence": "",
        "origin": None,
        "names": ["a.mp4", "b.mp4"],
        "background": True,
    }
    for text in (
        "people=2",
        "fps<8.5",
        "caption~man in",
        "licence=unknown",
        "names=b.mp4",
        "names~.MP4",
        "names!=c.mp4",
        "background=true",
        "caption~",
    ):
        assert meets(row, text), text
    for text in (
        "people != 2",
        "people>=3",
        "caption=A man",
        "licence!=unknown",
        "names!=b.mp4",
        "background!=true",
        "origin=x",
    ):
        assert not meets(row, text), text


def test_a_part_becomes_a_dataset_of_its_own(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = tmp_path / "new"
    assert main(["dataset", "filter", str(dataset), "--where", "people>=2", "--out", str(new)]) == 0
    assert f"2 of {COUNT}" in capsys.readouterr().out
    old = contents(dataset)
    kept = contents(new)
    assert kept == {name: old[name] for name in kept} and check_dataset(new) == []
    assert {row["people"] for row in read_manifest(new)} == {2, 3} and len(RelationalDataset(new)) == 2
    assert read_rule(new).sources.items() <= read_rule(dataset).sources.items()
    assert main(["dataset", "split", str(new), "--val", "0.9", "--test", "0.05"]) in (0, 1)
    assert "only sources are kept apart" in capsys.readouterr().out
    assert {row["split"] for row in read_manifest(new)} == set(read_rule(new).sources.values()) and contents(new) == kept
    with pytest.raises(InputError, match="copied from another dataset, and a collection would replace"):
        run_collect(tmp_path, new)
    assert main(["dataset", "filter", str(new), "--set", "keep.most_people=2"]) == 2
    assert "has no work store" in capsys.readouterr().err
    one = read_manifest(new)[0]
    for _ in range(2):  # given again, it is done already
        assert main(["dataset", "remove", str(new), "--source", one["names"][0]]) == 0
    assert contents(new) == {name: files for name, files in kept.items() if name != one["sample"]}
    assert not holds(new, one["sample"].encode()) and not holds(new, one["caption"].encode())


def test_split_is_written_and_kept_by_the_next_run(collected: Collected, dataset: Path) -> None:
    assert {row["split"] for row in read_manifest(dataset)} <= {"train", "val", "test"}
    assert main(["dataset", "split", str(dataset), "--seed", "3", "--val", "0.5", "--test", "0.45"]) in (0, 1)
    rule = read_rule(dataset)
    splits = {row["source"]: row["split"] for row in read_manifest(dataset)}
    assert rule.sources == splits and rule.seed == 3 and splits != dict.fromkeys(splits, "train")
    assert contents(dataset) == contents(collected.out)
    run_collect(collected.videos, dataset)
    assert {row["source"]: row["split"] for row in read_manifest(dataset)} == splits and read_rule(dataset) == rule


def test_of_what_was_removed_nothing_is_left(collected: Collected, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = contents(dataset)
    rows = read_manifest(dataset)
    gone = next(row for row in rows if row["people"] == 2)
    cache = dataset / "prepared"
    for row in rows:
        path = clip_path(cache, row["sample"] * 2)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(row["caption"].encode())
    (cache / "cache.json").write_text(json.dumps({"format": 1}), "utf-8")
    write_list(cache, [ListedClip(name=row["sample"], key=row["sample"] * 2) for row in rows])
    unlisted = clip_path(cache, gone["sample"][::-1] * 2)  # of a prepare that was interrupted, or had other settings
    unlisted.parent.mkdir(parents=True, exist_ok=True)
    unlisted.write_bytes(gone["caption"].encode())
    with open_store(dataset) as store:
        blobs = store.blobs_of([gone["sample"]]) - store.blobs_of([row["sample"] for row in rows if row is not gone])
        bytes_of_blobs = [store.blobs.get(blob)[-200:] for blob in sorted(blobs)]
    needles = [gone["sample"].encode(), gone["source"].encode(), gone["caption"].encode(), gone["names"][0].encode()]
    needles += bytes_of_blobs + [
        content[-200:] for name, content in old[gone["sample"]].items() if name.endswith(("png", "mp4"))
    ]
    assert len(bytes_of_blobs) >= 5 and all(holds(dataset, needle) for needle in needles)
    assert main(["dataset", "remove", str(dataset), "--clip", gone["sample"]]) == 0
    told = capsys.readouterr().out
    assert "prepared       2" in told and "run lumosx train prepare again" in told
    assert [(needle, files) for needle in needles if (files := holds(dataset, needle))] == []
    kept = {name: files for name, files in old.items() if name != gone["sample"]}
    assert contents(dataset) == kept and check_dataset(dataset) == []
    assert {path.stem for path in cache.glob("??/*")} == {name * 2 for name in kept}
    run_collect(collected.videos, dataset)  # the video is there, and stays out
    assert (
        contents(dataset) == kept
        and not holds(dataset, gone["caption"].encode())
        and not holds(dataset, gone["source"].encode())
    )
    assert main(["dataset", "remove", str(dataset), "--clip", gone["sample"]]) == 0  # again: nothing to do, no fault
    for given in (["--clip", "0" * 16], ["--source", "none.mp4"]):
        assert main(["dataset", "remove", str(dataset), *given]) == 2 and "the dataset has no" in capsys.readouterr().err
    assert main(["dataset", "remove", str(dataset), "--source", "0000.mp4", "--cache", str(dataset / ".work")]) == 2
    assert "is no cache of prepared clips" in capsys.readouterr().err
    assert main(["dataset", "remove", str(dataset)]) == 2 and main(["dataset", "remove", str(dataset), "--dry-run"]) == 2


def test_a_copy_of_the_manifest_that_cannot_be_written_keeps_nothing_back(
    dataset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = read_manifest(dataset)[0]
    copy_of(dataset / MANIFEST).unlink()
    copy_of(dataset / MANIFEST).mkdir()
    assert main(["dataset", "remove", str(dataset), "--clip", gone["sample"]]) == 0
    assert "there is no manifest.arrow" in caplog.text and not holds(dataset, gone["caption"].encode())
    assert len(RelationalDataset(dataset)) == COUNT - 1 and check_dataset(dataset) == []


@pytest.mark.parametrize("at", ["publish", "forget"])
def test_an_interrupted_removal_is_finished_by_whatever_comes_next(
    collected: Collected, dataset: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    old = contents(dataset)
    gone = read_manifest(dataset)[0]

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if at == "publish":
            patch.setattr(remove_module, "publish", stop)
        else:
            patch.setattr("lumosx_core.data.store.WorkStore.forget", stop)
        assert main(["dataset", "remove", str(dataset), "--clip", gone["sample"]]) == 130
    kept = {name: files for name, files in old.items() if name != gone["sample"]}
    assert contents(dataset) == (old if at == "publish" else kept)
    assert read_removed(dataset).has(gone["sample"])
    if at == "publish":
        assert any("was removed and is still there" in fault for fault in check_dataset(dataset))
    run_collect(collected.videos, dataset)
    assert contents(dataset) == kept and not holds(dataset, gone["caption"].encode()) and check_dataset(dataset) == []


def test_a_person_is_found_by_a_picture(dataset: Path, tmp_path: Path, capsys) -> None:
    row = next(row for row in read_manifest(dataset) if row["people"] == 1)
    frames = next(item for item in RelationalDataset(dataset) if item.row["sample"] == row["sample"]).frames()
    face = tmp_path / "face.png"
    face.write_bytes(encoded_png(Image.fromarray(frames[4])))
    assert main(["dataset", "remove", str(dataset), "--like", str(face), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"like           {row['sample']}") and "1 clips show the person" in told
    assert len(read_manifest(dataset)) == COUNT
    assert main(["dataset", "remove", str(dataset), "--like", str(face)]) == 0
    assert row["sample"] not in contents(dataset) and len(read_manifest(dataset)) == COUNT - 1
    face.write_bytes(encoded_png(Image.fromarray(np.zeros((64, 64, 3), np.uint8))))
    assert main(["dataset", "remove", str(dataset), "--like", str(face)]) == 2
    assert "0 faces were found" in capsys.readouterr().err


def test_what_looks_the_same_goes_along(collected: Collected, dataset: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    from lumosx_core.files.videos import read_video, write_video

    frames, fps = read_video(collected.videos / "0000.mp4")
    write_video(again / "copy.mp4", frames, fps, crf=20)
    shutil.copy(collected.videos / "0000.txt", again / "copy.txt")
    report = run_collect(again, dataset)
    assert report.dropped["near_duplicate"] == 1
    sample = next(row for row in read_manifest(dataset) if "0000.mp4" in row["names"])
    for _ in range(2):  # given again, after a kill, it finishes what is left though the store forgot the name
        assert main(["dataset", "remove", str(dataset), "--source", "0000.mp4"]) == 0
    assert sample["sample"] not in contents(dataset) and len(read_manifest(dataset)) == COUNT - 1
    assert run_collect(again, dataset).samples == COUNT - 1 and not holds(dataset, b"copy.mp4")
