"""The translations of the nodes: complete, and without signs that break the frontend. (English: test_snapshots.py.)"""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from locale_messages import SPECIAL_SIGNS, all_messages, texts
from node_info import NodeInfo, pack_info

FOLDER = Path(__file__).parents[2] / "locales"
CHINESE = FOLDER / "zh" / "nodeDefs.json"


@pytest.fixture(scope="module")
def infos(pack: Callable[[str], ModuleType]) -> dict[str, NodeInfo]:
    return pack_info(pack)


def test_files_are_those_that_the_host_reads() -> None:
    found = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()}
    assert found == {"en/nodeDefs.json", "zh/nodeDefs.json"}


def test_chinese_is_complete(infos: dict[str, NodeInfo]) -> None:
    wanted, found = texts(all_messages(infos)), texts(json.loads(CHINESE.read_text("utf-8")))
    assert found.keys() == wanted.keys()
    assert not [place for place, text in found.items() if not text.strip()]
    untranslated = [
        place
        for place, text in found.items()
        if place.endswith(("tooltip", "description")) and not any("\u4e00" <= sign <= "\u9fff" for sign in text)
    ]
    assert not untranslated


def test_display_names_are_the_same_everywhere(infos: dict[str, NodeInfo]) -> None:
    """Messages and help name nodes by them."""
    chinese = json.loads(CHINESE.read_text("utf-8"))
    assert {name: chinese[name]["display_name"] for name in infos} == {
        name: info.raw["display_name"] for name, info in infos.items()
    }


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_text_has_signs_of_the_message_syntax(language: str) -> None:
    messages = texts(json.loads((FOLDER / language / "nodeDefs.json").read_text("utf-8")))
    assert not {place: text for place, text in messages.items() if SPECIAL_SIGNS & set(text)}
