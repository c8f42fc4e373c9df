"""Progress bars with the time left, for the commands that take long."""

import sys
from types import TracebackType

from tqdm import tqdm

from lumosx_core.cli.stopping import check_stop


class ProgressBars:
    """A `Progress` callable (stage, done, total) that shows one bar per stage. Use as a context manager."""

    def __init__(self) -> None:
        self.stage = ""
        self.bar: tqdm | None = None

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` steps of a stage are done; note: figures to show behind the bar. Raises SignalStop if the
        process was asked to end and goes on all the same."""
        check_stop()
        if stage != self.stage or self.bar is None:
            self.close()
            self.stage = stage
            self.bar = tqdm(total=total, desc=stage, leave=True, dynamic_ncols=True, disable=sys.stderr is None)
        if note:
            self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        """Finish the current bar."""
        if self.bar is not None:
            self.bar.update(self.bar.total - self.bar.n)
            self.bar.close()
            self.bar = None

    def __enter__(self) -> "ProgressBars":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if kind is None:
            self.close()
        elif self.bar is not None:
            self.bar.close()
