"""How far a stage of the nano recipe is, on disk, so that it goes on where it stopped with the same numbers."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lumosx_core.errors import InputError
from lumosx_core.files.json import parse_json
from lumosx_core.numbers import whole_number
from lumosx_core.training.resume import REMEDY, SHOWN, check_state_weights, read_state, write_state


def save_stage(
    path: Path,
    recipe: Any,
    position: list[int],
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    rng: np.random.Generator,
) -> None:
    """Write how far a stage of the nano recipe is: its recipe (a dataclass), the position in its loops, and what the next
    step needs, random numbers included (those of `rng` and torch's own). Raises InputError if a value is not finite."""
    state = {
        "recipe": asdict(recipe),
        "position": position,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "numpy": json.dumps(rng.bit_generator.state),
        "torch": torch.get_rng_state(),
    }
    write_state(path, state, f"position {position}")


def load_stage(
    path: Path, recipe: Any, model: torch.nn.Module, rng: np.random.Generator, ends: tuple[int, ...]
) -> tuple[list[int], dict] | None:
    """Put `model`, `rng` and torch's random numbers where the saved stage was; its position and the optimizer's state (for
    `load_optimizer`), or None if nothing was saved.

    ends: the largest position in each loop. Raises InputError if the file is no whole state or one of another recipe.
    """
    if not path.exists():
        return None
    kinds = {"recipe": Mapping, "position": list, "model": Mapping, "optimizer": Mapping, "numpy": str, "torch": torch.Tensor}
    state = read_state(path, kinds)
    begun = state["recipe"] and {**asdict(type(recipe)()), **state["recipe"]}  # a field that came later has its default
    if repr(begun) != repr(asdict(recipe)):  # repr: values of any type compare
        raise InputError(
            f"{path} was begun as {repr(state['recipe'])[:SHOWN]}, this run has {asdict(recipe)}; choose another output folder"
        )
    position = state["position"]
    if len(position) != len(ends):
        raise InputError(f"{path}: position has {len(position)} numbers, expected {len(ends)}; {REMEDY}")
    for number, end in zip(position, ends, strict=True):
        whole_number(number, f"{path}: position", least=0, most=end)
    check_state_weights(path, "model", state["model"], model.state_dict())
    numbers = parse_json(state["numpy"], f"the random numbers in {path}")
    try:
        np.random.default_rng(0).bit_generator.state = numbers  # tried on others first
        torch.Generator().set_state(state["torch"])
    except (TypeError, ValueError, KeyError, OverflowError, RuntimeError) as error:
        raise InputError(f"{path}: its random numbers cannot be taken up ({error}); {REMEDY}") from error
    model.load_state_dict(state["model"])
    rng.bit_generator.state = numbers
    torch.set_rng_state(state["torch"])
    return position, state["optimizer"]
