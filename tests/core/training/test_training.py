"""The training loop on tiny latents: resuming, learning, data order, and the whole nano recipe at debug size."""

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.data.latent_dataset import Batch, LatentDataset
from lumosx_core.data.latent_shards import NOBODY
from lumosx_core.errors import InputError
from lumosx_core.model.config import PRESETS
from lumosx_core.model.flow import flow_matching_loss, sample_timesteps
from lumosx_core.model.pixels import to_unit_range
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.model.vae import decode_video, encode_video
from lumosx_core.model.wan_vae import WanVae
from lumosx_core.nano import stage_state, vae, vae_refine
from lumosx_core.nano.clips import ShardPlan, read_shard, render_shard
from lumosx_core.nano.grounding import GroundedLoss, subject_weights
from lumosx_core.nano.recipe import DEBUG_RECIPE, STAGES, train_nano
from lumosx_core.nano.vae import build_vae, single_frame_convolutions
from lumosx_core.nano.vae_refine import RefineRecipe, pixel_weights, refine_vae, token_weights
from lumosx_core.sampling.pipeline import load_pipeline
from lumosx_core.training.config import DEBUG, TrainingConfig
from lumosx_core.training.optimizers import make_optimizers
from lumosx_core.training.train import train
from lumosx_core.training.validate import LEVELS, Validation

MODEL = PRESETS["debug"]


@pytest.fixture
def data(tmp_path: Path) -> LatentDataset:
    """Two shards: ten clips of two people, two of them with one attribute each."""
    folder = tmp_path / "latents"
    folder.mkdir()
    for index in range(2):
        generator = torch.Generator().manual_seed(index)
        kinds = [["face", "attribute", "face"] if n % 2 else ["face", "face"] for n in range(5)]
        owners = [[0, 0, 1] if n % 2 else [0, 1] for n in range(5)]
        count = sum(map(len, kinds))
        tensors = {
            "video": torch.randn(5, 16, 3, 4, 6, generator=generator).half(),
            "reference": torch.randn(count, 16, 4, 6, generator=generator).half(),
            "context": torch.randn(5, 16, 24, generator=generator).half(),
            "levels": torch.rand(count, 16, generator=generator).half(),
            "owners": torch.randint(-1, 2, (5, 3, 2, 3), generator=generator, dtype=torch.int8),
        }
        samples = [{"kinds": k, "subjects": s} for k, s in zip(kinds, owners, strict=True)]
        metadata = {"samples": json.dumps(samples), "empty_context": json.dumps([[0.5] * 24])}
        save_file(tensors, folder / f"latents-{index:04d}.safetensors", metadata=metadata)
    return LatentDataset(folder)


def weights(config: TrainingConfig, data: LatentDataset, folder: Path) -> dict[str, torch.Tensor]:
    return train(config, MODEL, data, folder).state_dict()


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_run_gives_the_same_weights(data: LatentDataset, tmp_path: Path, optimizer: str) -> None:
    class StopError(Exception):
        pass

    def stop(step: int, figures: dict[str, float]) -> None:  # noqa: ARG001
        if step == 2:  # after the checkpoint of step 2, in the middle of the next two steps
            raise StopError

    config = replace(DEBUG, optimizer=optimizer)
    whole = weights(config, data, tmp_path / "whole")
    with pytest.raises(StopError):
        train(config, MODEL, data, tmp_path / "parts", on_step=stop)
    resumed = weights(config, data, tmp_path / "parts")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    states = tmp_path / "parts" / "states"
    assert list((tmp_path / "parts").iterdir()) == [states]
    (last,) = states.iterdir()
    assert last.name == "step-00000004" and {path.name for path in last.iterdir()} == {
        "state.json",
        "shard-00001-of-00001.safetensors",
    }


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_it_learns(data: LatentDataset, tmp_path: Path, optimizer: str) -> None:
    losses = []
    config = replace(DEBUG, optimizer=optimizer, steps=150, batch=5, learning_rate=3e-3, save_every=150, text_dropout=0.0)
    train(config, MODEL, data, tmp_path / "run", on_step=lambda step, figures: losses.append(figures["loss"]))  # noqa: ARG005
    assert sum(losses[-20:]) / 20 < 0.93 * sum(losses[:20]) / 20


