"""Whatever a JSON file of ours holds: a right value or one InputError that names the file, quickly."""

import json
import math
import random
import shutil
import string
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from lumosx_core.errors import InputError
from lumosx_core.evaluation.evaluate import evaluate_puppets
from lumosx_core.evaluation.runs import RunSettings
from lumosx_core.evaluation.scoring import Score
from lumosx_core.evaluation.suites import Suite, SuiteCase, read_manifest
from lumosx_core.files.json import parse_json, parse_record, read_json, write_json
from lumosx_core.files.json_lines import append_record, read_records
from lumosx_core.model.config import PRESETS, TransformerConfig
from lumosx_core.relations_file import read_notes
from lumosx_core.sampling.config import PipelineDefaults, read_defaults
from lumosx_core.sampling.pipeline import NANO_FOLDER

RESULT = Score(case="plain-0001", metric="puppets", values={"things": [{"subject": 0, "kind": "hat", "outcome": "bound"}]})
LINES = (SuiteCase(name="a", group="b", seed=0, sha256="c"),)
SUITE = Suite(title="a", kind="puppets", seed=0, width=96, height=80, frames=None, cases=LINES)
# Whole texts that some reader stumbles over.
TEXTS = (
    b"", b"[" * 100_000, b"[" * 50_000 + b"]" * 50_000, b'{"a":' * 30_000, b"9" * 5000, b"-" * 10, b"1e400", b"NaN",
    b"Infinity", b'{"steps": ' + b"9" * 4500 + b"}", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"\x00" * 100,
    b'"\\ud800"', b"{}x", b"null", b"true", b"[]", b'{"a": 1, "a": 2}', b'{"width": 1e308, "cfg": -0.0}',
    '"\u2028"'.encode(), b"'a'", b"{1: 2}", b"[1,]", b"//", b'{"steps": true}', b'{"steps": "4"}', b'{"steps": 4.5}',
    b'{"' + b"x" * 100_000 + b'": 1}', b'"' + b"x" * 3_000_000 + b'"',
)  # fmt: skip


def some_value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(11 if depth < 4 else 8)
    if kind < 2:
        return rng.choice([0, 1, -1, 4, 16, 96, 2**31, 2**63, 2**64, 10**40, 10**400, -(10**30)])
    if kind < 4:
        return rng.choice([0.0, -0.5, 1.5, 1e308, -1e-320, 3.0, 17.0])
    if kind == 4:
        return rng.choice([True, False, None])
    if kind < 8:
        letters = string.ascii_letters + " /\\%\"'\n\t\0\u540d\u0301\U0001f600"
        return "".join(rng.choices(letters, k=rng.choice([0, 1, 5, 30])))
    if kind == 8:
        return [some_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {some_name(rng): some_value(rng, depth + 1) for _ in range(rng.randrange(4))}


def some_name(rng: random.Random) -> str:
    known = [*PipelineDefaults.__dataclass_fields__, *Score.__dataclass_fields__, *RunSettings.__dataclass_fields__]
    return rng.choice([*known, *TransformerConfig.__dataclass_fields__, "tag", "order", "caption.txt", "x"])


def some_text(rng: random.Random, right: dict) -> bytes:
    """A right record with a few fields changed, another value, or a right text with damaged bytes."""
    content: Any = dict(right)
    if rng.random() < 0.6:
        for _ in range(rng.choice([1, 1, 2])):
            content[rng.choice(list(content) + [some_name(rng)])] = some_value(rng)
        if rng.random() < 0.3:
            content.pop(rng.choice(list(content)))
    elif rng.random() < 0.4:
        content = some_value(rng)
    text = bytearray(json.dumps(content).encode())
    if rng.random() < 0.3:
        for _ in range(rng.choice([1, 3])):
            text[rng.randrange(len(text))] = rng.randrange(256)
    if rng.random() < 0.1:
        del text[rng.randrange(len(text)) :]
    return bytes(text)


def test_readers_give_a_record_or_an_input_error(tmp_path: Path) -> None:
    """3,570 random texts and 203 chosen ones through seven readers."""
    rng = random.Random(5)
    (tmp_path / "caption.txt").write_text("a")
    runs: list[tuple[str, dict, Callable[[Path], Any]]] = [
        ("a.json", {"a": 1}, read_json),
        ("pipeline.json", asdict(PipelineDefaults()), lambda path: read_defaults(path.parent)),
        ("run.json", asdict(RunSettings(suite="a")), lambda p: parse_record(RunSettings, read_json(p), str(p))),
        ("scores.jsonl", asdict(RESULT), lambda path: read_records(path, Score)),
        ("suite.json", asdict(SUITE), read_manifest),
        ("config.json", asdict(PRESETS["debug"]), lambda path: TransformerConfig.from_json(path.read_bytes())),  # type: ignore[arg-type]
        ("relations.json", {"caption.txt": {"tag": "a"}}, lambda path: read_notes(path.parent)),
    ]
    accepted = refused = 0
    for name, right, reader in runs:
        path = tmp_path / name
        for text in [*TEXTS, *(some_text(rng, right) + (b"\n" if name[-1] == "l" else b"") for _ in range(510))]:
            path.write_bytes(text)
            started = time.monotonic()
            try:
                reader(path)
                accepted += 1
            except InputError as error:
                refused += 1
                assert len(str(error)) < 1500 and (name in str(error) or name == "config.json"), str(error)[:2000]
            assert time.monotonic() - started < 5, text[:100]
        path.unlink(missing_ok=True)
    assert accepted > 300 and refused > 1200


@dataclass(frozen=True)
class Every:
    """One field of every type that records have."""

    whole: int = 0
    number: float = 0.0
    text: str = ""
    flag: bool = False
    choice: Literal["a", "b"] = "a"
    maybe: int | None = None
    pair: tuple[int, str] = (0, "")
    many: tuple[float, ...] = ()
    rows: tuple[tuple[int, bool], ...] = ()
    things: dict = None  # type: ignore[assignment]
    items: list = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("field", "right", "wrong"),
    [
        ("whole", [0, -3, 10**30], [1.5, True, "1", None, [1]]),
        ("number", [0, 1.5], ["1", True, None, 2**60, {}]),
        ("text", ["", "a"], [1, None, ["a"], True]),
        ("flag", [True], [1, 0, "true", None]),
        ("choice", ["b"], ["c", 1, None, ["a"], {}]),
        ("maybe", [None, 3], ["3", 2.5, False]),
        ("pair", [[1, "a"]], [[1], ["a", 1], [1, "a", 2], "ab", 1, {}]),
        ("many", [[], [1, 2.5]], [[True], ["1"], 1, [[1]]]),
        ("rows", [[], [[1, True], [2, False]]], [[1], [[1, 1]], [[True, True]], "a"]),
        ("things", [{}, {"a": [1]}], [[], "a", None, 1]),
        ("items", [[], [1, "a"]], [{}, "a", None]),
    ],
)
def test_every_type_of_a_field(field: str, right: list, wrong: list) -> None:
    for value in right:
        got = getattr(parse_record(Every, {field: value}, "it"), field)
        assert json.loads(json.dumps(got)) == value
    for value in wrong:
        with pytest.raises(InputError, match=f"^it: {field} is "):
            parse_record(Every, {field: value}, "it")


