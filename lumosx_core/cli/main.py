"""The entry point: parses arguments, runs a command, turns errors into messages.

Exit status: 0 done, 1 a check failed, 2 wrong input or a file that cannot be read or written, 130 stopped by Ctrl-C (143 by
SIGTERM, 129 by a closed terminal), 141 nobody reads the output any more (`| head -1`).
"""

import argparse
import importlib
import io
import logging
import os
import signal
import sys
from typing import TextIO

from lumosx_core import __version__
from lumosx_core.cli.stopping import SignalStop, stoppable
from lumosx_core.errors import InputError

# Name of the command (and of its file here) and one line of help.
COMMANDS: dict[str, str] = {
    "demo": "make a video from an embedded sample with the embedded model",
    "generate": "make videos from a sample folder: reference pictures and a prompt",
    "people": "make a person's reference pictures out of photographs",
    "collect": "make a dataset of relational samples out of videos",
    "dataset": "count, check and show a collected dataset",
    "inspect": "print and draw what a sample folder means: relations, tokens, masks",
    "convert": "turn released weights into the files of a model folder",
    "train": "train the nano model, or a transformer on prepared latents",
    "evaluate": "measure how well a model binds attributes to their owners, finders see, captions are read",
    "bench": "time and memory of relational attention against plain, dense-mask and no references",
    "verify": "check this machine against golden numbers",
    "doctor": "versions, devices, attention backends, and what is missing",
}


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands. Their heavy imports happen when they run."""
    parser = argparse.ArgumentParser(
        prog="lumosx", description="Videos of several people from pictures: everyone keeps their own things."
    )
    parser.add_argument("--version", action="version", version=f"lumosx {__version__}")
    parser.add_argument("--verbose", action="store_true", help="show informative log lines too")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, line in COMMANDS.items():
        module = importlib.import_module(f"lumosx_core.cli.{name}")
        sub = subparsers.add_parser(name, help=line, description=module.__doc__)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    # Threads that wait for each other sleep. Where other programs have the cores too, those that spin instead (the default of
    # torch on Linux) make a small model several times as slow. It counts until torch is imported; what is set already stays.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that is not UTF-8 shows what it can
            stream.reconfigure(errors="backslashreplace")
    try:
        with stoppable():
            try:
                options = build_parser().parse_args(arguments)
                level = logging.INFO if options.verbose else logging.WARNING
                logging.basicConfig(level=level, format="%(levelname)s: %(message)s")
                return options.run(options)
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()  # here, where a failure can be told
    except InputError as error:
        return _fail(f"error: {error}", 2)
    except BrokenPipeError:
        _let_go(sys.stdout)
        return _fail("stopped: nobody reads the output any more", 141)
    except OSError as error:
        if sys.stdout is not None and error.filename is None:
            _let_go(sys.stdout)  # what is in its buffer would fail again at the end of the process
        return _fail(f"error: {error}; check the path, its permissions and the free space", 2)
    except KeyboardInterrupt as stop:
        number = stop.number if isinstance(stop, SignalStop) else signal.SIGINT
        return _fail("\nstopped; nothing was left half-written", 128 + number)


def _fail(message: str, status: int) -> int:
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        _let_go(sys.stderr)
    return status


def _let_go(stream: TextIO) -> None:
    """Send what is left in the buffer of a stream that cannot be written to nowhere."""
    try:
        place = os.open(os.devnull, os.O_WRONLY)
        os.dup2(place, stream.fileno())
        os.close(place)
    except (OSError, ValueError):
        return


if __name__ == "__main__":
    raise SystemExit(main())