def test_another_model_does_not_resume(data: LatentDataset, tmp_path: Path) -> None:
    weights(DEBUG, data, tmp_path / "run")
    with pytest.raises(InputError, match="belongs to a transformer with the config .*choose another output folder"):
        train(DEBUG, replace(MODEL, num_layers=3), data, tmp_path / "run")


def test_another_optimizer_does_not_resume(data: LatentDataset, tmp_path: Path) -> None:
    weights(DEBUG, data, tmp_path / "run")
    with pytest.raises(InputError, match="with the optimizer 'adamw', this run has 'muon'; choose another output folder"):
        train(replace(DEBUG, optimizer="muon"), MODEL, data, tmp_path / "run")


def test_batches_are_a_function_of_seed_and_step(data: LatentDataset) -> None:
    one, two = (data.batch(3, 7, 11, text_dropout=0.5) for _ in range(2))
    assert torch.equal(one.video, two.video) and torch.equal(one.context, two.context) and one.layout == two.layout
    assert not torch.equal(one.video, data.batch(3, 7, 12).video) or one.layout != data.batch(3, 7, 12).layout
    assert data.batch(2, 0, 0, frames=(1,)).video.shape[2] == 1
    dropped = data.batch(4, 0, 0, text_dropout=0.999999).context
    assert (dropped[:, 0] == 0.5).all() and (dropped[:, 1:] == 0).all()
    assert (data.batch(4, 0, 0).references != 0).any(dim=(1, 2, 3, 4)).all()
    blank = data.batch(4, 0, 0, reference_dropout=0.999999)
    assert (blank.references == 0).all() and (blank.owners == NOBODY).all() and (blank.context == dropped).all()
    layouts = {data.batch(2, 0, step).layout.kinds for step in range(30)}
    assert layouts == {("face", "face"), ("face", "attribute", "face")}


