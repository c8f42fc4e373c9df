"""Cases in the form of OpenS2V-Eval: every picture lands where its folder says, and is bound to the words that mean it.

The benchmark's own prompts and pictures are not in the repository. What is imported here has its shape: 180 cases in its
eight groups, 320 labels of which 211 stand word for word in the prompt (all of them in 100 cases), 30 cases of two and more
people, 15 with one label twice.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lumosx_core.cli.main import main
from lumosx_core.detection.person import Eyes
from lumosx_core.errors import InputError
from lumosx_core.evaluation.generate_run import take_videos
from lumosx_core.evaluation.import_opens2v import BoundLabel, OpenS2VReport, import_opens2v
from lumosx_core.evaluation.opens2v_words import Label, find_words
from lumosx_core.evaluation.suites import read_suite
from lumosx_core.files.videos import read_video, write_video
from lumosx_core.puppets.analyser import PuppetAnalyser
from lumosx_core.puppets.clip import sample_clip
from lumosx_core.puppets.render import render_clip
from lumosx_core.sample_folder import read_sample
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.text_spans import bind_prompt
from lumosx_core.tokenizers import Tokenizer, load_tokenizer

# (folder of the picture, label, what the prompt says; "" where it says nothing of it)
Shown = tuple[str, str, str]
THINGS = [
    ("Cup", "mug"), ("Bike", "bicycle"), ("Hat", "cap"), ("Bag", "backpack"), ("TV", "television"), ("Sofa", "couch"),
    ("Cat", "kitten"), ("Shoes", "sneakers"), ("Toy", "robot"), ("Hairdryer", "hair dryer"), ("Glasses", "sunglasses"),
    ("Motor", "motorcycle"),
]  # fmt: skip
MEN, WOMEN = ["boy", "gentleman", "guy"], ["girl", "lady", "mother"]


def thing(number: int, literal: bool) -> Shown:
    label, other = THINGS[number % len(THINGS)]
    return f"object/{label.lower()}", label, label.lower() if literal else other


def a(words: str) -> str:
    return words if words.endswith("s") else f"a {words}"


def cases() -> dict[str, tuple[str, list[Shown]]]:
    """(prompt, pictures) of every case by its name."""
    made: dict[str, tuple[str, list[Shown]]] = {}
    for n in range(30):
        one = thing(n, n >= 15) if n >= 2 else ("object/ashtray", "Ashtray", "")
        what = one[2] or "strange stone"
        made[f"singleobj_{n + 1}"] = (f"A close-up of {a(what)}. Light falls on the {what} from a window.", [one])
        sex = "man" if n % 2 else "woman"
        who = sex if n >= 12 else (MEN if n % 2 else WOMEN)[n % 3]
        whole = (f"singlehuman/{sex}", sex.capitalize(), who)
        made[f"singlehuman_{n + 1}"] = (f"The video shows a {who} walking down a street. The {who} smiles.", [whole])
        who = sex if n >= 10 else (MEN if n % 2 else WOMEN)[n % 3]
        face = (f"singleface/crop_{sex}", sex.capitalize(), who)
        made[f"singleface_{n + 1}"] = (f"A {who} reads at a desk and turns a page.", [face])
        if n >= 25:
            pair = [("multiobject/cat", "Cat", "cat"), ("multiobject/cat", "Cat", "cat")]
            made[f"multiobject_{n + 1}"] = ("A white cat sits beside a black cat.", pair)
        else:
            shown = [thing(n, n >= 9), thing(n + 1, n >= 13), *([thing(n + 2, True)] if n < 8 else [])]
            if n < 4:
                shown[1] = ("multiobject/ashtray", "Ashtray", "")
            said = [one[2] for one in shown if one[2]]
            made[f"multiobject_{n + 1}"] = (f"On a shelf there is {' and '.join(map(a, said))}.", shown)
    for n in range(15):
        place = ("School", "park") if n < 5 else ("Park", "park")
        shown = [("human/man/commoner", "Man", "man"), ("thing/animal/dog", "Dog", "dog"), ("environment/x", *place)]
        made[f"humanobj_{n + 1}"] = ("A man plays with a dog in the park.", shown)
        cloth = ("thing/clothes", "Shirt" if n >= 12 else "Clothes", "shirt")
        place = ("Seaside", "beach") if n < 10 else ("Beach", "beach")
        shown = [("human/crop_woman/x", "Woman", "woman"), cloth, ("environment/seaside", *place)]
        made[f"faceobj_{n + 1}"] = ("A woman stands on the beach and smiles, wearing a red shirt.", shown)
        made[f"multiface_{n + 1}"] = several("multiface/crop_", n, unsaid=7, three=12, scenes=6)
        made[f"multihuman_{n + 1}"] = several("multihuman/", n, unsaid=6, three=14, scenes=2)
    return made


def several(folder: str, n: int, *, unsaid: int, three: int, scenes: int) -> tuple[str, list[Shown]]:
    """Two or three people, in the first `unsaid` cases not called by their label."""
    man, woman = (f"{folder}man", "Man"), (f"{folder}woman", "Woman")
    if n < unsaid and folder == "multiface/crop_":
        second = man if n >= 2 else woman
        shown = [(*woman, "person"), (*second, "individual")]
        prompt = "The person on the left wears a grey uniform. The individual on the right smiles"
    elif n < unsaid:
        shown = [(*man, "gentleman" if n < 3 else "man"), (*woman, "lady")]
        prompt = f"A {shown[0][2]} waits for a lady who comes closer"
    elif n >= three:
        shown = [(*man, "man"), (*woman, "woman"), (*woman, "woman")]
        prompt = "A man, a woman and another woman sit together"
    elif folder == "multihuman/" and n < unsaid + 4:
        shown = [(*man, "man"), (*man, "man")]
        prompt = "A man in a coat talks to another man"
    else:
        shown = [(*man, "man"), (*woman, "woman")]
        prompt = "A man and a woman talk. The man laughs"
    scene = n >= 15 - scenes
    return f"{prompt}{' in an office' if scene else ''}.", [*shown, *([("x/scene", "Office", "office")] if scene else [])]


def write_benchmark(folder: Path, records: dict[str, Any], name: str = "Open-Domain_Eval.json") -> Path:
    """The JSON file and a picture for every path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(records), "utf-8")
    for number, path in enumerate(sorted({path for one in records.values() for path in one["img_paths"]})):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number % 256, 60, 90)).save(folder / path)
    return folder


