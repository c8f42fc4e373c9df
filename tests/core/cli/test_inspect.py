"""`lumosx inspect` counts as `generate` does, and reports instead of stopping."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumosx_core.cli.main import main
from lumosx_core.puppets.clip import sample_clip
from lumosx_core.puppets.pictures import puppet_sample
from lumosx_core.puppets.samples import SAMPLES_FOLDER, photographs
from lumosx_core.references import ReferenceSet, Sample, SceneReference, Subject
from lumosx_core.sample_folder import write_sample
from lumosx_core.sampling.config import read_defaults, save_defaults
from lumosx_core.sampling.pipeline import NANO_FOLDER

LONG = "A man stands in a garden. " + "The evening light is warm and the path is quiet and long. " * 8


def inspect(capsys: pytest.CaptureFixture[str], sample: Path, out: Path, *more: str) -> str:
    assert main(["inspect", str(sample), "--out", str(out), *more]) == 0
    assert len(list(out.glob("*_masks.png"))) == 1
    return capsys.readouterr().out


def long_sample(folder: Path) -> Path:
    """A lamp far beyond the embedded model's text, and a man before it and after it."""
    lamp = SceneReference(phrase="lamp", image=Image.new("RGB", (20, 20), "gold"))
    man = Subject(name="man", face=Image.new("RGB", (20, 20), "tan"))
    prompt = f"{LONG}Beside the man stands a lamp."
    sample = Sample(prompt=prompt, references=ReferenceSet(subjects=(man,), objects=(lamp,)), sample_id="clip_07")
    return write_sample(folder, sample)


def test_a_long_prompt_is_reported_as_generate_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = long_sample(tmp_path / "sample")
    told = inspect(capsys, sample, tmp_path / "a")
    assert "the embedded nano model" in told and " 79 tokens of text are read" in told
    assert "17 frames of 96 x 80 pixels" in told and "sample id: clip_07" in told
    assert "problem: 'lamp' (object 1) " in told and "note: " in told and "problem: 'man'" not in told
    assert "problem: " not in inspect(capsys, sample, tmp_path / "b", "--text-len", "512")
    assert main(["generate", str(sample), "--out", str(tmp_path / "c"), "--steps", "1", "--frames", "1"]) == 2
    assert "'lamp' (object 1) " in capsys.readouterr().err


def test_another_model_counts_with_its_own_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Path(shutil.copytree(NANO_FOLDER, tmp_path / "model"))
    save_defaults(model, replace(read_defaults(model), width=160, height=96, frames=9))
    two = SAMPLES_FOLDER / "two_people"
    told = inspect(capsys, two, tmp_path / "a", "--model", str(model))
    assert f"counted with the model {model}" in told and "9 frames of 160 x 96 pixels" in told and "sample id: none" in told
    assert "layout: 3 frames x 6 x 10 tokens" in told
    told = inspect(capsys, two, tmp_path / "b", "--tokenizer", str(NANO_FOLDER / "spiece.model"), "--frames", "5")
    assert "spiece.model, 79 tokens" in told and "layout: 2 frames x 5 x 6 tokens" in told
    for wrong in (["--text-len", "0"], ["--text-len", "1000000000"], ["--model", str(tmp_path)], ["--frames", "6"]):
        assert main(["inspect", str(two), "--out", str(tmp_path / "c"), *wrong]) == 2
        assert capsys.readouterr().err.startswith("error: ")


def test_puppets_are_told_from_photographs() -> None:
    rng = np.random.default_rng(0)
    pictures = 0
    for number in range(10):
        clip = sample_clip(
            rng, people=2, attributes=2, objects=1, described=bool(number % 3), held_out=bool(number % 2), frames=17
        )
        references = puppet_sample(rng, clip, background=True).references
        pictures += len(references.references())
        assert photographs(references, 96, 80) == []
    assert pictures >= 60
    for number in range(20):  # clouds of colours with some noise: what a camera makes of a surface
        low = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(low).resize((320, 240), Image.Resampling.BICUBIC), dtype=np.float32)
        pixels = (smooth + rng.normal(0, 4 + number % 8, smooth.shape)).clip(0, 255).astype(np.uint8)
        face = Subject(name="man", face=Image.fromarray(pixels))
        assert photographs(ReferenceSet(subjects=(face,)), 96, 80) == ["face 'man'"]


def test_generate_says_that_the_embedded_model_knows_puppets_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    man = Subject(name="man", face=Image.fromarray(noise))
    sample = write_sample(tmp_path / "sample", Sample(prompt="A man waves.", references=ReferenceSet(subjects=(man,))))
    fast = ["--frames", "1", "--steps", "1", "--cfg", "1", "--out", str(tmp_path / "out")]
    assert main(["generate", str(sample), *fast]) == 0
    [told] = [record.getMessage() for record in caplog.records if "puppets only" in record.getMessage()]
    assert "face 'man'" in told and "--model FOLDER" in told
    caplog.clear()
    assert main(["generate", str(sample), *fast, "--model", str(NANO_FOLDER)]) == 0
    assert main(["generate", str(SAMPLES_FOLDER / "two_people"), *fast]) == 0
    assert not [record for record in caplog.records if "puppets only" in record.getMessage()]
    assert "video          " in capsys.readouterr().out
