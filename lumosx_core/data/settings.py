"""Numbers and words of a configuration: each a documented field with its range, unit and source; read from TOML and NAME=VALUE.

A section is a frozen dataclass whose fields are made by `setting` (others are none of the user's); a configuration is a frozen
dataclass of sections, of which those that are None are not there. Reading one collects all faults and tells them at once.
"""

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lumosx_core.errors import InputError
from lumosx_core.files.existing import existing_file

Config = TypeVar("Config")
SHOWN = 60  # characters of a wrong value in a message


def setting(
    default: Any,
    about: str,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: Sequence[str] = (),
    form: tuple[str, str] | None = None,
) -> Any:
    """A field of a section. about: what it means, its unit, and where the number comes from. form: a text may also match this
    regular expression; and how to write that, for people."""
    metadata = {"about": about, "least": least, "most": most, "choices": tuple(choices), "form": form}
    return dataclasses.field(default=default, metadata=metadata)


def check_section(section: Any) -> None:
    """For `__post_init__` of a section. Raises InputError that names all fields out of range or of another type."""
    faults = _faults_of(type(section), {name: getattr(section, name) for name in _settings_of(type(section))}, "")
    if faults:
        raise InputError("; ".join(faults))


def read_config(kind: type[Config], base: Config, path: str | Path | None = None, changes: Sequence[str] = ()) -> Config:
    """`base` with the values of a TOML file, then with those of `changes` ("section.name=value"; "name=value" where only one
    section has such a name).

    Raises InputError that lists every unknown section or name, with the nearest known one, every value of another type and
    every value out of range, with the range; and for a file that cannot be read or is no TOML.
    """
    values: dict[str, dict[str, Any]] = {}
    faults: list[str] = []
    parts = {f.name: getattr(base, f.name) for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    sections = {name: type(part) for name, part in parts.items() if part is not None}
    for name, content in (_read_toml(Path(path)) if path is not None else {}).items():
        if name not in sections:
            faults.append(f"[{_short(name)}] is no section{_near(name, sections)}")
        elif not isinstance(content, Mapping):
            faults.append(f"{name} is {_short(content)}, expected a section [{name}]")
        else:
            values.setdefault(name, {}).update(content)
    for change in changes:
        place, equals, text = change.partition("=")
        section, dot, name = place.strip().partition(".")
        having = [known for known, kind_of in sections.items() if section in _settings_of(kind_of)]
        if equals and not dot and len(having) == 1:
            section, dot, name = having[0], ".", section
        if equals and not dot and not having:
            every = {name: None for kind_of in sections.values() for name in _settings_of(kind_of)}
            faults.append(f"{_short(section)} is unknown{_near(section, every)}")
        elif not equals or not dot:
            faults.append(f"{_short(change)!r} is no change; write section.name=value")
        elif section not in sections:
            faults.append(f"{_short(section)!r} is no section{_near(section, sections)}")
        else:
            values.setdefault(section, {})[name] = _from_text(sections[section], name, text.strip())
    for section, content in values.items():
        faults += _faults_of(sections[section], content, f"{section}.")
    if faults:
        raise InputError("the configuration has these faults: " + "; ".join(faults))
    return dataclasses.replace(
        base,  # type: ignore[type-var]
        **{
            section: dataclasses.replace(
                getattr(base, section), **{name: _exact(sections[section], name, value) for name, value in content.items()}
            )
            for section, content in values.items()
        },
    )


def to_toml(config: Any) -> str:
    """The whole configuration as TOML, every field with what it means."""
    lines: list[str] = []
    for part in dataclasses.fields(config):
        section = getattr(config, part.name)
        if section is None:
            continue
        lines += ["", f"[{part.name}]"]
        for field in _settings_of(type(section)).values():
            lines += [f"# {field.metadata['about']}", f"{field.name} = {_toml_value(getattr(section, field.name))}"]
    return "\n".join(lines[1:]) + "\n"


def _settings_of(section: type) -> dict[str, "dataclasses.Field[Any]"]:
    return {field.name: field for field in dataclasses.fields(section) if "about" in field.metadata}


def _read_toml(path: Path) -> dict[str, Any]:
    path = existing_file(path, "configuration", "give the path of a TOML file")
    try:
        import tomllib
    except ImportError:
        raise InputError("reading a configuration needs Python 3.11 or newer") from None
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"the configuration {path} is no TOML in UTF-8 ({error})") from error


