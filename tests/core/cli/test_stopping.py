"""A signal stops the work even where a library swallows the exception that it raises."""

import contextlib
import os
import signal
import sys
import time

import pytest

from lumosx_core.cli.progress import ProgressBars
from lumosx_core.cli.stopping import SignalStop, stoppable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_swallowed_signal_stops_at_the_next_step(name: str) -> None:
    number = getattr(signal, name)
    usual = signal.getsignal(number)
    signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)
    done = []
    try:
        with pytest.raises(SignalStop) as stopped, stoppable(), ProgressBars() as progress:
            for step in range(4):
                progress("steps", step, 4)
                done.append(step)
                if step == 1:
                    with contextlib.suppress(KeyboardInterrupt):  # as a careless library does
                        os.kill(os.getpid(), number)
                        for _ in range(100):  # it may arrive in another thread
                            time.sleep(0.02)
        assert stopped.value.number == number and done == [0, 1]
        with stoppable(), ProgressBars() as progress:
            progress("steps", 1, 1)  # the next command is not concerned
    finally:
        signal.signal(number, usual)
