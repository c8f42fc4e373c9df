"""Checkpoint files: reading what is in circulation, strict loading, and our own format.

Ours is one safetensors file with Wan2.1's key names; its metadata holds `config` (JSON of `TransformerConfig`) and
`format` = "lumosx-transformer". Pickles are read with weights_only=True and never otherwise.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from lumosx_core.errors import InputError
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.whole_files import whole_file

FORMAT = "lumosx-transformer"
StateDict = dict[str, torch.Tensor]
STORAGE_TYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "fp8_e4m3fn": torch.float8_e4m3fn,
}  # fmt: skip
PREFIXES = ("model.diffusion_model.", "diffusion_model.", "module.", "model.", "dit.")
SHOWN = 4  # keys named in an error message


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


def stored_tensor(name: str, value: torch.Tensor, storage: str) -> torch.Tensor:
    """A weight in its storage type. fp8 is for the blocks' matrices only; everything else then stays bf16."""
    dtype = STORAGE_TYPES[storage]
    if storage == "fp8_e4m3fn" and not (name.startswith("blocks.") and name.endswith(".weight") and value.ndim == 2):
        dtype = torch.bfloat16
    if storage == "fp8_e4m3fn" and dtype == torch.float8_e4m3fn:
        value = value.float().clamp(-448.0, 448.0)  # the format has no infinity: larger values would become NaN
    return value.to(dtype).contiguous()


def write_safetensors(path: str | Path, tensors: StateDict, metadata: dict[str, str]) -> Path:
    """Write a safetensors file whole or not at all. Raises InputError when the disk refuses."""
    with whole_file(path) as partial:
        try:
            save_file({key: value.contiguous() for key, value in tensors.items()}, partial, metadata=metadata)
        except SafetensorError as error:  # what safetensors makes of a full disk
            raise OSError(str(error)) from error
    return Path(path)


def save_transformer(
    path: str | Path,
    state: StateDict,
    config: TransformerConfig,
    *,
    storage: str = "fp32",
    extra_metadata: dict[str, str] | None = None,
) -> Path:
    """Write a transformer's weights (Wan2.1 names) in the given storage type, with the config in the metadata."""
    if storage not in STORAGE_TYPES:
        raise InputError(f"storage type {storage!r}, expected one of {', '.join(STORAGE_TYPES)}")
    metadata = {
        "format": FORMAT,
        "config": config.to_json(),
        "storage": storage,
        **(extra_metadata or {}),
    }
    return write_safetensors(path, {k: stored_tensor(k, v, storage) for k, v in state.items()}, metadata)


def check_keys(what: str, state: StateDict, expected: Mapping[str, torch.Tensor]) -> None:
    """Raise InputError, naming a few, if keys are missing or extra, or shapes differ from `expected`."""
    missing = [k for k in expected if k not in state]
    extra = [k for k in state if k not in expected]
    wrong = [
        f"{k} {tuple(state[k].shape)} instead of {tuple(expected[k].shape)}"
        for k in expected
        if k in state and state[k].shape != expected[k].shape
    ]
    faults = []
    for label, names in (("missing", missing), ("not of this model", extra), ("of the wrong shape", wrong)):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            faults.append(f"{len(names)} {label}: {', '.join(names[:SHOWN])}{more}")
    if faults:
        raise InputError(f"{what} does not fit the model: " + "; ".join(faults) + ". Is it the right file and preset?")


def infer_config(state: StateDict, num_heads: int | None = None) -> TransformerConfig:
    """The sizes of a Wan2.1 state dict from its shapes. num_heads: None for Wan's heads of 128 channels.

    text_len cannot be seen in the weights: 512, as Wan has. Raises InputError if it is no Wan2.1 text-to-video model.
    """
    try:
        dim = state["head.modulation"].shape[-1]
        layers = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("blocks."))
        return TransformerConfig(
            dim=dim,
            num_heads=num_heads or dim // 128,
            num_layers=layers,
            ffn_dim=state["blocks.0.ffn.0.weight"].shape[0],
            freq_dim=state["time_embedding.0.weight"].shape[1],
            text_dim=state["text_embedding.0.weight"].shape[1],
            in_dim=state["patch_embedding.weight"].shape[1],
            out_dim=state["head.head.weight"].shape[0] // 4,
        )
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"these weights are no Wan2.1 text-to-video transformer: {error} is missing or odd") from error


def load_transformer(
    path: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    config: TransformerConfig | None = None,
) -> LumosXTransformer:
    """A transformer in evaluation mode from a checkpoint of any kind; sizes from its metadata, else from its shapes.

    dtype: of the weights in memory; stored fp8 or half weights are converted. config: overrides the file's sizes.
    Raises InputError for damaged files and keys that are missing, extra or of the wrong shape.
    """
    state, metadata = read_state_dict(path)
    if metadata.get("format", FORMAT) != FORMAT:
        raise InputError(f"{path} is a {metadata['format']} file, expected a transformer; are two files exchanged?")
    if config is None:
        config = TransformerConfig.from_json(metadata["config"]) if "config" in metadata else infer_config(state)
    with torch.device("meta"):
        model = LumosXTransformer(config)
    check_keys(str(path), state, model.state_dict())
    model.load_state_dict({key: value.to(device, dtype) for key, value in state.items()}, assign=True)
    return model.train(False)
