"""What a training writes is told before it starts, as it is then found on the disk; one that does not fit is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from test_recipes import latents
from test_samples import samples

from lumosx_core.cli.main import main
from lumosx_core.data.latent_dataset import LatentDataset
from lumosx_core.errors import InputError
from lumosx_core.files.weights import read_safetensors
from lumosx_core.model.config import PRESETS
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training.config import DEBUG, LoraConfig
from lumosx_core.training.disk import DiskNeed, check_disk, disk_need
from lumosx_core.training.recipes import RECIPES
from lumosx_core.training.train import train

SIZES = PRESETS["debug_64"]


@pytest.mark.parametrize("changes", [{}, {"optimizer": "muon"}, {"lora": LoraConfig(rank=4)}])
def test_a_state_is_as_large_as_was_told(changes: dict, tmp_path: Path) -> None:
    config = replace(DEBUG, steps=1, **changes)
    need = disk_need(SIZES, config)
    initial = LumosXTransformer(SIZES).state_dict()
    train(config, SIZES, LatentDataset(latents(tmp_path / "data")), tmp_path / "run", initial=initial)
    (shard,) = (tmp_path / "run" / "states").rglob("*.safetensors")
    written = sum(value.nbytes for value in read_safetensors(shard)[0].values())
    # What lies outside of the blocks is AdamW's under Muon too, which keeps twice as much; it is much of a model so small.
    assert 1 <= written / need.state < (1.2 if config.optimizer == "muon" else 1.01), need


def test_how_many_states_lie_there_at_once() -> None:
    for changes, states in (
        ({}, 2),  # the last, and the one that takes its place
        ({"steps": 100, "save_every": 500}, 1),
        ({"keep_last": 3}, 4),
        ({"keep_every": 2000}, 2 + 8),
        ({"keep_every": 750}, 2 + 10),  # steps that are both saved and kept
    ):
        assert disk_need(SIZES, replace(RECIPES["published_2"].config(), **changes)).states == states, changes
    watched = disk_need(SIZES, replace(DEBUG, steps=5), samples())
    assert watched.samples == 3 * samples().disk_bytes() > 3 * 2**20


def test_what_does_not_fit_is_refused_with_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=5 * 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    run, config = tmp_path / "new" / "run", DEBUG
    assert check_disk(run, config, DiskNeed(state=2**30, states=4, result=2**30, samples=0)) == 5 * 2**30
    large = DiskNeed(state=2**31, states=2, result=2**29, samples=2**30)
    with pytest.raises(
        InputError, match=r"writes 5.5 GiB: 2 states of 2.0 each, the result 0.5, samples about 1.0; 5.0 GiB are"
    ):
        check_disk(run, config, large)
    (run / "samples").mkdir(parents=True)
    with open(run / "samples" / "there", "wb") as file:
        file.truncate(2**30)
    assert check_disk(run, config, large) == 5 * 2**30  # what is there is not written again
    (run / "states" / f"step-{config.steps:08d}").mkdir(parents=True)
    assert check_disk(run, config, replace(large, state=2**40)) == 5 * 2**30  # and a run that is done writes nothing
    command = ["train", "transformer", str(latents(tmp_path / "data")), "--device", "cpu", "--recipe", "debug", "--steps", "1"]
    assert main([*command, "--out", str(tmp_path / "fits")]) == 0
    assert "\ndisk           0.0" in "\n" + capsys.readouterr().out
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**26))
    many = ["--set", "save_every=1", "--set", "keep_last=100", "--steps", "90"]
    assert main([*command, *many, "--out", str(tmp_path / "full")]) == 2
    assert "GiB are free where" in capsys.readouterr().err and not list((tmp_path / "full").iterdir())
    assert main(["train", "plan", "--recipe", "debug", "--size", "48x48x5", "--references", "1"]) == 0
    assert "disk           0.0" in capsys.readouterr().out
