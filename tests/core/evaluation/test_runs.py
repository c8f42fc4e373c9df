"""Runs: whose videos they are, that nothing is done twice or mixed, shares, gaps, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lumosx_core.cli.main import main
from lumosx_core.errors import InputError
from lumosx_core.evaluation import scoring
from lumosx_core.evaluation.cases import puppet_suite_cases, with_exchanged_things
from lumosx_core.evaluation.evaluate import write_report
from lumosx_core.evaluation.generate_run import take_videos
from lumosx_core.evaluation.runs import Share, open_run, parse_share
from lumosx_core.evaluation.scoring import PUPPETS, Score, read_scores, score_run
from lumosx_core.evaluation.suites import write_puppet_suite
from lumosx_core.files.json_lines import append_record
from lumosx_core.files.videos import write_video
from lumosx_core.puppets.render import render_clip

CASES = list(puppet_suite_cases(2, 1, 6, 5))
NAMES = [case.name for case in CASES]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suites") / "suite"
    write_puppet_suite(folder, people=2, things=1, count=6, seed=5)
    return folder


@pytest.fixture(scope="module")
def true_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What should be seen: as little as possible is lost."""
    folder = tmp_path_factory.mktemp("true")
    for case in CASES:
        write_video(folder / f"{case.name}.mp4", render_clip(case.clip).frames, 8, crf=0)
    return folder


def rates(report: dict, group: str = "all") -> dict[str, float]:
    return {name: row["value"] for name, row in report["metrics"][PUPPETS][group]["figures"].items()}


def test_true_videos_are_bound_and_exchanged_ones_swapped(suite: Path, true_videos: Path, tmp_path: Path) -> None:
    run = take_videos(suite, true_videos, tmp_path / "true")
    scores = score_run(run, [PUPPETS])[PUPPETS]
    report = write_report(run)
    assert rates(report) == {"bound": 1, "identity": 1, "swapped": 0, "wrong": 0, "missing": 0, "hidden": 0}
    groups = report["metrics"][PUPPETS]
    assert {name: (row["cases"], row["figures"]["bound"]["asked"]) for name, row in groups.items()} == {
        "all": (6, 12), "told": (2, 4), "clothes": (2, 4), "same": (2, 4),
    }  # fmt: skip
    assert sum(row["asked"] for row in report["details"][PUPPETS].values()) == 12
    thing = scores[NAMES[0]].values["things"][0]
    assert thing["shown"] == thing["subject"] and thing["error"] < thing["rival"] and len(thing["frame_errors"]) == 5
    assert "| all | 6 | 100.0 % (" in (tmp_path / "true" / "report.md").read_text("utf-8")

    exchanged = tmp_path / "exchanged"
    for case in CASES:
        write_video(exchanged / f"{case.name}.mp4", render_clip(with_exchanged_things(case.clip)).frames, 8, crf=0)
    run = take_videos(suite, exchanged, tmp_path / "run")
    score_run(run, [PUPPETS])
    assert rates(write_report(run))["bound"] == 0


def test_shares_come_to_what_one_machine_comes_to(suite: Path, true_videos: Path, tmp_path: Path) -> None:
    whole, shared = (take_videos(suite, true_videos, tmp_path / name) for name in ("whole", "shared"))
    score_run(whole, [PUPPETS])
    for text in ("2/2", "1/2", "2/2"):
        score_run(shared, [PUPPETS], share=parse_share(text))
    lines = [(shared.folder / f"scores-{n}-of-2.jsonl").read_text("utf-8").splitlines() for n in (1, 2)]
    assert [[json.loads(line)["case"] for line in part] for part in lines] == [NAMES[::2], NAMES[1::2]]
    assert sorted(sum(lines, [])) == sorted((whole.folder / "scores.jsonl").read_text("utf-8").splitlines())
    left, right = write_report(whole), write_report(shared)
    assert left.pop("name") == "whole" and right.pop("name") == "shared" and left == right
    for text in ("0/2", "3/2", "2", "a/b", "-1/2"):
        with pytest.raises(InputError, match="share"):
            parse_share(text)
    assert parse_share(None) == Share(number=1, of=1)


