"""The scripts for the browser that need no browser: the words of the prompt against the core's, and its colours."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from lumosx_core.drawing.palette import BACKGROUND_COLOUR, OBJECT_COLOURS, SUBJECT_COLOURS
from lumosx_core.references import Attribute, ReferenceSet, SceneReference, Subject
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.text_spans import bind_prompt
from lumosx_core.tokenizers import SentencePieceTokenizer

SCRIPTS = Path(__file__).parents[2] / "web" / "js"
PICTURE = Image.new("RGB", (8, 8))
HAT, LAMP = Attribute(phrase="hat", image=PICTURE), SceneReference(phrase="red lamp", image=PICTURE)


def person(name: str, *attributes: Attribute, **more: object) -> Subject:
    return Subject(name=name, face=PICTURE, attributes=attributes, **more)


CASES = {
    "same_words": ("a man in a hat and a man in a hat", [person("man", HAT), person("man", HAT)], []),
    "every_place": ("a man waves; the man in a hat sits", [person("man", HAT)], []),
    "whole_words": ("a woman and a man", [person("man"), person("woman")], []),
    "longer_first": ("a man in a red lamp by a red hat", [person("man", Attribute(phrase="red hat", image=PICTURE))], [LAMP]),
    "tags": ("@anna with her @anna.hat and a man with a hat",
             [person("girl", HAT, tag="anna"), person("man", HAT)], []),
    "numbers": ("@2 sees @1", [person("man"), person("man")], []),
    "occurrence": ("a man, a man", [person("man", occurrence=2), person("man", occurrence=1)], []),
    "scene_by_its_words": ("a man near @red_lamp", [person("man")], [LAMP]),
    "missing": ("a man", [person("man", HAT)], []),
    "capital": ("Man in a hat", [person("man", HAT)], []),
    "line_break": ("a man by a red\nlamp", [person("man")], [LAMP]),
    "no_face": ("a hat", [Subject(name="man", attributes=(HAT,))], []),
    "longer_tag": ("@1 in @1.red_hat", [person("man", Attribute(phrase="big red hat", image=PICTURE))], []),
}  # fmt: skip
TAGS = {
    "tags": {"face 0 girl": ["@anna"], "attribute 0 hat": ["@anna.hat"], "face 1 man": ["man"], "attribute 1 hat": ["hat"]},
    "numbers": {"face 0 man": ["@1"], "face 1 man": ["@2"]},
    "scene_by_its_words": {"face 0 man": ["man"], "object 0 red lamp": ["@red_lamp"]},
    "longer_tag": {"face 0 man": ["@1"], "attribute 0 big red hat": ["@1.red_hat"]},
}  # what owns what where the prompt has tags, whose places are not those of the finished prompt


def in_browser(prompt: str, phrases: list[dict]) -> dict:
    node = shutil.which("node")
    if node is None:
        pytest.skip("NO NODE.JS: install node to run the tests of the browser scripts")
    code = (
        f"import {{ownedWords}} from {json.dumps(str(SCRIPTS / 'owned_words.js'))};"
        f"console.log(JSON.stringify(ownedWords({json.dumps(prompt)}, {json.dumps(phrases)})))"
    )
    done = subprocess.run([node, "--input-type=module", "-e", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", list(CASES))
def test_words_while_typing_are_those_of_the_core(name: str) -> None:
    prompt, subjects, objects = CASES[name]
    references = ReferenceSet(subjects=tuple(subjects), objects=tuple(objects))
    phrases = [{"words": thing.phrase, "owner": 1 + k, "key": f"object {k} {thing.phrase}"} for k, thing in enumerate(objects)]
    for k, subject in enumerate(subjects):
        owner = {"owner": 1 + len(objects) + k}
        phrases.append(
            {
                **owner,
                "words": subject.name,
                "number": str(k + 1),
                "tag": subject.tag,
                "occurrence": subject.occurrence or 0,
                "pictureless": subject.face is None,
                "key": f"face {k} {subject.name}",
            }
        )
        phrases += [
            {**owner, "words": each.phrase, "part": True, "tag": each.tag, "key": f"attribute {k} {each.phrase}"}
            for each in subject.attributes
        ]
    typed = in_browser(prompt, phrases)
    seen: dict[str, list[str]] = {phrase["key"]: [] for phrase in phrases}
    starts: dict[str, list[int]] = {phrase["key"]: [] for phrase in phrases}
    for span in typed["spans"]:
        seen[span["phrase"]["key"]].append(prompt[span["start"] : span["end"]])
        starts[span["phrase"]["key"]].append(span["start"])
    bound = bind_prompt(prompt, references, SentencePieceTokenizer(NANO_FOLDER), on_problem="ignore")
    numbers = {"object": 0}
    for reference, spans in zip(bound.references, bound.char_spans, strict=True):
        if reference.kind == "object":
            key = f"object {numbers['object']} {reference.phrase}"
            numbers["object"] += 1
        else:
            key = f"{reference.kind} {reference.subject} {reference.phrase}"
        assert len(seen[key]) == len(spans), key
        if name not in TAGS:
            assert starts[key] == [start for start, _ in spans], key
    if name in TAGS:
        assert seen == TAGS[name]
    lost = [problem.phrase for problem in bound.problems if problem.kind in ("not_found", "too_few")]
    assert sorted(phrase["words"] for phrase in typed["missing"]) == sorted(lost)
    assert bool(lost) == (name == "missing")


def test_colours_are_those_of_the_pictures() -> None:
    script = (SCRIPTS / "prompt_colours.js").read_text("utf-8")
    found = re.findall(r"#[0-9a-f]{6}", script.split("const EVERY")[0])
    colours = (*SUBJECT_COLOURS, *OBJECT_COLOURS, BACKGROUND_COLOUR)
    assert found == ["#" + "".join(f"{channel:02x}" for channel in colour) for colour in colours]


def test_a_prompt_cannot_put_markup_into_the_page() -> None:
    assert "innerHTML" not in "".join(path.read_text("utf-8") for path in SCRIPTS.glob("*.js"))
