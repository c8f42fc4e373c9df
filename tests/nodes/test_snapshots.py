"""What saved workflows, prompts and translations depend on, compared with the files that were committed.

After a wanted change of a node's face or of a nano workflow, with the newest ComfyUI:

    LUMOSX_WRITE_SNAPSHOTS=1 .venv/bin/python -m pytest tests/nodes/test_snapshots.py

writes tests/nodes/object_info.json, locales/en/nodeDefs.json and tests/nodes/api anew; `git diff` shows what it means.
"""

import difflib
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from locale_messages import english_messages
from node_info import NodeInfo, host_info, pack_info, snapshot
from workflow_graph import api_format

ROOT = Path(__file__).parents[2]
OBJECT_INFO = Path(__file__).parent / "object_info.json"
ENGLISH = ROOT / "locales" / "en" / "nodeDefs.json"
API_FOLDER = Path(__file__).parent / "api"
WRITE = bool(os.environ.get("LUMOSX_WRITE_SNAPSHOTS"))


@pytest.fixture(scope="module")
def infos(pack: Callable[[str], ModuleType]) -> dict[str, NodeInfo]:
    return pack_info(pack)


def compare(path: Path, content: dict) -> None:
    """Fails with a diff unless the file holds this; writes it where that was asked for."""
    expected = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if WRITE:
        path.write_text(expected, "utf-8")
    stored = path.read_text("utf-8")
    diff = difflib.unified_diff(stored.splitlines(), expected.splitlines(), "committed", "now", lineterm="", n=2)
    assert stored == expected, f"{path.relative_to(ROOT)} is out of step (see the top of this file):\n" + "\n".join(diff)


def test_object_info_is_what_was_committed(infos: dict[str, NodeInfo]) -> None:
    compare(OBJECT_INFO, snapshot(infos))


def test_english_messages_are_those_of_the_nodes(infos: dict[str, NodeInfo]) -> None:
    compare(ENGLISH, english_messages(infos))


@pytest.mark.skipif(not WRITE, reason="only writes; test_workflows.py compares, on every version of the host")
def test_api_files_are_written(infos: dict[str, NodeInfo]) -> None:
    everything = {**infos, **host_info()}
    for path in API_FOLDER.glob("*.json"):
        workflow = json.loads((ROOT / "workflows" / path.name).read_text("utf-8"))
        compare(path, api_format(workflow, everything))
