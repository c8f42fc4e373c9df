"""Found subjects beside given ones: what the cases ask for, how they are counted apart, and that the command runs through."""

import json
from pathlib import Path

import numpy as np
import pytest

from lumosx_core.cli.main import main
from lumosx_core.errors import InputError
from lumosx_core.evaluation.cases import puppet_cases
from lumosx_core.evaluation.found_subjects import RAISED, FoundCase, evaluate_found, found_cases, summarize_found
from lumosx_core.evaluation.scoring import Score
from lumosx_core.puppets.analyser import PuppetAnalyser
from lumosx_core.puppets.motion import pose_at
from lumosx_core.puppets.render import render_clip
from lumosx_core.sampling.pipeline import NANO_FOLDER


@pytest.fixture(scope="module")
def cases() -> list[FoundCase]:
    return list(found_cases(PuppetAnalyser(), 8, seed=0))


def test_all_ways_ask_for_the_same_people_and_things_with_the_same_words_and_noise(cases: list[FoundCase]) -> None:
    own = [case for case in puppet_cases(8, 0) if case.group != "shuffled"]
    assert len(cases) == len(own) == 8
    for case, benchmark in zip(cases, own, strict=True):
        given, cut, found = case.given, case.cut, case.found
        assert (given.clip, given.sample.prompt, given.seed) == (benchmark.clip, benchmark.sample.prompt, benchmark.seed)
        for way in (cut, found):
            assert (way.clip, way.sample.prompt, way.seed) == (given.clip, given.sample.prompt, given.seed)
        number = f"{given.index:04d}"
        assert (given.name, cut.name, found.name) == (f"given-{number}", f"cut-{number}", f"found-{number}")
        asked, seen = (
            [(s.name, a.phrase) for s in way.sample.references.subjects for a in s.attributes] for way in (given, found)
        )
        assert set(seen) <= set(asked) and len(asked) - len(seen) == case.missing
        pairs = zip(given.sample.references.subjects, found.sample.references.subjects, strict=True)
        assert all(np.any(np.asarray(a.face) != np.asarray(b.face.resize(a.face.size))) for a, b in pairs)
    assert sum(case.missing for case in cases) <= 1  # of 32


def test_what_the_photograph_hides_is_counted_apart(cases: list[FoundCase]) -> None:
    for case in cases:
        rendered = render_clip(case.given.clip)
        for n, puppet in enumerate(case.given.clip.puppets):
            pose = pose_at(case.given.clip.placements[n], 0)
            kinds = {thing.kind for thing in puppet.attributes}
            assert (n in case.bare) == (not kinds & {"hat", "glasses", "scarf"})
            for kind in kinds:
                if (n, kind) in case.plain:
                    assert rendered.attribute_mask(n, kind)[0].any()
                    assert kind not in ("shirt", "jacket", "dress") or max(pose.left_arm, pose.right_arm) <= RAISED
                if kind in ("shirt", "jacket") and "scarf" in kinds:
                    assert (n, kind) not in case.plain  # the scarf hangs over it
    assert {bool(case.plain) for case in cases} and any(case.bare for case in cases)


def test_more_photographs_give_more_views_of_the_same_person() -> None:
    (one,), (three,) = (list(found_cases(PuppetAnalyser(), 1, seed=3, photographs=count)) for count in (1, 3))
    for few, many in zip(one.found.sample.references.subjects, three.found.sample.references.subjects, strict=True):
        assert (len(few.more_views), len(many.more_views)) == (0, 2)
        assert (np.asarray(few.face) == np.asarray(many.face)).all()


def test_rates_are_of_pairs() -> None:
    (case,) = list(found_cases(PuppetAnalyser(), 1, seed=0))
    things = [(n, a.kind) for n, p in enumerate(case.given.clip.puppets) for a in p.attributes]
    case = FoundCase(
        given=case.given, cut=case.cut, found=case.found, plain=frozenset(things[:1]), bare=frozenset({0}), missing=0
    )

    def result(name: str, outcomes: tuple[str, ...], identities: tuple[bool, bool]) -> Score:
        rows = [{"subject": n, "kind": kind, "outcome": o} for (n, kind), o in zip(things, outcomes, strict=True)]
        return Score(case=name, metric="puppets", values={"people": [{"identity": i} for i in identities], "things": rows})

    rates = summarize_found(
        [case],
        {
            case.given.name: result(case.given.name, ("bound", "bound", "hidden", "bound"), (True, True)),
            case.cut.name: result(case.cut.name, ("bound", "bound", "bound", "wrong"), (True, True)),
            case.found.name: result(case.found.name, ("bound", "swapped", "bound", "wrong"), (True, False)),
        },
    )
    told = {what.strip(): (row["given"]["value"], row["found"]["value"], row["asked"]) for what, row in rates.items()}
    assert told == {
        "things bound": (1.0, 0.5, 4),
        "shown whole": (1.0, 1.0, 1),
        "partly hidden, arms out": (1.0, pytest.approx(1 / 3), 3),
        "people right": (1.0, 0.5, 2),
        "bare heads": (1.0, 1.0, 1),
        "hat, glasses or scarf": (1.0, 0.0, 1),
    }
    assert rates["things bound"]["cut"]["value"] == 0.75
    differences = [rates["things bound"][pair]["value"] for pair in ("found - given", "found - cut")]
    assert differences == [-0.5, -0.25]


def test_whatever_a_photograph_shows_is_cut_out_exactly(cases: list[FoundCase]) -> None:
    for case in cases:
        for given, cut in zip(case.given.sample.references.subjects, case.cut.sample.references.subjects, strict=True):
            assert [a.phrase for a in cut.attributes] == [a.phrase for a in given.attributes]
            assert cut.face is not None


def test_the_command_runs_all_ways_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "eyes", "--through-nano", "1", "--workers", "1", "--out", str(tmp_path)]
    options = ["--steps", "1", "--frames", "1", "--cfg", "1"]
    assert main([*command, *options]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("1 cases, 1 photographs of a person, 0 things not found\nthings bound")
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["suite"] == "eyes through a model, 1 photographs"
    assert report["rates"]["people right"]["asked"] == 2
    lines = (tmp_path / "scores.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["case"] for line in lines] == ["given-0000", "cut-0000", "found-0000"]
    assert (tmp_path / "sheet.png").is_file() and (tmp_path / "cases/found-0000/sample").is_dir()
    assert main([*command, *options]) == 0 and capsys.readouterr().out == printed
    with pytest.raises(InputError, match="holds another suite"):
        evaluate_found(NANO_FOLDER, tmp_path, PuppetAnalyser(), count=1, photographs=2)
