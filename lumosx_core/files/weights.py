"""Weights on disk: every kind of checkpoint in circulation is read here, whatever it is called.

No code of a file runs: pickles are read with weights_only=True, and folders of torch.distributed.checkpoint by a reader that
knows the few names they need (`distributed.py`).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.distributed import METADATA, open_distributed
from lumosx_core.files.file_kinds import first_bytes, looks_like_safetensors
from lumosx_core.files.pickles import is_pickle, open_pickle, read_pickle
from lumosx_core.files.safetensors import (
    INDEX,
    index_in,
    open_safetensors,
    open_sharded,
    read_safetensors,
    write_safetensors,
)
from lumosx_core.files.stored import StoredTensor

__all__ = [
    "StateDict",
    "StoredTensor",
    "open_weights",
    "read_pickle",
    "read_safetensors",
    "read_state_dict",
    "write_safetensors",
]

StateDict = dict[str, torch.Tensor]
DEFAULT_ENTRY = "ema"
WRAPPERS = ("model_state", "state_dict", "model_state_dict")  # entries that hold all there is
# What wrapped models put before every name, and what compiled and sharded modules put inside.
PREFIXES = (
    "model.diffusion_model.",
    "diffusion_model.",
    "module.",
    "model.",
    "pipe.",
    "dit.",
    "transformer.",
    "vae.",
    "text_encoder.",
)
INSIDE = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
MAX_DEPTH = 8
SHOWN = 12  # entries named in a message


def read_state_dict(path: str | Path, entry: str = DEFAULT_ENTRY) -> tuple[StateDict, dict[str, str]]:
    """(tensors, metadata) of a checkpoint of any kind in circulation: as `open_weights`, with all tensors in memory."""
    stored, metadata = open_weights(path, entry)
    return {key: value.read() for key, value in stored.items()}, metadata


def open_weights(path: str | Path, entry: str = DEFAULT_ENTRY) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """(tensors, metadata) of a checkpoint of any kind in circulation; numbers are read when they are needed.

    path: a .safetensors file, the index of several or their folder, a file of torch.save of any age (.pt, .pth, .ckpt), or a
    torch.distributed.checkpoint folder. entry: which weights to take where several are stored ("ema", "model",
    "generator_ema" ...). Prefixes of wrapped and compiled models ("module.", "pipe.dit.", "_orig_mod.") are removed.
    Raises InputError for missing or damaged files, files that are something else (and says what), pickles that hold more than
    tensors, and unknown entries.
    """
    path = Path(path)
    tree: Mapping
    metadata: dict[str, str] = {}
    if path.is_dir():
        index = None if (path / METADATA).is_file() else index_in(path)
        tree = open_distributed(path) if index is None else open_sharded(index)
    elif path.name.endswith(INDEX):
        tree = open_sharded(path)
    elif path.suffix in (".safetensors", ".sft") and looks_like_safetensors(begins := first_bytes(path, "the weights")):
        tree, metadata = open_safetensors(path)  # the length of its header may begin with the bytes of a pickle
    elif is_pickle(begins := first_bytes(path, "the weights")) or path.suffix not in (".safetensors", ".sft"):
        if begins[8:9] == b"{" and not is_pickle(begins):  # safetensors under another name
            tree, metadata = open_safetensors(path)
        else:
            tree = open_pickle(path, "the file")
    else:
        tree, metadata = open_safetensors(path)
    state = _without_prefix(_choose_entry(tree, entry, path, MAX_DEPTH))
    if not state:
        raise InputError(f"{path} holds no tensors{f' in {entry!r}' if entry in tree else ''}; is it the right file?")
    return state, metadata


def _choose_entry(tree: Mapping, entry: str, path: Path, depth: int) -> dict[str, StoredTensor]:
    nested = [key for key, value in tree.items() if isinstance(value, Mapping) and _holds_tensors(value)]
    if depth and nested:
        wrapper = next((key for key in WRAPPERS if key in nested and entry not in nested), None)
        if wrapper is not None:
            return _choose_entry(tree[wrapper], entry, path, depth - 1)
        if entry not in nested:
            names = [str(key)[:60] for key in nested]
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            raise InputError(
                f"{path} holds the entries {', '.join(names[:SHOWN])}{more}, not {entry!r}; choose one of them as the entry "
                "(--entry NAME on the command line)"
            )
        return _choose_entry(tree[entry], entry, path, depth - 1)
    return {str(key): value for key, value in tree.items() if isinstance(value, StoredTensor)}


def _holds_tensors(tree: Mapping) -> bool:
    branches: list[Any] = [tree]
    while branches:
        for value in branches.pop().values():
            if isinstance(value, StoredTensor):
                return True
            if isinstance(value, Mapping):
                branches.append(value)
    return False


def _without_prefix(state: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    while True:
        names = {key: INSIDE.sub("", key) for key in state}
        prefix = next((prefix for prefix in PREFIXES if names and all(name.startswith(prefix) for name in names.values())), "")
        names = {key: name[len(prefix) :] for key, name in names.items()}
        if all(key == name for key, name in names.items()) or len(set(names.values())) < len(names):
            return state
        state = {names[key]: value for key, value in state.items()}
