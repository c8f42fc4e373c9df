"""Several videos of one prompt and one set of references at once: each as it is alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lumosx_core.cli.main import main
from lumosx_core.errors import InputError
from lumosx_core.files.videos import read_video
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.sample_folder import read_sample
from lumosx_core.sampling.generate import denoise, prepare
from lumosx_core.sampling.pipeline import load_pipeline

SAMPLE = str(SAMPLES_FOLDER / "two_people")


@pytest.mark.parametrize("cfg_batched", [True, False])
def test_seeds_sampled_together_are_those_sampled_alone(cfg_batched: bool) -> None:
    pipeline = load_pipeline()
    config = replace(pipeline.defaults.config, frames=5, steps=2, cfg=3.0, cfg_batched=cfg_batched)
    prepared = prepare(pipeline, read_sample(Path(SAMPLE)), config)
    told: list[str] = []
    together = denoise(pipeline, prepared, config, [7, 1, 4], lambda stage, *_: told.append(stage))
    assert together.shape == (3, 16, 2, 10, 12) and set(told) == {"seeds 7, 1, 4"}
    for number, seed in enumerate((7, 1, 4)):
        alone = denoise(pipeline, prepared, config, [seed])
        assert (together[number] - alone[0]).abs().max() < 1e-5 * alone.abs().max()
    assert (together[0] - together[1]).abs().max() > 0.1


def test_the_command_makes_the_same_files(tmp_path: Path) -> None:
    fast = ["generate", SAMPLE, "--frames", "1", "--steps", "1", "--seed", "1", "2", "3", "--out"]
    assert main([*fast, str(tmp_path / "alone")]) == 0
    assert main([*fast, str(tmp_path / "together"), "--batch", "2"]) == 0
    names = sorted(path.name for path in (tmp_path / "alone").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "together").iterdir()) and len(names) == 7
    for seed in (1, 2, 3):
        alone, together = (
            read_video(tmp_path / way / f"two_people_{seed}.mp4")[0].astype(int) for way in ("alone", "together")
        )
        assert abs(alone - together).max() <= 2


def test_what_cannot_be_shared_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast = ["generate", SAMPLE, "--steps", "1", "--seed", "1", "2", "--out", str(tmp_path / "out"), "--batch"]
    assert main([*fast, "2", "--no-self-attention-mask"]) == 2
    assert "2 videos cannot share references that see the video" in capsys.readouterr().err
    assert main([*fast, "0"]) == 2
    assert "batch is 0, expected a whole number from 1" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.mp4"))
    with pytest.raises(InputError, match="videos is 0"):
        TokenLayout(1, 2, 3, videos=0)
    assert TokenLayout(2, 2, 3, videos=3).positions().equal(TokenLayout(2, 2, 3).positions().repeat(3, 1))
    assert torch.equal(TokenLayout(2, 1, 1, ("object",), (None,), videos=2).positions()[:, 0], torch.tensor([0, 1, 0, 1, 2]))
