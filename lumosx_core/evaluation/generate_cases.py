"""Every case is generated once, into a folder of its own that any number of metrics read.

<case>/sample/            prompt and reference pictures, and the truth about its puppets
<case>/frames/0000.png    the video, frame by frame, without loss
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.evaluation.cases import PuppetCase
from lumosx_core.files.atomic import whole_folder
from lumosx_core.files.images import open_image, save_png
from lumosx_core.puppets.samples import write_truth
from lumosx_core.references import Sample
from lumosx_core.sample_folder import read_sample, write_sample
from lumosx_core.sampling.config import GenerationConfig
from lumosx_core.sampling.generate import decode, denoise, prepare
from lumosx_core.sampling.pipeline import LumosXPipeline

SAMPLE, FRAMES = "sample", "frames"


@dataclass(frozen=True)
class GeneratedCase:
    """A case on the disk. `folder` is as the top of this file says."""

    folder: Path

    @property
    def sample_folder(self) -> Path:
        """What was asked for."""
        return self.folder / SAMPLE

    def exists(self) -> bool:
        """True for a finished one: a case takes its place as a whole."""
        return self.folder.is_dir()

    def sample(self) -> Sample:
        """Prompt and references. Raises InputError if they are damaged."""
        return read_sample(self.sample_folder)

    def frames(self) -> np.ndarray:
        """uint8 [F, H, W, 3]. Raises InputError if frames are missing, damaged or of different sizes."""
        paths = sorted((self.folder / FRAMES).glob("*.png"))
        again = "delete the folder, and the same command makes it again"
        if not paths or [path.stem for path in paths] != [f"{number:04d}" for number in range(len(paths))]:
            raise InputError(f"{self.folder / FRAMES} holds {len(paths)} frames, not all of a video; {again}")
        try:
            frames = [np.asarray(open_image(path).convert("RGB")) for path in paths]
        except InputError as error:
            raise InputError(f"{error}; {again}") from error
        if len({frame.shape for frame in frames}) > 1:
            raise InputError(f"the frames in {self.folder / FRAMES} are of different sizes; {again}")
        return np.stack(frames)


def generate_case(pipeline: LumosXPipeline, case: PuppetCase, config: GenerationConfig, target: GeneratedCase) -> None:
    """Generates the video of a case and writes it with its sample, whole or not at all."""
    frames = generate_frames(pipeline, case.sample, config, case.seed)
    with whole_folder(target.folder, "the case") as partial:
        write_sample(partial / SAMPLE, case.sample)
        write_truth(partial / SAMPLE, case.clip.puppets)
        for number, frame in enumerate(frames):
            save_png(Image.fromarray(frame), partial / FRAMES / f"{number:04d}.png")


def generate_frames(pipeline: LumosXPipeline, sample: Sample, config: GenerationConfig, seed: int) -> np.ndarray:
    """uint8 frames [F, H, W, 3] of a sample, nothing written."""
    return decode(pipeline, denoise(pipeline, prepare(pipeline, sample, config), config, [seed]))
