"""A LoRA that the core has trained, in ComfyUI: its own loader takes every key, and host and core compute the same."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from test_comfy_bridge import CONFIG, deviation, encoded, run

from lumosx_core.checks.golden import GOLDEN_FOLDER, read_cases
from lumosx_core.files.weights import read_safetensors
from lumosx_core.model.checkpoint import load_transformer, save_transformer
from lumosx_core.model.lora import read_lora
from lumosx_core.model.token_layout import text_levels
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training.config import LoraConfig, TrainingConfig
from lumosx_core.training.lora import add_lora, export_lora, trained_weights

CASE = read_cases(GOLDEN_FOLDER)[1][0]
TRAINING = TrainingConfig(steps=1, batch=1, lora=LoraConfig(rank=4, alpha=7.0, train_norms=True))


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return dict(read_safetensors(GOLDEN_FOLDER / "dit_weights.safetensors")[0])


@pytest.fixture(scope="module")
def lora(weights: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export whose factors and norms all have moved; alpha is not the rank."""
    assert TRAINING.lora is not None
    model = LumosXTransformer(CONFIG)
    model.load_state_dict(weights)
    add_lora(model, TRAINING.lora)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in trained_weights(model).values():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.03)
    return export_lora(tmp_path_factory.mktemp("lora") / "lora.safetensors", model, TRAINING, weights, steps=1)


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_host_and_core_agree_and_no_key_is_refused(
    bridge: ModuleType,
    models: ModuleType,
    weights: dict[str, torch.Tensor],
    lora: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    strength: float,
) -> None:
    import comfy.sd
    import comfy.utils

    with caplog.at_level(logging.WARNING):
        plain = models.host_model(weights, CONFIG)
        content = comfy.utils.load_torch_file(str(lora), safe_load=True)
        patched: Any = comfy.sd.load_lora_for_models(plain, None, content, strength, 0.0)[0]
    assert "not loaded" not in caplog.text.lower() and len(content) == len(read_safetensors(lora)[0])
    assert len(patched.patches) == len(read_lora(lora).changes())
    save_transformer(tmp_path / "base.safetensors", weights, CONFIG)
    core = load_transformer(tmp_path / "base.safetensors", loras=[(read_lora(lora), strength)])
    related: Callable[[Any], Any] = lambda patcher: bridge.apply_relations(  # noqa: E731
        patcher, encoded(bridge, patcher, CASE), bridge.PatchOptions()
    )
    tensors = CASE.tensors
    host = run(related(patched), tensors["latent"], CASE.timestep, tensors["context"], [0])
    levels = text_levels(CASE.references, CONFIG.text_len)[None]
    with torch.no_grad():
        references = tensors["reference_latents"][None].squeeze(3)
        own = core(tensors["latent"], torch.tensor([CASE.timestep]), tensors["context"], references, CASE.layout(), levels)
    assert deviation(host, own) <= 1e-4
    assert deviation(host, run(related(plain), tensors["latent"], CASE.timestep, tensors["context"], [0])) > 1e-2
