"""Work shared out to processes, in one place: fresh processes of one torch thread each, that never outlive who started them.

A worker holds two pipes: jobs and results travel on one; the other carries nothing. It ends when the parent closes it or is
gone, however it was ended, on every system. A thread of the worker waits for that end: it interrupts the work as Ctrl-C does,
so that half-written files are removed, and ends the process if the work does not stop soon.
"""

import math
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from lumosx_core.errors import InputError
from lumosx_core.numbers import whole_number

Job = TypeVar("Job")
Result = TypeVar("Result")
GRACE_S = 5.0  # that a worker has to stop by itself
MAX_WORKERS = 1024
SLOW = "took more than"  # how the reason for the loss of a worker begins that had no more time


def worker_count(workers: int | None) -> int:
    """The number of workers, by default one per core. Raises InputError for others than 1 to MAX_WORKERS."""
    return (os.cpu_count() or 1) if workers is None else whole_number(workers, "workers", least=1, most=MAX_WORKERS)


def run_in_processes(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    on_result: Callable[[Result], None] | None = None,
    *,
    lost: Callable[[Job, str], Result] | None = None,
    time_limit_s: float | None = None,
) -> list[Result]:
    """[function(job) for job in jobs], in `workers` processes; with one worker or one job in this process.

    function: of a module's top level; jobs and results are what pickle takes. on_result(result) is called here for every result
    as soon as it is there, in any order. The first exception of a job or of on_result ends the rest and is raised; Ctrl-C stops
    every worker in the middle of its job. No process is left in any case, also not when this process is killed.

    lost: what to take for a job whose worker was ended by the system, or needed more than time_limit_s seconds; told why.
    Another worker takes the place of that one. With it nothing runs in this process. Without it such an end is an error.
    Raises InputError for a number of workers below 1 or above MAX_WORKERS, and when the system ended a worker.
    """
    workers = min(worker_count(workers), len(jobs))
    if not jobs or (workers <= 1 and lost is None):
        return _run_here(function, jobs, on_result)
    results: list[Any] = [None] * len(jobs)
    crew = [_Worker(function) for _ in range(workers)]
    try:
        for worker in crew:
            worker.start()
        waiting = list(enumerate(jobs))[::-1]
        busy: dict[Connection, tuple[_Worker, int, float]] = {}

        def hand_out(worker: _Worker) -> None:
            number, job = waiting.pop()
            worker.connection.send(job)
            busy[worker.connection] = worker, number, time.monotonic() if worker.awake else math.inf

        for worker in crew:
            hand_out(worker)
        while busy:
            limit = math.inf if time_limit_s is None else time_limit_s
            first = min(started for _, _, started in busy.values()) + limit - time.monotonic()  # seconds until one is late
            ready = wait(list(busy), timeout=min(max(first, 0.0), 0.5))  # not for ever: Ctrl-C cannot end it on Windows
            late = [c for c, (_, _, started) in busy.items() if time.monotonic() - started > limit]
            for connection in [*ready, *(c for c in late if c not in ready)]:
                assert isinstance(connection, Connection)
                worker, number, _ = busy.pop(connection)
                try:
                    if connection not in ready:
                        raise _LostWorkerError(f"{SLOW} {time_limit_s:g} s and was ended")
                    if not worker.awake:
                        worker.wake()
                        busy[connection] = worker, number, time.monotonic()
                        continue
                    results[number] = worker.result()
                except _LostWorkerError as end:
                    if lost is None:
                        raise InputError(f"a worker process {end}; take fewer --workers") from None
                    results[number] = lost(jobs[number], str(end))
                    crew.remove(worker)
                    worker.kill()
                    if waiting:
                        crew.append(worker := _Worker(function))
                        worker.start()
                if on_result is not None:
                    on_result(results[number])
                if waiting:
                    hand_out(worker)
        return results
    finally:
        _end(crew)


class _LostWorkerError(Exception):
    """A worker gave no answer; the text says why."""


def _run_here(
    function: Callable[[Job], Result], jobs: Sequence[Job], on_result: Callable[[Result], None] | None
) -> list[Result]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same numbers as in a worker
    try:
        results = []
        for job in jobs:
            results.append(function(job))
            if on_result is not None:
                on_result(results[-1])
        return results
    finally:
        torch.set_num_threads(threads)


class _Worker:
    """One process and the parent's ends of its two pipes."""

    def __init__(self, function: Callable) -> None:
        # Fresh processes instead of forks: torch's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.connection, self._theirs = context.Pipe()
        self._watched, self.life = context.Pipe(duplex=False)
        self.awake = False
        self.process = context.Process(target=_work, args=(function, self._theirs, self._watched), daemon=True)

    def start(self) -> None:
        """Start the process. Ctrl-C in a terminal reaches all processes of the group: workers leave it to the parent."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
        try:
            self.process.start()
        finally:
            self._theirs.close()
            self._watched.close()
            if blocked is not None:
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def kill(self) -> None:
        """End the process at once."""
        self.life.close()
        self.connection.close()
        self.process.kill()
        self.process.join()

    def result(self) -> Any:
        """What came back, or the exception that came back."""
        result, error, text = self._receive()
        if error is None:
            return result
        raise error from (None if isinstance(error, InputError) else RuntimeError(text))

    def wake(self) -> None:
        """Take the worker's word that it is there: the time of its first job begins."""
        self.awake = self._receive()

    def _receive(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join(GRACE_S)
            status = self.process.exitcode
            raise _LostWorkerError(f"was ended by the system (status {status}), most often since memory ran out") from None


def _end(crew: list[_Worker]) -> None:
    """Stop all workers: idle ones at once, the others within their present step."""
    for worker in crew:
        worker.life.close()
        worker.connection.close()
    started = [worker.process for worker in crew if worker.process.pid is not None]
    deadline = time.monotonic() + GRACE_S + 1
    for process in started:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _work(function: Callable, connection: Connection, life: Connection) -> None:
    """The main function of a worker."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_watch, args=(life,), daemon=True).start()
    with suppress(KeyboardInterrupt, EOFError, OSError):  # the parent is gone, or wants no more
        connection.send(True)
        while True:
            job = connection.recv()
            answer: tuple[Any, Exception | None, str]
            try:
                answer = (function(job), None, "")
            except Exception as error:
                answer = (None, sendable(error), traceback.format_exc())
            connection.send(answer)
    os._exit(0)  # without the goodbyes of libraries, which the interrupt of `_watch` may meet half-way


def _watch(life: Connection) -> None:
    """End this process when the other end of the pipe is closed."""
    import _thread

    with suppress(EOFError, OSError):
        life.recv()
    _thread.interrupt_main()
    time.sleep(GRACE_S)
    os._exit(1)


def sendable(error: Exception) -> Exception:
    """The exception if it is ours or one of Python's own, else one of its text: others need not survive the journey."""
    if isinstance(error, InputError):
        return InputError(str(error))
    if type(error).__module__ == "builtins":
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")