def test_an_interrupted_run_goes_on_where_it_was(suite: Path, true_videos: Path, tmp_path: Path) -> None:
    """Stopped after any number of cases, once in the middle of a line: the same lines, and no case is scored again."""
    run = take_videos(suite, true_videos, tmp_path / "run")
    scored: list[int] = []

    def stop_at(stop: int) -> None:
        def progress(stage: str, done: int, total: int, note: str = "") -> None:
            assert (stage, total, note) == ("score", 6, "")
            scored.append(done)
            if done == stop:
                raise KeyboardInterrupt

        score_run(run, [PUPPETS], progress=progress)

    path = run.folder / "scores.jsonl"
    for stop in (1, 2, 4):
        with pytest.raises(KeyboardInterrupt):
            stop_at(stop)
        assert len(path.read_text("utf-8").splitlines()) == stop
    path.write_bytes(path.read_bytes()[:-7])
    stop_at(7)
    assert scored == [1, 2, 3, 4, 4, 5, 6]
    assert [json.loads(line)["case"] for line in path.read_text("utf-8").splitlines()] == NAMES


def test_videos_that_do_not_fit_are_told_or_counted_as_gaps(suite: Path, true_videos: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    shutil.copytree(true_videos, videos)
    (videos / f"{NAMES[0]}.mp4").unlink()
    frames = render_clip(CASES[1].clip).frames
    write_video(videos / f"{NAMES[1]}.mp4", frames[:9], 8)
    write_video(videos / f"{NAMES[2]}.mp4", np.pad(frames, ((0, 0), (0, 16), (0, 0), (0, 0))), 8)
    (videos / f"{NAMES[3]}.mp4").write_bytes((videos / f"{NAMES[3]}.mp4").read_bytes()[:2000])
    out = tmp_path / "run"
    with pytest.raises(
        InputError, match=f"^4 of 6 cases have no whole video: {NAMES[0]}: no video; {NAMES[1]}: .*9 frames.*--gaps"
    ):
        take_videos(suite, videos, out)
    assert not out.exists()
    run = take_videos(suite, videos, out, gaps=True)
    score_run(run, [PUPPETS])
    report = write_report(run)
    assert rates(report) == {
        "bound": pytest.approx(4 / 12), "identity": pytest.approx(4 / 12), "swapped": 0, "wrong": 0,
        "missing": pytest.approx(8 / 12), "hidden": 0,
    }  # fmt: skip
    assert [case for case, _ in report["gaps"]] == sorted(NAMES[:4])
    assert dict(report["gaps"])[NAMES[2]].endswith("is 96 x 96 pixels, asked for were 96 x 80")
    assert "## Cases without a video" in (out / "report.md").read_text("utf-8")
    score_run(take_videos(suite, videos, out), [PUPPETS])  # the gaps stay what they were counted as
    assert len((out / "scores.jsonl").read_text("utf-8").splitlines()) == 6


def test_names_are_whole_and_unique(suite: Path, true_videos: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    shutil.copytree(true_videos, videos)
    (videos / "notes.txt").write_text("no video")
    shutil.copy(videos / f"{NAMES[0]}.mp4", videos / f"{NAMES[0]}0.mp4")
    with pytest.raises(InputError, match=f"{NAMES[0]}0.mp4 is called like no case"):
        take_videos(suite, videos, tmp_path / "run")
    (videos / f"{NAMES[0]}0.mp4").rename(videos / f"{NAMES[0]}.mkv")
    with pytest.raises(InputError, match=f"{NAMES[0]}.mkv and {NAMES[0]}.mp4 are two videos of one case"):
        take_videos(suite, videos, tmp_path / "run")
    with pytest.raises(InputError, match="no folder of videos"):
        take_videos(suite, tmp_path / "none", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_belongs_to_something_else_is_refused(
    suite: Path, true_videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = take_videos(suite, true_videos, tmp_path / "run")
    with pytest.raises(InputError, match="nothing of .* is scored yet; run  lumosx evaluate score"):
        write_report(run)
    score_run(run, [PUPPETS])
    before = (run.folder / "scores.jsonl").read_bytes()
    other = tmp_path / "other"
    write_puppet_suite(other, people=2, things=1, count=6, seed=6)
    with pytest.raises(InputError, match="a run with another suite"):
        take_videos(other, true_videos, run.folder)
    with monkeypatch.context() as changed:
        changed.setattr(scoring.puppet_binding, "VERSION", scoring.puppet_binding.VERSION + 1)
        with pytest.raises(InputError, match="scores of puppets of another version or with other models"):
            score_run(run, [PUPPETS])
    (run.folder / "scores-1-of-2.jsonl").write_bytes(before.splitlines(keepends=True)[0].replace(b'"bound"', b'"wrong"'))
    with pytest.raises(InputError, match=f"score {NAMES[0]} differently"):
        read_scores(run)
    (run.folder / "scores-1-of-2.jsonl").unlink()
    (run.folder / "scores.jsonl").unlink()
    caption = run.case(NAMES[0]).sample_folder / "caption.txt"
    caption.write_text(caption.read_text("utf-8") + " Slowly.", "utf-8")
    with pytest.raises(InputError, match=f"sample of {NAMES[0]} in the run is not the suite's any more"):
        score_run(run, [PUPPETS])
    (run.folder / "suite.json").write_bytes((other / "suite.json").read_bytes())
    with pytest.raises(InputError, match="not the suite that the run began with"):
        open_run(run.folder)
    with pytest.raises(InputError, match=r"is no run: it has no run\.json"):
        open_run(other)


def test_the_commands_of_a_model(suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    nano = str(Path(__file__).parents[3] / "lumosx_core" / "assets" / "nano")
    generate = ["evaluate", "generate", str(suite), "--model", nano, "--out", str(run), "--steps", "1", "--workers", "1"]
    assert main([*generate, "--share", "1/3"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"run            {run}: 2 of 6 videos"
    assert main(["evaluate", "score", str(run), "--workers", "1"]) == 0
    assert "Not every case is scored: 2 of 6 by puppets." in capsys.readouterr().out
    for option in (["--eyes", "/nowhere"], ["--device", "cpu"], ["--metrics", "puppets", "binding", "--device", "cpu"]):
        assert main(["evaluate", "score", str(run), *option]) == 2
        name = next(word for word in option if word in ("--eyes", "--device"))
        assert f"{name} has no effect on puppets" in capsys.readouterr().err
    videos = {path: path.stat().st_mtime_ns for path in run.rglob("*.png")}
    assert main(generate) == 0
    assert main(["evaluate", "score", str(run), "--workers", "1"]) == 0
    told = capsys.readouterr().out
    assert main(["evaluate", "report", str(run)]) == 0 and told.endswith(capsys.readouterr().out)
    assert all(path.stat().st_mtime_ns == time for path, time in videos.items() if path.name != "sheet.png")
    assert json.loads((run / "run.json").read_text())["changes"] == {"steps": 1}
    assert main([*generate[:-4], "--steps", "2"]) == 2
    assert "holds a run with other sampling options" in capsys.readouterr().err
    assert main([*generate, "--gaps"]) == 2 and main(["evaluate", "score", str(suite)]) == 2
    refused = ["evaluate", "generate", str(tmp_path / "nowhere"), "--out", str(tmp_path / "none")]
    assert main([*refused, "--model", nano]) == 2 and main([*refused, "--videos", str(suite)]) == 2
    assert not (tmp_path / "none").exists()


def test_the_page_is_whole_in_itself(suite: Path, true_videos: Path, tmp_path: Path) -> None:
    run = take_videos(suite, true_videos, tmp_path / "run")
    things = [{"subject": n, "kind": kind, "outcome": "bound"} for n in range(2) for kind in ("hat",)]
    for number, name in enumerate(NAMES):  # scored by hand: one thing of the third case is swapped
        outcomes = [{**thing, "outcome": "swapped"} if (number, thing["subject"]) == (2, 0) else thing for thing in things]
        values = {"frames": [0], "people": [{"identity": True}] * 2, "things": outcomes}
        append_record(run.folder / "scores.jsonl", Score(case=name, metric=PUPPETS, values=values))
    write_report(run)
    page = (run.folder / "report.html").read_text("utf-8")
    assert "<b>91.7 %</b>" in page and "1 of 2 things bound" in page and page.count("data:image/jpeg;base64,") == 6
    assert page.index(f"<b>{NAMES[2]}</b>") < page.index(f"<b>{NAMES[0]}</b>")  # the worst first
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "") and str(tmp_path) not in page
    assert "default-src 'none'; img-src data:" in page and page.count("<circle") == 6 * 4 + 1
