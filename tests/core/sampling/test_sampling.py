"""Schedule, solvers, guidance, and the whole way from a sample folder to files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import writable_folder
from lumosx_core.files.videos import read_video, read_video_metadata
from lumosx_core.model.flow import flow_sigmas, timesteps_from_sigmas
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.sample_folder import read_sample
from lumosx_core.sampling.config import GenerationConfig
from lumosx_core.sampling.generate import generate, prepare
from lumosx_core.sampling.pipeline import LumosXPipeline, load_pipeline
from lumosx_core.sampling.solver import SOLVERS, solver_named


@pytest.fixture(scope="module")
def pipeline() -> LumosXPipeline:
    return load_pipeline()


def short(pipeline: LumosXPipeline) -> GenerationConfig:
    return replace(pipeline.defaults.config, frames=5, steps=2)


def test_sigmas_by_hand() -> None:
    sigmas = flow_sigmas(4, 8.0)
    expected = [1.0, 8 * 0.75 / (1 + 7 * 0.75), 8 * 0.5 / 4.5, 8 * 0.25 / 2.75, 0.0]
    assert torch.allclose(sigmas, torch.tensor(expected), atol=1e-7)
    assert timesteps_from_sigmas(sigmas).tolist() == [1000, 960, 888, 727]
    assert timesteps_from_sigmas(torch.tensor([0.942, 0.0])).tolist() == [942]


@pytest.mark.parametrize("name", sorted(SOLVERS))
@pytest.mark.parametrize("steps", [1, 2, 20])
def test_solvers_end_at_the_clean_latent_of_a_straight_flow(name: str, steps: int) -> None:
    """For one data point the exact velocity is noise - x0 wherever one is, so every solver must land on x0."""
    generator = torch.Generator().manual_seed(0)
    noise, clean = (torch.randn(1, 16, 2, 4, 4, generator=generator) for _ in range(2))
    seen = []

    def velocity(x: torch.Tensor, sigma: float, timestep: int) -> torch.Tensor:
        assert timestep == int(1000 * sigma + 1e-4)
        return (x - clean) / max(sigma, 1e-6)

    out = solver_named(name)(velocity, noise, flow_sigmas(steps, 5.0), lambda i, n, x0: seen.append((i, n, x0)))
    assert (out - clean).abs().max() < 1e-3
    assert [(i, n) for i, n, _ in seen] == [(i, steps) for i in range(steps)]
    assert all((x0 - clean).abs().max() < 1e-4 for _, _, x0 in seen)


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_solvers_agree_on_a_gaussian_flow(name: str) -> None:
    """Data N(0, 0.25): the flow ODE has the solution x(0) = 0.5 * x(1); many steps come close with every solver."""

    def velocity(x: torch.Tensor, sigma: float, timestep: int) -> torch.Tensor:  # noqa: ARG001
        return x * (sigma - 0.25 * (1 - sigma)) / (sigma**2 + 0.25 * (1 - sigma) ** 2)

    noise = torch.linspace(-2, 2, 9)[None]
    out = solver_named(name)(velocity, noise, flow_sigmas(200, 3.0), None)
    assert (out - 0.5 * noise).abs().max() < 0.02


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 100}, "width is 100 pixels, expected a multiple of 16, for example 96"),
        ({"height": 0}, "height is 0, expected a whole number from 16 to 16384"),
        ({"frames": 16}, "frames is 16, expected 4n + 1, for example 17"),
        ({"steps": 0}, "steps is 0, expected a whole number from 1 to 10000"),
        ({"shift": 0.0}, "shift is 0.0, expected a number above 0 up to 1000"),
        ({"solver": "ddim"}, "unknown solver 'ddim'; expected one of dpmpp_2m, euler, unipc"),
        ({"pool_layout": "x"}, "pool_layout is 'x', expected released or aligned"),
        ({"negative_references": "x"}, "negative_references is 'x', expected kept or blank"),
    ],
)
def test_wrong_settings_are_errors(change: dict, words: str) -> None:
    with pytest.raises(InputError) as raised:
        GenerationConfig(**{"width": 96, "height": 64, "frames": 17, **change})
    assert words in str(raised.value)


def test_generate_writes_everything_and_seeds_reproduce(pipeline: LumosXPipeline, tmp_path: Path) -> None:
    sample = read_sample(SAMPLES_FOLDER / "two_people")
    stages = []
    config = short(pipeline)
    written = generate(
        pipeline, sample, config, tmp_path / "a", seeds=(3, 4), name="v", png=True, progress=lambda *event: stages.append(event)
    )
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "v_3.mp4",
        "v_3_frames",
        "v_3_sheet.png",
        "v_4.mp4",
        "v_4_frames",
        "v_4_sheet.png",
        "v_relations.png",
    ]
    frames = [np.stack([np.asarray(Image.open(p)) for p in sorted(w.png_folder.iterdir())]) for w in written]
    assert frames[0].shape == (5, 80, 96, 3) and not np.array_equal(frames[0], frames[1])
    assert ("seed 3", 2, 2) in stages and ("seed 4", 1, 2) in stages
    again = generate(pipeline, sample, config, tmp_path / "b", seeds=(4,), name="v", png=True)[0]
    repeated = np.stack([np.asarray(Image.open(p)) for p in sorted(again.png_folder.iterdir())])
    assert np.array_equal(repeated, frames[1])
    video, fps = read_video(written[0].video)
    assert fps == pipeline.defaults.fps
    enlarge = pipeline.defaults.enlarge
    assert video.shape == (5, 80 * enlarge, 96 * enlarge, 3)
    small = video[:, enlarge // 2 :: enlarge, enlarge // 2 :: enlarge].astype(int)
    assert np.abs(small - frames[0]).mean() < 6  # H.264 is lossy
    metadata = read_video_metadata(written[0].video)
    assert metadata["prompt"] == sample.prompt and metadata["seed"] == 3 and metadata["config"]["steps"] == 2
    assert [r["phrase"] for r in metadata["relations"]] == [r.phrase for r in sample.references.references()]
    assert set(metadata["versions"]) == {"lumosx", "torch"}
    json.dumps(metadata)


@pytest.mark.parametrize("negative_references", ["kept", "blank"])
def test_guidance_in_one_batch_equals_in_sequence(pipeline: LumosXPipeline, negative_references: str) -> None:
    from lumosx_core.sampling.generate import denoise

    sample = read_sample(SAMPLES_FOLDER / "two_people")
    config = replace(short(pipeline), cfg=3.0, negative_references=negative_references)
    prepared = prepare(pipeline, sample, config)
    together = denoise(pipeline, prepared, config, [1])
    in_turn = denoise(pipeline, prepared, replace(config, cfg_batched=False), [1])
    assert (together - in_turn).abs().max() < 1e-4
    none = denoise(pipeline, prepared, replace(config, cfg=1.0), [1])
    assert (together - none).abs().max() > 1e-2


def test_blank_references_are_those_of_the_negative_pass_alone(pipeline: LumosXPipeline) -> None:
    sample = read_sample(SAMPLES_FOLDER / "two_people")
    kept, blank = (
        prepare(pipeline, sample, replace(short(pipeline), cfg=3.0, negative_references=choice)) for choice in ("kept", "blank")
    )
    assert kept.negative is not None and blank.negative is not None
    assert kept.negative.reference_latents is kept.condition.reference_latents
    assert torch.equal(blank.condition.reference_latents, kept.condition.reference_latents)
    assert (blank.negative.reference_latents == 0).all() and blank.negative.layout == blank.condition.layout


def test_a_cancelled_run_leaves_no_half_file(pipeline: LumosXPipeline, tmp_path: Path) -> None:
    def cancel(stage: str, done: int, total: int) -> None:  # noqa: ARG001
        if stage == "decoding":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(pipeline, read_sample(SAMPLES_FOLDER / "two_people"), short(pipeline), tmp_path, progress=cancel)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["video_0.latent.safetensors", "video_relations.png"]


def test_an_unwritable_or_full_place_is_found_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot write into .*file.*; choose another output folder"):
        writable_folder(tmp_path / "file" / "sub")
    usage = type("usage", (), {"free": 2**20})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)  # noqa: ARG005
    with pytest.raises(InputError, match="only 1 MiB are free"):
        writable_folder(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_incomplete_model_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lacks pipeline.json, text_encoder.safetensors, .*, spiece.model or tokenizer.json"):
        load_pipeline(tmp_path)
    with pytest.raises(InputError, match="device 'tpu9' cannot be used"):
        load_pipeline(device="tpu9")


@pytest.mark.parametrize("steps", [1, 2, 3, 14, 16, 50])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_published_solver_is_that_of_diffusers_to_the_bit(steps: int, dtype: torch.dtype) -> None:
    from diffusers import DPMSolverMultistepScheduler

    def velocity(x: torch.Tensor, sigma: float, timestep: int) -> torch.Tensor:
        return (torch.sin(3 * x) + x * sigma + timestep / 1000).to(x.dtype)

    def theirs(x: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
        scheduler = DPMSolverMultistepScheduler(
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            algorithm_type="dpmsolver++",
            solver_order=2,
            solver_type="midpoint",
            lower_order_final=True,
            final_sigmas_type="zero",
        )
        timesteps = timesteps_from_sigmas(sigmas)
        scheduler.set_timesteps(steps)
        scheduler.sigmas, scheduler.timesteps, scheduler.num_inference_steps = sigmas.float(), timesteps, steps
        for step, timestep in enumerate(timesteps.tolist()):
            scheduler._step_index = step
            v = velocity(x, float(sigmas[step]), timestep)
            x = scheduler.step(v, timesteps[step], x, return_dict=False)[0]
        return x

    noise = torch.randn(1, 16, 2, 6, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    for shift in (1.0, 3.0, 8.0):
        sigmas = flow_sigmas(steps, shift)
        got = solver_named("dpmpp_2m")(velocity, noise, sigmas)
        assert got.dtype == dtype and torch.equal(got, theirs(noise, sigmas))
