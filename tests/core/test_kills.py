"""Commands killed at their file operations (`kill_harness.py` says how and what must be left): every operation of the quick
ones, a few of the long ones. The whole of it is `python -m tests.core.kill_harness`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = ("write_sample", "convert-transformer:6 generate:1")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("commands", CASES)
def test_nothing_is_lost_and_nothing_half(commands: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.core.kill_harness", *commands.split()],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    killed = [int(n) for n in re.findall(r"killed at (\d+) of \d+ file operations", done.stdout)]
    assert len(killed) == len(commands.split()) and min(killed) >= 1, done.stdout
