"""Confusion matrices in reports: means over cases of one size, as a table, and on the page with faults marked."""

from pathlib import Path

import numpy as np

from lumosx_core.evaluation.evaluate import write_report
from lumosx_core.evaluation.generate_run import take_videos
from lumosx_core.evaluation.report import mean_matrices
from lumosx_core.evaluation.report_text import terminal_table
from lumosx_core.evaluation.scoring import BINDING, Score
from lumosx_core.evaluation.suites import write_puppet_suite
from lumosx_core.files.json_lines import append_record
from lumosx_core.files.videos import write_video

THINGS = "whose things are like whose"


def test_means_are_of_what_is_known_in_cases_of_one_size() -> None:
    found = mean_matrices([
        {THINGS: [[-0.2, 0.4], [None, 0.0]]},
        {THINGS: [[-0.4, None], [None, 0.0]]},
        {THINGS: [[0.0]]},
        {THINGS: []},
        {},
    ])  # fmt: skip
    assert [(each["people"], each["cases"]) for each in found] == [(1, 1), (2, 2)]
    (first, second), third = found[1]["rows"], found[0]["rows"]
    assert [round(first[0], 6), first[1]] == [-0.3, 0.4] and second == [None, 0.0] and third == [[0.0]]


def test_the_report_shows_matrices_and_says_why_a_thing_is_not_bound(tmp_path: Path) -> None:
    suite = write_puppet_suite(tmp_path / "suite", people=2, things=1, count=2, seed=5)
    for case in suite.cases:
        write_video(tmp_path / "videos" / f"{case.name}.mp4", np.full((17, 80, 96, 3), 90, np.uint8), 8)
    run = take_videos(tmp_path / "suite", tmp_path / "videos", tmp_path / "run")
    person = {"name": "man", "seen": True, "found": 8, "recognised": 8, "identity": True}
    for number, case in enumerate(suite.cases):
        thing = {"phrase": "red hat", "kind": "hat", "worn_by": None, "in_frames": ["swapped"] * 5 + ["bound"] * 3}
        values = {
            "frames": list(range(8)), "length": 17, "faces": [2] * 8, "people": [person, person],
            "things": [
                thing | {"subject": 0, "outcome": "swapped", "shown": 1},
                thing | {"subject": 1, "outcome": "bound", "shown": 1},
            ],
            "likeness": {}, "pairs": {"asked": 1, "exchanged": 0, "dominance": 1, "blending": 0}, "leaked": [], "copy_gap": [],
            "confusion": {"faces": [[0.0, 0.0], [0.0, -0.5]], "things": [[-0.5 * number, 0.5], [-0.125, None]]},
        }  # fmt: skip
        append_record(run.folder / "scores.jsonl", Score(case=case.name, metric=BINDING, values=values))
    report = write_report(run)
    (faces, things), figures = report["matrices"][BINDING], report["metrics"][BINDING]["all"]["figures"]
    assert (faces["name"], things["rows"]) == ("whose face is like whose", [[-0.25, 0.5], [-0.125, None]])
    assert figures["face drift"]["value"] == 0.25 and figures["thing mixing"]["value"] == 0.25
    assert figures["bound"]["value"] == 0.5 and figures["dominance"]["value"] == 1
    page = (run.folder / "report.html").read_text("utf-8")
    assert 'var(--bad) 25%, transparent)">-0.25</td>' in page and 'var(--bad) 50%, transparent)">+0.50</td>' in page
    assert 'var(--bad) 0%, transparent)">-0.12</td>' in page  # less like another's than the pictures are: no fault
    assert "&#34;red hat&#34; of person 1 swapped in 5 of 8 frames: person 2&#39;s is seen" in page
    text = (run.folder / "report.md").read_text("utf-8")
    assert f"| {THINGS}, 2 cases | person 1 | person 2 |" in text and "| person 2 | -0.12 | - |" in text
    head, row = terminal_table(report).splitlines()[:2]
    assert len(head) == len(row) and "  thing mixing" in head  # columns are as wide as their names
