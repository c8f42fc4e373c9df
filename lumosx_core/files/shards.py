"""Tensors in pieces: several safetensors files in one folder, each with some rows of every tensor.

The files are laid out as torch's HuggingFaceStorageWriter does it (`save_distributed=True`), and its reader takes them: where
a piece begins in its tensor stands in the metadata. Its own writer is not used: that copies all pieces into one block of
memory first, and its metadata of the whole is read without a check.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.json import parse_json
from lumosx_core.files.safetensors import open_safetensors, write_safetensors
from lumosx_core.files.stored import StoredTensor

PLACES, BEGINS = "DCP_SHARDING_INFO", "saved_offsets"  # torch's words
AGAIN = "copy the whole folder again"

Pieces = dict[str, list[tuple[int, StoredTensor]]]  # by name: first row and rows


def shard_name(number: int, count: int) -> str:
    """The name of shard `number`, from 0, of `count`."""
    return f"shard-{number + 1:05d}-of-{count:05d}.safetensors"


def write_shard(path: Path, pieces: Mapping[str, torch.Tensor], first_rows: Mapping[str, int], what: str) -> None:
    """Write one file with pieces of tensors, whole or not at all. first_rows: where each piece begins in the first dimension of
    its tensor (those that are not named: at 0). Raises InputError, which names `what`, when the disk refuses."""
    places = {
        name: {BEGINS: [first_rows.get(name, 0), *[0] * (piece.ndim - 1)][: piece.ndim]} for name, piece in pieces.items()
    }
    write_safetensors(path, dict(pieces), {PLACES: json.dumps(places)}, what=what)


def open_shards(folder: Path, names: Sequence[str]) -> dict[str, StoredTensor]:
    """The whole tensors whose pieces lie in these files of a folder; numbers are read when they are needed, rows of a tensor
    (`StoredTensor.read_part`) from those files alone that hold them.

    Raises InputError if a file is missing or damaged, or the pieces do not make up whole tensors.
    """
    found: Pieces = {}
    for name in names:
        if Path(name).name != name or "\\" in name or "\0" in name:
            raise InputError(f"{folder} names the file {name[:80]!r}, which is not in this folder; {AGAIN}")
        path = folder / name
        tensors, metadata = open_safetensors(path)
        places = parse_json(metadata.get(PLACES, "null"), f"the places of pieces in {path}")
        for key, value in tensors.items():
            begins = places.get(key, {}).get(BEGINS) if isinstance(places, dict) and _is_table(places.get(key)) else None
            sides = len(value.shape)
            if not isinstance(begins, list) or len(begins) != sides or not all(type(number) is int for number in begins):
                raise InputError(f"{path} does not say where its piece of {key[:160]} begins; {AGAIN}")
            if any(number for number in begins[1:]) or (begins and begins[0] < 0):
                raise InputError(f"{path}: its piece of {key[:160]} begins at {begins}, expected whole rows; {AGAIN}")
            found.setdefault(key, []).append((begins[0] if begins else 0, value))
    return {key: _joined(folder, key, pieces) for key, pieces in found.items()}


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _joined(folder: Path, name: str, pieces: list[tuple[int, StoredTensor]]) -> StoredTensor:
    """A tensor from its pieces, which must follow each other without a gap."""
    whole = pieces[0][1]
    if not whole.shape:
        if len(pieces) > 1:
            raise InputError(f"{folder} holds the number {name[:160]} {len(pieces)} times; {AGAIN}")
        return whole
    pieces = sorted((piece for piece in pieces if piece[1].numel), key=lambda piece: piece[0]) or pieces[:1]
    rows = 0
    for first, piece in pieces:
        if first != rows or piece.shape[1:] != whole.shape[1:] or piece.dtype != whole.dtype:
            raise InputError(f"{folder}: the pieces of {name[:160]} do not fit together at row {rows}; {AGAIN}")
        rows += piece.shape[0]
    if len(pieces) == 1:
        return pieces[0][1]
    shape, dtype = (rows, *whole.shape[1:]), whole.dtype
    row = StoredTensor(shape[1:], dtype, whole.read).numel  # numbers of a row

    def part(start: int, stop: int) -> torch.Tensor:
        """Numbers start ... stop - 1 of the flat tensor."""
        found = []
        for first, piece in pieces:
            begin, end = max(start, first * row), min(stop, first * row + piece.numel)
            if begin < end:
                assert piece.read_part is not None
                found.append(piece.read_part(begin - first * row, end - first * row))
        return torch.cat(found) if found else torch.empty(0, dtype=dtype)

    return StoredTensor(shape, dtype, lambda: part(0, rows * row).reshape(shape), part)
