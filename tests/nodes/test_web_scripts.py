"""The scripts for the browser that need no browser: prompts with choices and comments, and nothing that becomes markup."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

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


def test_a_prompt_with_choices_is_shown_with_the_first_one() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("NO NODE.JS: install node to run the tests of the browser scripts")
    code = (
        f"import {{firstChoice}} from {json.dumps(str(SCRIPTS / 'link_sources.js'))};"
        f"console.log(JSON.stringify({json.dumps(list(CHOICES))}.map(firstChoice)))"
    )
    done = subprocess.run([node, "--input-type=module", "-e", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == list(CHOICES.values())


def test_a_prompt_cannot_put_markup_into_the_page() -> None:
    assert "innerHTML" not in "".join(path.read_text("utf-8") for path in SCRIPTS.glob("*.js"))