def test_objective_by_hand() -> None:
    clean, noise = torch.zeros(1, 1, 1, 1, 2), torch.tensor([2.0, 4.0]).view(1, 1, 1, 1, 2)
    seen = {}

    def velocity(noisy: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen["noisy"], seen["t"] = noisy, t
        return torch.ones_like(noisy)

    loss = flow_matching_loss(velocity, clean, noise, torch.tensor([250.75]))
    assert torch.allclose(seen["noisy"].flatten(), torch.tensor([2.0, 4.0]) * 0.25075)
    assert seen["t"].tolist() == [250.0]
    assert loss.tolist() == [((2 - 1) ** 2 + (4 - 1) ** 2) / 2]
    weights = torch.tensor([3.0, 0.5]).view(1, 1, 1, 1, 2)
    weighted = flow_matching_loss(velocity, clean, noise, torch.tensor([250.75]), weights)
    assert weighted.tolist() == [(3 * (2 - 1) ** 2 + 0.5 * (4 - 1) ** 2) / 2]


def test_subjects_and_objects_weigh_more_than_the_scene() -> None:
    layout = TokenLayout(1, 1, 4, kinds=("background", "object", "face"), subjects=(None, None, 0))
    zeros = torch.zeros(1, 16, 1, 2, 8)
    batch = Batch(
        video=zeros,
        references=zeros,
        context=zeros,
        levels=zeros,
        layout=layout,
        owners=torch.tensor([2, 1, 0, NOBODY], dtype=torch.int8).view(1, 1, 1, 4),
    )
    row = torch.tensor([3, 3, 3, 3, 1, 1, 1, 1]) / 2  # a token is two latent cells wide and high
    assert torch.equal(subject_weights(batch, 3.0), row.expand(1, 1, 1, 2, 8))
    assert torch.equal(subject_weights(batch, 1.0), torch.ones(1, 1, 1, 2, 8))


def test_subject_weight_steers_the_training(data: LatentDataset, tmp_path: Path) -> None:
    plain, heavy = (
        train(DEBUG, MODEL, data, tmp_path / str(w), loss=GroundedLoss(subject_weight=w)).state_dict() for w in (1.0, 4.0)
    )
    assert any(not torch.equal(plain[name], heavy[name]) for name in plain)


def test_timesteps_are_uniform_and_the_shift_moves_them() -> None:
    uniform = sample_timesteps(20000, torch.Generator().manual_seed(0))
    assert abs(float(uniform.mean()) - 500) < 8 and uniform.min() >= 0 and uniform.max() < 1000
    shifted = sample_timesteps(20000, torch.Generator().manual_seed(0), 3.0)
    assert torch.allclose(shifted, 3 * uniform / (1 + 2 * uniform / 1000), atol=1e-2)


def test_rate_warms_up_holds_and_decays() -> None:
    config = TrainingConfig(steps=100, batch=1, learning_rate=1.0, warmup_steps=10, decay_share=0.2)
    assert [config.rate_at(s) for s in (0, 9, 50, 80, 90, 99)] == pytest.approx([0.1, 1.0, 1.0, 1.0, 0.5, 0.05])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd'"),
        ({"reference_dropout": -0.1}, "reference_dropout is -0.1"),
    ],
)
def test_wrong_numbers_are_errors(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        TrainingConfig(**{"steps": 1, "batch": 1, **change})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"subject_weight": 0.0}, "subject_weight is 0.0"),
        ({"grounding": float("nan")}, "grounding is nan"),
        ({"blocks": (-1,)}, "grounded blocks is -1"),
    ],
)
def test_wrong_numbers_of_a_loss_are_errors(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        GroundedLoss(**change)


def test_grounding_and_gradient_checkpointing_exclude_each_other(data: LatentDataset, tmp_path: Path) -> None:
    config = replace(DEBUG, gradient_checkpointing=True)
    with pytest.raises(InputError, match="grounding keeps what gradient_checkpointing throws away"):
        train(config, MODEL, data, tmp_path / "run", loss=GroundedLoss(grounding=0.1, blocks=(1,)))


def test_validation_is_the_loss_of_the_average_and_leaves_the_run_alone(data: LatentDataset, tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []
    validation = Validation(data=data, every=2, batches=2, batch=2)
    alone = weights(DEBUG, data, tmp_path / "alone")
    model = train(DEBUG, MODEL, data, tmp_path / "run", validation=validation, on_step=lambda _, figures: seen.append(figures))
    assert all(torch.equal(value, alone[name]) for name, value in model.state_dict().items())
    assert ["validation" in figures for figures in seen] == [False, True, False, True]
    levels = [seen[-1][f"validation/{level:.2f}"] for level in LEVELS]
    assert seen[-1]["validation"] == pytest.approx(sum(levels) / 8)
    by_hand = 0.0
    for index in range(2):
        batch = data.batch(2, 0, index)
        noise = torch.randn(batch.video.shape, generator=torch.Generator().manual_seed(index))
        noisy = batch.video + LEVELS[3] * (noise - batch.video)
        with torch.no_grad():
            inputs = (noisy, torch.tensor([437.0, 437.0]), batch.context, batch.references, batch.layout, batch.levels)
            by_hand += float((model(*inputs) - (noise - batch.video)).square().mean()) / 2
    assert seen[-1][f"validation/{LEVELS[3]:.2f}"] == pytest.approx(by_hand, rel=1e-4)
    with pytest.raises(InputError, match="validation: every is 0"):
        Validation(data=data, every=0)


def test_an_empty_data_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no latents-"):
        LatentDataset(tmp_path)


def test_single_frame_convolutions_keep_the_numbers() -> None:
    pipeline = load_pipeline()
    picture = torch.rand(2, 3, 1, 32, 48) * 2 - 1
    with torch.no_grad():
        slow = pipeline.vae.encode(picture).latent_dist.mode()
        with single_frame_convolutions():
            fast = pipeline.vae.encode(picture).latent_dist.mode()
    assert (slow - fast).abs().max() < 1e-4


def test_refining_a_vae_lowers_its_error_and_holds_its_latents(tmp_path: Path) -> None:
    shard = render_shard(ShardPlan(folder=tmp_path, index=0, seed=3, count=4, frames=5))
    pixels = to_unit_range(read_shard(shard).frames)
    errors, drifts, lines = [], [], []
    for drift_weight in (0.0, 10.0):
        torch.manual_seed(0)
        vae = build_vae(12, torch.rand(8, 3, 32, 32) * 2 - 1).train(False)
        latents = encode_video(vae, pixels)
        before = (decode_video(vae, latents) - pixels).square().mean()
        recipe = RefineRecipe(steps=10, batch=1, frames=5, learning_rate=2e-2, drift_weight=drift_weight, precision="fp32")
        refine_vae(recipe, vae, [shard], tmp_path / f"{drift_weight}.pt", lines.append)
        moved = encode_video(vae, pixels)
        errors.append(float((decode_video(vae, moved) - pixels).square().mean() / before))
        drifts.append(float((moved - latents).square().mean()))
    assert max(errors) < 0.7
    assert 0 < drifts[1] < 0.3 * drifts[0]
    assert lines[-1].startswith("step 10/10 error ")


@pytest.mark.parametrize("stop_at", [[0, 2], [1, 2]], ids=["pictures", "clips"])
def test_an_interrupted_vae_stage_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: list[int]
) -> None:
    shard = render_shard(ShardPlan(folder=tmp_path, index=0, seed=3, count=2, frames=5))
    recipe = replace(DEBUG_RECIPE.vae, picture_steps=3, clip_steps=3)
    straight = vae.train_vae(recipe, [shard], tmp_path / "straight.pt", print)
    interrupt_at(monkeypatch, vae, stop_at)
    with pytest.raises(KeyboardInterrupt):
        vae.train_vae(recipe, [shard], tmp_path / "state.pt", print)
    monkeypatch.undo()
    resumed = vae.train_vae(recipe, [shard], tmp_path / "state.pt", print)
    assert_same_weights(straight, resumed)
    with pytest.raises(InputError, match="state.pt was begun as .*choose another output folder"):
        vae.train_vae(replace(recipe, seed=5), [shard], tmp_path / "state.pt", print)


def test_an_interrupted_refinement_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = render_shard(ShardPlan(folder=tmp_path, index=0, seed=3, count=2, frames=5))
    recipe = RefineRecipe(steps=5, batch=1, frames=5, precision="fp32")

    def given() -> WanVae:
        torch.manual_seed(0)
        return build_vae(12, torch.rand(8, 3, 32, 32) * 2 - 1).train(False)

    refine_vae(recipe, straight := given(), [shard], tmp_path / "straight.pt", print)
    interrupt_at(monkeypatch, vae_refine, [2])
    with pytest.raises(KeyboardInterrupt):
        refine_vae(recipe, given(), [shard], tmp_path / "state.pt", print)
    monkeypatch.undo()
    refine_vae(recipe, resumed := given(), [shard], tmp_path / "state.pt", print)
    assert_same_weights(straight, resumed)


def interrupt_at(monkeypatch: pytest.MonkeyPatch, module: ModuleType, position: list[int]) -> None:
    """Ctrl-C right after the stage has saved its state at that position; it saves after every second step."""

    def save_stage(path: Path, recipe: object, at: list[int], *rest: Any) -> None:
        stage_state.save_stage(path, recipe, at, *rest)
        if at == position:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "SAVE_EVERY", 2)
    monkeypatch.setattr(module, "save_stage", save_stage)


