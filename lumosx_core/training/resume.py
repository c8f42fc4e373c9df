"""The state of a training on disk (`state_folder.py`), so that it goes on where it stopped with the same numbers.

Nothing of a state is used before all of it is checked: a file that is cut short, foreign or damaged is an InputError.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import whole_file
from lumosx_core.files.stored import StoredTensor
from lumosx_core.files.weights import read_pickle
from lumosx_core.model.checkpoint import check_keys
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.numbers import whole_number
from lumosx_core.training.config import MAX_COUNT, LoraConfig, TrainingConfig
from lumosx_core.training.guards import check_finite
from lumosx_core.training.lora import add_lora, trained_weights
from lumosx_core.training.parallelize import ALONE, Processes, agreed, like, local, own_rows, own_share
from lumosx_core.training.state_folder import last_state, read_state_folder, remove_older, write_state_folder

WHAT = "the training state"
OLDER = "state.pt"  # of runs before states were folders: one file of whole tensors
REMEDY = "delete it to begin again, or choose another output folder"
DIVERGED = "it was not written, the state before stays; lower the learning rate, or look for NaN in the data"
OPTIMIZER_STATE = {  # per parameter
    "AdamW": {"step", "exp_avg", "exp_avg_sq"},
    "Muon": {"momentum_buffer"},
    "Float32Muon": {"momentum_buffer"},
}
SET_BY_RUN = ("params", "lr", "weight_decay", "betas")  # of an optimizer's group: the config's at every start
SHOWN = 400  # characters of a recipe in a message


def save_state(
    run: Path,
    *,
    step: int,
    config: TrainingConfig,
    model: Mapping[str, torch.Tensor],
    ema: Mapping[str, torch.Tensor],
    optimizers: list[dict],
    model_config: str,
    base: str = "",
    guard: Mapping[str, Any] | None = None,
    processes: Processes = ALONE,
) -> Path:
    """Write everything that the next step needs into the folder of a run; whole or not at all; the folder of the state.

    model, ema: what learns. base: digest of the frozen weights beside it (`weights_digest`), which are not written. guard: of
    `StepGuard.state`. processes: all call this, each with its own shares. Older states that the config does not keep are
    deleted afterwards. Raises InputError in all processes if a value is not finite or the disk refuses.
    """
    state = {"step": step, "config": asdict(config), "model": model, "ema": ema, "optimizers": optimizers}
    state |= {"model_config": model_config, "base": base, "guard": dict(guard or {})}
    with agreed(processes):
        shares = {name: local(value.detach()) for name, value in _tensors(state).items()}
        check_finite(shares, f"{WHAT} in {run} at step {step}", DIVERGED)
    folder = write_state_folder(run, step, state, WHAT, processes)
    if processes.first:
        remove_older(run, config.keep_last, config.keep_every)
    return folder


def load_state(
    run: Path, model_config: str | None, lora: LoraConfig | None = None, targets: Mapping[str, torch.Tensor] | None = None
) -> dict | None:
    """The last state in the folder of a run (or the `state.pt` of older runs), or None if there is none.

    Its fields: step, config (with the optimizer's name), model, ema, optimizers (unchecked, for `load_optimizer`),
    model_config, base, guard (unchecked, for `StepGuard.resume`), path. targets: the parameters that "model.NAME", "ema.NAME"
    and "optimizers.NUMBER.state.INDEX" belong to; where these are in shares, so is what is read. Raises InputError if the
    state is not whole, or belongs to a model of other sizes than `model_config` (JSON; None takes any) or to a run with
    another LoRA than `lora`.
    """
    targets, folder, older = targets or {}, last_state(run), run / OLDER
    if folder is None and not older.exists():
        return None
    path = older if folder is None else folder
    state = fields_of(
        path,
        read_pickle(path, WHAT)
        if folder is None
        else read_state_folder(path, REMEDY, lambda name, stored: _read_own(stored, _target(targets, name))),
        {"step": int, "config": Mapping, "model": Mapping, "ema": Mapping, "optimizers": list, "model_config": str},
        {"base": "", "guard": {}},
    )
    whole_number(state["step"], f"{path}: step", least=0, most=MAX_COUNT)
    if model_config is not None and state["model_config"] != model_config:
        raise InputError(
            f"{path} belongs to a transformer with the config {state['model_config'][:SHOWN]}, this run has {model_config}; "
            "choose another output folder"
        )
    try:
        config = TransformerConfig.from_json(state["model_config"])
    except InputError as error:
        raise InputError(f"{path}: {error}; {REMEDY}") from error
    before, now = state["config"].get("lora"), None if lora is None else asdict(lora)
    if _full(before) != _full(now):
        raise InputError(
            f"{path} was trained with {_lora_words(before)}, this run has {_lora_words(now)}; choose another output folder"
        )
    for part in ("model", "ema"):  # before a model of an absurd size is built
        blocks = {str(key).split(".")[1] for key in state[part] if str(key).startswith("blocks.")}
        if len(blocks) != config.num_layers:
            raise InputError(f"{path}: {part} has {len(blocks)} blocks, its config {config.num_layers}; {REMEDY}")
    with torch.device("meta"):
        model = LumosXTransformer(config)
        if lora is not None:
            add_lora(model, lora)
    expected = trained_weights(model)
    for part in ("model", "ema"):
        own = {name: targets.get(f"{part}.{name}", value) for name, value in expected.items()}
        state[part] = {name: _cut(value, own.get(name)) for name, value in state[part].items()}
        check_state_weights(path, part, state[part], {name: own_share(value, own[name]) for name, value in expected.items()})
    return state | {"path": path}


def _target(targets: Mapping[str, torch.Tensor], name: str) -> torch.Tensor | None:
    """What a tensor of a state belongs to: of an optimizer's, the parameter that it is kept for."""
    return targets.get(name, targets.get(name.rpartition(".")[0]))


def _read_own(stored: StoredTensor, target: torch.Tensor | None) -> torch.Tensor:
    """A tensor, or this process's share of it where it is one of its target's shape."""
    rows = None if target is None or stored.shape != tuple(target.shape) else own_rows(target)
    if rows is None or stored.read_part is None:
        return stored.read()
    row = math.prod(stored.shape[1:])
    return stored.read_part(rows[0] * row, rows[1] * row).reshape(rows[1] - rows[0], *stored.shape[1:])


def _cut(value: Any, target: torch.Tensor | None) -> Any:
    """This process's share of what an older state has whole."""
    return own_share(value, target) if isinstance(value, torch.Tensor) and target is not None else value


def _full(lora: Any) -> Any:
    """With the alpha that a LoRA without one has: states keep either."""
    if not isinstance(lora, Mapping):
        return lora
    listed = {name: list(value) if isinstance(value, tuple) else value for name, value in lora.items()}
    return {**listed, "alpha": lora.get("alpha") or lora.get("rank")}


def _lora_words(lora: Any) -> str:
    if not isinstance(lora, Mapping):
        return "no LoRA"
    return "the LoRA " + ", ".join(f"{name} {value}" for name, value in lora.items())[:SHOWN]


def optimizer_words(config: Mapping[str, Any]) -> str:
    """Which optimizer a run's config (as a dictionary) names, with its options: what must be the same to go on."""
    options = ", ".join(map(str, config.get("optimizer_options") or ()))
    return repr(config.get("optimizer")) + (f" ({options})" if options else "")


def load_optimizer(optimizer: torch.optim.Optimizer, saved: Any, path: Path) -> None:
    """Put an optimizer where the saved one was, with what it keeps per group (Prodigy's estimate of the rate, and the like).

    The rate, `weight_decay` and `betas` stay those of `optimizer`: the run's config sets them. saved: from a state file at
    `path`. Raises InputError if it is of another optimizer or of other parameters, or damaged.
    """
    entries = saved.get("state") if isinstance(saved, Mapping) else None
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not isinstance(entries, Mapping) or not set(entries) <= set(range(len(parameters))):
        raise InputError(f"{path}: the optimizer's state is not that of {len(parameters)} parameters; {REMEDY}")
    names = OPTIMIZER_STATE.get(type(optimizer).__name__)
    for index, entry in entries.items():
        what = f"the optimizer's state of parameter {index}"
        if not isinstance(entry, Mapping) or (names is not None and set(entry) != names):
            raise InputError(f"{path}: {what} is not {', '.join(sorted(names or ())) or 'a table'}; {REMEDY}")
        if names is None:
            check_finite(_tensors(entry), f"{path}: {what}", REMEDY)
            continue
        scalar = torch.zeros((), device="meta")
        expected = {name: scalar if name == "step" else local(parameters[index]) for name in names}
        check_state_weights(path, what, {name: _cut(value, parameters[index]) for name, value in entry.items()}, expected)
        if "step" in names and float(entry["step"]) < 0:
            raise InputError(f"{path}: {what} is at a step below 0; {REMEDY}")
    groups = _groups(optimizer, saved.get("param_groups"), path)
    own = {index: _shares(copy.deepcopy(dict(entry)), parameters[index]) for index, entry in entries.items()}  # not the file's
    try:
        optimizer.load_state_dict({"state": own, "param_groups": groups})
    except (ValueError, TypeError, KeyError, RuntimeError, AttributeError) as error:  # of another package's own reading
        raise InputError(f"{path}: the optimizer's state cannot be used ({error}); {REMEDY}") from error


def _shares(entry: dict[str, Any], parameter: torch.Tensor) -> dict[str, Any]:
    """What an optimizer keeps of a parameter as the parameter itself is kept: tensors of its shape in shares."""
    own = {name: _cut(value, parameter) for name, value in entry.items()}
    shape = local(parameter).shape
    return {
        name: like(value, parameter) if isinstance(value, torch.Tensor) and value.shape == shape else value
        for name, value in own.items()
    }


def _groups(optimizer: torch.optim.Optimizer, saved: Any, path: Path) -> list[dict[str, Any]]:
    """The groups of an optimizer with what the saved ones kept in theirs: numbers and the like, none of them NaN."""
    own = optimizer.state_dict()["param_groups"]
    kept = saved if isinstance(saved, list) and all(isinstance(group, Mapping) for group in saved) else []
    if [group.get("params") for group in kept] != [group["params"] for group in own]:
        raise InputError(f"{path}: the optimizer's groups of parameters are not those of this run; {REMEDY}")
    merged = []
    for mine, group in zip(own, kept, strict=True):
        theirs = {name: value for name, value in group.items() if name not in SET_BY_RUN}
        for name, value in theirs.items():
            if not isinstance(name, str) or not all(map(_is_plain, value if isinstance(value, tuple) else (value,))):
                raise InputError(f"{path}: the optimizer's groups hold {str(name)[:80]!r} that is no number; {REMEDY}")
        merged.append({**mine, **theirs})
    return merged


def _is_plain(value: Any) -> bool:
    """A number (one in a tensor too), text or nothing; not NaN."""
    if isinstance(value, torch.Tensor):
        return value.numel() == 1 and value.device.type == "cpu" and bool(value == value)
    return value is None or (isinstance(value, (bool, int, float, str)) and value == value)


def check_state_weights(path: Path, what: str, tensors: Mapping, expected: Mapping[str, torch.Tensor]) -> None:
    """Raise InputError unless these are plain finite tensors with the names and shapes of `expected`."""
    for name, value in tensors.items():
        plain = isinstance(value, torch.Tensor) and value.layout == torch.strided and value.device.type == "cpu"
        if not isinstance(name, str) or not plain or not value.is_floating_point():
            raise InputError(f"{path}: {what} holds {str(name)[:80]!r}, which is no tensor of numbers; {REMEDY}")
    check_keys(f"{path}: {what}", dict(tensors), expected)
    check_finite(tensors, f"{path}: {what}", REMEDY)


def write_state(path: Path, state: dict, where: str) -> None:
    """Write the state of a stage of the nano recipe into one file, whole or not at all. Raises InputError if a value is not
    finite."""
    check_finite(_tensors(state), f"{WHAT} {path} at {where}", DIVERGED)
    with whole_file(path, WHAT) as partial:
        torch.save(state, partial)


def _tensors(tree: Any, name: str = "") -> dict[str, torch.Tensor]:
    """All tensors of numbers in nested dictionaries and lists, by their path."""
    if isinstance(tree, torch.Tensor):
        return {name: tree}
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list) else ()
    found: dict[str, torch.Tensor] = {}
    for key, value in items:
        found |= _tensors(value, f"{name}.{key}" if name else str(key))
    return found


def read_state(path: Path, kinds: Mapping[str, type]) -> dict:
    """The fields of a state file of `write_state`, each of its kind. Raises InputError for files that are none."""
    return fields_of(path, read_pickle(path, WHAT), kinds, {})


def fields_of(path: Path, found: Mapping[str, Any], kinds: Mapping[str, type], later: Mapping[str, Any]) -> dict:
    """The fields of a state, each of its kind. later: fields that older states lack, with what they are there. Raises
    InputError if others are missing or of another type."""
    state = {**later, **found}
    kinds = {**kinds, **{name: type(value) for name, value in later.items()}}
    wrong = [name for name, kind in kinds.items() if not isinstance(state.get(name), kind)]
    if wrong:
        raise InputError(f"{path} is no training state of this kind: {', '.join(wrong)} missing or of another type; {REMEDY}")
    return {name: state[name] for name in kinds}
