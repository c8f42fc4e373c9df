"""Weights on disk: every kind of checkpoint file in circulation is read here, and safetensors files are written here.

Pickles are read with weights_only=True and never otherwise.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import whole_file

StateDict = dict[str, torch.Tensor]
PREFIXES = ("model.diffusion_model.", "diffusion_model.", "module.", "model.", "dit.")


def read_safetensors(path: Path) -> tuple[StateDict, dict[str, str]]:
    """(tensors, metadata) of a safetensors file. Raises InputError if it is missing, cut short or not one."""
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is not a whole safetensors file ({error}); copy or download it again, it may be cut short"
        ) from error


def read_state_dict(path: str | Path, entry: str = "ema") -> tuple[StateDict, dict[str, str]]:
    """(tensors, metadata) of a checkpoint of any kind in circulation.

    path: a .safetensors file, a .pt / .pth pickle, or a torch.distributed.checkpoint folder. entry: which weights to take
    where several are stored, "ema" or "model". Prefixes such as "module." or "model.diffusion_model." are removed.
    Raises InputError for missing or damaged files, pickles that hold more than tensors, and unknown entries.
    """
    path = Path(path)
    tree: Mapping
    metadata: dict[str, str] = {}
    if path.is_dir():
        tree = _read_distributed(path, entry)
    elif path.suffix == ".safetensors":
        tree, metadata = read_safetensors(path)
    else:
        tree = _read_pickle(path)
    return _without_prefix(_choose_entry(tree, entry, path)), metadata


def _read_pickle(path: Path) -> Mapping:
    try:
        tree = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} holds Python objects besides tensors and was not loaded, since such a file can run any code; "
            "get the weights as .safetensors"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a PyTorch checkpoint ({error}); copy or download it again") from error
    if not isinstance(tree, Mapping):
        raise InputError(f"{path} holds a {type(tree).__name__}, expected a dictionary of tensors")
    return tree


def _read_distributed(path: Path, entry: str) -> StateDict:
    """The tensors of one entry of a torch.distributed.checkpoint folder, keys "<entry>.<name>" without the entry."""
    import torch.distributed.checkpoint as dcp

    if not (path / ".metadata").exists():
        raise InputError(
            f"{path} is a folder without a .metadata file; expected a torch.distributed.checkpoint folder, or the path "
            "of a .safetensors or .pt file"
        )
    reader = dcp.FileSystemReader(path)
    try:
        stored = reader.read_metadata().state_dict_metadata
    except (pickle.UnpicklingError, AttributeError, OSError, EOFError) as error:
        raise InputError(f"{path}/.metadata cannot be read ({error}); copy the folder again") from error
    tensors = {k: v for k, v in stored.items() if hasattr(v, "size") and hasattr(v, "properties")}
    entries = sorted({key.split(".")[0] for key in tensors} & {"ema", "model"})
    if entries:
        if entry not in entries:
            raise InputError(f"{path} holds the entries {', '.join(entries)}, not {entry!r}; choose one of them")
        tensors = {k: v for k, v in tensors.items() if k.startswith(f"{entry}.")}
    state = {key: torch.empty(meta.size, dtype=meta.properties.dtype) for key, meta in tensors.items()}
    dcp.load(state, storage_reader=reader)
    return {key.removeprefix(f"{entry}.") if entries else key: value for key, value in state.items()}


def _choose_entry(tree: Mapping, entry: str, path: Path) -> StateDict:
    nested = [key for key, value in tree.items() if isinstance(value, Mapping)]
    for wanted in ("model_state", "state_dict"):
        if wanted in nested:
            return _choose_entry(tree[wanted], entry, path)
    if nested:
        if entry not in nested:
            raise InputError(f"{path} holds the entries {', '.join(map(str, nested))}, not {entry!r}; choose one of them")
        return _choose_entry(tree[entry], entry, path)
    return {str(key): value for key, value in tree.items() if isinstance(value, torch.Tensor)}


def _without_prefix(state: StateDict) -> StateDict:
    for prefix in PREFIXES:
        if state and all(key.startswith(prefix) for key in state):
            return _without_prefix({key[len(prefix) :]: value for key, value in state.items()})
    return state


def write_safetensors(path: str | Path, tensors: StateDict, metadata: dict[str, str]) -> Path:
    """Write a safetensors file whole or not at all. Raises InputError when the disk refuses."""
    with whole_file(path) as partial:
        try:
            save_file({key: value.contiguous() for key, value in tensors.items()}, partial, metadata=metadata)
        except SafetensorError as error:  # what safetensors makes of a full disk
            raise OSError(str(error)) from error
    return Path(path)
