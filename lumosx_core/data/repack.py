"""A dataset out of the samples of a dataset: some of them, into another folder or the same one. Runs no stage.

lumosx dataset filter DATASET --where "people=2" --where "frames>=49" --out NEW
"""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lumosx_core.data.manifest_rows import ManifestRows, open_rows
from lumosx_core.data.pack import (
    CONFIG,
    MANIFEST,
    manifest_of,
    pack_samples,
    read_about,
    read_dropped,
    stored_config,
    stored_samples,
)
from lumosx_core.data.removal import read_removed
from lumosx_core.data.sample_views import without_views_of
from lumosx_core.data.split import SeenSource, SplitRule, read_rule, split_sources, write_rule
from lumosx_core.errors import InputError, quoted
from lumosx_core.files.atomic import writable_folder
from lumosx_core.progress import Progress

TEXTS = ("sample", "caption", "caption_origin", "split", "source", "origin", "licence")
LISTS = ("names", "mentions")  # one of them is enough
NUMBERS = ("start_s", "width", "height", "frames", "fps", "people", "attributes", "objects")
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "!=": operator.ne, "<=": operator.le, ">=": operator.ge, "=": operator.eq, "<": operator.lt, ">": operator.gt,
    "~": lambda value, text: text.casefold() in value.casefold(),
}  # fmt: skip
COPIED = "copied from another dataset"


@dataclass(frozen=True)
class Condition:
    """What must hold for the value of a field."""

    field: str
    holds: Callable[[Any], bool]


def conditions(texts: Sequence[str]) -> list[Condition]:
    """Conditions on a row of the manifest: FIELD OPERATOR VALUE each, with = != < <= > >= for numbers and = != ~ (contains,
    whatever the case) for texts; licence=unknown is one that nobody told. Raises InputError that lists what is known."""
    return [_condition(text) for text in texts]


def filter_copy(dataset: Path, out: Path, where: Sequence[Condition], progress: Progress | None = None) -> tuple[int, int]:
    """Write the samples of a dataset that meet all conditions into a new one; (how many, of how many). Raises InputError if
    none does, and if `out` holds a dataset already."""
    rows = open_rows(manifest_of(dataset))
    kept = meeting(rows, where)
    if not len(kept):
        raise InputError(f"none of the {len(rows)} samples meets all conditions; see what there is with lumosx dataset stats")
    if (out / MANIFEST).exists():
        raise InputError(f"{out} holds a dataset already; choose another --out")
    return repack(dataset, writable_folder(out), list(kept), progress), len(rows)


def meeting(rows: ManifestRows, where: Sequence[Condition]) -> ManifestRows:
    """The rows that meet all conditions; of the others only the fields that are asked for are read."""
    for condition in where:
        rows = rows.keep([condition.holds(value) for value in rows.column(condition.field)])
    return rows


def repack(
    dataset: Path, out: Path, rows: Sequence[dict[str, Any]], progress: Progress | None = None, rule: SplitRule | None = None
) -> int:
    """Make `out` a dataset of these samples of `dataset`, which may be the same, without what was removed: clips, and views of
    them in others. rule: a new split; None keeps it. How many samples it has."""
    removed = read_removed(dataset)
    rows = [
        without_views_of(row, removed.has) for row in rows if not removed.has(row["sample"]) and not removed.has(row["source"])
    ]
    seen = [SeenSource(source=row["source"]) for row in rows]
    rule = split_sources(seen, rule or read_rule(dataset))
    about: dict[str, Any] = {"origin": COPIED}
    dropped: list[dict[str, str]] = []
    if out == dataset:
        about = {name: value for name, value in read_about(dataset).items() if name != "format"}
        dropped = [row for row in read_dropped(dataset) if not removed.has(row["clip"]) and not removed.has(row["source"])]
    config = stored_config(dataset) if (dataset / CONFIG).is_file() else None
    samples = [
        replace(sample, row={**sample.row, "split": rule.sources[sample.row["source"]]})
        for sample in stored_samples(dataset, rows)
    ]
    write_rule(out, rule)
    pack_samples(out, samples, dropped, config, {**about, "samples": len(samples)}, progress)
    return len(samples)


def _condition(text: str) -> Condition:
    match = re.fullmatch(r"\s*(\w+)\s*(!=|<=|>=|=|<|>|~)\s*(.*?)\s*", text, re.S)
    if match is None:
        raise InputError(f"--where {quoted(text)} is no condition; write FIELD OPERATOR VALUE, such as people=2 or caption~hat")
    field, sign, value = match.groups()
    known = (*TEXTS, *LISTS, *NUMBERS, "background")
    if field not in known:
        raise InputError(f"--where {quoted(text)}: a sample has no {quoted(field)}; known: {', '.join(known)}")
    compare = OPERATORS[sign]
    if field in NUMBERS:
        number = _number(text, value)
        if sign == "~":
            raise InputError(f"--where {quoted(text)}: {field} is a number; compare it with = != < <= > >=")
        return Condition(field, lambda value: compare(value, number))
    if sign not in ("=", "!=", "~") or (field == "background" and (sign == "~" or value not in ("true", "false"))):
        expected = "true or false, with = or !=" if field == "background" else "a text, compared with = != ~"
        raise InputError(f"--where {quoted(text)}: {field} is {expected}")
    if field == "background":
        return Condition(field, lambda given: compare(given, value == "true"))
    if field in LISTS:
        some = OPERATORS["=" if sign == "!=" else sign]
        return Condition(field, lambda items: any(some(item, value) for item in items) != (sign == "!="))
    return Condition(field, lambda given: compare(given or ("unknown" if field == "licence" else ""), value))


def _number(text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise InputError(f"--where {quoted(text)} compares with {quoted(value)}, expected a number") from None
