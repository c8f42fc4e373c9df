"""Optimizers of other packages: found by name, their options checked, and resumed with all that they keep."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_recipes import latents

from lumosx_core.data.latent_dataset import LatentDataset
from lumosx_core.errors import InputError
from lumosx_core.model.config import PRESETS
from lumosx_core.training.config import DEBUG, TrainingConfig
from lumosx_core.training.optimizers import check_optimizer, make_optimizers
from lumosx_core.training.resume import load_optimizer, load_state
from lumosx_core.training.train import train

OWN = f"{__name__}:Growing"
SIZES = PRESETS["debug_64"]


class Growing(torch.optim.Optimizer):
    """Its steps grow with a number that it keeps in its groups, as Prodigy does."""

    def __init__(self, params: Any, lr: float = 1.0, growth: float = 1.1, momentum: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "growth": growth, "momentum": momentum, "reach": 1.0})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            group["reach"] *= group["growth"]
            for parameter in group["params"]:
                kept = self.state[parameter]
                kept["mean"] = group["momentum"] * kept.get("mean", 0) + parameter.grad
                parameter -= group["lr"] * group["reach"] * kept["mean"]


def config(**changes: Any) -> TrainingConfig:
    return replace(DEBUG, **{"optimizer": OWN, "optimizer_options": ("growth=1.5", "momentum=0.5")} | changes)


def resumed_and_whole(settings: TrainingConfig, folder: Path) -> tuple[dict, dict]:
    class StopError(Exception):
        pass

    def stop(step: int, figures: dict[str, float]) -> None:  # noqa: ARG001
        if step == 2:
            raise StopError

    data = LatentDataset(latents(folder / "data"))
    whole = train(settings, SIZES, data, folder / "whole").state_dict()
    with pytest.raises(StopError):
        train(settings, SIZES, data, folder / "parts", on_step=stop)
    return train(settings, SIZES, data, folder / "parts").state_dict(), whole


def test_what_an_optimizer_keeps_in_its_groups_is_resumed_to_the_bit(tmp_path: Path) -> None:
    resumed, whole = resumed_and_whole(config(), tmp_path)
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    state = load_state(tmp_path / "whole", SIZES.to_json())
    assert state is not None
    (optimizer,) = state["optimizers"]
    assert optimizer["param_groups"][0]["reach"] == 1.5**4


@pytest.mark.parametrize("name", ["adamw_8bit", "prodigy"])
def test_optimizers_of_packages_are_resumed_to_the_bit(tmp_path: Path, name: str) -> None:
    pytest.importorskip({"adamw_8bit": "bitsandbytes", "prodigy": "prodigyopt"}[name])
    settings = config(optimizer=name, optimizer_options=(), learning_rate=1.0 if name == "prodigy" else 1e-3)
    resumed, whole = resumed_and_whole(settings, tmp_path)
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)


def test_another_choice_is_told_before_the_work(tmp_path: Path) -> None:
    """Names, packages and options; and a state of other options does not go on."""
    for changes, words in (
        ({"optimizer": "no.such.package:Adam"}, r"needs the package no .*pip install no"),
        ({"optimizer": "torch.optim:Nothing"}, "torch.optim has no optimizer Nothing"),
        ({"optimizer": "math:sqrt"}, "math has no optimizer sqrt"),
        ({"optimizer_options": ("grwth=1",)}, "optimizer_options grwth: .* takes growth, momentum"),
        ({"optimizer_options": ("lr=1",)}, "optimizer_options lr: .* takes growth"),
    ):
        with pytest.raises(InputError, match=words):
            check_optimizer(config(**changes))
    with pytest.raises(InputError, match="expected NAME=VALUE"):
        config(optimizer_options=("growth",))
    with pytest.raises(InputError, match="optimizer is 'sgd', expected 'adamw' or .* or module:Class"):
        config(optimizer="sgd")
    model = torch.nn.Linear(2, 2)
    with pytest.raises(InputError, match="refuses its options"):
        make_optimizers(model, config(optimizer="adamw", optimizer_options=("eps=-1",)))  # type: ignore[arg-type]
    data = LatentDataset(latents(tmp_path / "data"))
    train(config(), SIZES, data, tmp_path / "run")
    with pytest.raises(InputError, match=r"\(growth=1.5, momentum=0.5\), this run has .*\(growth=2\); choose another"):
        train(config(optimizer_options=("growth=2",)), SIZES, data, tmp_path / "run")


def test_options_are_words_and_numbers() -> None:
    model = torch.nn.Linear(2, 2)
    options = ("amsgrad=true", "eps=1e-5", "foreach=none")
    (optimizer,) = make_optimizers(model, config(optimizer="torch.optim:Adam", optimizer_options=options))  # type: ignore[arg-type]
    group = optimizer.param_groups[0]
    assert isinstance(optimizer, torch.optim.Adam)
    assert (group["amsgrad"], group["eps"], group["foreach"], group["betas"]) == (True, 1e-5, None, DEBUG.betas)


def test_damaged_groups_are_told(tmp_path: Path) -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    optimizer = Growing([parameter])
    optimizer.step()
    whole = optimizer.state_dict()
    group, entry = whole["param_groups"][0], whole["state"][0]
    for broken, words in (
        ({"param_groups": None}, "groups of parameters"),
        ({"param_groups": [group, group]}, "groups of parameters"),
        ({"param_groups": [group | {"params": [1]}]}, "groups of parameters"),
        ({"param_groups": [group | {"reach": float("nan")}]}, "'reach' that is no number"),
        ({"param_groups": [group | {"reach": [1.0]}]}, "'reach' that is no number"),
        ({"state": {0: entry | {"mean": torch.full((2,), float("nan"))}}}, "not finite"),
        ({"state": {0: None}}, "is not a table"),
    ):
        with pytest.raises(InputError, match=words):
            load_optimizer(Growing([parameter]), whole | broken, tmp_path / "state.pt")
