"""People that are saved in one workflow and loaded in another."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.references import Attribute, Subject


@pytest.fixture(scope="module")
def nodes(pack: Callable[[str], ModuleType]) -> ModuleType:
    return pack("nodes.subject_nodes")


@pytest.fixture
def library(host_folders: Path) -> Path:
    return host_folders / "input" / "lumosx" / "subjects"


def person(colour: str = "red") -> Subject:
    picture = Image.new("RGB", (12, 10), colour)
    return Subject(
        name="young woman",
        face=picture,
        more_views=(Image.new("RGB", (8, 8), "blue"),),
        attributes=(Attribute(phrase="red jacket", image=picture, tag="coat"), Attribute(phrase="hat", image=picture)),
        tag="anna",
        occurrence=2,
    )


def listed(node: Any) -> list[str]:
    return next(item for item in node.define_schema().inputs if item.id == "subject").options


@pytest.mark.parametrize("name", ["anna", "\u5b89\u5a1c", "Anna: the/first?", " anna  b ", "con"])
def test_a_saved_person_comes_back_whole(nodes: ModuleType, library: Path, name: str) -> None:
    subject, picture = nodes.SaveSubject.execute(person(), name, False).args
    assert subject == person() and picture.shape[-1] == 3
    (shown, none) = listed(nodes.LoadSubject)
    assert (shown, none) == (" ".join(name.split()), "none")
    assert nodes.LoadSubject.execute(shown).args[0] == person()
    (folder,) = (path for path in library.iterdir() if path.is_dir())
    assert Image.open(folder.with_name(f"{folder.name}.png")).size[0] > 50


def test_words_of_this_prompt_replace_the_saved_ones(nodes: ModuleType, library: Path) -> None:
    nodes.SaveSubject.execute(person(), "anna", False)
    assert library.is_dir()
    loaded = nodes.LoadSubject.execute("anna", "singer", "@star", 1).args[0]
    assert (loaded.name, loaded.tag, loaded.occurrence) == ("singer", "star", 1)
    assert loaded.attributes == person().attributes


def test_a_strength_is_multiplied_with_the_saved_one_and_never_cut_in_silence(nodes: ModuleType, library: Path) -> None:
    nodes.SaveSubject.execute(replace(person(), strength=1.6), "anna", False)
    assert library.is_dir()
    assert nodes.LoadSubject.execute("anna", strength=0.5).args[0].strength == 0.8
    with pytest.raises(InputError, match=r"strength 1.5 times the 1.6 that 'anna' was saved with is more than 2; .* 1.25"):
        nodes.LoadSubject.execute("anna", strength=1.5)
    assert nodes.LoadSubject.execute("anna", strength=1.25).args[0].strength == 2.0


def test_somebody_else_is_replaced_only_where_that_is_wanted(nodes: ModuleType, library: Path) -> None:
    nodes.SaveSubject.execute(person(), "anna", False)
    nodes.SaveSubject.execute(person(), "anna", False)  # the same one
    with pytest.raises(InputError, match="somebody else is saved as 'anna'; switch overwrite on"):
        nodes.SaveSubject.execute(person("green"), "anna", False)
    assert nodes.LoadSubject.execute("anna").args[0] == person()
    nodes.SaveSubject.execute(person("green"), "anna", True)
    assert nodes.LoadSubject.execute("anna").args[0] == person("green")
    assert sorted(path.name for path in library.iterdir()) == ["anna", "anna.png"]


def test_a_folder_of_ones_own_is_a_person(nodes: ModuleType, library: Path) -> None:
    for name in ("face_man.png", "blue shirt.png"):
        (library / "max").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), "blue").save(library / "max" / name)
    loaded = nodes.LoadSubject.execute("max").args[0]
    assert (loaded.name, [each.phrase for each in loaded.attributes]) == ("man", ["blue shirt"])


def test_what_is_no_person_or_no_name_is_told(nodes: ModuleType, library: Path) -> None:
    (library / "empty").mkdir(parents=True)
    (library / "deep" / "inside").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(library / "deep" / "inside" / "hat.png")
    for choice, words in (
        ("none", "nobody is chosen; save a person"),
        ("gone", "nobody is saved as 'gone'"),
        ("../subjects", "nobody is saved as"),
        ("empty", "holds no pictures"),
        ("deep", "inside/hat.png would be left out"),
    ):
        with pytest.raises(InputError) as refused:
            nodes.LoadSubject.execute(choice)
        assert words in str(refused.value), choice
    (library / "deep" / "keep.txt").write_text("mine")
    with pytest.raises(InputError, match="cannot read the person"):
        nodes.SaveSubject.execute(person(), "deep", True)
    assert (library / "deep" / "keep.txt").read_text() == "mine"
    for name in ("", "  ", "none", "n" * 81):
        with pytest.raises(InputError, match="the name is"):
            nodes.SaveSubject.execute(person(), name, True)
    assert sorted(path.name for path in library.iterdir()) == ["deep", "empty"]


@pytest.mark.parametrize(
    ("mode", "size"), [("RGB", (1, 1)), ("RGB", (16384, 2)), ("L", (9, 7)), ("RGBA", (9, 7)), ("I;16", (9, 7))]
)
def test_pictures_of_every_kind_come_back(nodes: ModuleType, library: Path, mode: str, size: tuple[int, int]) -> None:
    picture = Image.new(mode, size, {"RGBA": (1, 2, 3, 40), "RGB": (1, 2, 3)}.get(mode, 7))
    kept = Subject(name="man", face=picture, attributes=(Attribute(phrase="hat", image=picture),))
    nodes.SaveSubject.execute(kept, "max", False)
    assert library.is_dir() and nodes.LoadSubject.execute("max").args[0] == kept


def test_a_damaged_person_and_a_place_that_is_taken(nodes: ModuleType, library: Path) -> None:
    for name, file, content in (("cut", "face_man.png", b"\x89PNG cut"), ("notes", "relations.json", b"{")):
        (library / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(library / name / "face_man.png")
        (library / name / file).write_bytes(content)
        with pytest.raises(InputError, match=f"cannot read the person in .*{name}.*{file}"):
            nodes.LoadSubject.execute(name)
    (library / "max.png").mkdir()
    with pytest.raises(
        InputError, match="max.png is a folder, but the picture of the person goes there; save under another name"
    ):
        nodes.SaveSubject.execute(person(), "max", True)
    assert sorted(path.name for path in library.iterdir()) == ["cut", "max.png", "notes"]
