"""The puppet benchmark: what its cases ask for, what its rates mean, and that the embedded weights bind."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.evaluation.cases import puppet_cases
from lumosx_core.evaluation.evaluate import evaluate_puppets
from lumosx_core.evaluation.generate_cases import GeneratedCase
from lumosx_core.evaluation.report import CaseResult, summarize
from lumosx_core.files.images import save_png
from lumosx_core.puppets.spec import is_held_out
from lumosx_core.sampling.pipeline import NANO_FOLDER


def test_cases_are_held_out_and_every_second_has_the_same_words_for_both() -> None:
    cases = [case for case in puppet_cases(40, 5) if case.half != "shuffled"]
    assert [case.half for case in cases[:4]] == ["described", "plain", "described", "plain"]
    for case in cases:
        assert all(is_held_out(p.identity) and all(is_held_out(a) for a in p.attributes) for p in case.clip.puppets)
        one, two = ([a.phrase for a in s.attributes] for s in case.sample.references.subjects)
        assert len(one) == len(two) == 2
        assert case.half == "described" or one == two
    assert [case.clip for case in cases] == [case.clip for case in puppet_cases(40, 5) if case.half != "shuffled"]


def test_shuffled_cases_exchange_the_attributes_alone() -> None:
    _, plain, shuffled = list(puppet_cases(2, 3))
    assert (plain.half, shuffled.half) == ("plain", "shuffled")
    assert (shuffled.sample.prompt, shuffled.seed) == (plain.sample.prompt, plain.seed)
    for before, after in (
        (plain.clip.puppets, shuffled.clip.puppets),
        (plain.sample.references.subjects, shuffled.sample.references.subjects),
    ):
        assert after == (
            replace(before[0], attributes=before[1].attributes),
            replace(before[1], attributes=before[0].attributes),
        )
        assert after != before


def test_rates_are_shares_of_attributes_and_people() -> None:
    def result(half: str, outcomes: tuple[str, ...], identities: tuple[bool, ...]) -> CaseResult:
        rows = tuple((n // 2, "hat", outcome) for n, outcome in enumerate(outcomes))
        return CaseResult(name=half, half=half, prompt="", identities=identities, outcomes=rows)

    report = summarize(
        [
            result("described", ("bound", "bound", "bound", "wrong"), (True, True)),
            result("plain", ("bound", "swapped", "hidden", "swapped", "wrong", "hidden"), (True, False)),
        ]
    )
    assert "shuffled" not in report
    intervals = report["plain"].pop("intervals")
    assert {name: (low < 0.5, high > 0.5) for name, (low, high) in intervals.items() if name != "binding"} == {
        "swap": (True, True), "identity": (True, True),
    }  # fmt: skip
    assert 0 <= intervals["binding"][0] < 0.25 < intervals["binding"][1] <= 1
    assert report["plain"] == {
        "cases": 1, "attributes": 4, "hidden": 2, "binding": 0.25, "swap": 0.5, "wrong": 0.25, "identity": 0.5,
    }  # fmt: skip
    both = report["described and plain"]
    assert (both["cases"], both["binding"], both["swap"], both["identity"]) == (2, 0.5, 0.25, 0.75)


def test_a_damaged_video_is_told(tmp_path: Path) -> None:
    case = GeneratedCase(tmp_path / "plain-0001")
    assert not case.exists()
    for number, width in ((0, 8), (1, 8), (3, 8)):
        save_png(Image.new("RGB", (width, 6), (number, 0, 0)), case.folder / "frames" / f"{number:04d}.png")
    with pytest.raises(InputError, match="holds 3 frames, not all of a video; delete the folder"):
        case.frames()
    (case.folder / "frames" / "0003.png").rename(case.folder / "frames" / "0002.png")
    assert case.frames()[:, 0, 0, 0].tolist() == [0, 1, 3]
    save_png(Image.new("RGB", (9, 6)), case.folder / "frames" / "0002.png")
    with pytest.raises(InputError, match="different sizes"):
        case.frames()
    (case.folder / "frames" / "0001.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"0001\.png.*the same command makes it again"):
        case.frames()


def test_the_embedded_weights_bind_and_follow_the_relations(tmp_path: Path) -> None:
    """A few cases of another seed than the README's; the bars themselves are for all 200."""
    report = evaluate_puppets(NANO_FOLDER, tmp_path, count=8, seed=2, workers=2)
    together, shuffled = report["described and plain"], report["shuffled"]
    assert (together["cases"], together["attributes"], shuffled["cases"]) == (8, 32, 4)
    assert together["binding"] >= 0.85 and together["swap"] <= 0.05 and together["identity"] >= 0.85
    assert shuffled["binding"] >= 0.8
    assert json.loads((tmp_path / "report.json").read_text("utf-8")) == report
    assert (tmp_path / "sheet.png").is_file()


def test_results_are_kept_for_the_same_model_and_refused_for_another(tmp_path: Path) -> None:
    model, out = Path(shutil.copytree(NANO_FOLDER, tmp_path / "model")), tmp_path / "out"
    quick = {"steps": 1}
    report = evaluate_puppets(model, out, count=2, seed=0, changes=quick)
    lines = (out / "results.jsonl").read_text("utf-8")
    assert len(lines.splitlines()) == 3
    (out / "results.jsonl").write_text(lines[:-20], "utf-8")  # stopped while it wrote
    assert evaluate_puppets(model, out, count=2, seed=0, changes=quick) == report
    assert sorted((out / "results.jsonl").read_text("utf-8").splitlines()) == sorted(lines.splitlines())
    videos = {path: path.stat().st_mtime_ns for path in (out / "cases").rglob("*.png")}
    (out / "results.jsonl").unlink()  # scored anew, from the videos that are there
    assert evaluate_puppets(model, out, count=2, seed=0, changes=quick) == report
    assert sorted((out / "results.jsonl").read_text("utf-8").splitlines()) == sorted(lines.splitlines())
    assert {path: path.stat().st_mtime_ns for path in (out / "cases").rglob("*.png")} == videos
    assert len(videos) == 3 * (17 + 6) and (out / "sheet.png").is_file()
    weights = bytearray((model / "transformer.safetensors").read_bytes())
    weights[-1] ^= 1  # trained further: the same name, the same size
    (model / "transformer.safetensors").write_bytes(weights)
    with pytest.raises(InputError, match="holds results of another model or of other settings"):
        evaluate_puppets(model, out, count=2, seed=0, changes=quick)
    assert sorted((out / "results.jsonl").read_text("utf-8").splitlines()) == sorted(lines.splitlines())