def assert_same_weights(one: torch.nn.Module, two: torch.nn.Module) -> None:
    other = two.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in one.state_dict().items())


def test_people_and_things_weigh_more_than_the_scene(tmp_path: Path) -> None:
    shard = read_shard(render_shard(ShardPlan(folder=tmp_path, index=0, seed=3, count=4, frames=5)))
    weights = token_weights(shard, 4.0)
    assert weights.shape == (4, 2, 5, 6) and torch.allclose(weights.mean((1, 2, 3)), torch.ones(4))
    for record, owners, weight in zip(shard.records, torch.from_numpy(shard.owners), weights, strict=True):
        scenes = [n for n, reference in enumerate(record["references"]) if reference["kind"] == "background"]
        scene = (owners == -1) | torch.isin(owners, torch.tensor(scenes, dtype=owners.dtype))
        assert torch.allclose(weight[~scene] / weight[scene].min(), torch.tensor(4.0)) and (~scene).any()
    pixels = pixel_weights(weights, 5)
    assert pixels.shape == (4, 1, 5, 80, 96)
    assert torch.equal(pixels[:, 0, 0, ::16, ::16], weights[:, 0])  # the first latent frame is one pixel frame
    assert torch.equal(pixels[:, 0, 1, 15::16, 15::16], weights[:, 1]) and torch.equal(pixels[:, :, 1], pixels[:, :, 4])


