"""Phrases as file names: a reversible escape, and the natural order of names with numbers in them.

A phrase is a file name in a sample folder, but a phrase may hold characters that some file system refuses. Those are
written as `%` and two upper-case hex digits, as in a web address: `/ \\ : * ? " < > | %`, control characters, a leading
dot or space, a trailing dot or space, and the first letter of the names that Windows keeps for itself (`con`, `nul`).
Reading turns every such sequence below %80 back, so that `red%20shirt.png` reads as "red shirt" too.
"""

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from lumosx_core.errors import InputError

MAX_STEM_BYTES = 200  # file systems take 255; the rest is for a prefix, the number and the extension
_REFUSED = set('/\\:*?"<>|%\x7f') | {chr(code) for code in range(32)}
_RESERVED_ON_WINDOWS = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
_ESCAPED = re.compile("%([0-7][0-9A-F])")


def escape_phrase(phrase: str) -> str:
    """The phrase as a file name without extension; `unescape_phrase` gives the phrase back."""
    last = len(phrase) - 1
    escaped = "".join(
        _escape(char) if char in _REFUSED or (place in (0, last) and char in ". ") else char
        for place, char in enumerate(phrase)
    )
    if phrase.split(".")[0].strip().lower() in _RESERVED_ON_WINDOWS:
        escaped = _escape(phrase[0]) + escaped[1:]
    return escaped


def free_stem(phrase: str, taken: set[str], *, forbidden_prefix: str | None = None) -> str:
    """A file name without extension for the phrase, and its entry in `taken`.

    It is `escape_phrase(phrase)`, its first letter escaped if it would begin with the forbidden prefix; shortened to
    `MAX_STEM_BYTES` if need be, and numbered ("hat~2") if taken, where case does not count.
    """
    stem = escape_phrase(phrase)
    if forbidden_prefix and f"{stem}_".startswith(forbidden_prefix):
        stem = _escape(stem[0]) + stem[1:]
    while len(stem.encode()) > MAX_STEM_BYTES:
        stem = stem[:-1]
    whole, number = stem, 1
    while _same_file(stem) in taken:
        number += 1
        stem = f"{whole}~{number}"
    taken.add(_same_file(stem))
    return stem


def output_stem(name: str) -> str:
    """The name, if files can be called by it: "<name>_0.mp4" and the like. Raises InputError for an empty one, one with a path
    or control characters, one above `MAX_STEM_BYTES` in UTF-8, and on Windows one with a character that it refuses."""
    shown = name if len(name) <= 40 else f"{name[:40]}..."
    refused = _REFUSED - {"%"} if os.name == "nt" else {"/", "\\", *map(chr, range(32)), "\x7f"}
    wrong = sorted(refused & set(name))
    try:
        size = len(name.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise InputError(f"the name {shown!r} cannot be written in UTF-8; give another --name") from error
    if wrong or not name.strip(" ."):
        fault = f"holds {wrong[0]!r}" if wrong else "is empty"
        raise InputError(f"the name {shown!r} {fault}; expected the beginning of a file name (its folder goes with --out)")
    if size > MAX_STEM_BYTES:
        raise InputError(f"the name {shown!r} is {size} bytes long, at most {MAX_STEM_BYTES} fit; give a shorter --name")
    return name


def views_in_order(paths: Sequence[Path]) -> list[Path] | None:
    """The files of one face by number ("man", "man~2", "man~3", as `free_stem` names them); None if they are no such row."""
    by_stem = {path.stem: path for path in paths}
    if not paths or len(by_stem) < len(paths):
        return None if paths else []
    for first in by_stem:
        numbered = {stem: re.fullmatch(re.escape(first) + "~([2-9]|[1-9][0-9]+)", stem) for stem in by_stem}
        numbers = {stem: int(match[1]) for stem, match in numbered.items() if match} | {first: 1}
        if len(numbers) == len(by_stem):
            return [by_stem[stem] for stem in sorted(numbers, key=lambda stem: numbers[stem])]
    return None


def unescape_phrase(name: str) -> str:
    """The phrase that a file name without extension stands for."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), name)


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Sort key: numbers by value, letters without case ("hat 2" before "hat 10"); equal names by their characters."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def _escape(char: str) -> str:
    return f"%{ord(char):02X}"


def _same_file(stem: str) -> str:
    return unicodedata.normalize("NFC", stem).casefold()
