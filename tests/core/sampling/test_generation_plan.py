"""`generate --memory`: the plan is what sampling takes, what it chooses changes nothing, and what cannot work is refused."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lumosx_core.cli.main import main
from lumosx_core.errors import InputError
from lumosx_core.model import vae as vae_module
from lumosx_core.model.live_memory import LiveMemory
from lumosx_core.model.vae import FALLBACKS, decode_video, decode_within_memory
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.sample_folder import read_sample
from lumosx_core.sampling.config import GenerationConfig
from lumosx_core.sampling.generate import Prepared, denoise, prepare
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
    return planned(
        NANO_FOLDER, pipeline.sizes, config, prepared.condition.layout, dtype=torch.float32, device=device, gib=gib
    )  # fmt: skip


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


def test_the_command_tells_the_plan_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast = ["generate", str(SAMPLE), "--frames", "1", "--steps", "1", "--out", str(tmp_path / "out"), "--memory"]
    for wrong, words in (("0.5", "no plan fits"), ("0", "--memory is 0.0, expected a number"), ("nan", "--memory is nan")):
        assert main([*fast, wrong]) == 2
        assert words in capsys.readouterr().err and not list(tmp_path.rglob("*.mp4"))
    assert main([*fast, "4"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in told[:5]] == ["text encoding", "references", "sampling", "decoding", "peak"]
    assert "of 4, of which 3.50 may be filled" in told[4] and (tmp_path / "out" / "two_people_0.mp4").is_file()
