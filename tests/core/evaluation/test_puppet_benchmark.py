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
from lumosx_core.evaluation.metrics import puppet_binding
from lumosx_core.files.images import save_png
from lumosx_core.puppets.spec import is_held_out
from lumosx_core.sampling.pipeline import NANO_FOLDER


def test_cases_are_held_out_and_every_second_has_the_same_words_for_both() -> None:
    cases = [case for case in puppet_cases(40, 5) if case.group != "shuffled"]
    assert [case.group for case in cases[:4]] == ["described", "plain", "described", "plain"]
    for case in cases:
        assert all(is_held_out(p.identity) and all(is_held_out(a) for a in p.attributes) for p in case.clip.puppets)
        one, two = ([a.phrase for a in s.attributes] for s in case.sample.references.subjects)
        assert len(one) == len(two) == 2
        assert case.group == "described" or one == two
    assert [case.clip for case in cases] == [case.clip for case in puppet_cases(40, 5) if case.group != "shuffled"]


def test_shuffled_cases_exchange_the_attributes_alone() -> None:
    _, plain, shuffled = list(puppet_cases(2, 3))
    assert (plain.group, shuffled.group) == ("plain", "shuffled")
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


def test_figures_are_shares_of_what_can_be_judged_and_of_people() -> None:
    def values(outcomes: tuple[str, ...], identities: tuple[bool, ...]) -> dict:
        things = [{"subject": n // 2, "kind": "hat", "outcome": outcome} for n, outcome in enumerate(outcomes)]
        return {"people": [{"identity": right} for right in identities], "things": things}

    seen = values(("bound", "swapped", "hidden", "swapped", "wrong", "hidden"), (True, False))
    assert puppet_binding.figures(seen) == {
        "bound": (1, 4), "identity": (1, 2), "swapped": (2, 4), "wrong": (1, 4), "missing": (0, 4), "hidden": (2, 6),
    }  # fmt: skip
    assert puppet_binding.details(seen) == {"hat": (1, 4)}
    note = puppet_binding.note(values(("bound", "wrong"), (True,)))
    assert note == "1 of 2 things bound, 1 of 1 people right; hat of person 1 wrong"


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
    report = evaluate_puppets(NANO_FOLDER, tmp_path, count=4, seed=2, workers=2)
    groups = report["metrics"]["puppets"]
    rates = {name: {what: row["value"] for what, row in group["figures"].items()} for name, group in groups.items()}
    assert {name: group["cases"] for name, group in groups.items()} == {"all": 4, "described": 2, "plain": 2, "shuffled": 2}
    assert groups["all"]["figures"]["bound"]["asked"] == 16
    assert rates["all"]["bound"] >= 0.85 and rates["all"]["swapped"] <= 0.05 and rates["all"]["identity"] >= 0.85
    assert rates["shuffled"]["bound"] >= 0.8
    assert json.loads((tmp_path / "report.json").read_text("utf-8")) == report
    assert (tmp_path / "sheet.png").is_file()


def test_results_are_kept_for_the_same_model_and_refused_for_another(tmp_path: Path) -> None:
    model, out = Path(shutil.copytree(NANO_FOLDER, tmp_path / "model")), tmp_path / "out"
    quick = {"steps": 1}
    report = evaluate_puppets(model, out, count=2, seed=0, changes=quick)
    lines = (out / "scores.jsonl").read_text("utf-8")
    assert len(lines.splitlines()) == 3
    (out / "scores.jsonl").write_text(lines[:-20], "utf-8")  # stopped while it wrote
    assert evaluate_puppets(model, out, count=2, seed=0, changes=quick) == report
    assert sorted((out / "scores.jsonl").read_text("utf-8").splitlines()) == sorted(lines.splitlines())
    videos = {path: path.stat().st_mtime_ns for path in (out / "cases").rglob("*.png")}
    (out / "scores.jsonl").unlink()  # scored anew, from the videos that are there
    assert evaluate_puppets(model, out, count=2, seed=0, changes=quick) == report
    assert sorted((out / "scores.jsonl").read_text("utf-8").splitlines()) == sorted(lines.splitlines())
    assert {path: path.stat().st_mtime_ns for path in (out / "cases").rglob("*.png")} == videos
    assert len(videos) == 3 * (17 + 6) and (out / "sheet.png").is_file()
    with pytest.raises(InputError, match="holds another suite"):
        evaluate_puppets(model, out, count=2, seed=1, changes=quick)
    with pytest.raises(InputError, match="a run with other sampling options"):
        evaluate_puppets(model, out, count=2, seed=0, changes={"steps": 2})
    weights = bytearray((model / "transformer.safetensors").read_bytes())
    weights[-1] ^= 1  # trained further: the same name, the same size
    (model / "transformer.safetensors").write_bytes(weights)
    with pytest.raises(InputError, match="holds a run with another model"):
        evaluate_puppets(model, out, count=2, seed=0, changes=quick)
    assert sorted((out / "scores.jsonl").read_text("utf-8").splitlines()) == sorted(lines.splitlines())