def record(prompt: str, *shown: tuple[str, str]) -> dict[str, Any]:
    paths = [f"Images/{folder}/{number}.png" for number, (folder, _) in enumerate(shown)]
    return {"prompt": prompt, "img_paths": paths, "class_label": [label for _, label in shown], "synthesis_flag": "wrong"}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer(NANO_FOLDER)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> tuple[Path, OpenS2VReport]:
    folder = tmp_path_factory.mktemp("opens2v")
    records = {name: record(prompt, *(one[:2] for one in shown)) for name, (prompt, shown) in cases().items()}
    write_benchmark(folder / "given", records)
    (folder / "given" / "notes.json").write_text('{"version": 1}', "utf-8")
    return folder / "suite", import_opens2v(folder / "given", folder / "suite", tokenizer, seed=9)


def test_the_cases_have_the_shape_of_the_benchmark() -> None:
    found = cases()
    literal = {
        name: [re.search(rf"\b{label}\b", prompt, re.IGNORECASE) is not None for _, label, _ in shown]
        for name, (prompt, shown) in found.items()
    }
    people = [sum("man" in one[0].split("/")[-1] or "human/man" in one[0] for one in shown) for _, shown in found.values()]
    twice = [name for name, (_, shown) in found.items() if len({one[1] for one in shown}) < len(shown)]
    assert (len(found), sum(map(len, literal.values()))) == (180, 320)
    assert (sum(map(sum, literal.values())), sum(map(all, literal.values()))) == (211, 100)
    assert (sum(count > 1 for count in people), len(twice)) == (30, 15)


