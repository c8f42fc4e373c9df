"""What a plan says is what tensors take; the mildest choice that fits is taken; what cannot fit is told with the least."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_recipes import latents

from lumosx_core.cli.main import main
from lumosx_core.data.latent_dataset import LatentDataset
from lumosx_core.errors import InputError
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.devices import GIB
from lumosx_core.model.live_memory import LiveMemory
from lumosx_core.model.low_memory import HostRam
from lumosx_core.model.memory import USABLE
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training.config import DEBUG, LoraConfig, MemoryConfig, TrainingConfig
from lumosx_core.training.ema import begin_average
from lumosx_core.training.fit import fit_model
from lumosx_core.training.lora import trained_weights
from lumosx_core.training.losses import PublishedLoss
from lumosx_core.training.memory_plan import Need, _draw, fitting, milder_to_harder, needed
from lumosx_core.training.optimizers import make_optimizers

SIZES = TransformerConfig(dim=96, num_heads=2, num_layers=7, ffn_dim=448, freq_dim=32, text_dim=24, text_len=16)
LAYOUT = TokenLayout(3, 12, 16, kinds=("background", "face", "attribute"), subjects=(None, 0, 0))
LORA = LoraConfig(rank=4)


def need(config: TrainingConfig) -> Need:
    return needed(SIZES, config, LAYOUT)


def counted(config: TrainingConfig) -> int:
    """The peak of a real second step, its optimizer and average included."""
    model = LumosXTransformer(SIZES)
    fit_model(model, config, HostRam("cpu"))
    average, optimizers = begin_average(trained_weights(model)), make_optimizers(model, config)
    draw = _draw(SIZES, config, LAYOUT)
    draw = replace(draw, noise=torch.randn(draw.noise.shape), timestep=torch.full((len(draw.timestep),), 500.0))
    with LiveMemory() as memory:
        memory.hold(list(model.parameters()), average)
        for _ in range(2):
            memory.forget_peak()
            PublishedLoss()(model, draw).total.backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
    return memory.peak


@pytest.mark.parametrize(
    ("lora", "changes", "memory"),
    [
        (None, {"gradient_checkpointing": True, "precision": "bf16", "batch": 4, "micro_batch": 2}, {"feed_forward_parts": 4}),
        (LORA, {"gradient_checkpointing": True, "precision": "bf16"}, {"base": "fp8"}),
    ],
)
def test_the_plan_is_within_ten_percent_of_what_tensors_take(lora: LoraConfig | None, changes: dict, memory: dict) -> None:
    config = replace(DEBUG, lora=lora, memory=MemoryConfig(**memory), **changes)
    assert need(config).peak == pytest.approx(counted(config), rel=0.1)


def test_every_choice_needs_less_and_the_mildest_that_fits_is_taken() -> None:
    """What lies in RAM is gone from the card: block inputs, average, matrices. What cannot fit is told with the least."""
    memory = MemoryConfig(base="bf16", feed_forward_parts=8)
    start = replace(DEBUG, precision="bf16", lora=LORA, memory=memory, gradient_checkpointing=True, micro_batch=1)
    choices = list(milder_to_harder(start))
    peaks = [need(choice).peak for choice in choices]
    assert choices[0] == start and choices[-1].memory.streamed and choices[-1].memory.base == "fp8"
    assert peaks == sorted(peaks, reverse=True) and peaks[0] > 1.4 * peaks[-1], peaks
    kept = next(n for n, choice in enumerate(choices) if choice.memory.inputs_in_ram)
    hidden = 4 * SIZES.dim * LAYOUT.seq_len  # of the one sample that is computed at once
    assert 4 * hidden <= peaks[kept - 1] - peaks[kept] <= 7 * hidden  # the inputs of all blocks but the one at work
    assert need(choices[0]).average == need(choices[0]).optimizer / 2 and need(choices[-1]).average == 0
    for index in (1, len(choices) - 1):
        taken = fitting(SIZES, start, LAYOUT, peaks[index] / GIB / USABLE * 1.0001)
        assert (taken.config, taken.need.peak) == (choices[index], peaks[index])
    with pytest.raises(InputError, match=rf"no plan fits .* needs {peaks[-1] / GIB:.1f} GiB.*train at fewer frames"):
        fitting(SIZES, start, LAYOUT, peaks[-1] / GIB / USABLE * 0.99)


def test_full_training_ends_at_eight_bits_of_state() -> None:
    """And a choice that was made by hand is not taken back."""
    start = replace(DEBUG, gradient_checkpointing=True, memory=MemoryConfig(feed_forward_parts=8))
    choices = list(milder_to_harder(start))
    assert [choice.micro_batch for choice in choices][:2] == [0, 1] and choices[-1].optimizer == "adamw_8bit"
    assert [choice.memory.feed_forward_parts for choice in choices] == [8, 8, 8, 8, 8]
    assert all(choice.memory.base == "fp32" and not choice.memory.streamed for choice in choices)


def test_data_know_their_largest_layout(tmp_path: Path) -> None:
    layout = LatentDataset(latents(tmp_path / "data")).largest_layout()
    assert (layout.frames, layout.height, layout.width, layout.kinds) == (2, 2, 3, ("face", "attribute"))


def test_the_command_plans_and_a_training_takes_its_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is loaded for a plan; the training prints the same and refuses before it begins."""
    assert main(["train", "plan", "--recipe", "debug", "--size", "48x32x5", "--references", "2", "--memory", "4"]) == 0
    told = capsys.readouterr().out
    assert "tokens         24 of a sample (2 pictures among them), 2 at once" in told
    assert "of 4, of which 3.50 may be filled" in told and "checkpointing  no" in told
    data, run = latents(tmp_path / "data"), tmp_path / "run"
    start = ["train", "transformer", str(data), "--device", "cpu", "--recipe", "debug", "--steps", "1", "--out", str(run)]
    assert main([*start, "--memory", "1"]) == 0
    assert "tokens         24 of a sample (2 pictures among them), 2 at once" in capsys.readouterr().out
    assert (run / "weights.safetensors").is_file()
    for option in ("--set=base=fp8", "--set=inputs_in_ram=true"):
        assert main([*start, option]) == 2
    assert "needs gradient_checkpointing" in capsys.readouterr().err
    assert main(["train", "plan", "--size", "832x480x80"]) == 2 and "expected 4n + 1" in capsys.readouterr().err
    assert main(["train", "plan", "--recipe", "debug", "--size", "96x80x9", "--memory", "0"]) == 2
