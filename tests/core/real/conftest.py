"""Workers of these tests find `tests` here: ComfyUI, which host tests put on the way of imports, has a package of that name."""

import sys
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def only_these_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other folder with a package `tests` is on the way of imports, which the processes of a collection inherit."""
    others = [path for path in sys.path if (Path(path) / "tests" / "__init__.py").is_file()]
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in others])
