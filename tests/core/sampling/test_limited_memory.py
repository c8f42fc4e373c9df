"""A real limit on memory: sampling keeps to its plan, and less is told as too little."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GIVEN_BACK = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="NO LINUX: address spaces are not told here")
def test_sampling_keeps_to_its_plan_in_a_limited_address_space() -> None:
    from tests.core.sampling.limited_memory import CASES, planned_bytes, prepared_case

    line = [
        sys.executable,
        "-m",
        "tests.core.sampling.limited_memory",
        "--within",
        str(planned_bytes(*prepared_case(CASES["one pass"]))),
    ]
    ended = subprocess.run(line, cwd=ROOT, env=os.environ | GIVEN_BACK, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {"one pass": {"enough": True, "too_little": False, "same": True}}
