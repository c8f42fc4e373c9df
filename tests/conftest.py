"""Tests run offline, side by side in the workers of pytest-xdist: a file's tests in one worker, and those that share the
running ComfyUI in one. What takes longest begins first, so that no worker is left alone with it at the end."""

import os
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads of one worker do not keep the cores from the other

LONGEST_FIRST = (
    "server",
    "test_kills",
    "test_puppet_benchmark",
    "test_training",
    "test_comfy_bridge",
    "test_puppets",
    "test_workers",
    "test_without_transformers",
)


def scope_of(nodeid: str) -> str:
    """What stays in one worker: the file, or "server" for those with the fixture of that name."""
    path = nodeid.split("::")[0]
    return "server" if "/browser/" in path or path.endswith("test_server.py") else path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order of the files."""
    ranks = {name: rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(scope_of(item.nodeid).split("/")[-1].removesuffix(".py"), len(ranks)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spreads the scopes. xdist's own groups are of no effect with pytest 9.2: they are a part of ids that it no longer has."""
    from xdist.scheduler import LoadScopeScheduling

    class ByScope(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    return ByScope(config, log)
