"""Corrections: put over what was found, whole or not at all, kept by later runs, taken back."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_collection import COUNT, Collected, run_collect

from lumosx_core.cli.main import main
from lumosx_core.data.corrections import (
    FILE_NAME,
    Correction,
    add_corrections,
    applied,
    basis_of,
    undo_corrections,
)
from lumosx_core.data.dataset import check_dataset
from lumosx_core.data.pack import read_manifest
from lumosx_core.data.store import open_store

Lines = Callable[..., Path]


@pytest.fixture
def dataset(collected: Collected, tmp_path: Path) -> Path:
    return Path(shutil.copytree(collected.out, tmp_path / "out"))


def row_of(dataset: Path, people: int) -> dict[str, Any]:
    return next(row for row in read_manifest(dataset) if row["people"] == people)


def line(dataset: Path, clip: str, **said: Any) -> dict[str, Any]:
    with open_store(dataset) as store:
        return {"clip": clip, "basis": basis_of(store.results(clip)), **said}


def write(folder: Path, *lines: dict[str, Any]) -> str:
    path = folder / "corrections.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), "utf-8")
    return str(path)


def reading_of(dataset: Path, clip: str) -> dict[str, Any]:
    with open_store(dataset) as store:
        return store.results(clip)["reading"].content


def relations(row: dict[str, Any]) -> list[tuple[str, int]]:
    return sorted((relation["phrase"], relation["person"]) for relation in row["relations"] if relation["kind"] == "attribute")


def test_a_clip_is_rejected_and_a_thing_is_wrong(collected: Collected, dataset: Path, tmp_path: Path) -> None:
    before = {row["sample"]: row for row in read_manifest(dataset)}
    out, kept = row_of(dataset, 3), row_of(dataset, 2)
    reading = reading_of(dataset, kept["sample"])
    number = next(n for n, p in enumerate(reading["phrases"]) if p["kind"] == "attribute" and p["owner"] == 0)
    span = reading["phrases"][number]["span"]
    words = reading["caption"][span["start"] : span["end"]]
    file = write(
        tmp_path,
        line(dataset, out["sample"], verdict="reject"),
        line(dataset, kept["sample"], phrases=[{"phrase": number, "verdict": "reject"}]),
    )
    assert main(["dataset", "apply", str(dataset), file]) == 0
    after = {row["sample"]: row for row in read_manifest(dataset)}
    assert after.keys() == before.keys() - {out["sample"]} and check_dataset(dataset) == []
    assert relations(after[kept["sample"]]) == sorted(set(relations(kept)) - {(words, 0)}) != relations(kept)
    assert run_collect(collected.videos, dataset).dropped["rejected_in_review"] == 1  # it outlives a run
    assert {row["sample"]: row for row in read_manifest(dataset)} == after
    assert main(["dataset", "apply", str(dataset), "--undo"]) == 0
    assert [relations(row) for row in read_manifest(dataset)] == [relations(row) for row in before.values()]
    assert main(["dataset", "apply", str(dataset), "--undo"]) == 2


def test_people_are_exchanged_and_things_change_owners(dataset: Path, tmp_path: Path) -> None:
    row = row_of(dataset, 2)
    reading = reading_of(dataset, row["sample"])
    things = [n for n, phrase in enumerate(reading["phrases"]) if phrase["kind"] == "attribute"]
    exchanged = [{"phrase": n, "owner": 1 - reading["phrases"][n]["owner"], "verdict": "accept"} for n in things]
    assert (
        main(
            ["dataset", "apply", str(dataset), write(tmp_path, line(dataset, row["sample"], people=[1, 0], phrases=exchanged))]
        )
        == 0
    )
    new = row_of(dataset, 2)
    # The names have changed places and the things have followed the pictures: everything is with the other name now.
    assert relations(new) == sorted((phrase, 1 - person) for phrase, person in relations(row))
    assert new["mentions"] == row["mentions"]
    record, old = json.loads(new["record"]), json.loads(row["record"])
    assert [p["faces"][0]["box"] for p in record["people"]] == [p["faces"][0]["box"] for p in old["people"]][::-1]
    # A later correction of the same clip stands for the earlier one.
    assert main(["dataset", "apply", str(dataset), write(tmp_path, line(dataset, row["sample"]))]) == 0
    assert relations(row_of(dataset, 2)) == relations(row) and applied(dataset)[row["sample"]].batch == 2


def test_words_are_corrected_and_doubts_are_settled(dataset: Path, tmp_path: Path) -> None:
    strict = ["--set", "keep.found=0.9", "--set", "keep.margin=1.0"]
    row = row_of(dataset, 2)
    assert main(["dataset", "filter", str(dataset), *strict]) in (0, 1)
    assert all(one["people"] != 2 for one in read_manifest(dataset))  # nobody is sure who is who
    reading = reading_of(dataset, row["sample"])
    number = next(n for n, phrase in enumerate(reading["phrases"]) if phrase["kind"] == "attribute")
    span = reading["phrases"][number]["span"]
    words = reading["caption"][span["start"] : span["end"]]
    said = line(dataset, row["sample"], verdict="accept", phrases=[{"phrase": number, "words": words.split()[-1]}])
    assert main(["dataset", "apply", str(dataset), write(tmp_path, said)]) == 0
    new = row_of(dataset, 2)
    told = {phrase for phrase, _ in relations(new)}
    assert words.split()[-1] in told and words not in told and len(told) >= len(relations(row))


def test_of_a_file_with_a_fault_nothing_is_applied(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = row_of(dataset, 2)
    kinds = [phrase["kind"] for phrase in reading_of(dataset, row["sample"])["phrases"]]
    thing, scene = kinds.index("attribute"), kinds.index("background")
    good = line(dataset, row["sample"], verdict="reject")
    before = (dataset / "manifest.parquet").read_bytes()
    for change, words in (
        ({"clip": "0" * 16}, "is no clip of this dataset"),
        ({"basis": "0" * 16}, "was collected again since the page was made"),
        ({"people": [0]}, "expected 2 different ones"),
        ({"people": [0, 0]}, "expected 2 different ones"),
        ({"people": [0, 7]}, "expected numbers from 0 to 1"),
        ({"phrases": [{"phrase": 99}]}, "there is no phrase 99"),
        ({"phrases": [{"phrase": thing, "owner": 5}]}, "cannot belong to 5"),
        ({"phrases": [{"phrase": scene, "owner": 0}]}, "is background, which has no owner"),
        ({"phrases": [{"phrase": 0, "words": "a zebra"}]}, "'a zebra' does not stand in the caption"),
        ({"verdict": "maybe"}, "expected '' or 'accept' or 'reject'"),
        ({"more": 1}, "unknown field 'more'"),
    ):
        assert main(["dataset", "apply", str(dataset), write(tmp_path, good, {**good, **change})]) == 2
        error = capsys.readouterr().err
        assert words in error and "nothing of" in error, error
    (tmp_path / "corrections.jsonl").write_text("", "utf-8")
    assert main(["dataset", "apply", str(dataset), str(tmp_path / "corrections.jsonl")]) == 2
    assert (
        main(["dataset", "apply", str(dataset), str(tmp_path / "none")]) == 2 and main(["dataset", "apply", str(dataset)]) == 2
    )
    assert (dataset / "manifest.parquet").read_bytes() == before and not applied(dataset)
    assert len(read_manifest(dataset)) == COUNT


def test_the_page_holds_what_its_script_needs_and_goes_with_a_removal(dataset: Path) -> None:
    assert main(["dataset", "review", str(dataset)]) == 0
    page = (dataset / "review.html").read_text("utf-8")
    parts = page.split('<script type="application/json" class="clip">')[1:]
    clips = [json.loads(part.split("</script>")[0]) for part in parts]
    rows = {row["sample"]: row for row in read_manifest(dataset)}
    assert {clip["clip"] for clip in clips} == rows.keys()
    for clip in clips:
        assert clip["mentions"] == rows[clip["clip"]]["mentions"] and clip["basis"] == line(dataset, clip["clip"])["basis"]
        words = {(p["text"], p["owner"]) for p in clip["phrases"] if p["status"] == "accepted" and p["kind"] == "attribute"}
        assert words == set(relations(rows[clip["clip"]]))
    assert "review.js" not in page and "src=" not in page.replace('src="data:', "")
    assert main(["dataset", "remove", str(dataset), "--clip", clips[0]["clip"]]) == 0
    assert not (dataset / "review.html").exists()


def test_what_is_applied_once_more_after_a_kill_is_one_batch(tmp_path: Path) -> None:
    first, second = (Correction(clip="a" * 16, basis="b", verdict=verdict) for verdict in ("accept", "reject"))
    assert [add_corrections(tmp_path, [one]) for one in (first, first, second, second, first)] == [1, 1, 2, 2, 3]
    lines = [json.loads(line) for line in (tmp_path / FILE_NAME).read_text().splitlines()]
    assert [(line["verdict"], line["batch"]) for line in lines] == [("accept", 1), ("reject", 2), ("accept", 3)]
    assert undo_corrections(tmp_path) == 1 and applied(tmp_path)["a" * 16].verdict == "reject"
