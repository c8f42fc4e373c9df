"""The optimizers of a training run: which parameters get which rule."""

import ast
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training.config import TrainingConfig
from lumosx_core.training.lora import trained_weights

# Optimizers of other packages that have a short name; what to install for them.
PACKAGES = {"adamw_8bit": "bitsandbytes.optim:AdamW8bit", "prodigy": "prodigyopt:Prodigy"}

# Bytes per number that learns: what the optimizer keeps, and what it needs beside that during its step.
OPTIMIZER_BYTES = {"adamw": (8.0, 4.0), "muon": (4.0, 4.0), "adamw_8bit": (2 + 8 / 256, 0.0), "prodigy": (16.0, 4.0)}
OTHER_OPTIMIZER = (8.0, 4.0)  # nothing is known: as AdamW


def check_optimizer(config: TrainingConfig) -> None:
    """Raises InputError for Muon with a torch that has none (before 2.9), for a package that is not installed, a name in it
    that is no optimizer, and options that it does not take."""
    if config.optimizer == "muon" and not hasattr(torch.optim, "Muon"):
        raise InputError(f"training: optimizer 'muon' needs torch 2.9 or newer, this is {torch.__version__}; update torch")
    kind = _class_of(config.optimizer)
    taken = inspect.signature(kind).parameters
    unknown = [name for name in _options(config) if name not in taken or name in ("params", "lr", "weight_decay")]
    if unknown:
        free = ", ".join(name for name in taken if name not in ("params", "lr", "weight_decay"))
        raise InputError(f"training: optimizer_options {', '.join(unknown)}: {config.optimizer} takes {free}")


def make_optimizers(model: LumosXTransformer, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """The optimizers of a run: the one that the config names; "muon" is for the matrices inside the blocks, AdamW for the rest.

    Muon (Jordan 2024, torch.optim.Muon) makes the step of a matrix orthogonal, its size matched to AdamW's, so that both
    run at the same rate; in float32 (`muon.py`) or, where the training is in bfloat16, in that. Frozen weights get none. Norms
    and biases are not decayed. The loop sets the rate before every step; `betas` go to optimizers that take them. Raises
    InputError as `check_optimizer` does, and for options of wrong values.
    """
    check_optimizer(config)
    inside, matrices, others = [], [], []
    for name, parameter in trained_weights(model).items():
        if config.optimizer == "muon" and parameter.ndim == 2 and name.startswith("blocks."):
            inside.append(parameter)
        elif parameter.ndim >= 2:
            matrices.append(parameter)
        else:
            others.append(parameter)
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    kind, options = _class_of(config.optimizer), _options(config)
    if config.optimizer == "muon":
        optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas)]
        if inside:
            own: dict[str, Any] = {"weight_decay": config.weight_decay, "adjust_lr_fn": "match_rms_adamw"} | options
            optimizers.append(_muon(config.precision)(inside, lr=config.learning_rate, **own))
        return optimizers
    if "betas" in inspect.signature(kind).parameters:
        options = {"betas": config.betas} | options
    try:
        return [kind(groups, lr=config.learning_rate, **options)]
    except (TypeError, ValueError) as error:
        raise InputError(f"training: optimizer {config.optimizer!r} refuses its options ({error})") from error


def _muon(precision: str) -> Callable[..., torch.optim.Optimizer]:
    """The Muon of a precision; torch has one (`check_optimizer`)."""
    if precision == "bf16":
        return torch.optim.Muon
    from lumosx_core.training.muon import Float32Muon

    return Float32Muon


def _class_of(name: str) -> Callable[..., torch.optim.Optimizer]:
    """The class of an optimizer's name. Raises InputError if it is not there."""
    own = {"adamw": torch.optim.AdamW, "muon": getattr(torch.optim, "Muon", None)}
    if name in own:
        return own[name]  # type: ignore[return-value]
    module, _, attribute = PACKAGES.get(name, name).partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ImportError as error:
        package = module.partition(".")[0]
        raise InputError(
            f"training: optimizer {name!r} needs the package {package} ({error}); pip install {package}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, torch.optim.Optimizer)):
        raise InputError(f"training: optimizer {name!r}: {module} has no optimizer {attribute}; write module:Class")
    return found


def _options(config: TrainingConfig) -> dict[str, Any]:
    """optimizer_options as arguments: Python's literals, true and false; anything else is a text."""
    words = {"true": True, "false": False, "none": None}
    options: dict[str, Any] = {}
    for option in config.optimizer_options:
        name, _, text = option.partition("=")
        try:
            options[name] = words[text.lower()] if text.lower() in words else ast.literal_eval(text)
        except (ValueError, SyntaxError):
            options[name] = text
    return options
