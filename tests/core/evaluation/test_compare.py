"""Comparisons: of a run with itself, of runs that differ, and of what cannot be compared."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lumosx_core.cli.main import main
from lumosx_core.errors import InputError
from lumosx_core.evaluation.compare import UNDECIDED, compare_runs
from lumosx_core.evaluation.runs import Run, RunSettings, start_run
from lumosx_core.evaluation.scoring import Score
from lumosx_core.evaluation.suites import Suite, SuiteCase
from lumosx_core.files.json_lines import append_record

COUNT = 60
CASES = tuple(SuiteCase(name=f"c{n}", group="ab"[n % 2], seed=n, sha256="0") for n in range(COUNT))
SUITE = Suite(title="made cases", kind="puppets", seed=0, width=96, height=80, frames=17, cases=CASES)


def run_of(folder: Path, bound: list[int], suite: Suite = SUITE) -> Run:
    """A scored run without videos in which case n has bound[n] of four things bound, the others swapped."""
    run = start_run(folder, suite, RunSettings(suite=suite.digest(), source="videos"))
    for case, count in zip(suite.cases, bound, strict=False):
        outcomes = ["bound"] * count + ["swapped"] * (4 - count)
        things = [{"subject": n // 2, "kind": "hat", "outcome": outcome} for n, outcome in enumerate(outcomes)]
        values = {"frames": [], "people": [{"identity": True}, {"identity": True}], "things": things}
        append_record(run.folder / "scores.jsonl", Score(case=case.name, metric="puppets", values=values))
    return run


def drawn(seed: int, rate: float) -> list[int]:
    return np.random.default_rng(seed).binomial(4, rate, COUNT).tolist()


def test_a_run_and_its_copy_do_not_differ(tmp_path: Path) -> None:
    comparison = compare_runs([run_of(tmp_path / name, drawn(0, 0.8)) for name in ("a", "b")])
    assert comparison["runs"] == ["a", "b"]
    for group in comparison["metrics"]["puppets"].values():
        for row in group["rows"]:
            difference = row["differences"]["b"]
            assert (difference["value"], difference["p"], difference["verdict"]) == (0, 1, UNDECIDED)


def test_what_differs_is_told_with_its_direction(tmp_path: Path) -> None:
    good, poor = drawn(1, 0.95), drawn(2, 0.6)
    runs = [run_of(tmp_path / "poor", poor), run_of(tmp_path / "good", good), run_of(tmp_path / "also", drawn(3, 0.61))]
    groups = compare_runs(runs)["metrics"]["puppets"]
    assert {name: group["cases"] for name, group in groups.items()} == {"all": 60, "a": 30, "b": 30}
    rows = {row["figure"]: row for row in groups["all"]["rows"]}
    assert rows["bound"]["rates"]["poor"]["value"] == sum(poor) / 240
    gained = (sum(good) - sum(poor)) / 240
    bound, swapped = rows["bound"]["differences"]["good"], rows["swapped"]["differences"]["good"]
    assert bound["value"] == pytest.approx(gained) and swapped["value"] == pytest.approx(-gained)
    assert bound["low"] < gained < bound["high"] and bound["low"] > 0
    assert bound["verdict"] == swapped["verdict"] == "better"
    assert rows["bound"]["differences"]["also"]["verdict"] == UNDECIDED
    assert rows["identity"]["differences"]["good"]["verdict"] == UNDECIDED
    first_p = compare_runs(runs[:2])["metrics"]["puppets"]["a"]["rows"][0]["differences"]["good"]["p"]
    assert first_p < bound["p"] < 0.01  # adjusted for six figures: 10,001 draws cannot tell less than 0.0006
    assert bound["p"] == pytest.approx(6 / 10_001)
    turned = compare_runs(runs[1::-1])["metrics"]["puppets"]["all"]["rows"]
    assert [row["differences"]["poor"]["verdict"] for row in turned][:3] == ["worse", UNDECIDED, "worse"]


def test_only_shared_cases_count(tmp_path: Path) -> None:
    half = compare_runs([run_of(tmp_path / "whole", drawn(0, 0.8)), run_of(tmp_path / "half", drawn(0, 0.8)[:20])])
    assert half["metrics"]["puppets"]["all"]["cases"] == 20 and half["cases"] == 60


def test_what_cannot_be_compared_is_told(tmp_path: Path) -> None:
    run = run_of(tmp_path / "a", drawn(0, 0.8))
    with pytest.raises(InputError, match="takes at least two runs"):
        compare_runs([run])
    other = run_of(tmp_path / "b", [4], replace(SUITE, title="others", seed=1))
    with pytest.raises(InputError, match="is a run of another suite .others. than .* .made cases."):
        compare_runs([run, other])
    with pytest.raises(InputError, match="no scores of one metric"):
        compare_runs([run, run_of(tmp_path / "none", [])])


def test_the_command_writes_a_table_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [
        str(run_of(tmp_path / name / "run", drawn(n, rate)).folder) for n, (name, rate) in enumerate((("a", 0.6), ("b", 0.9)))
    ]
    out = tmp_path / "out"
    assert main(["evaluate", "compare", *folders, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("made cases; beside a/run\npuppets, 60 of 60 cases\n  bound     b/run: ") and "better" in printed
    comparison = json.loads((out / "comparison.json").read_text("utf-8"))
    points = 100 * comparison["metrics"]["puppets"]["all"]["rows"][0]["differences"]["b/run"]["value"]
    page = (out / "comparison.html").read_text("utf-8")
    assert f"<b>{points:+.1f}</b>" in page and "default-src 'none'" in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "") and str(tmp_path) not in page
    assert f"{points:+.1f} (" in (out / "comparison.md").read_text("utf-8")
    assert main(["evaluate", "compare", folders[0], "--out", str(out)]) == 2