def test_the_nano_recipe_at_debug_size(tmp_path: Path) -> None:
    lines: list[str] = []
    folder = train_nano(tmp_path / "run", DEBUG_RECIPE, workers=1, log=lines.append)
    pipeline = load_pipeline(folder)
    assert pipeline.transformer.config.dim == MODEL.dim and pipeline.defaults.enlarge == 6
    assert [line.split(":")[0] for line in lines if "done in" in line] == [
        "clips",
        "vae",
        "refine",
        "text",
        "latents",
        "pictures",
        "transformer",
        "export",
    ]
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*.safetensors") if "pipeline" not in p.parts}
    train_nano(tmp_path / "run", DEBUG_RECIPE, workers=1)
    assert before == {p: p.stat().st_mtime_ns for p in before}  # nothing is done twice
    further = train_nano(tmp_path / "further", DEBUG_RECIPE, workers=1, start_from=folder)
    one, two = (load_pipeline(f).vae.state_dict() for f in (folder, further))
    moved = {name.split(".")[0] for name in one if not torch.equal(one[name], two[name])}
    assert moved >= {"encoder", "decoder"}
    given = tuple(stage for stage in STAGES if stage not in ("refine", "pictures"))
    further = train_nano(tmp_path / "given", DEBUG_RECIPE, workers=1, start_from=folder, stages=given)
    kept = load_pipeline(further).vae.state_dict()
    assert all(torch.equal(one[name], kept[name]) for name in one)  # without the stage `refine` latents stay valid
    with pytest.raises(InputError, match="unknown stage nope; the stages are clips, vae"):
        train_nano(tmp_path / "run", DEBUG_RECIPE, stages=("nope",))
    with pytest.raises(InputError, match="run the stage 'clips' first"):
        train_nano(tmp_path / "other", DEBUG_RECIPE, stages=("vae",))


def test_a_torch_without_muon_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(InputError, match="optimizer 'muon' needs torch 2.9 or newer"):
        train_nano(tmp_path / "run", stages=("clips",))
    assert not (tmp_path / "run").exists()


def test_muon_steps_matrices_of_the_blocks_and_adamw_the_rest() -> None:
    model = LumosXTransformer(MODEL)
    adamw, muon = make_optimizers(model, replace(DEBUG, optimizer="muon", learning_rate=1e-2))
    inside = {id(p) for group in muon.param_groups for p in group["params"]}
    rest = {id(p) for group in adamw.param_groups for p in group["params"]}
    named = dict(model.named_parameters())
    assert inside == {id(p) for name, p in named.items() if name.startswith("blocks.") and p.ndim == 2}
    assert inside | rest == {id(p) for p in named.values()} and not inside & rest
    matrix = named["blocks.0.self_attn.q.weight"]
    before = matrix.detach().clone()
    matrix.grad = torch.randn(matrix.shape, generator=torch.Generator().manual_seed(0))
    muon.step()
    turned = torch.linalg.svdvals(before * (1 - 1e-2 * DEBUG.weight_decay) - matrix.detach())
    assert float(turned.max() / turned.median()) < 1.5  # a step of nearly equal size in every direction


def test_the_command_shows_the_loss_of_other_clips(
    data: LatentDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lumosx_core.cli.main import main

    sizes = ["--preset", "debug", "--device", "cpu", "--precision", "fp32", "--steps", "2"]
    given = ["train", "transformer", str(data.folder), "--out", str(tmp_path / "run"), *sizes]
    assert main([*given, "--validation", str(data.folder), "--validate-every", "1"]) == 0
    assert ", validation " in capsys.readouterr().err
    assert (tmp_path / "run" / "weights.safetensors").is_file()
    assert main([*given, "--validation", str(data.folder), "--validate-every", "0"]) != 0
    assert "validation: every is 0" in capsys.readouterr().err
    assert main([*given, "--validation", str(tmp_path / "none")]) != 0
    assert "holds no latents-" in capsys.readouterr().err
