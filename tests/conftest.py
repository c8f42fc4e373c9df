"""Tests run offline, side by side in the workers of pytest-xdist: a file's tests in one worker, and those that share the
running ComfyUI in one. What takes longest begins first, so that no worker is left alone with it at the end."""

import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads of one worker do not keep the cores from the other

SERVER = "server"  # what needs the fixture of that name
LONGEST_FIRST = (
    SERVER, "test_kills", "test_puppet_benchmark", "test_training", "test_comfy_bridge", "test_puppets", "test_workers",
    "test_without_transformers",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups for `--dist loadgroup`, and their order."""
    ranks = {name: rank for rank, name in enumerate(LONGEST_FIRST)}

    def group(item: pytest.Item) -> str:
        return SERVER if SERVER in getattr(item, "fixturenames", ()) else item.path.stem

    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=lambda item: ranks.get(group(item), len(ranks)))
