"""The scripts for the browser that need no browser: prompts with choices and comments, and nothing that becomes markup."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from lumosx_core.detection.boxes import parse_box, parse_points
from lumosx_core.errors import InputError

SCRIPTS = Path(__file__).parents[2] / "web" / "js"
CHOICES = {
    "a man": "a man",
    "a {tall|short} man": "a tall man",
    "a {{very |}tall|short} man": "a very tall man",
    "a \\{tall|short\\} man": "a {tall|short} man",
    "a man // who waves": "a man ",
    "a /* tall */ man\nsits": "a  man\nsits",
    "a {man": "a {man",
}


def of_script(file: str, name: str, inputs: list, call: str = "") -> list:
    """What a function of a script makes of each of the inputs; call: how it is called with `each`."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("NO NODE.JS: install node to run the tests of the browser scripts")
    code = (
        f"import {{{name}}} from {json.dumps(str(SCRIPTS / file))};"
        f"console.log(JSON.stringify({json.dumps(inputs)}.map((each) => {call or f'{name}(each)'} ?? null)))"
    )
    done = subprocess.run([node, "--input-type=module", "-e", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_prompt_with_choices_is_shown_with_the_first_one() -> None:
    assert of_script("link_sources.js", "firstChoice", list(CHOICES)) == list(CHOICES.values())


def test_words_come_in_with_spaces_where_their_script_has_them() -> None:
    cases = [
        ("", 0, 0, "man", "man"),
        ("A waves.", 1, 1, "man", "A man waves."),
        ("A  waves.", 2, 2, "man", "A man waves."),
        ("Awaves", 1, 1, "man", "A man waves"),
        ("A dog waves.", 2, 5, "@1", "A @1 waves."),
        ("(", 1, 1, "@1.hat", "(@1.hat"),
        ("hat,", 4, 4, "@1", "hat, @1"),
        ("\u4e00\u4e2a\u6234\u7740\u5e3d\u5b50", 2, 2, "\u7537\u4eba", "\u4e00\u4e2a\u7537\u4eba\u6234\u7740\u5e3d\u5b50"),
        ("\u4e00\u4e2a\u6234\u7740", 2, 2, "@1", "\u4e00\u4e2a@1\u6234\u7740"),
    ]
    code = "inserted(...each)"
    made = of_script("prompt_edits.js", "inserted", [list(case[:4]) for case in cases], code)
    assert [each["text"] for each in made] == [case[4] for case in cases]
    assert [each["text"][: each["cursor"]].endswith(case[3]) for each, case in zip(made, cases, strict=True)] == [True] * 9


def test_similar_words_are_exchanged_where_they_stand_whole() -> None:
    cases = [
        ["a woman and a man", "man", "boy"],
        ["red jackets", "red jackets", "red jacket"],
        ["a woman", "man", "boy"],
        ["\u7ea2\u8272\u5939\u514b", "\u5939\u514b", "\u5916\u5957"],
    ]
    made = of_script("prompt_edits.js", "exchanged", cases, "exchanged(...each)")
    assert [each and each["text"] for each in made] == ["a woman and a boy", "red jacket", None, "\u7ea2\u8272\u5916\u5957"]


def test_typed_places_are_drawn_as_a_run_reads_them() -> None:
    texts = ["", " ", "1,2,30,40", " 1.5, -2 ,30, 40 ", "1,2,3", "9,2,3,4", "1,2,3,4,5", "a,b,c,d", "1,,3,4"]
    for text, box in zip(texts, of_script("picture_places.js", "parseBox", texts), strict=True):
        try:
            read = parse_box(text)
        except InputError:
            read = None
        assert (None if box is None else tuple(box)) == read, text
    texts = ["", "1,2", "1, 2; 30.5, 4;", ";1,2;;"]
    for text, points in zip(texts, of_script("picture_places.js", "parsePoints", texts), strict=True):
        assert list(map(tuple, points)) == parse_points(text), text
    points = [[[1, 2], [30, 4]], []]
    assert list(map(parse_points, of_script("picture_places.js", "writePoints", points))) == [[(1, 2), (30, 4)], []]


def test_a_prompt_cannot_put_markup_into_the_page() -> None:
    assert "innerHTML" not in "".join(path.read_text("utf-8") for path in SCRIPTS.glob("*.js"))
