"""Safetensors files: read one tensor at a time, written one tensor at a time.

A file is the length of its header (8 bytes), the header (JSON: per tensor its type, shape and place, and text metadata), then
the numbers. The header is checked by the safetensors library before anything is read.
"""

import json
import math
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import whole_file
from lumosx_core.files.file_kinds import first_bytes, looks_like_safetensors, stranger
from lumosx_core.files.json import parse_json, read_json
from lumosx_core.files.stored import StoredTensor, in_memory
from lumosx_core.progress import Progress

INDEX = ".safetensors.index.json"
TYPES: dict[str, torch.dtype] = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
NAMES = {dtype: name for name, dtype in TYPES.items()}


def read_safetensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """(tensors, metadata) of a safetensors file. Raises InputError if it is missing, cut short or not one."""
    tensors, metadata = open_safetensors(path)
    return {key: value.read() for key, value in tensors.items()}, metadata


def open_safetensors(path: str | Path) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """The same with tensors that are read when they are needed."""
    path = Path(path)
    begins = first_bytes(path, "the safetensors file")
    if said := stranger(begins):
        raise InputError(f"the safetensors file {path} {said}")
    if not looks_like_safetensors(begins):
        raise InputError(f"{path} is not a whole safetensors file (it begins with {begins[:8].hex(' ')}); give the right file")
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
        with open(path, "rb") as raw:
            length = struct.unpack("<Q", raw.read(8))[0]
            header = parse_json(raw.read(length), f"the header of {path}")
    except (SafetensorError, OSError, struct.error) as error:
        raise InputError(
            f"{path} is not a whole safetensors file ({error}); copy or download it again, it may be cut short"
        ) from error
    entries = {key: value for key, value in header.items() if key != "__metadata__"}
    return {key: _stored(path, key, value, 8 + length) for key, value in entries.items()}, metadata


def _stored(path: Path, key: str, entry: Mapping[str, Any], start: int) -> StoredTensor:
    dtype = TYPES.get(entry["dtype"])
    if dtype is None:
        raise InputError(
            f"{path}: {key} is of the type {entry['dtype']}, which is not read here; get bf16, fp16 or fp32 weights"
        )
    shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]

    def part(first: int, stop: int) -> torch.Tensor:
        buffer = torch.empty((stop - first) * dtype.itemsize, dtype=torch.uint8)
        try:
            with open(path, "rb") as file:
                file.seek(start + begin + first * dtype.itemsize)
                got = file.readinto(buffer.numpy().data) if stop > first else 0
        except OSError as error:
            raise InputError(f"cannot read {path} ({error}); check the disk and the permissions") from error
        if got != len(buffer):
            raise InputError(f"{path} became shorter while it was read; copy or download it again")
        return buffer.view(dtype) if stop > first else torch.empty(0, dtype=dtype)

    return StoredTensor(shape, dtype, lambda: part(0, (end - begin) // dtype.itemsize).reshape(shape), part)


def index_in(folder: Path) -> Path | None:
    """The index of sharded safetensors files in a folder, or None. Raises InputError if there are several."""
    found = sorted(path for path in folder.glob(f"*{INDEX}") if path.is_file())
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:4])
        raise InputError(f"{folder} holds several indexes of shards ({names}); give the path of one of them")
    return found[0] if found else None


def open_sharded(index: Path) -> dict[str, StoredTensor]:
    """The tensors of several safetensors files, listed in `*.safetensors.index.json`.

    Raises InputError if the index is none, or shards or tensors are missing or damaged.
    """
    content = read_json(index, "the index of shards")
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise InputError(f"the index {index} has no weight_map from tensors to files; copy or download it again")
    shards: dict[str, dict[str, StoredTensor]] = {}
    for name in sorted(set(places.values())):
        if Path(name).name != name or "\\" in name or "\0" in name:
            raise InputError(f"the index {index} names the file {name[:80]!r}, which is not in its folder")
        if not (index.parent / name).is_file():
            raise InputError(f"{index.parent} lacks the file {name} that its index names; download it too")
        shards[name] = open_safetensors(index.parent / name)[0]
    for key, name in places.items():
        if key not in shards[name]:
            raise InputError(f"{index.parent / name} lacks the tensor {key[:200]} that the index names; download it again")
    return {key: shards[name][key] for key, name in places.items()}


def write_safetensors(
    path: str | Path,
    tensors: Mapping[str, torch.Tensor | StoredTensor],
    metadata: dict[str, str],
    *,
    what: str = "the weights",
    progress: Progress | None = None,
    finish: Callable[[], None] | None = None,
) -> Path:
    """Write a safetensors file whole or not at all, one tensor after another, large ones in parts: no more than one is in
    memory at a time.

    The bytes depend on the content only: larger types first, then by name, as the library orders them. progress: called
    with (stage, done, total), in MiB. finish: called when all tensors were read; what it raises stops the file from taking its
    place. Raises InputError when the disk refuses or a type cannot be stored.
    """
    stored: dict[str, StoredTensor] = {
        key: in_memory(value) if isinstance(value, torch.Tensor) else value for key, value in tensors.items()
    }
    order = sorted(stored, key=lambda key: (-stored[key].dtype.itemsize, key))
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    place = 0
    for key in order:
        value = stored[key]
        if value.dtype not in NAMES:
            raise InputError(f"{key} is of the type {value.dtype}, which safetensors files cannot hold here")
        header[key] = {"dtype": NAMES[value.dtype], "shape": list(value.shape), "data_offsets": [place, place + value.nbytes]}
        place += value.nbytes
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    encoded += b" " * (-len(encoded) % 8)
    total, done = math.ceil(place / 2**20), 0
    with whole_file(path, what) as partial, open(partial, "wb") as file:
        file.write(struct.pack("<Q", len(encoded)))
        file.write(encoded)
        for key in order:
            _write_numbers(file, key, stored[key])
            done += stored[key].nbytes
            if progress is not None:
                progress("writing", done // 2**20 if done < place else total, total)
        if finish is not None:
            finish()
    return Path(path)


def _write_numbers(file: Any, key: str, value: StoredTensor) -> None:
    count = 0
    for part in value.parts():
        if part.dtype != value.dtype:
            raise AssertionError(f"{key}: {part.dtype} was read, {value.dtype} announced")
        file.write(part.detach().cpu().contiguous().view(torch.uint8).numpy().data)
        count += part.numel()
    if count != value.numel:
        raise AssertionError(f"{key}: {count} numbers were read, {value.numel} announced")
