"""What is loaded when, what is kept when something fails, and what is said when memory runs out."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lumosx_core.cli.main import main
from lumosx_core.errors import InputError
from lumosx_core.files.videos import read_video, read_video_metadata
from lumosx_core.model import vae as vae_module
from lumosx_core.model.memory import is_out_of_memory, memory_told, stored_sizes, weights_bytes
from lumosx_core.model.transformer import Block
from lumosx_core.model.vae import decode_within_memory
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.references import Sample
from lumosx_core.sample_folder import read_sample
from lumosx_core.sampling import pipeline as pipeline_module
from lumosx_core.sampling.config import GenerationConfig
from lumosx_core.sampling.generate import denoise, finish, generate, prepare
from lumosx_core.sampling.pipeline import FILES, NANO_FOLDER, STAGES, LumosXPipeline, load_pipeline
from lumosx_core.sampling.saved_latent import read_latent, save_latent

OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 7.60 GiB.\nGPU 0 has ...")


@pytest.fixture(scope="module")
def sample() -> Sample:
    return read_sample(SAMPLES_FOLDER / "two_people")


@pytest.fixture(scope="module")
def resident() -> LumosXPipeline:
    return load_pipeline()


@pytest.fixture(scope="module")
def short(resident: LumosXPipeline) -> GenerationConfig:
    return replace(resident.defaults.config, frames=5, steps=2)


def test_one_model_at_a_time_gives_the_same_latent(resident: LumosXPipeline, sample: Sample, short: GenerationConfig) -> None:
    staged = LumosXPipeline(resident=False)
    expected, got = (denoise(p, prepare(p, sample, short), short, [3]) for p in (resident, staged))
    assert torch.equal(expected, got)
    assert set(staged._models) == {"vae", "transformer"} and set(resident._models) == set(FILES)


def test_the_text_encoder_is_gone_before_the_transformer_comes_and_nothing_is_loaded_twice(
    sample: Sample, short: GenerationConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    staged = LumosXPipeline(resident=False)

    def told(name: str, load: Callable[..., Any]) -> Callable[..., Any]:
        def loads(*arguments: Any, **options: Any) -> Any:
            events.append(f"{name} while {sorted(staged._models)}")
            return load(*arguments, **options)

        return loads

    for name in ("load_text_encoder", "load_vae", "load_transformer"):
        monkeypatch.setattr(pipeline_module, name, told(name, getattr(pipeline_module, name)))
    stages: list[str] = []
    generate(
        staged,
        sample,
        short,
        tmp_path,
        seeds=(1, 2),
        progress=lambda stage, done, total: stages.append(stage),  # noqa: ARG005
    )
    assert events == ["load_text_encoder while []", "load_vae while []", "load_transformer while ['vae']"]
    assert list(dict.fromkeys(stages)) == ["text encoding", "references", "seed 1", "decoding", "seed 2"]


def test_the_text_encoders_weights_are_let_go_even_if_somebody_holds_it() -> None:
    staged = LumosXPipeline(resident=False)
    with staged.at_work("text_encoder") as encoder:
        assert encoder.model.device.type == "cpu"
    assert {p.device.type for p in encoder.model.parameters()} == {"meta"}


def test_cheap_checks_come_before_any_weight(
    sample: Sample, short: GenerationConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("load_text_encoder", "load_vae", "load_transformer"):
        monkeypatch.setattr(pipeline_module, name, lambda *a, **k: pytest.fail("a model was loaded"))  # noqa: ARG005
    staged = LumosXPipeline(resident=False)
    assert staged.sizes.dim == 192
    with pytest.raises(InputError, match="not in the prompt"):
        generate(staged, replace(sample, prompt="Nobody is here."), short, tmp_path)
    with pytest.raises(InputError, match="seed"):
        generate(staged, sample, short, tmp_path, seeds=(0, 2**64))
    assert list(tmp_path.iterdir()) == []


def test_a_latent_whose_decode_fails_is_kept_and_finished_later(
    resident: LumosXPipeline, sample: Sample, short: GenerationConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [whole] = generate(resident, sample, short, tmp_path / "whole")
    assert not list((tmp_path / "whole").glob("*.latent.*"))
    with monkeypatch.context() as broken:
        broken.setattr(vae_module, "decode_video", _fails(times=2))
        with pytest.raises(InputError, match=r"decoding the video, even in tiles.*--latent .*video_0\.latent\.safetensors"):
            generate(LumosXPipeline(), sample, short, tmp_path / "cut")
    kept = tmp_path / "cut" / "video_0.latent.safetensors"
    later = finish(resident, sample, kept, tmp_path / "cut", name="video_0")
    assert np.array_equal(read_video(whole.video)[0], read_video(later.video)[0])
    assert read_video_metadata(whole.video) == read_video_metadata(later.video)


def _fails(times: int) -> Callable[..., torch.Tensor]:
    """decode_video that runs out of memory the first few times."""
    real, left = vae_module.decode_video, [times]

    def decode(*arguments: Any) -> torch.Tensor:
        left[0] -= 1
        if left[0] >= 0:
            raise OUT_OF_MEMORY
        return real(*arguments)

    return decode


def test_decoding_falls_back_to_tiles(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    vae = LumosXPipeline().vae
    latent = torch.randn(1, 16, 1, 36, 4, generator=torch.Generator().manual_seed(0))  # 288 pixels: more than one tile
    whole = vae_module.decode_video(vae, latent)
    monkeypatch.setattr(vae_module, "decode_video", _fails(times=1))
    got = decode_within_memory(vae, latent)
    assert 0 < (got - whole).abs().mean() <= 0.01  # of a range of 2: other pixels only where tiles meet
    assert [record.getMessage().split(", which")[0][-8:] for record in caplog.records] == ["in tiles"]
    assert vae.dtype == torch.float32 and torch.equal(vae_module.decode_video(vae, latent), whole)


def test_on_a_card_bf16_comes_before_tiles(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(vae_module.FALLBACKS, "cpu", vae_module.FALLBACKS["card"])
    vae = LumosXPipeline().vae
    latent = torch.randn(1, 16, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    whole = vae_module.decode_video(vae, latent)
    monkeypatch.setattr(vae_module, "decode_video", _fails(times=2))
    assert (decode_within_memory(vae, latent).float() - whole).abs().mean() <= 0.02
    assert ["bf16 and in tiles" in record.getMessage() for record in caplog.records] == [False, True]
    assert vae.dtype == torch.bfloat16


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> torch.Tensor:  # noqa: ARG001
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(vae_module, "decode_video", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        decode_within_memory(LumosXPipeline().vae, torch.zeros(1, 16, 1, 8, 8))


def test_memory_that_runs_out_is_one_line_with_the_levers() -> None:
    def raises() -> None:
        raise OUT_OF_MEMORY

    for failing in (lambda: torch.empty(2**52, dtype=torch.uint8), lambda: bytearray(2**62), raises):
        with pytest.raises(InputError) as told, memory_told("sampling seed 1", torch.device("cpu")):
            failing()
        assert "ran out while sampling seed 1" in str(told.value) and "--frames" in str(told.value)
        assert "\n" not in str(told.value)
    assert not is_out_of_memory(RuntimeError("size mismatch"))


def test_a_file_that_is_no_latent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no latent that"):
        read_latent(NANO_FOLDER / "vae.safetensors")
    broken = save_latent(tmp_path / "x.safetensors", torch.zeros(1, 16, 1, 4, 4), "a man", {"seed": 0})
    with pytest.raises(InputError, match="lacks its seed or"):
        read_latent(broken)
    save_latent(broken, torch.full((1, 16, 1, 4, 4), torch.nan), "a man", {"seed": 0, "config": {"fps": 16}})
    with pytest.raises(InputError, match="no numbers"):
        read_latent(broken)


def test_sizes_are_read_without_weights(resident: LumosXPipeline) -> None:
    path = NANO_FOLDER / FILES["transformer"]
    assert stored_sizes(path) == resident.transformer.config
    parameters = sum(p.numel() for p in resident.transformer.parameters())
    assert weights_bytes(path, torch.bfloat16) == 2 * parameters
    assert [part for _, part in STAGES] == ["text_encoder", "vae", "transformer", "vae"]


def test_the_way_from_the_command_to_torchs_attention_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 11 frames of ours are on the stack where the transformer's attention is torch's; a block takes 5 arguments."""
    package = str(Path(main.__code__.co_filename).parents[1])
    ways: set[tuple[str, ...]] = set()
    plain = F.scaled_dot_product_attention

    def noted(*args: Any, **kwargs: Any) -> torch.Tensor:
        way, frame = [], sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename.startswith(package):
                way.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")
            frame = frame.f_back  # type: ignore[assignment]
        ways.add(tuple(reversed(way)))
        return plain(*args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", noted)
    assert main(["generate", str(SAMPLES_FOLDER / "two_people"), "--out", str(tmp_path), "--frames", "5", "--steps", "1"]) == 0
    inside = [way for way in ways if "transformer.forward" in way]
    assert {way[-1].split(".")[0] for way in inside} == {"attention_backends", "relational_attention"}
    assert max(map(len, inside)) <= 11, max(inside, key=len)
    assert len(inspect.signature(Block.forward).parameters) <= 6  # self and five more
