"""A run of before the rooms were sorted goes on.

`older_run/` holds its latent shard (four pictures of the debug recipe) and its state (one block 8 wide, Muon, stopped after
step 2 of 3), both written by the commit before d36af76.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lumosx_core.data.latent_dataset import LatentDataset
from lumosx_core.model.config import PRESETS
from lumosx_core.training.config import TrainingConfig
from lumosx_core.training.resume import load_state
from lumosx_core.training.train import train

OLDER = Path(__file__).parent / "older_run"
CONFIG = TrainingConfig(steps=3, batch=2, warmup_steps=1, save_every=1, optimizer="muon")
LOSSES = [2.2570276260375977, 2.6385788917541504, 2.543100595474243]  # as that commit told them
SQUARES = 153.8845574654615  # sum of squares of its averaged weights after step 3


@pytest.mark.parametrize("first", [0, 2])
def test_an_older_run_gives_the_losses_and_weights_of_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    data = LatentDataset(OLDER / "latents")
    sizes = replace(
        PRESETS["debug"],
        num_layers=1,
        dim=8,
        ffn_dim=8,
        num_heads=1,
        freq_dim=4,
        text_len=80,
        text_dim=data.empty_context.shape[-1],
    )
    if first:
        shutil.copy(OLDER / "state.pt", tmp_path / "state.pt")
    # At that time Muon rounded to bfloat16.
    monkeypatch.setattr("lumosx_core.training.muon.Float32Muon", torch.optim.Muon)
    losses: dict[int, float] = {}
    train(CONFIG, sizes, data, tmp_path, on_step=lambda step, figures: losses.update({step: figures["loss"]}))
    assert losses == pytest.approx(dict(list(enumerate(LOSSES))[first:]))
    state = load_state(tmp_path, sizes.to_json())
    assert state is not None and state["step"] == 3
    assert sum(float(weight.double().square().sum()) for weight in state["ema"].values()) == pytest.approx(SQUARES, rel=1e-6)
