"""A dataset without frames: no clip, no whole frame in samples and pages; who would read them is told why there are none."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from small_collection import COUNT, Collected, run_collect

from lumosx_core.cli.main import main
from lumosx_core.data.collect_config import PUPPETS, PrivacySettings
from lumosx_core.data.dataset import RelationalDataset, check_dataset
from lumosx_core.data.exports import export_dataset
from lumosx_core.data.pack import read_manifest
from lumosx_core.data.training_clips import find_training_clips
from lumosx_core.errors import InputError

FRAME = re.compile(r'class="frame"')


@pytest.fixture(scope="module")
def without(collected: Collected, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small collection, collected again without frames; its page of review was there before."""
    out = tmp_path_factory.mktemp("privacy") / "out"
    shutil.copytree(collected.out, out)
    assert main(["dataset", "review", str(out)]) == 0 and (out / "review.html").is_file()
    report = run_collect(collected.videos, out, replace(PUPPETS, privacy=PrivacySettings(frames="none")))
    assert report.samples == COUNT
    return out


def test_there_are_cut_outs_and_no_frames(without: Path, collected: Collected) -> None:
    assert check_dataset(without) == []
    before = {row["sample"]: row for row in read_manifest(collected.out)}
    for row in read_manifest(without):
        names = [place["name"] for place in row["files"]]
        assert names == [place["name"] for place in before[row["sample"]]["files"] if place["name"] != "clip.mp4"]
        assert json.loads(row["record"])["clip"]["file"] is None and row["frames"] == 9
    for shard in without.glob("samples-*.tar"):
        assert b"ftyp" not in shard.read_bytes()
    drawn = RelationalDataset(without)[0]
    assert drawn.sample.references.references() and drawn.owners.shape[1:] == (320, 384)


def test_pages_show_none_either(without: Path, collected: Collected) -> None:
    assert FRAME.search((collected.out / "page.html").read_text("utf-8"))
    page = (without / "page.html").read_text("utf-8")
    assert not FRAME.search(page) and "data:image" in page
    assert not (without / "review.html").exists()  # it showed some
    assert main(["dataset", "review", str(without)]) == 0
    assert not FRAME.search((without / "review.html").read_text("utf-8"))


def test_who_wants_frames_is_told(without: Path, tmp_path: Path) -> None:
    told = "no clip, only cut-outs: it was collected with privacy.frames = none"
    with pytest.raises(InputError, match=told):
        RelationalDataset(without)[0].frames()
    for kind in ("samples", "info", "musubi"):
        with pytest.raises(InputError, match=f"none of the {COUNT} samples can be written.*{told}"):
            export_dataset(without, tmp_path / kind, kind)
    with pytest.raises(InputError, match=told):
        find_training_clips(without)


def test_frames_come_back_as_they_were(without: Path, collected: Collected, tmp_path: Path) -> None:
    shutil.copytree(without, tmp_path / "out")
    assert main(["dataset", "filter", str(tmp_path / "out"), "--set", "privacy.frames=kept"]) == 0
    clips = {clip.row["sample"]: clip.video() for clip in map(RelationalDataset(collected.out).__getitem__, range(COUNT))}
    again = RelationalDataset(tmp_path / "out")
    assert {again[n].row["sample"]: again[n].video() for n in range(COUNT)} == clips
    assert FRAME.search((tmp_path / "out" / "page.html").read_text("utf-8"))


def test_other_words_are_refused() -> None:
    with pytest.raises(InputError, match="kept.*none"):
        PrivacySettings(frames="some")
