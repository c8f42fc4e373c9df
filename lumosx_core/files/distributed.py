"""Folders of torch.distributed.checkpoint, read without running anything that is in them.

Their `.metadata` is a pickle. It is read by an unpickler that knows the few names torch puts there and makes plain records of
them; torch's own reader, which would unpickle it freely, is not used. The shards hold one torch.save per piece of a tensor.
"""

import io
import pickle
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.pickles import load_bytes
from lumosx_core.files.stored import StoredTensor

METADATA = ".metadata"
MAX_BYTES = 64 * 2**20
RECORDS = {
    "torch.distributed.checkpoint.metadata": (
        "Metadata", "TensorStorageMetadata", "BytesStorageMetadata", "TensorProperties", "ChunkStorageMetadata",
        "MetadataIndex", "StorageMeta",
    ),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo", "_StoragePrefix"),
    "torch.distributed._shard.sharded_tensor.metadata": ("TensorProperties",),
}  # fmt: skip
PATHS = {(module, name) for module in ("pathlib", "pathlib._local") for name in ("PosixPath", "WindowsPath", "Path")}
ENCODINGS = {
    ("torch.distributed.checkpoint.metadata", "_MEM_FORMAT_ENCODING"),
    ("torch.distributed._shard.sharded_tensor.metadata", "MEM_FORMAT_ENCODING"),
    ("torch.serialization", "_get_layout"),
}


class Refused(Exception):  # noqa: N818 - it says what was done
    """A name that torch's metadata does not need."""


class _MetadataReader(pickle._Unpickler):  # type: ignore[name-defined, misc] # in Python: the other one trusts memo numbers
    """Makes records of torch's metadata; everything else is refused. Nothing of torch is touched, whatever the file asks."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)

        class Record:  # a new one for each file, which may set its attributes
            def __init__(self, *values: Any) -> None:
                self.values = values

            def __setstate__(self, state: Any) -> None:
                if isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], dict | None):
                    state = {**(state[0] or {}), **(state[1] or {})}
                self.values = state

        self.record = Record

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name, or Refused."""
        if name in RECORDS.get(module, ()):
            return type(name, (self.record,), {})
        if (module, name) == ("torch", "Size"):
            return _size
        if (module, name) in PATHS:
            return _path
        if (module, name) in ENCODINGS:
            return _first
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if (module, name) == ("collections", "OrderedDict"):
            return _dictionary
        raise Refused(f"{module}.{name}"[:200])

    def get_extension(self, code: int) -> None:
        """Names of the extension registry: none is needed."""
        raise Refused(f"the extension {code}")


def _size(sides: Any = ()) -> tuple:
    return tuple(sides)


def _path(*parts: Any) -> str:
    return "/".join(part for part in parts if isinstance(part, str))


def _first(value: Any = None) -> Any:
    return value


def _dictionary() -> dict:
    return {}


def open_distributed(folder: Path) -> dict[str, Any]:
    """The tensors of a folder as a tree of dictionaries, as they were saved; numbers are read later.

    Raises InputError if `.metadata` is missing, damaged or holds other things than torch writes there, and for shards that are
    missing or cut short (when they are read, at the latest).
    """
    metadata = _read_metadata(folder / METADATA)
    try:
        stored, places = _fields(metadata, "state_dict_metadata"), _fields(metadata, "planner_data", needed=False)
        pieces = _pieces(folder, _fields(metadata, "storage_data"))
        tree: dict[str, Any] = {}
        for key, value in stored.items():
            if type(value).__name__ == "TensorStorageMetadata":
                path = places.get(key)
                _put(
                    tree, path if isinstance(path, tuple) and path else (key,), _tensor(folder, key, value, pieces.get(key, []))
                )
        return tree
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise InputError(f"{folder / METADATA} is not as torch writes it ({error}); copy the folder again") from error


def _read_metadata(path: Path) -> Any:
    if not path.is_file():
        raise InputError(
            f"{path.parent} is a folder without a .metadata file; expected a torch.distributed.checkpoint folder, one of "
            "safetensors with an index (*.safetensors.index.json), or the path of a .safetensors or .pt file"
        )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES // 2**20} MiB; that is no metadata of a checkpoint")
        return _MetadataReader(io.BytesIO(path.read_bytes())).load()
    except Refused as error:
        raise InputError(
            f"{path} holds {error}, which no checkpoint needs: such a file can run any code, it was not loaded; get the "
            "weights as .safetensors from a source you trust"
        ) from error
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {path} ({error}); check its permissions") from error
    except Exception as error:  # a damaged pickle raises nearly everything
        raise InputError(
            f"{path} cannot be read ({type(error).__name__}: {str(error)[:200]}); copy the folder again"
        ) from error


