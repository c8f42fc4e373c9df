"""The state of a run on disk, so that it goes on where it stopped with the same numbers."""

from dataclasses import asdict
from pathlib import Path

import torch

from lumosx_core.errors import InputError
from lumosx_core.training.config import TrainingConfig
from lumosx_core.whole_files import whole_file


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
