"""The help inside the nodes: web/docs/<node id>.md and, in Chinese, web/docs/<node id>/zh.md, where the frontend looks."""

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from node_info import NodeInfo, pack_info

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "web" / "docs"
SECTIONS = {
    "en": ["Inputs", "Outputs", "When it fails", "Example"],
    "zh": ["\u8f93\u5165", "\u8f93\u51fa", "\u51fa\u9519\u65f6", "\u793a\u4f8b"],
}


@pytest.fixture(scope="module")
def infos(pack: Callable[[str], ModuleType]) -> dict[str, NodeInfo]:
    return pack_info(pack)


def page(node: str, language: str) -> str:
    return (FOLDER / (f"{node}.md" if language == "en" else f"{node}/{language}.md")).read_text("utf-8")


def section(text: str, number: int, language: str) -> str:
    """The text below one of the headings."""
    titles = SECTIONS[language]
    return text.split(f"\n## {titles[number]}\n")[1].split("\n## ")[0]


def named(text: str) -> list[str]:
    """The names that begin the points of a list."""
    return [
        name for row in re.findall(r"^- (`[^:\uff1a]*)[:\uff1a]", text, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)
    ]


def test_nothing_in_a_page_is_wider_than_the_hosts_panel() -> None:
    """The panel is about 300 pixels wide: 36 letters of code. Columns of a table are cut off there."""
    for path in FOLDER.rglob("*.md"):
        text = path.read_text("utf-8")
        assert not re.search(r"^\|", text, re.MULTILINE), f"{path}: a table; write a list"
        assert all(len(part) <= 36 for code in re.findall(r"`([^`\n]+)`", text) for part in code.split()), path


def test_the_host_finds_the_folder() -> None:
    spec = importlib.util.spec_from_file_location("the_pack", ROOT / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / module.WEB_DIRECTORY / "docs").samefile(FOLDER)


def test_every_node_has_a_page_and_no_other(infos: dict[str, NodeInfo]) -> None:
    found = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    assert found == {f"{name}.md" for name in infos} | {f"{name}/zh.md" for name in infos}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_pages_name_every_input_and_output(infos: dict[str, NodeInfo], language: str) -> None:
    for name, info in infos.items():
        text = page(name, language)
        assert text.startswith(f"# {info.raw['display_name']}\n"), name
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS[language], name
        assert named(section(text, 0, language)) == ordered(info), name
        assert named(section(text, 1, language)) == [output for output, _ in info.outputs], name


def ordered(info: NodeInfo) -> list[str]:
    return [each.name for each in info.inputs]


def test_chinese_pages_show_the_labels_of_the_chinese_nodes(infos: dict[str, NodeInfo]) -> None:
    messages = json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text("utf-8"))
    for name in infos:
        for number, kind in enumerate(("inputs", "outputs")):
            points = section(page(name, "zh"), number, "zh").lower()
            for label in (entry["name"] for entry in messages[name].get(kind, {}).values() if "name" in entry):
                assert label.lower() in points, f"{name}: {label}"
