"""A collection from mp4 files alone, from beginning to end, and what a second run, other numbers and broken files do."""

import hashlib
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_collection import COUNT, Collected, run_collect

from lumosx_core.cli.main import main
from lumosx_core.data.collect_config import PUPPETS
from lumosx_core.data.dataset import RelationalDataset, check_dataset
from lumosx_core.data.demo_clips import write_demo_clips
from lumosx_core.data.engine import ProcessEngine
from lumosx_core.data.jobs import collect_clip
from lumosx_core.data.pack import parquet, read_file, read_manifest
from lumosx_core.data.statistics import statistics
from lumosx_core.errors import InputError


def digests(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".work" not in path.parts
    }


def test_everything_comes_out_and_what_does_not_has_its_reason(collected: Collected) -> None:
    report = collected.report
    assert (report.sources, report.clips, report.samples) == (COUNT + 1, COUNT, COUNT)  # one file twice is one source
    assert report.dropped == {"undecodable": 1} and not report.failed
    (dropped,) = parquet().read_table(collected.out / "dropped.parquet").to_pylist()
    assert dropped["names"] == "broken.mp4" and dropped["stage"] == "shots" and "broken.mp4" in dropped["detail"]
    rows = {row["caption"]: row for row in read_manifest(collected.out)}
    assert rows.keys() == {spec.caption.text for spec in collected.specs}
    assert rows[collected.specs[1].caption.text]["names"] == ["0001.mp4", "again.mp4"] or rows[collected.specs[1].caption.text][
        "names"
    ] == ["again.mp4", "0001.mp4"]
    about = json.loads((collected.out / "dataset.json").read_text("utf-8"))
    assert about == {"format": 1, "sources": COUNT + 1, "clips": COUNT, "samples": COUNT, "dropped": {"undecodable": 1}}


def test_people_things_and_owners_are_those_of_the_clip(collected: Collected) -> None:
    for row in read_manifest(collected.out):
        spec = next(spec for spec in collected.specs if spec.caption.text == row["caption"])
        record = json.loads(row["record"])
        assert [person["text"] for person in record["people"]] == [puppet.name for puppet in spec.puppets]
        for person, phrases in zip(record["people"], spec.caption.attribute_phrases, strict=True):
            assert {thing["text"] for thing in person["attributes"]} <= set(phrases)
        for relation in row["relations"]:
            assert relation["own"] > relation["others"] and relation["inside"] > 0.7
    kept = sum(row["attributes"] for row in read_manifest(collected.out))
    assert kept >= 0.6 * sum(len(phrases) for spec in collected.specs for phrases in spec.caption.attribute_phrases)


def test_a_sample_is_a_prompt_with_its_references_and_frames(collected: Collected) -> None:
    dataset = RelationalDataset(collected.out, grouped=1.0)
    index = next(i for i, row in enumerate(dataset.rows) if row["people"] == 3)
    item = dataset[index]
    spec = next(spec for spec in collected.specs if spec.caption.text == item.sample.prompt)
    assert [subject.name for subject in item.sample.references.subjects] == [puppet.name for puppet in spec.puppets]
    assert item.frames().shape == (9, 320, 384, 3) and item.owners.shape[1:] == (320, 384)
    assert set(np.unique(item.owners)) == {0, 1, 2, 255}
    face = item.sample.references.subjects[0].face
    assert face is not None and face.mode == "RGBA" and face.width == face.height
    whole = RelationalDataset(collected.out, grouped=0.0)[index]
    assert not whole.sample.references.subjects and len(whole.sample.references.objects) >= 3
    drawn = [RelationalDataset(collected.out, seed=seed)[index] for seed in (1, 1)]
    assert drawn[0].grouped == drawn[1].grouped
    first, second = (
        [np.asarray(reference.image).tobytes() for reference in item.sample.references.references()] for item in drawn
    )
    assert first == second
    shares = [RelationalDataset(collected.out, seed=seed)[index].grouped for seed in range(60)]
    assert 0.5 < np.mean(shares) < 0.9
    parts = [RelationalDataset(collected.out, rank=rank, ranks=2).rows for rank in (0, 1)]
    assert sorted(row["sample"] for part in parts for row in part) == [row["sample"] for row in dataset.rows]


def test_shards_are_plain_tar_and_files_lie_where_the_manifest_says(collected: Collected) -> None:
    with tarfile.open(collected.out / "samples-00000.tar") as tar:
        members = tar.getmembers()
        assert {(m.mtime, m.uid, m.gid) for m in members} == {(0, 0, 0)}
        content = {m.name: tar.extractfile(m).read() for m in members}  # type: ignore[union-attr]
    rows = read_manifest(collected.out)
    assert [name.split(".")[0] for name in dict.fromkeys(n.split(".")[0] for n in content)] == [row["sample"] for row in rows]
    for row in rows:
        for place in row["files"]:
            assert content[f"{row['sample']}.{place['name']}"] == read_file(collected.out, place)
    assert check_dataset(collected.out) == []


