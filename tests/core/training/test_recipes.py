"""Recipes: what they say, how they are changed, the log of a run, and that `debug` gives the losses it always gave."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.cli.main import main
from lumosx_core.data.latent_dataset import LatentDataset
from lumosx_core.data.settings import to_toml
from lumosx_core.errors import InputError
from lumosx_core.model.config import PRESETS
from lumosx_core.model.lora import read_lora
from lumosx_core.training.figures import level_losses
from lumosx_core.training.recipes import RECIPES, Recipe, read_recipe
from lumosx_core.training.step_log import StepLog, read_step_log
from lumosx_core.training.train import train

# Of 50 steps of `debug` on `latents`, on a CPU; they differ by 2e-6 between instruction sets and numbers of threads.
LOSSES = (
    2.051082,
    1.977392,
    1.94084,
    2.053405,
    1.926085,
    1.844642,
    2.050531,
    1.969589,
    2.073722,
    1.855359,
    1.854589,
    1.958566,
    1.869427,
    1.854408,
    1.904716,
    1.914765,
    1.877862,
    1.779817,
    1.92814,
    1.794953,
    1.939862,
    1.915707,
    1.893763,
    1.910466,
    1.902366,
    1.969187,
    1.943689,
    1.871474,
    1.804383,
    1.812232,
    1.807892,
    1.935692,
    1.88149,
    1.765703,
    1.781641,
    1.716271,
    1.871866,
    1.788985,
    1.718369,
    1.917472,
    1.759001,
    1.766551,
    1.772434,
    1.929598,
    1.771703,
    1.797937,
    1.843806,
    1.845874,
    1.724698,
    1.751955,
)


def latents(folder: Path) -> Path:
    """A shard of six clips of the width that the embedded models give: a face, or a face with a thing."""
    generator = torch.Generator().manual_seed(5)
    folder.mkdir(parents=True)
    kinds = [["face", "attribute"] if n % 2 else ["face"] for n in range(6)]
    count = sum(map(len, kinds))
    tensors = {
        "video": torch.randn(6, 16, 2, 4, 6, generator=generator).half(),
        "reference": torch.randn(count, 16, 4, 6, generator=generator).half(),
        "context": torch.randn(6, 80, 96, generator=generator).half(),
        "levels": torch.rand(count, 80, generator=generator).half(),
        "owners": torch.zeros(6, 2, 2, 3, dtype=torch.int8),
    }
    metadata = {
        "samples": json.dumps([{"kinds": k, "subjects": [0] * len(k)} for k in kinds]),
        "empty_context": json.dumps([[0.5] * 96]),
    }
    save_file(tensors, folder / "latents-0000.safetensors", metadata=metadata)
    return folder


def test_fifty_steps_of_debug_give_the_stored_losses(tmp_path: Path) -> None:
    recipe, losses = RECIPES["debug"], []
    data = LatentDataset(latents(tmp_path / "data"))
    train(
        recipe.config(),
        PRESETS[recipe.model.preset],
        data,
        tmp_path / "run",
        on_step=lambda _, figures: losses.append(figures["loss"]),
    )
    assert losses == pytest.approx(LOSSES, rel=1e-5), losses


def test_what_the_publication_tells_stands_in_the_recipes() -> None:
    first, second = RECIPES["published_1"], RECIPES["published_2"]
    assert (first.training.steps, second.training.steps) == (15_000, 16_000)
    for recipe in (first, second):
        assert recipe.model.preset == "t2v_1_3b" and recipe.lora is None and recipe.draws.grouped == 0.7
        assert recipe.training.timestep_shift == 1.0 and recipe.training.frames == ()
    assert RECIPES["lora"].config().lora is not None and RECIPES["lora"].config().lora.scale == 1.0  # type: ignore[union-attr]


def test_every_number_says_whether_it_was_published_and_has_a_range() -> None:
    recipe = RECIPES["lora"]
    for section in fields(recipe):
        for field in fields(getattr(recipe, section.name)):
            if field.name in ("lora", "memory"):  # sections of their own
                continue
            where, about = f"{section.name}.{field.name}", field.metadata["about"]
            assert ("published" in about) != about.endswith("; ours") or "not published, ours" in about, where
            if field.type in (int, float):
                assert None not in (field.metadata["least"], field.metadata["most"]), where


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_recipe_is_written_and_read_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(RECIPES[name]), "utf-8")
    other = replace(RECIPES[name], training=replace(RECIPES[name].training, steps=7, betas=(0.5, 0.6), frames=(1,), spike=3.0))
    from lumosx_core.data.settings import read_config

    assert read_config(Recipe, other, path) == RECIPES[name]


def test_numbers_are_changed_by_file_and_by_name(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[training]\nsteps = 9\nbetas = [0.8, 0.9]\n[lora]\nlayers = ["ffn.0"]\n', "utf-8")
    recipe = read_recipe("lora", path, ["clip_norm=0.5", "training.frames=3,3,5", "rank=16", "train_norms=true"])
    training, lora = recipe.training, recipe.lora
    assert (training.steps, training.betas, training.clip_norm, training.frames) == (9, (0.8, 0.9), 0.5, (3, 3, 5))
    assert lora is not None and (lora.rank, lora.layers, lora.train_norms) == (16, ("ffn.0",), True)
    assert lora.scale == 1.0  # the alpha goes with the rank unless it is given
    assert read_recipe("lora", None, ["alpha=32", "rank=16"]).lora.scale == 2.0  # type: ignore[union-attr]


def test_all_faults_are_told_with_the_nearest_name() -> None:
    with pytest.raises(InputError) as caught:
        read_recipe("lora", None, ["steps=0", "learning_rat=1", "lora.rank=0", "betas=0.9", "layers=q", "optimizer=sgd"])
    for part in (
        "training.steps is '0', expected a whole number from 1",
        "learning_rat is unknown; did you mean learning_rate?",
        "lora.rank is '0', expected a whole number from 1 to 4096",
        "training.betas is",
        "expected a list of 2, each a number from 0 to 1",
        "lora.layers is",
        "training.optimizer is 'sgd', expected 'adamw' or 'muon' or 'adamw_8bit' or 'prodigy' or module:Class",
    ):
        assert part in str(caught.value)
    with pytest.raises(InputError, match="unknown recipe 'published'; did you mean published_[12]"):
        read_recipe("published")
    with pytest.raises(InputError, match=r"rank is unknown"):
        read_recipe("finetune", None, ["rank=8"])


def test_losses_are_told_at_the_nearest_level_of_noise() -> None:
    timestep = torch.tensor([0.0, 124.9, 125.0, 999.99, 437.0])
    told = level_losses(timestep, torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]))
    assert told == {"loss/0.06": 1.5, "loss/0.19": 4.0, "loss/0.44": 16.0, "loss/0.94": 8.0}


def test_the_log_keeps_the_last_of_every_step_and_bears_a_kill(tmp_path: Path) -> None:
    log = StepLog(tmp_path / "log.jsonl")
    for step in (0, 1, 2):
        log(step, {"loss": float(step)})
    with open(log.path, "ab") as file:
        file.write(b'{"step": 4, "fig')
    again = StepLog(log.path)
    again(1, {"loss": 10.0, "norm": float("nan")})
    assert [(s.step, s.figures) for s in read_step_log(log.path)] == [
        (1, {"loss": 0.0}),
        (2, {"loss": 10.0, "norm": None}),
        (3, {"loss": 2.0}),
    ]


def test_a_lora_by_command_from_weights_to_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Full training gives weights, a LoRA beside them follows, resumes, and says what it is; a wrong word stops before work."""
    data, run, base = latents(tmp_path / "data"), tmp_path / "run", tmp_path / "base"
    start = ["train", "transformer", str(data), "--device", "cpu", "--recipe", "debug", "--steps", "4"]
    assert main([*start, "--out", str(base), "--set", "save_every=2"]) == 0
    weights = base / "weights.safetensors"
    steps = read_step_log(base / "log.jsonl")
    assert [logged.step for logged in steps] == [1, 2, 3, 4]
    for logged in steps:
        figures = {name: value for name, value in logged.figures.items() if value is not None}
        plain = {"loss", "norm", "rate", "seconds", "waited", "tokens_per_second", "memory", "skipped"}
        levels = {name for name in figures if name.startswith("loss/")}
        assert figures.keys() - levels == plain and 1 <= len(levels) <= 2  # two samples
        assert 0 < figures["waited"] < figures["seconds"] and figures["memory"] > 0.1
        assert figures["tokens_per_second"] * figures["seconds"] > 2 * 2 * 2 * 3  # more than the video's alone
    lora = [*start, "--out", str(run), "--initial", str(weights), "--lora-rank", "3", "--lora-alpha", "6"]
    assert main(lora) == 0 and "lora.safetensors" in capsys.readouterr().out
    file = read_lora(run / "lora.safetensors")
    assert len(file.factors) == 3 * 10 and {f.rank for f in file.factors.values()} == {3}
    assert {f.alpha for f in file.factors.values()} == {6.0} and file.metadata["steps"] == "4"
    assert any(bool(f.up.any()) for f in file.factors.values())
    assert json.loads(file.metadata["recipe"])["learning_rate"] == 3e-3
    before = (run / "lora.safetensors").read_bytes()
    (run / "lora.safetensors").unlink()
    assert main(lora) == 0 and (run / "lora.safetensors").read_bytes() == before  # goes on from its last state: nothing to do
    capsys.readouterr()
    for change, words in (
        (["--set", "stepz=3"], "stepz is unknown; did you mean steps?"),
        (["--lora-rank", "0"], "rank is 0"),
        (["--recipe", "lorra"], "did you mean lora?"),
        (["--preset", "x"], "unknown preset 'x'"),
    ):
        assert main([*lora, *change]) == 2
        assert words in capsys.readouterr().err
    assert main([*start, "--out", str(tmp_path / "none"), "--lora-rank", "3"]) == 2
    assert "give the weights to start from" in capsys.readouterr().err
    assert main(["train", "transformer", "--recipe", "lora", "--print-recipe"]) == 0
    assert "[lora]\n# width of the factors; ours\nrank = 32" in capsys.readouterr().out