def test_files_that_are_none(tmp_path: Path) -> None:
    for path, words in ((tmp_path, "is a folder"), (tmp_path / "none", "no file at"), (tmp_path / ("x" * 300), "x")):
        with pytest.raises(InputError, match=words):
            read_json(path)
    with pytest.raises(InputError, match="must hold what JSON can"):
        write_json(tmp_path / "a", {"a": math.nan})
    assert list(tmp_path.iterdir()) == []
    for text in ("1e400", "-1e999", '{"a": [1e309]}'):
        with pytest.raises(InputError, match="too large a number"):
            parse_json(text, "it")
    assert parse_json(b"\xef\xbb\xbf[1]", "it") == parse_json("\ufeff[1]", "it") == [1]


def test_a_last_line_without_an_end_is_dropped_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "scores.jsonl"
    append_record(path, RESULT)
    append_record(path, RESULT)
    whole = path.read_bytes()
    for cut in range(1, len(whole) // 2 + 1):
        path.write_bytes(whole[:-cut])
        caplog.clear()
        assert read_records(path, Score) == [RESULT]
        assert path.read_bytes() == whole[: len(whole) // 2]
        assert ("the last line was cut off" in caplog.text) is (cut < len(whole) // 2)
    path.write_bytes(b'{"name": 1}\n' + whole)
    with pytest.raises(InputError, match="line 1 of .*scores.jsonl.* has the unknown field 'name'.*delete that line"):
        read_records(path, Score)
    assert path.read_bytes() == b'{"name": 1}\n' + whole


def test_settings_of_other_shapes_are_refused(tmp_path: Path) -> None:
    settings = tmp_path / "run.json"
    for content in (
        [],
        {"suite": 2},
        {"changes": {}},
        {"suite": "a", "x": 1},
        {"suite": "a", "source": "film"},
        {"suite": "a"},
    ):
        settings.write_text(json.dumps(content))
        with pytest.raises(InputError, match="run.json"):
            evaluate_puppets(NANO_FOLDER, tmp_path, count=2, changes={"steps": 1})
    shutil.rmtree(tmp_path / "suite")
    settings.unlink()
    for changes in ({"cfg": math.nan}, {"steps": 10**9}, {"frames": 6}):
        with pytest.raises(InputError, match="(cfg|steps|frames) is"):
            evaluate_puppets(NANO_FOLDER, tmp_path, count=2, changes=changes)
    assert list(tmp_path.iterdir()) == []
