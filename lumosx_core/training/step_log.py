"""What every step of a run gave, one line each in `log.jsonl`: to be read by programs, and after the run."""

import math
from dataclasses import dataclass
from pathlib import Path

from lumosx_core.files.json_lines import append_record, read_records


@dataclass(frozen=True, kw_only=True)
class LoggedStep:
    """A step, from 1, and its figures: loss, loss/<noise level>, norm, rate, seconds and of them waited (for data),
    tokens_per_second, memory (GiB, the peak so far), skipped (1: left out), validation where it was measured. None stands for
    what is not finite."""

    step: int
    figures: dict[str, float | None]


class StepLog:
    """A function on_step(step, figures) for `train` that adds a line to `path`.

    A resumed run does the steps after its last saved state again, and their lines come again: the last of a step counts
    (`read_step_log`). Raises InputError when the disk refuses, and for a log that is damaged but for its end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        read_records(path, LoggedStep)  # removes a line that a killed run left half written

    def __call__(self, step: int, figures: dict[str, float]) -> None:
        """Log a step, counted from 0 as `train` does."""
        told = {name: value if math.isfinite(value) else None for name, value in figures.items()}
        append_record(self.path, LoggedStep(step=step + 1, figures=told))


def read_step_log(path: Path) -> list[LoggedStep]:
    """The steps of a log in their order, each once. Raises InputError for a damaged line."""
    last = {logged.step: logged for logged in read_records(path, LoggedStep)}
    return [last[step] for step in sorted(last)]
