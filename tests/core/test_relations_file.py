"""`relations.json` of a sample folder: any text in it gives notes or an InputError, and nothing else."""

import json
import random
import time
from pathlib import Path

import pytest
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.relations_file import Note, read_notes, write_notes
from lumosx_core.sample_folder import read_sample

CASES = 1800


def sample_folder(root: Path) -> Path:
    (root / "subjects/1").mkdir(parents=True)
    (root / "caption.txt").write_text("a man in a hat")
    for name in ("face_man.png", "hat.png"):
        Image.new("RGB", (2, 2)).save(root / "subjects/1" / name)
    return root


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"subjects/1": {"occurrence": ' + b"9" * 5000 + b"}}", "relations.json"),
        (b'{"subjects/1": {"occurrence": NaN}}', "NaN is no number"),
        (b'{"subjects/1": {"tag": "\xff"}}', "UTF-8"),
        ('{"subjects/1": {}}'.encode("utf-16"), "UTF-8"),
        (b'{"subjects/1": {"occurrence": true}}', "expected a whole number"),
        (b'{"subjects/1": {"occurrence": 1.0}}', "expected a whole number"),
        (b'{"subjects/1": {"order": ["hat.png", 3]}}', "order is '?3'?, expected a text"),
        (b'{"subjects/1": {"name": {"a": 1}}}', "expected a text"),
        (b'{"subjects/1": 7}', "holds a number"),
        (b'{"%s": {}}' % (b"x" * 100_000), "which is not in the folder"),
        (b"", "no JSON"),
    ],
)
def test_each_fault_is_one_message_of_sensible_length(tmp_path: Path, content: bytes, message: str) -> None:
    folder = sample_folder(tmp_path)
    (folder / "relations.json").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_sample(folder)
    assert len(str(caught.value)) < 700 and "relations.json" in str(caught.value)


def test_a_folder_of_that_name_and_a_byte_order_mark(tmp_path: Path) -> None:
    folder = sample_folder(tmp_path)
    (folder / "relations.json").write_text('{"subjects/1": {"tag": "anna"}}', encoding="utf-8-sig")
    assert read_sample(folder).references.subjects[0].tag == "anna"
    (folder / "relations.json").unlink()
    (folder / "relations.json").mkdir()
    with pytest.raises(InputError, match="relations.json"):
        read_sample(folder)


def test_notes_come_back(tmp_path: Path) -> None:
    folder = sample_folder(tmp_path)
    notes = {"subjects/1": Note(name="\u7537", order=("hat.png",)), "subjects/1/hat.png": Note(occurrence=2, tag="h\u00e9")}
    write_notes(folder, notes)
    assert read_notes(folder) == notes


def random_value(rng: random.Random, depth: int = 0) -> object:
    kind = rng.randrange(9 if depth < 3 else 6)
    if kind < 6:
        return rng.choice(
            [None, True, 0, -1, 2, 1.5, 1e308, 10**30, "", "hat.png", "man", "a b", "\u7537", "\x00", "\ud800", "x" * 300]
        )
    if kind < 8:
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(["tag", "order", "x"]): random_value(rng, depth + 1) for _ in range(rng.randrange(3))}


def random_text(rng: random.Random) -> bytes:
    places = ["subjects/1", "subjects/1/hat.png", "objects", "", "/", "../x", "subjects", "subjects/1/face_man.png"]
    keys = ["phrase", "name", "tag", "occurrence", "order", "Tag"]
    good: dict[str, list[object]] = {"order": [["hat.png"], []], "occurrence": [1, 2, None], "tag": ["a", None]}
    content: object = {
        rng.choice(places[:2] if rng.random() < 0.7 else places): {
            key: rng.choice(good.get(key, ["man"])) if rng.random() < 0.6 else random_value(rng)
            for key in rng.sample(keys[: 5 if rng.random() < 0.8 else 6], rng.randrange(4))
        }
        for _ in range(rng.randrange(3))
    }
    if rng.random() < 0.1:
        content = random_value(rng)
    text = bytearray(json.dumps(content, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass"))
    for _ in range(rng.randrange(3) if rng.random() < 0.4 else 0):
        place = rng.randrange(len(text) + 1)
        text[place : place + rng.randrange(3)] = rng.choice(
            [b"", b"\xff", b"{", b'"', b"[" * 2000, b"1" * 5000, b"\\u", b"NaN"]
        )
    return bytes(text)


@pytest.mark.parametrize(
    ("place", "note", "told"),
    [
        ("subjects/1/face_man.png", {"tag": "a"}, "gives subjects/1/face_man.png tag, but only strength can be given there"),
        ("subjects/1/face_man.png", {"phrase": "man"}, "face_man.png phrase, but only strength"),
        ("subjects/1/face_man.png", {"occurrence": 2}, "face_man.png occurrence, but only strength"),
        (
            "subjects/1",
            {"phrase": "man"},
            "gives subjects/1 phrase, but only name and tag and occurrence and order and strength",
        ),
        ("subjects/1/hat.png", {"name": "hat"}, "hat.png name, but only phrase and tag and occurrence and strength"),
        ("subjects/1/hat.png", {"order": ["hat.png"]}, "hat.png names|hat.png/hat.png"),
        ("objects", {"tag": "a"}, "gives objects tag, but only order can be given there"),
        ("subjects", {"tag": "a", "strength": 0.0}, "gives subjects tag and strength, but nothing can be given there"),
        ("caption.txt", {"occurrence": 1}, "gives caption.txt occurrence, but nothing can be given there"),
        (".", {"name": "man"}, "gives . name, but nothing can be given there"),
    ],
)
def test_what_would_not_count_is_refused(tmp_path: Path, place: str, note: dict, told: str) -> None:
    folder = sample_folder(tmp_path)
    (folder / "objects").mkdir(exist_ok=True)
    (folder / "relations.json").write_text(json.dumps({place: note}))
    with pytest.raises(InputError, match=told):
        read_sample(folder)


def test_any_text_gives_notes_or_an_input_error(tmp_path: Path) -> None:
    rng, folder = random.Random(5), sample_folder(tmp_path)
    read, slowest = 0, 0.0
    for number in range(CASES):
        (folder / "relations.json").write_bytes(text := random_text(rng))
        started = time.monotonic()
        try:
            read_sample(folder)
            read += 1
        except InputError as error:
            assert len(str(error)) < 2000, number
        except Exception as error:
            raise AssertionError(f"text {number}, {text[:200]!r}: {error!r}") from error
        slowest = max(slowest, time.monotonic() - started)
    assert CASES // 10 < read < CASES and slowest < 5, (read, slowest)
