"""Videos made while training: what is written, what is told, and that the training is the same to the bit with them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_recipes import latents

from lumosx_core.cli.main import main
from lumosx_core.data.latent_dataset import LatentDataset
from lumosx_core.errors import InputError
from lumosx_core.files.videos import read_video_metadata
from lumosx_core.model.config import PRESETS
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.sample_folder import read_sample
from lumosx_core.sampling.config import save_defaults
from lumosx_core.sampling.pipeline import LumosXPipeline
from lumosx_core.training.config import DEBUG
from lumosx_core.training.samples import Samples
from lumosx_core.training.step_log import read_step_log
from lumosx_core.training.train import train
from lumosx_core.training.validate import Validation

SIZES = PRESETS["debug_64"]
PIPELINE = LumosXPipeline()
TWO = read_sample(SAMPLES_FOLDER / "two_people")


def samples(**changes: object) -> Samples:
    config = replace(PIPELINE.defaults.config, steps=1, width=48, height=32, frames=1, cfg=1.0)
    return Samples(**{"pipeline": PIPELINE, "samples": {"two": TWO}, "config": config, "every": 2} | changes)  # type: ignore[arg-type]


def test_with_validation_and_samples_the_weights_are_the_same_to_the_bit(tmp_path: Path) -> None:
    data = LatentDataset(latents(tmp_path / "data"))
    config = replace(DEBUG, optimizer="muon", text_dropout=0.3)
    plain = train(config, SIZES, data, tmp_path / "plain").state_dict()
    seen: list[np.ndarray] = []
    told: dict[int, dict[str, float]] = {}

    def score(name: str, frames: np.ndarray) -> dict[str, tuple[float, float]]:
        assert name == "two"
        seen.append(frames)
        return {"bound": (float(len(seen)), 4.0), "nothing": (0.0, 0.0)}

    watched = train(
        config,
        SIZES,
        data,
        tmp_path / "watched",
        validation=Validation(data=data, every=1, batches=1),
        samples=samples(score=score),
        on_step=lambda step, figures: told.update({step: figures}),
    ).state_dict()
    assert all(torch.equal(value, watched[name]) for name, value in plain.items())
    assert [told[step].get("sampled/bound") for step in range(4)] == [None, 0.25, None, 0.5]
    assert "sampled/nothing" not in told[1] and all("validation" in figures for figures in told.values())
    folders = sorted((tmp_path / "watched" / "samples").iterdir())
    assert [folder.name for folder in folders] == ["step-00000002", "step-00000004"]
    for folder in folders:
        assert sorted(path.name for path in folder.iterdir()) == ["two.mp4", "two.png"]
        assert read_video_metadata(folder / "two.mp4")["step"] == int(folder.name[-1])
    sheets = [np.asarray(Image.open(folder / "two.png")) for folder in folders]
    assert sheets[0].shape == sheets[1].shape and (sheets[0] != sheets[1]).any()
    assert seen[0].shape == (1, 32, 48, 3) and (seen[0] != seen[1]).any()


def test_what_cannot_be_sampled_is_told_before_the_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="there is none; name sample folders"):
        samples(samples={})
    with pytest.raises(InputError, match="every is 0"):
        samples(every=0)
    with pytest.raises(InputError, match="text_len 80, the model that is trained 512; name the model folder"):
        samples().check_model(replace(SIZES, text_len=512))
    with pytest.raises(InputError, match="is not in the prompt; use the same words in both"):
        samples(samples={"a": replace(TWO, prompt="Nobody.")}).check_model(SIZES)
    start = ["train", "transformer", str(latents(tmp_path / "data")), "--device", "cpu", "--recipe", "debug", "--steps", "1"]
    two = str(SAMPLES_FOLDER / "two_people")
    for more, words in (
        (["--samples", str(tmp_path)], "no caption.txt in"), (["--model", "x"], "name sample folders too"),
        (["--samples", two, f"{two}/"], "two folders have one name"), (["--samples", two, "--model", str(tmp_path)], "lacks"),
        (["--samples", two, "--sample-every", "0"], "every is 0"),
    ):  # fmt: skip
        assert main([*start, "--out", str(tmp_path / "run"), *more]) == 2
        assert words in capsys.readouterr().err, more
    assert not (tmp_path / "run" / "states").exists()


def test_the_command_makes_sheets_and_tells_the_binding_of_puppets(tmp_path: Path) -> None:
    run, model = tmp_path / "run", tmp_path / "model"
    shutil.copytree(PIPELINE.folder, model)
    save_defaults(model, replace(PIPELINE.defaults, steps=1, frames=1, cfg=1.0))
    command = ["train", "transformer", str(latents(tmp_path / "data")), "--device", "cpu", "--recipe", "debug", "--steps", "1"]
    watched = ["--samples", str(SAMPLES_FOLDER / "one_person_in_a_room"), "--model", str(model)]
    assert main([*command, "--out", str(run), *watched]) == 0
    (logged,) = read_step_log(run / "log.jsonl")
    assert logged.figures["sampled/bound"] == 0.0 and logged.figures["sampled/identity"] == 0.0  # nothing is learnt in a step
    assert (run / "samples" / "step-00000001" / "one_person_in_a_room.png").is_file()