def test_every_picture_lands_where_its_folder_says(imported: tuple[Path, OpenS2VReport]) -> None:
    _, report = imported
    assert report.left_out == ("notes.json",)
    for case, (name, (_, shown)) in zip(report.cases, cases().items(), strict=True):
        assert case.name == name
        for label, (folder, text, _) in zip(case.labels, shown, strict=True):
            kind = "object"
            if "crop_" in folder:
                kind = "face"
            elif "environment" in folder or "scene" in folder:
                kind = "background"
            elif "clothes" in folder:
                kind = "attribute"
            assert (label.kind, label.label) == (kind, text), name
            assert label.owner.startswith({"face": "subject", "attribute": "subject 1"}.get(kind, kind))


def test_labels_are_bound_to_the_words_that_mean_them(imported: tuple[Path, OpenS2VReport], tokenizer: Tokenizer) -> None:
    """At least 95 %; the others are told by name. What the folders say binds without any problem, to the same words."""
    suite, report = imported
    unsaid = [(name, one[1]) for name, (_, shown) in cases().items() for one in shown if not one[2]]
    assert [(case.name, label.label) for case in report.cases for label in case.labels if label.how == "added"] == unsaid
    assert len(unsaid) == 6 and report.bound() == 1 - 6 / 320 >= 0.95
    for case, (prompt, shown) in zip(report.cases, cases().values(), strict=True):
        for label, (_, text, said) in zip(case.labels, shown, strict=True):
            assert label.words == (said or text), (case.name, label)
        sample = read_sample(suite / "cases" / case.name)
        assert sample.prompt == case.prompt and sample.sample_id == case.name
        bound = bind_prompt(sample.prompt, sample.references, tokenizer)
        spans = [span for one in bound.references for span in one.token_spans]
        assert all(one.token_spans for one in bound.references) and len(set(spans)) == len(spans)
        if all(one[2] for one in shown):
            assert bound.prompt == prompt
    assert sum(label.how == "label" and not label.doubtful for label in report.labels()) >= 211 - 30
    text = (suite / "import.md").read_text("utf-8")
    assert "180 cases, 320 labels: the prompt says 314 (98.1%)." in text and "- multiobject_4: Ashtray (Images/" in text
    assert json.loads((suite / "import.json").read_text("utf-8"))["cases"][0]["labels"][0]["how"] == "added"


