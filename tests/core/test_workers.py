"""Work in processes: results, errors, Ctrl-C, and that no worker outlives the process that started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lumosx_core.errors import InputError
from lumosx_core.files.leftovers import process_lives
from lumosx_core.workers import run_in_processes, worker_count

ROOT = Path(__file__).parents[2]


def work(job: tuple[str, str]) -> object:
    """What a worker is asked to do in these tests."""
    kind, value = job
    if kind == "threads":
        return torch.get_num_threads(), os.getpid()
    if kind == "input error":
        raise InputError(value)
    if kind == "die":
        os._exit(7)
    if kind == "busy":  # for ever, and tidies up when it is stopped
        Path(value).with_suffix(".pid").write_text(str(os.getpid()))
        try:
            while True:
                torch.ones(200, 200) @ torch.ones(200, 200)
        finally:
            Path(value).with_suffix(".tidy").touch()
    return value


def test_results_come_in_the_order_of_the_jobs_from_one_thread_each() -> None:
    seen: list[object] = []
    jobs = [("threads", "")] * 2 + [("give", str(n)) for n in range(5)]
    results = run_in_processes(work, jobs, 2, seen.append)
    assert results[2:] == [str(n) for n in range(5)] and sorted(map(repr, seen)) == sorted(map(repr, results))
    (one, first), (two, second) = results[:2]  # type: ignore[misc]
    assert (one, two) == (1, 1) and os.getpid() not in (first, second)
    before = torch.get_num_threads()
    assert run_in_processes(work, [("threads", "")] * 2, 1) == [(1, os.getpid())] * 2 and torch.get_num_threads() == before
    assert run_in_processes(work, [], 4) == []


@pytest.mark.parametrize(("kind", "words"), [("input error", "the words"), ("die", "ended by the system .status 7.")])
def test_the_first_error_ends_all_workers_within_their_step(kind: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        run_in_processes(work, [("busy", str(tmp_path / "a")), (kind, "the words"), ("give", "")], 2)
    if (tmp_path / "a.pid").exists():  # it had begun
        assert (tmp_path / "a.tidy").exists() and not process_lives(int((tmp_path / "a.pid").read_text()))


def test_a_lost_worker_costs_its_job_only(tmp_path: Path) -> None:
    jobs = [("give", "a"), ("die", ""), ("busy", str(tmp_path / "b")), ("give", "c"), ("give", "d")]
    seen: list[object] = []
    for workers in (1, 2):
        lost = run_in_processes(work, jobs, workers, seen.append, lost=lambda job, why: f"{job[0]} {why}", time_limit_s=3.0)
        assert [lost[0], *lost[3:]] == ["a", "c", "d"]
        assert str(lost[1]).startswith("die was ended by the system (status 7)")
        assert lost[2] == "busy took more than 3 s and was ended"
        assert not process_lives(int((tmp_path / "b.pid").read_text()))
    assert len(seen) == 10


def test_wrong_numbers_of_workers_are_refused() -> None:
    for number in (0, -1, 5000, 1.5):
        with pytest.raises(InputError, match="workers is"):
            run_in_processes(work, [("give", "")], number)  # type: ignore[arg-type]
    assert worker_count(None) >= 1


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from test_workers import work
from lumosx_core.workers import run_in_processes
if __name__ == "__main__":
    run_in_processes(work, [("busy", sys.argv[1]), ("busy", sys.argv[2])], 2)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("ending", ["SIGKILL", "SIGINT"])
def test_workers_end_with_their_parent(ending: str, tmp_path: Path) -> None:
    """Real processes: the parent is killed, or gets Ctrl-C, while both workers are in the middle of a job."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))
    places = [tmp_path / "one", tmp_path / "two"]
    parent = subprocess.Popen(
        [sys.executable, str(script), *map(str, places)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        workers = [int(wait_for(place.with_suffix(".pid"))) for place in places]
        assert all(process_lives(worker) for worker in workers)
        parent.send_signal(getattr(signal, ending))
        for place in places:
            wait_for(place.with_suffix(".tidy"))
        parent.wait(timeout=30)
        deadline = time.monotonic() + 10
        while any(map(process_lives, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(process_lives, workers))
    finally:
        parent.kill()


def wait_for(path: Path) -> str:
    """The content of a file that comes."""
    deadline = time.monotonic() + 60
    while not path.exists() or (path.suffix == ".pid" and not path.read_text()):
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.05)
    return path.read_text()
