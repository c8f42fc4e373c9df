"""`generate --memory`: the plan is what sampling takes, what it chooses changes nothing, and what cannot work is refused."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lumosx_core.cli.main import main
from lumosx_core.errors import InputError
from lumosx_core.model import vae as vae_module
from lumosx_core.model.devices import GIB
from lumosx_core.model.live_memory import LiveMemory
from lumosx_core.model.memory import USABLE, from_three_and_four
from lumosx_core.model.vae import FALLBACKS, decode_video, decode_within_memory
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.sample_folder import read_sample
from lumosx_core.sampling.config import GenerationConfig
from lumosx_core.sampling.generate import Prepared, bind, decode, denoise, layout_of, prepare
from lumosx_core.sampling.memory_plan import GenerationPlan, planned
from lumosx_core.sampling.pipeline import NANO_FOLDER, GenerationMemory, LumosXPipeline, load_pipeline

SAMPLE = SAMPLES_FOLDER / "two_people"


@pytest.fixture(scope="module")
def pipeline() -> LumosXPipeline:
    return load_pipeline()


@pytest.fixture(scope="module")
def config(pipeline: LumosXPipeline) -> GenerationConfig:
    return replace(pipeline.defaults.config, frames=5, steps=2)


@pytest.fixture(scope="module")
def prepared(pipeline: LumosXPipeline, config: GenerationConfig) -> Prepared:
    return prepare(pipeline, read_sample(SAMPLE), config)


def plan(
    pipeline: LumosXPipeline, config: GenerationConfig, prepared: Prepared, gib: float, device: str = "cpu"
) -> GenerationPlan:
    return planned(NANO_FOLDER, pipeline.sizes, config, prepared.condition.layout, dtype=torch.float32, device=device, gib=gib)


@pytest.mark.parametrize("changes", [{}, {"cfg_batched": False}, {"cfg": 1.0}, {"reference_refresh": 2}])
def test_the_plan_is_what_sampling_takes(
    pipeline: LumosXPipeline, config: GenerationConfig, prepared: Prepared, changes: dict
) -> None:
    changed = replace(config, **changes)
    told = plan(pipeline, changed, prepared, 8).stages["sampling"]
    alone = replace(prepared, negative=None) if changed.cfg == 1 else prepared
    with LiveMemory() as memory:
        memory.hold(list(pipeline.transformer.parameters()))
        denoise(pipeline, alone, changed, [1])
    assert 0.85 * told <= memory.peak <= told


def test_matrices_in_ram_change_nothing(config: GenerationConfig, pipeline: LumosXPipeline, prepared: Prepared) -> None:
    one_by_one = replace(config, cfg_batched=False)
    chosen = GenerationMemory(cfg_batched=False, text_on_cpu=False, streamed=True, decode_from=0)
    streamed = LumosXPipeline(memory=chosen)
    assert torch.equal(denoise(streamed, prepared, one_by_one, [1]), denoise(pipeline, prepared, one_by_one, [1]))
    block = streamed.transformer.blocks[0]
    assert block.ffn[0].weight is None and block.ffn[0].kept.shape == (768, 192)


@torch.no_grad()
def test_a_decode_begins_where_the_plan_says(
    pipeline: LumosXPipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(vae_module, "fallbacks_of", lambda device: FALLBACKS["card"])  # noqa: ARG005
    vae = LumosXPipeline().vae
    latent = torch.randn(1, 16, 1, 10, 12, generator=torch.Generator().manual_seed(1))
    half = decode_within_memory(vae, latent, 1)
    whole = decode_video(pipeline.vae, latent)
    assert vae.dtype == half.dtype == torch.bfloat16 and 0 < (half.float() - whole).abs().max() < 0.2
    assert "memory ran out" not in caplog.text


def test_a_budget_that_cannot_work_is_refused_with_one_that_does(
    pipeline: LumosXPipeline, config: GenerationConfig, prepared: Prepared
) -> None:
    with pytest.raises(
        InputError, match="--memory 0.5: no plan fits; .* GiB \\(text encoding\\), so --memory .* works"
    ) as raised:
        plan(pipeline, config, prepared, 0.5)
    least = float(re.search("so --memory ([0-9.]+) works", str(raised.value))[1])  # type: ignore[index]
    found = plan(pipeline, config, prepared, least)
    assert least < 1.5 and found.peak <= least * 2**30 * 7 / 8 and not found.memory.text_on_cpu
    card = plan(pipeline, config, prepared, 0.5, "cuda")
    assert card.memory.text_on_cpu and "text encoding" not in card.stages and card.memory.cfg_batched


def test_three_and_four_parts_give_all_of_them() -> None:
    asked: list[int] = []

    def counted(parts: int) -> int:
        asked.append(parts)
        return (0, 7, 9, 14, 17)[parts]

    assert [from_three_and_four(counted, total) for total in (1, 4, 5, 30)] == [7, 17, 20, 14 + 27 * 3]
    assert asked == [1, 4, 3, 4, 3, 4]


def test_one_model_at_a_time_is_in_the_memory_of_a_machine(pipeline: LumosXPipeline, config: GenerationConfig) -> None:
    chosen = GenerationMemory(cfg_batched=True, text_on_cpu=False, streamed=False, decode_from=0)
    tight, small = LumosXPipeline(resident=False, memory=chosen), replace(config, frames=1, steps=1)
    latents = []
    for each in (tight, pipeline):
        prepared = prepare(each, read_sample(SAMPLE), small)
        assert each is pipeline or not each._models
        latents.append(denoise(each, prepared, small, [1]))
        assert each is pipeline or not each._models
    decode(tight, latents[0])
    assert torch.equal(*latents) and not tight._models


def handed_over(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[tuple[GenerationMemory | None, bool]]:
    """What is chosen and whether both passes go at once, as the command hands them to `generate` for each sample."""
    given: list[tuple[GenerationMemory | None, bool]] = []

    def recorded(pipeline: LumosXPipeline, sample: Any, config: GenerationConfig, *_: Any, **__: Any) -> list:  # noqa: ARG001
        given.append((pipeline.memory, config.cfg_batched))
        return []

    with monkeypatch.context() as patch:
        patch.setattr("lumosx_core.sampling.generate.generate", recorded)
        assert main(["generate", *arguments]) == 0
    return given


def test_the_command_applies_the_plan_of_its_largest_sample(
    pipeline: LumosXPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(pipeline.defaults.config, width=320, height=240, frames=49)
    folders = [SAMPLE, tmp_path / "short"]
    shutil.copytree(*folders)
    shutil.rmtree(folders[1] / "subjects" / "2")

    def need(folder: Path, **changes: bool) -> GenerationPlan:
        layout = layout_of(bind(pipeline, read_sample(folder), config), config, videos=24)
        changed = replace(config, **changes)
        return planned(NANO_FOLDER, pipeline.sizes, changed, layout, dtype=torch.float32, device="cpu", gib=100)

    long, short = (need(folder).stages["sampling"] for folder in folders)
    split, budget = need(folders[0], cfg_batched=False), 0.999 * long
    assert max(split.stages.values()) < budget and short < budget < long
    size = ["--width", "320", "--height", "240", "--frames", "49", "--seed", *map(str, range(24)), "--batch", "30"]
    size += ["--out", str(tmp_path / "out")]
    memory = ["--memory", str(budget / GIB / USABLE)]
    chosen = replace(split.memory, cfg_batched=False)
    assert handed_over(monkeypatch, *map(str, folders), *size, *memory) == [(chosen, False)] * 2
    assert "one pass at a time" in capsys.readouterr().out
    assert handed_over(monkeypatch, str(folders[1]), *size, *memory) == [(replace(chosen, cfg_batched=True), True)]
    dropped = handed_over(monkeypatch, *map(str, folders), *size, *memory, "--blank-tokens", "drop")
    assert dropped == [(replace(chosen, cfg_batched=True), True)] * 2  # what is not computed needs no memory
    capsys.readouterr()
    monkeypatch.setattr("lumosx_core.model.devices.free_bytes", lambda _: int(budget / USABLE))  # as a card tells it
    assert handed_over(monkeypatch, *map(str, folders), *size) == [(chosen, False)] * 2
    assert f"of {budget / GIB / USABLE:.4g}, of which" in capsys.readouterr().out


def test_the_command_tells_the_plan_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast = ["generate", str(SAMPLE), "--frames", "1", "--steps", "1", "--out", str(tmp_path / "out"), "--memory"]
    for wrong, words in (("0.5", "no plan fits"), ("0", "--memory is 0.0, expected a number"), ("nan", "--memory is nan")):
        assert main([*fast, wrong]) == 2
        assert words in capsys.readouterr().err and not list(tmp_path.rglob("*.mp4"))
    assert main([*fast, "4", "--batch", "0"]) == 2
    assert "batch is 0, expected a whole number from 1" in capsys.readouterr().err
    assert main([*fast, "4"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in told[:5]] == ["text encoding", "references", "sampling", "decoding", "peak"]
    assert "of 4, of which 3.50 may be filled" in told[4] and (tmp_path / "out" / "two_people_0.mp4").is_file()
