"""Where the jobs of a collection are done: what `collect` asks of an engine, and the one of processes on this machine.

Jobs and results are paths, settings and records, never frames. Engines only do jobs: whoever called them commits the results.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from lumosx_core.workers import run_in_processes, worker_count

Job = TypeVar("Job")
Result = TypeVar("Result")


class Engine(Protocol):
    """Does jobs somewhere."""

    def check(self, function: Callable[[Any], object], value: object) -> None:
        """Call function(value) where jobs are done, before the first of them, for what it raises: an InputError that says what
        is missing there. Engines that have yet to start do it when they start."""
        ...

    def run(
        self,
        function: Callable[[Job], Result],
        jobs: Sequence[Job],
        on_result: Callable[[Result], None],
        *,
        lost: Callable[[Job, str], Result],
        time_limit_s: float,
    ) -> None:
        """Call on_result here for function(job) of every job, in any order, as soon as it is there.

        lost: what to take for a job whose worker was lost, or that took longer than time_limit_s seconds; told why. It costs
        that job alone. What a job itself raises ends all and is raised. Raises InputError when jobs cannot be done at all.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ProcessEngine:
    """Processes on this machine. workers: how many, by default one per core. Raises InputError for numbers that cannot be."""

    workers: int | None = None

    def __post_init__(self) -> None:
        worker_count(self.workers)

    def check(self, function: Callable[[Any], object], value: object) -> None:
        """As `Engine` says."""
        function(value)

    def run(
        self,
        function: Callable[[Job], Result],
        jobs: Sequence[Job],
        on_result: Callable[[Result], None],
        *,
        lost: Callable[[Job, str], Result],
        time_limit_s: float,
    ) -> None:
        """As `Engine` says."""
        run_in_processes(function, jobs, worker_count(self.workers), on_result, lost=lost, time_limit_s=time_limit_s)
