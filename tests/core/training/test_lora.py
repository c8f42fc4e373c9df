"""LoRA in the training loop: what learns and what does not, resuming, states, the exported file."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.data.latent_dataset import LatentDataset
from lumosx_core.errors import InputError
from lumosx_core.files.safetensors import read_safetensors
from lumosx_core.model.checkpoint import load_transformer, save_transformer
from lumosx_core.model.config import PRESETS
from lumosx_core.model.lora import read_lora, weights_digest
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training.config import DEBUG, LORA_LAYERS, LoraConfig, TrainingConfig
from lumosx_core.training.lora import LoraLinear, add_lora, export_lora, trained_weights
from lumosx_core.training.resume import load_state
from lumosx_core.training.train import train
from lumosx_core.training.validate import Validation

MODEL = PRESETS["debug"]
LORA = LoraConfig(rank=4, alpha=8, train_norms=True)
CONFIG = replace(DEBUG, lora=LORA, learning_rate=1e-2)
Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LatentDataset:
    """Six clips of two people."""
    folder = tmp_path_factory.mktemp("latents")
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "video": torch.randn(6, 16, 3, 4, 6, generator=generator).half(),
        "reference": torch.randn(12, 16, 4, 6, generator=generator).half(),
        "context": torch.randn(6, 16, 24, generator=generator).half(),
        "levels": torch.rand(12, 16, generator=generator).half(),
        "owners": torch.randint(-1, 2, (6, 3, 2, 3), generator=generator, dtype=torch.int8),
    }
    samples = [{"kinds": ["face", "face"], "subjects": [0, 1]}] * 6
    metadata = {"samples": json.dumps(samples), "empty_context": json.dumps([[0.5] * 24])}
    save_file(tensors, folder / "latents-0000.safetensors", metadata=metadata)
    return LatentDataset(folder)


@pytest.fixture(scope="module")
def base() -> Weights:
    """Weights whose head is not zero, so that every layer gets gradients."""
    torch.manual_seed(3)
    model = LumosXTransformer(MODEL)
    model.initialize_weights()
    torch.nn.init.normal_(model.head.head.weight, std=0.1)
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def trained(model: LumosXTransformer) -> Weights:
    return {name: value.detach() for name, value in trained_weights(model).items()}


def test_only_the_factors_and_norms_learn(data: LatentDataset, base: Weights, tmp_path: Path) -> None:
    model = train(CONFIG, MODEL, data, tmp_path, initial=base)
    learnt = trained(model)
    layers = [f"blocks.{n}.{layer}" for n in range(2) for layer in LORA_LAYERS]
    norms = {name for name in base if "norm" in name}
    assert set(learnt) == norms | {f"{layer}.{part}" for layer in layers for part in ("lora_A", "lora_B")}
    state = model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in base.items() if name not in norms)
    assert all(not torch.equal(value, base[name]) for name, value in learnt.items() if name in norms)
    assert all(value.any() for name, value in learnt.items() if name.endswith("lora_B"))
    layer = model.get_submodule("blocks.1.ffn.0")
    assert isinstance(layer, LoraLinear)
    x = torch.randn(3, MODEL.dim)
    merged = base["blocks.1.ffn.0.weight"] + 2.0 * layer.lora_B @ layer.lora_A  # alpha 8 over rank 4
    assert torch.allclose(layer(x), x @ merged.T + base["blocks.1.ffn.0.bias"], atol=1e-5)


def test_at_first_the_model_is_the_base(base: Weights) -> None:
    model, plain = LumosXTransformer(MODEL), LumosXTransformer(MODEL)
    for one in (model, plain):
        one.load_state_dict(base)
    add_lora(model, LORA, seed=1)
    x = torch.randn(2, 7, MODEL.dim)
    assert torch.equal(model.blocks[0].get_submodule("ffn")(x), plain.blocks[0].get_submodule("ffn")(x))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_lora_is_the_same_and_its_state_has_no_base(
    data: LatentDataset, base: Weights, tmp_path: Path, optimizer: str
) -> None:
    class StopError(Exception):
        pass

    def stop(step: int, figures: dict[str, float]) -> None:  # noqa: ARG001
        if step == 2:
            raise StopError

    config = replace(CONFIG, optimizer=optimizer)
    validation = Validation(data=data, every=1, batches=1, batch=1)
    whole = trained(train(config, MODEL, data, tmp_path / "whole", initial=base))
    with pytest.raises(StopError):
        train(config, MODEL, data, tmp_path / "parts", initial=base, on_step=stop, validation=validation)
    resumed = trained(train(config, MODEL, data, tmp_path / "parts", initial=base, validation=validation))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    state = load_state(tmp_path / "parts", MODEL.to_json(), config.lora)
    assert state is not None
    assert set(state["model"]) == set(state["ema"]) == set(whole)
    assert all(value.dtype == torch.float32 for value in state["ema"].values())
    assert state["base"] == weights_digest(base)


def test_a_state_of_another_lora_or_base_is_refused(data: LatentDataset, base: Weights, tmp_path: Path) -> None:
    train(CONFIG, MODEL, data, tmp_path, initial=base)
    for other in (None, replace(LORA, rank=2), replace(LORA, train_norms=False)):
        with pytest.raises(InputError, match=r"was trained with the LoRA rank 4.*choose another output folder"):
            train(replace(CONFIG, lora=other), MODEL, data, tmp_path, initial=base)
    moved = {**base, "head.head.bias": base["head.head.bias"] + 1}
    with pytest.raises(InputError, match="was trained beside the weights .*give the weights that it was begun with"):
        train(CONFIG, MODEL, data, tmp_path, initial=moved)
    with pytest.raises(InputError, match="give the weights to start from"):
        train(CONFIG, MODEL, data, tmp_path / "new")


def test_the_exported_file_gives_the_trained_model(
    data: LatentDataset, base: Weights, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = train(CONFIG, MODEL, data, tmp_path, initial=base)
    path = export_lora(tmp_path / "lora.safetensors", model, CONFIG, base, steps=4)
    tensors, metadata = read_safetensors(path)
    assert len(tensors) == 2 * (len(LORA_LAYERS) * 3 + 4 + 2)  # factors and alpha; query and key norms, norm3, modulation
    assert float(tensors["diffusion_model.blocks.0.self_attn.q.alpha"]) == 8.0
    assert tensors["diffusion_model.blocks.1.norm3.diff_b"].shape == (MODEL.dim,)
    assert (metadata["format"], metadata["base"], metadata["rank"]) == ("lumosx-lora", weights_digest(base), "4")
    assert json.loads(metadata["recipe"])["learning_rate"] == 1e-2 and json.loads(metadata["relations"])["multilevel_pool"] == 8
    save_transformer(tmp_path / "base.safetensors", base, MODEL)
    lora = read_lora(path)
    for strength in (1.0, 0.5):
        merged = load_transformer(tmp_path / "base.safetensors", loras=[(lora, strength)]).state_dict()
        for name, value in base.items():
            learnt = model.state_dict()[name]
            if (layer := name.removesuffix(".weight")) in lora.factors:
                module = model.get_submodule(layer)
                learnt = value + 2.0 * module.get_parameter("lora_B") @ module.get_parameter("lora_A")
            assert torch.allclose(merged[name], value + strength * (learnt - value), atol=1e-6), name
    assert not caplog.text
    save_transformer(tmp_path / "other.safetensors", {**base, "head.head.bias": base["head.head.bias"] + 1}, MODEL)
    load_transformer(tmp_path / "other.safetensors", loras=[(lora, 1.0)])
    assert f"was trained on the weights {weights_digest(base)}" in caplog.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rank": 0}, "lora: rank is 0"),
        ({"alpha": -1.0}, "lora: alpha is -1.0"),
        ({"alpha": float("nan")}, "lora: alpha is nan"),
        ({"layers": ("self_attn.z",)}, r"lora: layers are self_attn\.z, expected some of self_attn\.q"),
        ({"layers": ()}, "lora: layers are none"),
    ],
)
def test_wrong_settings_are_told(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        LoraConfig(**change)


def test_a_run_without_lora_writes_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no LoRA to write"):
        export_lora(tmp_path / "x.safetensors", LumosXTransformer(MODEL), TrainingConfig(steps=1, batch=1), {}, steps=1)
