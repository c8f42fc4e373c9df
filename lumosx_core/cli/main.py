"""The entry point: parses arguments, runs a command, turns errors into messages.

Exit status: 0 done, 1 a check failed, 2 wrong input, 130 stopped by Ctrl-C.
"""

import argparse
import importlib
import logging
import sys

from lumosx_core import __version__
from lumosx_core.errors import InputError

# Name of the command (and of its file here) and one line of help.
COMMANDS: dict[str, str] = {
    "demo": "make a video from an embedded sample with the embedded model",
    "generate": "make videos from a sample folder: reference pictures and a prompt",
    "inspect": "print and draw what a sample folder means: relations, tokens, masks",
    "convert": "turn released weights into the files of a model folder",
    "train": "train the nano model, or a transformer on prepared latents",
    "evaluate": "measure how well a model binds attributes to their owners",
    "bench": "time relational attention against plain and dense-mask attention",
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
    options = build_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        return options.run(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; nothing was left half-written", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
