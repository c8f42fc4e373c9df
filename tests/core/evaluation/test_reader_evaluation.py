"""The evaluation of readers: what it counts, that it finds planted faults, and the rules' figures on captions they know."""

from dataclasses import replace
from pathlib import Path

import pytest

from lumosx_core.cli.main import main
from lumosx_core.data.relations.reading import Mention, Reading, ReadPhrase, Span
from lumosx_core.data.relations.rules import read_rules
from lumosx_core.errors import InputError
from lumosx_core.evaluation.captions import FOLDER, fuzzed_captions, read_cases
from lumosx_core.evaluation.reader import evaluate_reader, format_report, fuzz_reader, measure_speed, score_reading
from lumosx_core.files.json import read_json

CAPTION = "A man in a red hat and a woman in a blue coat near a lamp."


def span(words: str) -> Span:
    start = CAPTION.index(words)
    return Span(start=start, end=start + len(words))


TRUTH = Reading(
    caption=CAPTION,
    mentions=(Mention(span=span("man")), Mention(span=span("woman"), side="right")),
    phrases=(
        ReadPhrase(span=span("red hat"), kind="attribute", owner=0),
        ReadPhrase(span=span("blue coat"), kind="attribute", owner=1),
        ReadPhrase(span=span("lamp"), kind="object"),
    ),
)


def test_a_right_reading_has_every_point() -> None:
    score = score_reading(TRUTH, read_rules(CAPTION))
    assert (score.relations.f1, score.mentions.f1, score.things.f1) == (1.0, 1.0, 1.0)
    assert (score.sides.recall, score.sides.precision) == (0.0, 1.0)  # the caption does not say "right"


def test_exchanged_owners_and_shifted_spans_are_wrong() -> None:
    exchanged = tuple(replace(p, owner=None if p.owner is None else 1 - p.owner) for p in TRUTH.phrases)
    assert score_reading(TRUTH, replace(TRUTH, phrases=exchanged)).relations.right == 0
    shorter = (replace(TRUTH.phrases[0], span=span("hat")), *TRUTH.phrases[1:])
    score = score_reading(TRUTH, replace(TRUTH, phrases=shorter)).relations
    assert (score.right, score.found, score.expected) == (1, 2, 2) and score.f1 == 0.5
    two = (replace(TRUTH.mentions[0], count=2), TRUTH.mentions[1])
    assert score_reading(TRUTH, replace(TRUTH, mentions=two)).mentions.right == 1
    nothing = score_reading(TRUTH, Reading(caption=CAPTION))
    assert (nothing.relations.precision, nothing.relations.recall, nothing.relations.f1) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("name", ["seen.jsonl", "mending.jsonl"])
def test_the_rules_read_the_captions_they_were_written_with(name: str) -> None:
    report = evaluate_reader(read_rules, read_cases(FOLDER / name))
    assert report.relations.f1 >= 0.97 and report.mentions.f1 >= 0.97 and report.things.f1 >= 0.9
    assert report.relations.expected == sum(
        p.owner is not None for case in read_cases(FOLDER / name) for p in case.truth.phrases
    )
    assert f"| **relations** | {report.captions} | {report.relations.expected} |" in format_report(report)


def test_a_reader_that_raises_is_found() -> None:
    def brittle(caption: str) -> Reading:
        assert "the other" not in caption
        return Reading(caption=caption)

    failed = fuzz_reader(brittle, [CAPTION], 200, 0)
    assert 0 < len(failed) < 200 and all("the other" in text and "AssertionError" in error for text, error in failed)
    assert len(set(fuzzed_captions([CAPTION], 100, 1))) > 80
    whole, single = measure_speed(lambda caption: Reading(caption=caption), [CAPTION], words=50)
    assert whole > 0 and single > 0


def test_files_of_captions_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "captions.jsonl"
    with pytest.raises(InputError, match="captions.jsonl"):
        read_cases(path)
    path.write_text("\n")
    with pytest.raises(InputError, match="holds no captions"):
        read_cases(path)
    mention = '{"words": "man", "start": 1, "end": 4}'
    path.write_text('{"caption": "A man.", "constructions": [], "mentions": [' + mention + '], "phrases": []}')
    with pytest.raises(InputError, match="'man' is not at 1 to 4"):
        read_cases(path)


def test_the_command_prints_and_writes_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = FOLDER / "seen.jsonl"
    assert main(["evaluate", "reader", "--captions", str(seen), "--fuzz", "20", "--faults", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "20 broken captions: 0 exceptions" in out and "relations: pronoun" in out
    report = read_json(tmp_path / "reader.json")["seen.jsonl"]
    assert report["captions"] == 60 and report["relations"]["expected"] == 134
    assert report["whole"] == 60 - out.count("not right: ")
