"""Every number of the golden data, within its bar, in float32 on the CPU."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from lumosx_core.checks import golden
from lumosx_core.checks.golden import BAR, GOLDEN_FOLDER, SAMPLER_BAR, Check, run_checks
from lumosx_core.errors import InputError


@pytest.fixture(scope="module")
def checks() -> dict[str, Check]:
    return {check.name: check for check in run_checks()}


def test_every_golden_number_is_within_its_bar(checks: dict[str, Check]) -> None:
    assert {c.name: f"{c.deviation:.1e}" for c in checks.values() if not c.passed} == {}


def test_all_stored_outputs_are_checked(checks: dict[str, Check]) -> None:
    from safetensors import safe_open

    with safe_open(GOLDEN_FOLDER / "dit_cases.safetensors", "pt") as stored:
        outputs = [key.replace("/", ": ") for key in stored.keys() if "/output_" in key]  # noqa: SIM118
    assert len(outputs) == 10 and all(checks[name].bar == BAR == 2e-5 for name in outputs)
    modules = [n for n in checks if n.endswith((": rotary positions", "self-attention", "cross-attention", "rows"))]
    assert len(modules) == 12
    assert sum(name.startswith("sampled in") and checks[name].bar == SAMPLER_BAR == 1e-4 for name in checks) == 4
    assert sum(name.startswith("training loss") for name in checks) == 3
    assert sum(name.startswith("schedule of") for name in checks) == 6
    assert {"UMT5 encoder", "VAE: image to latent", "VAE: video to latent", "VAE: latent to video"} <= set(checks)


def test_a_wrong_number_is_found(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for name in ("dit_cases.json", "dit_weights.safetensors"):
        shutil.copyfile(GOLDEN_FOLDER / name, tmp_path / name)
    tensors = load_file(GOLDEN_FOLDER / "dit_cases.safetensors")
    tensors["objects_only/output_full"][0, 3, 1, 2, 2] += 3e-5
    save_file(tensors, tmp_path / "dit_cases.safetensors")
    failed = {check.name for check in run_checks(tmp_path) if not check.passed}
    assert failed == {"objects_only: output_full"}


def test_a_transposed_shape_and_nan_are_over_the_bar() -> None:
    assert golden.deviation(torch.zeros(2, 3), torch.zeros(3, 2)) == float("inf")
    assert not Check(name="x", deviation=float("nan"), bar=1.0).passed


def test_a_folder_without_golden_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds none of the golden files"):
        list(run_checks(tmp_path))


def test_verify_prints_json_and_fails_with_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import load_file, save_file

    from lumosx_core.cli.main import main

    tensors = load_file(GOLDEN_FOLDER / "umt5_encoder.safetensors")
    save_file(tensors, tmp_path / "umt5_encoder.safetensors")
    assert main(["verify", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["failed"] == 0 and report["checks"][0]["check"] == "UMT5 encoder"
    tensors["hidden_states"] += 1e-3
    save_file(tensors, tmp_path / "umt5_encoder.safetensors")
    assert main(["verify", str(tmp_path)]) == 1
    assert "FAIL cpu" in capsys.readouterr().out
