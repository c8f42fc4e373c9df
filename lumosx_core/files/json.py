"""JSON in and out: the one place where text that nobody has checked becomes values, and the one that writes them.

Every fault of a file is an InputError that names it: not UTF-8, broken, nested too deeply, numbers of thousands of digits,
NaN, values of other types than the record has.
"""

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import whole_file
from lumosx_core.files.existing import existing_file

MAX_BYTES = 256 * 2**20  # the largest file that is read as JSON
SHOWN = 80  # characters of a wrong value in a message

Record = TypeVar("Record")


def read_json(path: str | Path, what: str = "the file", *, unique_names: bool = False) -> Any:
    """The content of a JSON file in UTF-8, with or without a byte order mark.

    unique_names: refuse an object that has one name twice, of which JSON would keep the last. Raises InputError, which names
    `what` and the path, if it is missing, no file, unreadable, larger than `MAX_BYTES`, or no JSON.
    """
    path = existing_file(path, what.removeprefix("the "), "give the path of a JSON file")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{what} {path} is larger than {MAX_BYTES // 2**20} MiB; that is no file of ours")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {what} {path} ({error}); check its permissions") from error
    return parse_json(content, f"{what} {path}", unique_names=unique_names)


def parse_json(text: str | bytes, source: str, *, unique_names: bool = False) -> Any:
    """The value of a JSON text; `source` names it in messages ("the metadata of FILE").

    unique_names: as in `read_json`. Raises InputError if it is no UTF-8, no JSON (NaN, Infinity and 1e400 are none), nested too
    deeply, or holds a number of thousands of digits.
    """
    try:
        plain = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
        pairs = _unique if unique_names else None
        return json.loads(plain, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=pairs)
    except RecursionError:
        raise InputError(f"{source} is nested too deeply for JSON of ours; correct it or delete it") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError too
        raise InputError(f"{source} is no JSON in UTF-8 ({_short(error)}); correct it or delete it") from error


def parse_record(kind: type[Record], content: Any, source: str) -> Record:
    """A dataclass from a JSON object whose values have the types of its fields; lists become tuples.

    Types known: bool, int, float, str, Literal, dict, list, tuple[T, ...], tuple[A, B], T | None, other dataclasses. Fields
    with a default may be missing. Raises InputError for other things than an object, unknown or missing fields and values of
    another type, and puts `source` before the messages of the record's own checks.
    """
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(content, Mapping):
        raise InputError(f"{source} holds {_kind(content)}, expected an object with any of {', '.join(known)}")
    if unknown := [str(key) for key in content if key not in known]:
        raise InputError(f"{source} has the unknown field {_short(unknown[0])!r}; expected any of {', '.join(known)}")
    needed = [name for name, field in known.items() if field.default is MISSING and field.default_factory is MISSING]
    if missing := [name for name in needed if name not in content]:
        raise InputError(f"{source} lacks the field {missing[0]!r}; it has {', '.join(map(str, content)) or 'none'}")
    hints = typing.get_type_hints(kind)
    values = {str(name): _typed(value, hints[name], f"{source}: {name}") for name, value in content.items()}
    try:
        return kind(**values)
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(source) else f"{source}: {error}") from error


def write_json(path: str | Path, content: Any, what: str = "the file") -> Path:
    """Write UTF-8 JSON, indented, whole or not at all. Raises InputError for what JSON cannot hold, and a disk that refuses."""
    encoded = json_text(content, f"{what} {path}").encode("utf-8")
    with whole_file(path, what) as partial:
        partial.write_bytes(encoded)
    return Path(path)


def json_text(content: Any, source: str) -> str:
    """JSON as `write_json` writes it; `source` names it in messages. Raises InputError for what JSON cannot hold."""
    try:
        text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        text.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise InputError(f"{source} must hold what JSON can ({error})") from error
    return text


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{_short(twice)!r} stands there twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{_short(text)} is too large a number")
    return number


def _typed(value: Any, hint: Any, where: str) -> Any:
    """The value as the type says, or InputError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _typed(value, next(part for part in arguments if part is not type(None)), where)
    if origin is Literal:
        if value in arguments:
            return value
        raise InputError(f"{where} is {_short(value)!r}, expected {' or '.join(map(repr, arguments))}")
    if origin is tuple and isinstance(value, list):
        parts = [arguments[0]] * len(value) if arguments[-1] is ... else list(arguments)
        if len(parts) == len(value):
            return tuple(_typed(item, part, where) for item, part in zip(value, parts, strict=True))
    plain = origin or hint
    if is_dataclass(hint) and isinstance(hint, type):
        return parse_record(hint, value, where)
    if plain is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is plain:  # not isinstance: true is no number
        return value
    raise InputError(f"{where} is {_short(value)!r}, expected {_name_of(hint)}")


def _name_of(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", dict: "an object", list: "a list"}
    return names.get(hint, "a list" if typing.get_origin(hint) is tuple else str(hint))


def _kind(value: Any) -> str:
    names = {int: "a number", float: "a number", str: "a text", bool: "true or false", list: "a list", type(None): "null"}
    return names.get(type(value), f"a {type(value).__name__}")


def _short(value: Any) -> str:
    try:
        text = str(value)
    except (ValueError, RecursionError):  # a number of thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
