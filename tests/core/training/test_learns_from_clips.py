"""From videos and pictures to a loss that falls: four samples in the real format, through `prepare`, learnt by heart."""

import json
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from PIL import Image

from lumosx_core.cli.main import main
from lumosx_core.data.clip_dataset import ClipDataset
from lumosx_core.files.videos import write_video
from lumosx_core.model.config import PRESETS
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.references import Attribute, ReferenceSet, Sample, Subject
from lumosx_core.sample_folder import write_sample
from lumosx_core.training.losses import Draw, PublishedLoss, StepLoss
from lumosx_core.training.recipes import RECIPES
from lumosx_core.training.train import train


class FixedNoise(PublishedLoss):
    """The published loss, always with the same noise and timestep for a sample."""

    def __call__(self, model: LumosXTransformer, draw: Draw) -> StepLoss:
        noise, timestep = [], []
        for name in draw.batch.samples:
            generator = torch.Generator().manual_seed(crc32(name.encode()))
            noise.append(torch.randn(draw.noise.shape[1:], generator=generator))
            timestep.append(1000 * torch.rand((), generator=generator))
        return super().__call__(model, replace(draw, noise=torch.stack(noise), timestep=torch.stack(timestep)))


def write_clips(folder: Path) -> None:
    """Four clips of a man with a hat: a square of a colour that goes its way over another."""
    for number, colour in enumerate(((200, 40, 40), (40, 160, 60), (50, 70, 200), (210, 180, 40))):
        picture = Image.new("RGB", (40, 40), colour)
        hat = Attribute(phrase="hat", image=Image.new("RGB", (40, 24), colour[::-1]))
        subject = Subject(name="man", face=picture, attributes=(hat,))
        path = folder / f"clip{number}"
        write_sample(path, Sample(prompt="A man with a hat.", references=ReferenceSet(subjects=(subject,))))
        frames = np.full((5, 48, 48, 3), 30 + 50 * number, np.uint8)
        for n in range(5):
            frames[n, 8 + 3 * n : 24 + 3 * n, 8 * number : 8 * number + 16] = colour
        write_video(path / "video.mp4", frames, 8.0)


def test_four_clips_are_learnt_by_heart(tmp_path: Path) -> None:
    """At most 5 percent of the first loss after 200 steps."""
    write_clips(tmp_path / "clips")
    cache = tmp_path / "cache"
    arguments = ["--fps", "8", "--buckets", "48x48x5", "--references", "1", "--workers", "1"]
    assert main(["train", "prepare", str(tmp_path / "clips"), "--out", str(cache), *arguments]) == 0
    data = ClipDataset(cache)
    assert len(data) == 4
    recipe = RECIPES["debug"]
    config = replace(recipe.config(), steps=200, batch=4, save_every=200, decay_share=0.5)
    losses: list[float] = []
    sizes = PRESETS[recipe.model.preset]
    train(config, sizes, data, tmp_path / "run", loss=FixedNoise(), on_step=lambda _, figures: losses.append(figures["loss"]))
    assert losses[-1] <= 0.05 * losses[0], json.dumps([losses[0], *losses[9::10]])
