"""A state of a training as a folder: nested tables whose tensors lie in shards, one file by every process with its own shares,
and whose rest is `state.json`. A process that reads takes the rows that are its own, whoever wrote them.

    RUN/states/step-00000500/state.json, shard-00001-of-00002.safetensors, shard-00002-of-00002.safetensors

A folder gets its name when all of it is there. All processes must see the same disk.
"""

import math
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import remove_folder, whole_folder
from lumosx_core.files.json import read_json, write_json
from lumosx_core.files.leftovers import tidy
from lumosx_core.files.shards import open_shards, shard_name, write_shard
from lumosx_core.files.stored import StoredTensor
from lumosx_core.training.parallelize import Processes, agreed, local, own_rows

STATES, RECORD = "states", "state.json"
STEP = re.compile(r"step-(\d{8,})")
MAX_DEPTH = 12
Read = Callable[[str, StoredTensor], torch.Tensor]


def states_of(run: Path) -> dict[int, Path]:
    """The whole states of a run by their step, in order."""
    found = {int(match[1]): path for path in (run / STATES).glob("step-*") if (match := STEP.fullmatch(path.name))}
    return {step: found[step] for step in sorted(found)}


def last_state(run: Path) -> Path | None:
    """The folder of the last state of a run, or None."""
    return next(reversed(states_of(run).values()), None)


def write_state_folder(run: Path, step: int, tree: Mapping[str, Any], what: str, processes: Processes) -> Path:
    """Write nested tables as the state of a step; whole or not at all. All processes call this, each with its own shares of
    sharded tensors; tensors that are whole are written by the first one. Of replicas the first one's shares are written.

    Raises InputError in all of them if one cannot write.
    """
    tensors: dict[str, torch.Tensor] = {}
    kept = _apart(tree, "", tensors)
    folder = run / STATES / f"step-{step:08d}"
    own = {name: value for name, value in tensors.items() if processes.first or own_rows(value) is not None}
    rows = {name: own_rows(value) for name, value in own.items()}
    with ExitStack() as stack:
        partial: Path | None = None
        with agreed(processes):
            if processes.first:
                partial = stack.enter_context(whole_folder(folder, what))
                names = [shard_name(number, processes.shards) for number in range(processes.shards)]
                write_json(partial / RECORD, {"shards": names, "state": kept}, what)
        partial = processes.of_first(partial)
        with agreed(processes):
            if processes.writes:
                write_shard(
                    partial / shard_name(processes.rank, processes.shards),
                    {name: local(value.detach()) for name, value in own.items()},
                    {name: part[0] for name, part in rows.items() if part is not None},
                    what,
                )
    processes.wait()
    return folder


def remove_older(run: Path, keep_last: int, keep_every: int) -> None:
    """Delete the states of a run but for the last `keep_last` and those of every `keep_every`-th step (0: no others), and what
    killed runs left of others."""
    tidy(run / STATES)
    states = states_of(run)
    for step in list(states)[:-keep_last]:
        if not keep_every or step % keep_every:
            remove_folder(states[step])


def read_state_folder(folder: Path, remedy: str, read: Read) -> dict[str, Any]:
    """The tables that were written, with `read(name, stored)` for every tensor. Raises InputError for a folder that is not
    whole or not one of these."""
    content = read_json(folder / RECORD, "the record of the training state")
    names = content.get("shards") if isinstance(content, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{folder / RECORD} is no record of a training state; {remedy}")
    stored = open_shards(folder, names)
    tree = _together(content.get("state"), lambda name: read(name, stored[name]), set(stored), folder, remedy, MAX_DEPTH)
    if not isinstance(tree, dict):
        raise InputError(f"{folder / RECORD} holds no tables; {remedy}")
    return tree


def _apart(tree: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    """A tree as JSON holds it; its tensors go to `tensors` and leave their name."""
    if isinstance(tree, torch.Tensor):
        tensors[name] = tree
        return {"tensor": name}
    if isinstance(tree, Mapping):
        return {"table": [[key, _apart(value, f"{name}.{key}" if name else str(key), tensors)] for key, value in tree.items()]}
    if isinstance(tree, list | tuple):
        items = [_apart(value, f"{name}.{number}", tensors) for number, value in enumerate(tree)]
        return items if isinstance(tree, list) else {"tuple": items}
    if isinstance(tree, float) and not math.isfinite(tree):  # a limit that is none
        return {"float": str(tree)}
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    raise InputError(f"a training state cannot hold {name}, a {type(tree).__name__}; take an optimizer that keeps tensors")


def _together(kept: Any, read: Callable[[str], torch.Tensor], names: set[str], folder: Path, remedy: str, depth: int) -> Any:
    """What `_apart` was given. Every tensor is asked for once. Raises InputError where it is not of that form."""

    def inner(value: Any) -> Any:
        return _together(value, read, names, folder, remedy, depth - 1)

    if kept is None or isinstance(kept, bool | int | float | str):
        return kept
    if isinstance(kept, list) and depth:
        return [inner(value) for value in kept]
    form, value = next(iter(kept.items())) if isinstance(kept, dict) and len(kept) == 1 else ("", None)
    if form == "tensor" and isinstance(value, str) and value in names:
        names.remove(value)
        return read(value)
    if form == "tuple" and isinstance(value, list) and depth:
        return tuple(inner(item) for item in value)
    if form == "float" and value in ("inf", "-inf", "nan"):
        return float(value)
    if form == "table" and isinstance(value, list) and depth and all(map(_is_pair, value)):
        return {key: inner(item) for key, item in value}
    raise InputError(f"{folder / RECORD} holds {str(kept)[:80]!r}, or names a tensor that is not there; {remedy}")


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int)
