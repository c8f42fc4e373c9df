"""The state of a run on disk, so that it goes on where it stopped with the same numbers."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import whole_file
from lumosx_core.training.config import TrainingConfig


def save_state(
    path: Path, *, step: int, config: TrainingConfig, model: dict, ema: dict, optimizers: list[dict], model_config: str
) -> None:
    """Write everything that the next step needs; whole or not at all."""
    state = {"step": step, "config": asdict(config), "model": model, "ema": ema, "optimizers": optimizers}
    with whole_file(path, "the training state") as partial:
        torch.save(state | {"model_config": model_config}, partial)


def load_state(path: Path, model_config: str | None) -> dict | None:
    """The saved state, or None if there is none. Raises InputError if it belongs to a model of other sizes than
    `model_config` (JSON; None takes any)."""
    if not path.exists():
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)
    if model_config is not None and state["model_config"] != model_config:
        raise InputError(
            f"{path} belongs to a transformer with the config {state['model_config']}, this run has {model_config}; "
            "choose another output folder"
        )
    return state


def save_stage(
    path: Path,
    recipe: Any,
    position: list[int],
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    rng: np.random.Generator,
) -> None:
    """Write how far a stage of the nano recipe is: its recipe (a dataclass), the position in its loops, and what the next
    step needs, random numbers included (those of `rng` and torch's own)."""
    state = {
        "recipe": asdict(recipe),
        "position": position,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "numpy": json.dumps(rng.bit_generator.state),
        "torch": torch.get_rng_state(),
    }
    with whole_file(path, "the training state") as partial:
        torch.save(state, partial)


def load_stage(path: Path, recipe: Any, model: torch.nn.Module, rng: np.random.Generator) -> tuple[list[int], dict] | None:
    """Put `model`, `rng` and torch's random numbers where the saved stage was; its position and the optimizer's state, or
    None if nothing was saved. Raises InputError if it was saved under another recipe."""
    if not path.exists():
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["recipe"] != asdict(recipe):
        raise InputError(f"{path} was begun as {state['recipe']}, this run has {asdict(recipe)}; choose another output folder")
    model.load_state_dict(state["model"])
    rng.bit_generator.state = json.loads(state["numpy"])
    torch.set_rng_state(state["torch"])
    return state["position"], state["optimizer"]