def _fields(record: Any, name: str, *, needed: bool = True) -> dict:
    value = _field(record, name)
    if value is None and not needed:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{name} is a {type(value).__name__}")
    return value


def _field(record: Any, name: str) -> Any:
    values = record.values
    if not isinstance(values, dict):
        raise ValueError(f"a {type(record).__name__} without {name}")
    return values.get(name)


def _pieces(folder: Path, storage: dict) -> dict[str, list[tuple[tuple[int, ...], Path, int, int]]]:
    """Per tensor where its pieces lie: (offset in the tensor, file, first byte, bytes)."""
    found: dict[str, list] = {}
    sizes: dict[str, int] = {}
    for index, info in storage.items():
        offset = _field(index, "offset")
        name, first, length = (_field(info, field) for field in ("relative_path", "offset", "length"))
        if _field(info, "transform_descriptors"):
            raise InputError(f"the shards of {folder} are compressed or encrypted; save the checkpoint again without that")
        if not isinstance(name, str) or PurePosixPath(name.replace("\\", "/")).name != name:
            raise InputError(f"{folder / METADATA} names the shard {str(name)[:200]!r}, which is not in the folder")
        if not all(type(number) is int and number >= 0 for number in (first, length)):
            raise ValueError("a piece without place and length")
        if name not in sizes:
            if not (folder / name).is_file():
                raise InputError(f"the shard {folder / name} is missing; copy the folder again, all of it")
            sizes[name] = (folder / name).stat().st_size
        if first + length > sizes[name]:
            raise InputError(f"the shard {folder / name} is cut short ({sizes[name]} bytes); copy the folder again")
        found.setdefault(_field(index, "fqn"), []).append((tuple(offset or ()), folder / name, first, length))
    return found


def _tensor(folder: Path, key: str, record: Any, pieces: list) -> StoredTensor:
    shape = _shape(_field(record, "size"))
    properties = _field(record, "properties").values
    dtype = properties.get("dtype") if isinstance(properties, dict) else properties[0]
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"{key} has no type")
    chunks = {}
    for chunk in _field(record, "chunks"):
        chunks[_shape(_field(chunk, "offsets"))] = _shape(_field(chunk, "sizes"))
    tensor = StoredTensor(shape, dtype, lambda: _read(key, shape, dtype, chunks, pieces))
    covered = sum(StoredTensor(sizes, dtype, tensor.read).numel for sizes in chunks.values())
    inside = all(
        len(offset) == len(sizes) == len(shape) and all(a + b <= c for a, b, c in zip(offset, sizes, shape, strict=True))
        for offset, sizes in chunks.items()
    )
    if (
        not inside
        or covered != tensor.numel
        or tensor.nbytes > sum(length for *_, length in pieces)
        or ({offset for offset, *_ in pieces} != set(chunks))
    ):
        raise InputError(f"{folder}: the pieces of {key[:200]} do not make up {shape}; copy the folder again, all of it")
    return tensor


def _shape(sides: Any) -> tuple[int, ...]:
    if not isinstance(sides, tuple) or not all(type(side) is int and 0 <= side < 2**48 for side in sides) or len(sides) > 16:
        raise ValueError(f"{str(sides)[:80]} is no size")
    return sides


def _read(key: str, shape: tuple, dtype: torch.dtype, chunks: dict, pieces: list) -> torch.Tensor:
    whole = None
    for offset, path, first, length in pieces:
        try:
            with open(path, "rb") as file:
                file.seek(first)
                content = file.read(length)
        except OSError as error:
            raise InputError(f"cannot read the shard {path} ({error}); check its permissions") from error
        piece = load_bytes(content, f"the shard {path} ({key[:200]})")
        del content
        if not isinstance(piece, torch.Tensor) or tuple(piece.shape) != chunks[offset] or piece.dtype != dtype:
            raise InputError(f"the shard {path} holds something else than {key[:200]} {chunks[offset]}; copy the folder again")
        if piece.untyped_storage().nbytes() < piece.numel() * piece.element_size():
            raise InputError(f"the shard {path} holds less than {key[:200]} needs; copy the folder again")
        if piece.shape == shape:
            return piece.detach()
        if whole is None:
            whole = torch.empty(shape, dtype=dtype)
        whole[tuple(slice(a, a + b) for a, b in zip(offset, piece.shape, strict=True))] = piece.detach()
    return torch.empty(shape, dtype=dtype) if whole is None else whole


def _put(tree: dict[str, Any], path: tuple, value: StoredTensor) -> None:
    """Put a tensor where its path says; what lies across another one keeps its whole name."""
    branch: Any = tree
    for step in path[:-1]:
        branch = branch.setdefault(str(step), {})
        if not isinstance(branch, dict):
            raise ValueError(f"{path} lies inside a tensor")
    branch[str(path[-1])] = value