def test_the_suite_is_whole_and_its_folders_are_inspected(
    imported: tuple[Path, OpenS2VReport], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = read_suite(imported[0])
    assert (suite.kind, suite.width, len(suite.cases)) == ("photographs", None, 180)
    groups = [case.group for case in suite.cases]
    assert {group: groups.count(group) for group in set(groups)} == {
        "no person": 60,
        "1 person": 90,
        "2 people": 26,
        "3 people": 4,
    }
    assert [case.seed for case in suite.cases[:3]] == [9, 10, 11]
    for name in ("faceobj_1", "multihuman_8", "multiobject_30"):
        assert main(["inspect", str(imported[0] / "cases" / name), "--out", str(tmp_path)]) == 0
        assert "problem:" not in capsys.readouterr().out


def only(given: Path, out: Path, tokenizer: Tokenizer, eyes: Eyes | None = None) -> list[BoundLabel]:
    return list(import_opens2v(given, out, tokenizer, eyes=eyes).cases[0].labels)


def test_tags_where_words_would_go_to_somebody_else(tmp_path: Path, tokenizer: Tokenizer) -> None:
    prompt = "A man hugs another man. The man with the cat, mail a@b.com, waves."
    given = write_benchmark(
        tmp_path / "g", {"x_1": record(prompt, ("m/crop_man", "Man"), ("m/crop_man", "Man"), ("t/cat", "Cat"))}
    )
    first, second, cat = only(given, tmp_path / "s", tokenizer)
    assert (first.tag, second.tag, cat.tag) == ("", "@man_2", "")  # without the tag there would be three places for two men
    sample = read_sample(tmp_path / "s" / "cases" / "x_1")
    assert sample.prompt == "A man hugs another @man_2. The @man_2 with the cat, mail a@@b.com, waves."
    bound = bind_prompt(sample.prompt, sample.references, tokenizer)
    assert bound.prompt == prompt
    begins = [[start for start, _ in own] for own in bound.char_spans]
    assert begins == [[prompt.index("cat")], [2], [prompt.index("man."), prompt.index("man with")]]


def test_second_scenes_and_clothes_of_two_people_are_objects(tmp_path: Path, tokenizer: Tokenizer) -> None:
    shown = [
        ("s/scene", "Beach"),
        ("s/environment/x", "Sea"),
        ("m/crop_man", "Man"),
        ("thing/clothes", "Coat"),
        ("w/woman", "Woman"),
    ]
    given = write_benchmark(tmp_path / "g", {"x_1": record("A man in a coat and a woman on a beach by the sea.", *shown)})
    kinds = [(label.kind, label.owner) for label in only(given, tmp_path / "s", tokenizer)]
    assert kinds == [
        ("background", "background"), ("object", "object 1"), ("face", "subject 1"), ("object", "object 2"),
        ("object", "object 3"),
    ]  # fmt: skip
    alone = write_benchmark(tmp_path / "h", {"x_1": record("A man in a coat.", ("m/man", "Man"), ("thing/clothes", "Coat"))})
    assert [label.kind for label in only(alone, tmp_path / "t", tokenizer)] == ["object", "attribute"]


def test_faces_of_whole_people(tmp_path: Path, tokenizer: Tokenizer) -> None:
    given = write_benchmark(
        tmp_path / "g", {"x_1": record("A man and a woman.", ("multihuman/man", "Man"), ("multihuman/woman", "Woman"))}
    )
    clip = sample_clip(np.random.default_rng(3), people=1, attributes=1, described=True, held_out=False, frames=5)
    Image.fromarray(render_clip(clip).frames[0]).save(given / "Images/multihuman/man/0.png")
    analyser = PuppetAnalyser()
    eyes = Eyes(people=analyser, faces=analyser, phrases=analyser, masks=analyser)
    man, woman = only(given, tmp_path / "s", tokenizer, eyes)
    assert (man.kind, man.note) == ("face", "the face of the whole person")
    assert (woman.kind, woman.note) == ("object", "no face was found; the whole person")
    face = read_sample(tmp_path / "s" / "cases" / "x_1").references.subjects[0].face
    assert face is not None and face.size != Image.open(given / "Images/multihuman/man/0.png").size


@pytest.mark.parametrize(
    ("prompt", "labels", "expected"),
    [
        ("A doctor sits. He smiles. A patient waves. She laughs.", ["woman", "man"], ["patient", "doctor"]),
        ("Two men walk. One of the men waves at the other man.", ["man", "man"], ["One", "man"]),
        ("A cat chases the other one.", ["cat", "cat"], ["cat", "the other one"]),
        ("Someone repairs a red sports car.", ["blue sports car"], ["sports car"]),
        ("She sings.", ["woman"], ["She"]),
        ("A woman wears a lace top and trousers.", ["woman", "clothes"], ["woman", "top"]),
        ("That chat ends.", ["hat"], [""]),
        ("A doctor and a patient talk.", ["man", "man", "woman", "woman"], ["doctor", "patient", "", ""]),
    ],
)
def test_words_that_are_not_the_label(prompt: str, labels: list[str], expected: list[str]) -> None:
    found = find_words(prompt, [Label(text=text, person=text in ("man", "woman")) for text in labels])
    assert [prompt[slice(*words.places[0])] if words.places else "" for words in found] == expected
    places = [place for words in found for place in words.places]
    assert len(places) == len(set(places))


def test_what_is_no_benchmark_is_refused_before_anything_is_written(tmp_path: Path, tokenizer: Tokenizer) -> None:
    good = record("A cup.", ("o/cup", "Cup"))

    def refused(records: Any, match: str, text: str | None = None) -> None:
        given = write_benchmark(tmp_path / "g", {"x_1": good})
        (given / "Open-Domain_Eval.json").write_text(text or json.dumps(records), "utf-8")
        with pytest.raises(InputError, match=match):
            import_opens2v(given, tmp_path / "s", tokenizer)
        assert not (tmp_path / "s").exists()

    refused({"x_1": good | {"img_paths": ["Images/o/cup/7.png"]}}, "no picture of x_1 at .*7.png; it is named in Open-Domain")
    refused({"x_1": good | {"img_paths": ["../cup.png"]}}, "leaves the folder")
    refused({"x_1": good | {"class_label": ["Cup", "Hat"]}}, "has 1 img_paths and 2 class_label")
    refused({"x_1": good | {"class_label": [3]}}, "class_label is .*, expected a list of texts")
    refused({"x_1": good | {"prompt": " "}}, "has no prompt")
    refused({"x/1": good}, "must be called by letters")
    refused({"x_1": good, "x_2": {"prompt": "A cup."}}, "x_2.* must be an object with prompt, img_paths, class_label")
    refused({"clips": {"annotation": {}}}, "no JSON file of .* holds cases of OpenS2V-Eval")
    refused(None, "'x_1' stands there twice", f'{{"x_1": {json.dumps(good)}, "x_1": {json.dumps(good)}}}')
    given = write_benchmark(tmp_path / "g", {"x_1": good})
    write_benchmark(given, {"x_1": good | {"prompt": "A red cup."}}, "Single.json")
    with pytest.raises(InputError, match="tell the case x_1 differently"):
        import_opens2v(given, tmp_path / "s", tokenizer)
    write_benchmark(given, {"x_1": good}, "Single.json")  # the same once more is no fault
    assert len(import_opens2v(given, tmp_path / "s", tokenizer).cases) == 1
    with pytest.raises(InputError, match="exists and would be overwritten"):
        import_opens2v(given, tmp_path / "s", tokenizer)


def test_from_their_cases_to_their_result_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Import, take the videos that a model made, write them as <id>.mp4: the commands as a user gives them."""
    given = write_benchmark(
        tmp_path / "g", {"x_1": record("A cup.", ("o/cup", "Cup")), "x_10": record("A hat.", ("o/hat", "Hat"))}
    )
    assert main(["evaluate", "import-opens2v", str(given / "Open-Domain_Eval.json"), str(tmp_path / "s")]) == 0
    assert "bound          2 of 2 labels (100.0%)" in capsys.readouterr().out
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    write_video(tmp_path / "v" / "x_1.mp4", frames, 8)
    run = take_videos(tmp_path / "s", tmp_path / "v", tmp_path / "run", gaps=True)
    (run.folder / "cases" / "x_10" / "gap.txt").unlink()
    (run.folder / "cases" / "x_10" / "frames").mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(run.folder / "cases" / "x_10" / "frames" / f"{number:04d}.png")
    assert main(["evaluate", "videos", str(run.folder), "--out", str(tmp_path / "theirs"), "--fps", "12"]) == 0
    assert "2 of 2" in capsys.readouterr().out
    assert (tmp_path / "theirs" / "x_1.mp4").read_bytes() == (tmp_path / "v" / "x_1.mp4").read_bytes()
    shown, rate = read_video(tmp_path / "theirs" / "x_10.mp4")
    assert shown.shape == (3, 16, 16, 3) and rate == 12
    again = ["evaluate", "videos", str(run.folder), "--out", str(tmp_path / "theirs"), "--fps"]
    (tmp_path / "theirs" / "x_10.mp4").unlink()
    assert main([*again, "12"]) == 0 and (tmp_path / "theirs" / "x_10.mp4").is_file()
    assert (
        main([*again, "24"]) == 2 and "x_10.mp4 is not of this run, or was written at another rate" in capsys.readouterr().err
    )
    write_video(tmp_path / "w" / "x_1.mp4", frames[::-1], 8)
    other = take_videos(tmp_path / "s", tmp_path / "w", tmp_path / "other", gaps=True)
    assert main(["evaluate", "videos", str(other.folder), "--out", str(tmp_path / "theirs")]) == 2
    assert "x_1.mp4 is not of this run" in capsys.readouterr().err
    (tmp_path / "theirs" / "x_1.mp4").unlink()  # the other run has none of x_10: another's would stand for it
    assert main(["evaluate", "videos", str(other.folder), "--out", str(tmp_path / "theirs")]) == 2
    assert (tmp_path / "theirs" / "x_10.mp4").is_file() and not (tmp_path / "theirs" / "x_1.mp4").exists()
