"""Jobs shared out to the machines of a Ray cluster, by actors of Ray Data.

Every machine must reach what the jobs name under the same absolute paths: a shared folder. A job whose worker is lost (a crash,
memory, its machine) costs itself alone: Ray starts another worker, and the others go on. Ray's own checkpoints are not used:
the work store knows what is done. A Ray that is started here tells nobody of its use; of a cluster that is joined, whoever
started it has decided.
"""

import logging
import os
import socket
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from lumosx_core.errors import InputError
from lumosx_core.numbers import real_number
from lumosx_core.packages import install_command
from lumosx_core.workers import sendable, worker_count

Job = TypeVar("Job")
Result = TypeVar("Result")
ANY = "auto"  # the address of whatever cluster this machine belongs to
STORE_BYTES = 200 * 2**20  # Ray's store of a cluster that is started here: jobs and records are small
ANSWER_S = 5.0  # for the machine of an address
MOST_GPUS = 8.0
PACKAGE = "ray[data]>=2.60,<2.64"


class RayEngine:
    """An engine (`engine.py`) of Ray. Use as a context manager: the cluster is joined with the first jobs and left in the end.

    workers: actors at a time, by default as many as the cluster has cores, or GPUs for. gpus: that each takes, may be a part of
    one, 0 for none. address: host:port of the cluster; "auto" for the one that this machine belongs to (`ray start`), and where
    it belongs to none for a Ray that is started here and ended in the end.

    Raises InputError where Ray is not installed, and for numbers that cannot be.
    """

    def __init__(self, *, workers: int | None = None, gpus: float = 0.0, address: str = ANY) -> None:
        worker_count(workers)
        self.workers, self.address = workers, address
        self.gpus = real_number(gpus, "GPUs of a worker", least=0, most=MOST_GPUS)
        self._ray = _import_ray()
        self._joined = False
        self._checks: list[tuple[Callable[[Any], object], object]] = []

    def __enter__(self) -> "RayEngine":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._joined:
            self._ray.shutdown()
            self._joined = False

    def check(self, function: Callable[[Any], object], value: object) -> None:
        """Note what is checked on a machine of the cluster when it is joined."""
        self._checks.append((function, value))

    def run(
        self,
        function: Callable[[Job], Result],
        jobs: Sequence[Job],
        on_result: Callable[[Result], None],
        *,
        lost: Callable[[Job, str], Result],
        time_limit_s: float,
    ) -> None:
        """As `Engine` says. Raises InputError if the cluster cannot be joined or breaks down."""
        ray = self._ray
        self._join()
        open_jobs = dict(enumerate(jobs))
        # One block for every job: what is lost with a worker is a block.
        rows = ray.data.from_items([_Task(number, job) for number, job in open_jobs.items()], override_num_blocks=len(jobs))
        with warnings.catch_warnings():
            # Until Ray has a named parameter in its place, this is how a job that ends its worker is not tried for ever.
            warnings.simplefilter("ignore", DeprecationWarning)
            answers = rows.map(
                _Runner,
                fn_constructor_args=(function, time_limit_s),
                # Nobody waits in line behind a job, or would be lost with it.
                compute=ray.data.ActorPoolStrategy(size=min(self._size(), len(jobs)), max_tasks_in_flight_per_actor=1),
                num_gpus=self.gpus or None,
                max_task_retries=0,
            )
        answers.context.max_errored_blocks = -1
        answers.context.enable_progress_bars = False  # there is one of our own
        try:
            for row in answers.iter_rows():
                answer: _Answer = row["item"]
                if answer.error is not None:
                    raise answer.error
                del open_jobs[answer.number]
                on_result(answer.result)
        except ray.exceptions.RayError as error:
            raise InputError(
                f"the Ray cluster broke down ({type(error).__name__}: {str(error)[:300]}); what was done is kept, so see that "
                "the cluster runs and give the same command again"
            ) from error
        for job in open_jobs.values():
            on_result(lost(job, f"was lost: it crashed, ran out of memory or of {time_limit_s:g} s, or its machine went away"))

    def _size(self) -> int:
        """The number of actors."""
        if self.workers is not None:
            return self.workers
        there = self._ray.cluster_resources()
        room = there.get("GPU", 0.0) / self.gpus if self.gpus else there.get("CPU", 1.0)
        if room < 1:
            raise InputError(
                f"a worker takes {self.gpus:g} GPUs, the Ray cluster has {there.get('GPU', 0.0):g}; add machines, "
                "or take less by --worker-gpus, or none by models.device=cpu"
            )
        return int(room + 1e-6)

    def _join(self) -> None:
        """Connect to the cluster, and check what is to be checked there."""
        if self._joined:
            return
        ray = self._ray
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        for name in ("ray", "ray.data"):  # a lost job is told by whoever runs the collection
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if self.address != ANY:
            _must_answer(self.address)
            try:
                ray.init(address=self.address, **options)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise InputError(f"cannot join the Ray cluster at {self.address} ({error}); {_WHERE}") from error
        else:
            try:
                ray.init(address=ANY, **options)
            except ConnectionError:  # there is none
                cores = worker_count(self.workers)
                try:
                    ray.init(
                        address="local", num_cpus=cores, include_dashboard=False, object_store_memory=STORE_BYTES, **options
                    )
                except Exception as error:  # a bare one where its parts do not come up in time
                    raise InputError(f"Ray did not start on this machine ({error}); try again when it is less busy") from error
        self._joined = True
        for function, value in self._checks:
            problem = ray.get(ray.remote(_raised).options(num_gpus=self.gpus).remote(function, value))
            if problem is not None:
                raise problem


_WHERE = "give host:port of its head in RAY_ADDRESS, or leave RAY_ADDRESS out to start Ray on this machine"


def _import_ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InputError(f"--engine ray needs Ray ({error}); run  {install_command([PACKAGE])}") from error
    return ray


def _must_answer(address: str) -> None:
    """Raises InputError for what is no host:port, and where nobody answers; Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"the address of the Ray cluster is {address!r}, expected host:port; {_WHERE}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
    except OSError as error:
        raise InputError(f"nobody answers at {address}, the address of the Ray cluster ({error}); {_WHERE}") from error


def _raised(function: Callable[[Any], object], value: object) -> Exception | None:
    """What function(value) raises, in a form that can be sent."""
    try:
        function(value)
    except Exception as error:
        return sendable(error)
    return None


@dataclass(frozen=True)
class _Task:
    """A job and its number, as one value of a row."""

    number: int
    job: Any


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What became of a job: its result, or what it raised."""

    number: int
    result: Any = None
    error: Exception | None = None


class _Runner:
    """An actor: does one job after the other. One that takes too long ends the actor's process."""

    def __init__(self, function: Callable[[Any], Any], time_limit_s: float) -> None:
        import torch

        torch.set_num_threads(1)  # the same numbers as in other workers
        self.function, self.time_limit_s = function, time_limit_s

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        task: _Task = row["item"]
        late = threading.Timer(self.time_limit_s, os._exit, (1,))
        late.daemon = True
        late.start()
        try:
            return {"item": _Answer(number=task.number, result=self.function(task.job))}
        except Exception as error:  # one that is raised here would be a lost worker's
            return {"item": _Answer(number=task.number, error=sendable(error))}
        finally:
            late.cancel()