def test_a_second_run_asks_nobody_and_changes_nothing(collected: Collected, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(collected.out)
    monkeypatch.setattr("lumosx_core.data.engine.run_in_processes", lambda *_, **__: pytest.fail("work was done again"))
    assert run_collect(collected.videos, collected.out) == collected.report
    assert digests(collected.out) == before


def test_other_thresholds_run_no_stage_and_another_setting_only_what_follows(
    collected: Collected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(collected.out, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr("lumosx_core.data.engine.run_in_processes", lambda *_, **__: pytest.fail("a stage ran"))
        strict = run_collect(collected.videos, tmp_path / "out", replace(PUPPETS, keep=replace(PUPPETS.keep, most_people=2)))
        assert strict.samples == COUNT - 1 and strict.dropped["too_many_people"] == 1
        assert run_collect(collected.videos, tmp_path / "out").samples == COUNT
    assert check_dataset(tmp_path / "out") == []
    config = replace(PUPPETS, video=replace(PUPPETS.video, crf=30))
    keys = {r["sample"]: r["digest"] for r in read_manifest(tmp_path / "out")}
    ran: list[str] = []
    monkeypatch.setattr("lumosx_core.data.engine.run_in_processes", _here(ran))
    run_collect(collected.videos, tmp_path / "out", config)
    assert set(ran) == {"video"}
    assert all(r["digest"] != keys[r["sample"]] for r in read_manifest(tmp_path / "out"))


def _here(ran: list[str]) -> object:
    """`run_in_processes` within this process, which notes the stages that ran."""

    def run_here(function, todo, workers, commit, **_):  # noqa: ARG001
        for job in todo:
            result = function(job)
            ran.extend(r.stage for r in result.results if job.known.get(r.stage) != r)
            commit(result)

    return run_here


def test_files_that_the_work_store_lost_are_made_again(collected: Collected, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(collected.out, out)
    before = digests(out)
    blobs = [path for path in sorted((out / ".work" / "blobs").rglob("*")) if path.is_file()]
    for path in blobs[::3]:
        path.unlink()
    assert run_collect(collected.videos, out).samples == COUNT
    assert all(path.is_file() for path in blobs) and digests(out) == before
    shutil.rmtree(out / ".work" / "blobs")
    (out / "samples-00000.tar").unlink()  # so that everything is needed
    assert run_collect(collected.videos, out).samples == COUNT and digests(out) == before


def test_new_videos_come_behind_old_shards(collected: Collected, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(collected.out, out)
    shard = (out / "samples-00000.tar").read_bytes()
    write_demo_clips(tmp_path / "more", 1, seed=77, frames=9)
    report = run_collect(tmp_path / "more", out)
    assert report.samples == COUNT + 1 and (out / "samples-00000.tar").read_bytes() == shard
    assert {place["shard"] for row in read_manifest(out) for place in row["files"]} == {
        "samples-00000.tar",
        "samples-00001.tar",
    }
    shutil.rmtree(tmp_path / "more")
    assert run_collect(collected.videos, out).samples == COUNT + 1  # its file is gone, its results are not
    assert statistics(out)["samples"] == COUNT + 1 and check_dataset(out) == []


def test_a_damaged_shard_is_named(collected: Collected, tmp_path: Path) -> None:
    shutil.copytree(collected.out, tmp_path / "out")
    shard = tmp_path / "out" / "samples-00000.tar"
    rows = read_manifest(tmp_path / "out")
    place = next(p for p in rows[0]["files"] if p["name"] == "p0.face.0.png")
    content = bytearray(shard.read_bytes())
    content[place["offset"] + 60 : place["offset"] + 200] = bytes(140)
    shard.write_bytes(content)
    (fault,) = check_dataset(tmp_path / "out")
    assert fault.startswith(f"{rows[0]['sample']} p0.face.0.png")
    shard.write_bytes(content[: place["offset"]])
    assert len(check_dataset(tmp_path / "out")) > 5
    assert run_collect(collected.videos, tmp_path / "out").samples == COUNT and check_dataset(tmp_path / "out") == []


def test_the_page_shows_every_clip_and_loads_nothing(collected: Collected) -> None:
    page = (collected.out / "page.html").read_text("utf-8")
    assert page.count("<article") == COUNT and "http" not in page.replace("http://www.w3.org/2000/svg", "").replace(
        "http-equiv", ""
    )
    assert page.count("data:image/jpeg") > 5 * COUNT and "<script>" in page
    for spec in collected.specs:
        for phrases in spec.caption.attribute_phrases:
            assert all(f">{phrase}</span>" in page for phrase in phrases)


def test_a_page_of_the_same_content_is_not_drawn_again(
    collected: Collected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(collected.out, tmp_path / "out"))
    page = out / "page.html"
    drawn = page.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("lumosx_core.data.pages._clip", lambda *_: pytest.fail("a clip was drawn"))
        assert main(["dataset", "filter", str(out), "--set", "keep.most_people=3"]) == 0
    assert page.read_bytes() == drawn
    assert main(["dataset", "filter", str(out), "--set", "keep.most_people=2"]) == 0
    assert b"too many people" in page.read_bytes() and b"too many people" not in drawn
    page.write_bytes(b"<!doctype html>")
    assert main(["dataset", "filter", str(out), "--set", "keep.most_people=3"]) == 0
    assert page.read_bytes() == drawn


@pytest.mark.parametrize("over", ["a video", "a clip"])
def test_a_lost_worker_is_noted_and_done_again_when_asked(collected: Collected, tmp_path: Path, over: str) -> None:
    class WithoutTime(ProcessEngine):
        def run(self, function, jobs, on_result, *, lost, time_limit_s):
            limit = 0.0 if over == "a video" or function is collect_clip else time_limit_s
            super().run(function, jobs, on_result, lost=lost, time_limit_s=limit)

    report = run_collect(collected.videos / "0000.mp4", tmp_path / "out", engine=WithoutTime(workers=1))
    assert report.samples == 0 and report.dropped == {"failed": 1} and "took more than 0 s" in report.failed[0]
    assert run_collect(collected.videos / "0000.mp4", tmp_path / "out").dropped == {"failed": 1}
    assert run_collect(collected.videos / "0000.mp4", tmp_path / "out", retry_failed=True).samples == 1


def test_commands(collected: Collected, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dataset", "check", str(collected.out)]) == 0 and "every file is there" in capsys.readouterr().out
    assert main(["dataset", "stats", str(collected.out)]) == 0 and f"samples      {COUNT}" in capsys.readouterr().out
    assert main(["dataset", "show", str(collected.out), "--out", str(tmp_path / "s")]) == 0
    assert (tmp_path / "s" / "caption.txt").is_file()
    capsys.readouterr()
    assert (
        main(["dataset", "show", str(collected.out), "--clip", "zz"]) == 2 and "has no sample 'zz'" in capsys.readouterr().err
    )
    assert main(["dataset", "stats", str(tmp_path)]) == 2 and "is no dataset" in capsys.readouterr().err
    assert main(["collect", str(collected.videos), "--set", "keep.found=7", "--out", str(tmp_path / "o")]) == 2
    assert "keep.found is '7.0', expected a number from 0 to 1" in capsys.readouterr().err
    assert main(["collect", "--demo", "x.mp4"]) == 2 and main(["collect", "x.mp4"]) == 2
    assert main(["collect", str(collected.videos), "--out", str(tmp_path / "o")]) == 2  # photo: there are no models
    assert "models/eyes" in capsys.readouterr().err and not (tmp_path / "o").exists()
    assert main(["collect", "--print-config", "--preset", "puppets"]) == 0 and "[keep]" in capsys.readouterr().out


def test_a_dry_run_says_what_there_is_and_writes_nothing(
    collected: Collected, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    given = ["collect", str(collected.videos), "--out", str(tmp_path / "o"), "--dry-run"]
    assert main([*given, "--preset", "puppets"]) == 0
    told = capsys.readouterr().out
    lines = {line.split()[0]: line for line in told.splitlines()}
    assert lines["videos"].split()[1:4] == [f"{COUNT + 1}", "4", "s,"] and "about 4 clips" in lines["videos"]  # 9 frames each
    assert "broken.mp4" in lines["undecodable:"] and lines["models"].endswith("all there")
    stages = [line.split()[1] for line in told.splitlines() if line.startswith("stage")]
    assert stages == [
        "shots",
        "frames",
        "people",
        "caption",
        "reading",
        "grounding",
        "relations",
        "background",
        "video",
    ]
    assert "4.1 MiB needed" in lines["room"]  # 4 clips of 384 x 320: 6 + 0.3 x 9 bytes a pixel
    stored = sum(path.stat().st_size for path in (collected.out / ".work" / "blobs").rglob("*") if path.is_file())
    stored += sum(path.stat().st_size for path in collected.out.glob("*.tar"))
    assert stored < COUNT * 384 * 320 * (6 + 0.3 * 9)
    assert main(given) == 1 and "people" in (told := capsys.readouterr().out) and "models/eyes" in told  # photo: no models
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file or folder"):
        run_collect(tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()
