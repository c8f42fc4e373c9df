"""The short form of `collect_kills.py`: the whole group once. Lost workers are in test_collect.py."""

import sys
from pathlib import Path

import pytest
from collect_kills import run_kills


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="NO /proc: children are found on Linux only")
def test_killed_collections_end_as_undisturbed_ones(tmp_path: Path) -> None:
    assert run_kills(tmp_path, 1, 2, ("group",)) == []
