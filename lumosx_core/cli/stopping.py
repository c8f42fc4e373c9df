"""Ctrl-C, SIGTERM and a closed terminal stop the work, once they were seen, whatever swallowed the exception.

An exception that a signal raises inside a callback of a library (while it imports, collects garbage, destroys an object) is
printed or dropped there, and the work would go on. So the signal is remembered, and every step of progress asks for it.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_asked: list[int] = []  # signals that came since `stoppable` began


class SignalStop(KeyboardInterrupt):  # noqa: N818 - it is no error
    """A signal that asks the process to end. number: which."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def check_stop() -> None:
    """Raises SignalStop if the process was asked to end."""
    if _asked:
        raise SignalStop(_asked[0])


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside, these signals raise SignalStop, where nobody has said otherwise."""

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of handlers
        _asked.append(number)
        raise SignalStop(number)

    before = {}
    _asked.clear()
    if threading.current_thread() is threading.main_thread():
        for name, usual in (("SIGINT", signal.default_int_handler), ("SIGTERM", signal.SIG_DFL), ("SIGHUP", signal.SIG_DFL)):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is usual:
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _asked.clear()
