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


def of_script(file: str, name: str, inputs: list) -> list:
    """What a function of a script makes of each of the inputs."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("NO NODE.JS: install node to run the tests of the browser scripts")
    code = (
        f"import {{{name}}} from {json.dumps(str(SCRIPTS / file))};"
        f"console.log(JSON.stringify({json.dumps(inputs)}.map((each) => {name}(each) ?? null)))"
    )
    done = subprocess.run([node, "--input-type=module", "-e", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_prompt_with_choices_is_shown_with_the_first_one() -> None:
    assert of_script("link_sources.js", "firstChoice", list(CHOICES)) == list(CHOICES.values())


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