def _faults_of(section: type, content: Mapping[str, Any], where: str) -> list[str]:
    hints = typing.get_type_hints(section)
    fields = _settings_of(section)
    faults = []
    for name, value in content.items():
        if name not in fields:
            faults.append(f"{where}{_short(name)} is unknown{_near(name, fields)}")
            continue
        about, expected = fields[name].metadata, _expected(hints[name], fields[name].metadata)
        if not _fits(value, hints[name], about):
            faults.append(f"{where}{name} is {_short(value)!r}, expected {expected}")
    return faults


def _fits(value: Any, hint: Any, about: Mapping[str, Any]) -> bool:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return value is None or _fits(value, typing.get_args(hint)[0], about)
    if typing.get_origin(hint) is tuple:
        each, count = _members(hint)
        right = isinstance(value, (tuple, list)) and (count is None or len(value) == count)
        return right and all(_fits(member, each, about) for member in value)
    if hint is bool or isinstance(value, bool):
        return hint is bool and isinstance(value, bool)
    if hint is int or hint is float:
        good = isinstance(value, int) or (hint is float and isinstance(value, float) and math.isfinite(value))
        least, most = about["least"], about["most"]
        return good and (least is None or value >= least) and (most is None or value <= most)
    if not isinstance(value, str) or value in about["choices"]:
        return isinstance(value, str)
    return re.fullmatch(about["form"][0], value) is not None if about["form"] else not about["choices"]


def _members(hint: Any) -> tuple[Any, int | None]:
    """Of the members of a tuple: their type, and how many there are (None: any number)."""
    members = typing.get_args(hint)
    return members[0], None if members[-1] is Ellipsis else len(members)


def _expected(hint: Any, about: Mapping[str, Any]) -> str:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return f"{_expected(typing.get_args(hint)[0], about)} or nothing"
    if typing.get_origin(hint) is tuple:
        each, count = _members(hint)
        return f"a list{f' of {count}' if count else ''}, each {_expected(each, about)}"
    if about["choices"] or about["form"]:
        return " or ".join([*map(repr, about["choices"]), *(about["form"] or ())[1:]])
    name = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[hint]
    least, most = about["least"], about["most"]
    return name + (f" from {least:g}" if least is not None else "") + (f" to {most:g}" if most is not None else "")


def _from_text(section: type, name: str, text: str) -> Any:
    """The value that a text on the command line means; the text itself where it means none. Lists: with commas."""
    hint = typing.get_type_hints(section).get(name)
    if typing.get_origin(hint) is tuple:
        each, _ = _members(hint)
        return [_one_from_text(each, member.strip()) for member in text.strip("[]()").split(",") if member.strip()]
    return _one_from_text(hint, text)


def _one_from_text(hint: Any, text: str) -> Any:
    optional = typing.get_origin(hint) in (types.UnionType, typing.Union)
    plain = typing.get_args(hint)[0] if optional else hint
    if optional and text in ("", "none"):
        return None
    if plain is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if plain in (int, float):
        try:
            return plain(text)
        except ValueError:
            return text
    return text


def _exact(section: type, name: str, value: Any) -> Any:
    hint = typing.get_type_hints(section)[name]
    plain = typing.get_args(hint)[0] if typing.get_origin(hint) in (types.UnionType, typing.Union) else hint
    if typing.get_origin(plain) is tuple:
        each, _ = _members(plain)
        return tuple(float(member) if each is float else member for member in value)
    return float(value) if plain is float and value is not None else value


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    import json

    return json.dumps(value or "", ensure_ascii=False)


def _near(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(str(name), list(known), 1)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
