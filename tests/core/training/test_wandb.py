"""Weights & Biases: off unless asked for, offline unless that is asked for too, and told where it is not installed."""

import json
import sys
from pathlib import Path

import pytest
from test_recipes import latents

from lumosx_core.cli.main import main
from lumosx_core.cli.wandb_curves import WandbCurves
from lumosx_core.errors import InputError

COMMAND = ["train", "transformer", "data", "--out", "run", "--device", "cpu", "--recipe", "debug", "--steps", "2"]


def test_what_is_missing_or_wrong_is_told_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    latents(tmp_path / "data")
    monkeypatch.setitem(sys.modules, "wandb", None)  # as where it is not installed
    for options, words in (
        (["--wandb", "people"], "--wandb needs the package wandb; run  "),
        (["--wandb", "a b/c"], "--wandb 'a b/c': expected the name of a project"),
        (["--wandb-online"], "--wandb-online sends what --wandb PROJECT keeps; name the project too"),
    ):
        assert main([*COMMAND, *options]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "run" / "states").exists()
    assert main(COMMAND) == 0 and not list((tmp_path / "run").glob("wandb*"))  # not asked for: not even looked for


def test_offline_every_start_has_the_same_id_and_all_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="NOT TESTED: wandb is not installed (pip install 'lumosx[wandb]')")
    monkeypatch.setenv("WANDB_MODE", "online")  # the command's own word counts
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "true")
    for start in (0, 1):
        curves = WandbCurves(tmp_path, "people", {"training": {"steps": 4, "frames": (1, 2)}})
        for step in (start, start + 1):
            curves(step, {"loss": 0.34375 + step, "loss/0.06": float("nan")})
        curves.close()
    kept = json.loads((tmp_path / "wandb.json").read_text("utf-8"))["id"]
    for start, run in enumerate(sorted(tmp_path.glob("wandb/offline-run-*"))):
        assert run.name.endswith(kept)
        content = (run / f"run-{kept}.wandb").read_bytes()
        assert all(text in content for text in (b"loss/0.06", b"people", str(0.34375 + start).encode(), b"1.34375"))
    assert start == 1
    (tmp_path / "wandb.json").write_text('{"id": 3}')
    with pytest.raises(InputError, match="names no run; delete it"):
        WandbCurves(tmp_path, "people", {})
