"""Every case is generated once, into a folder of its own that any number of metrics read.

<case>/sample/            prompt and reference pictures, as in the suite
<case>/frames/0000.png    the video, frame by frame, without loss
<case>/video.mp4          instead of frames: a video that was made elsewhere
<case>/gap.txt            instead of frames: why there is no video, which counts as everything missing
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import copy_file, whole_folder, write_text
from lumosx_core.files.images import open_image, save_png
from lumosx_core.files.videos import read_video
from lumosx_core.references import Sample
from lumosx_core.sample_folder import read_sample
from lumosx_core.sampling.config import GenerationConfig
from lumosx_core.sampling.generate import decode, denoise, prepare
from lumosx_core.sampling.pipeline import LumosXPipeline

SAMPLE, FRAMES, VIDEO, GAP = "sample", "frames", "video", "gap.txt"


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

    def gap(self) -> str:
        """Why it has no video; empty where it has one."""
        path = self.folder / GAP
        return path.read_text("utf-8") if path.is_file() else ""

    def sample(self) -> Sample:
        """Prompt and references. Raises InputError if they are damaged."""
        return read_sample(self.sample_folder)

    def frames(self) -> np.ndarray:
        """uint8 [F, H, W, 3]. Raises InputError if frames are missing, damaged or of different sizes."""
        again = "delete the folder, and the same command makes it again"
        if videos := list(self.folder.glob(f"{VIDEO}.*")):
            try:
                return read_video(videos[0])[0]
            except InputError as error:
                raise InputError(f"{error}; {again}") from error
        paths = sorted((self.folder / FRAMES).glob("*.png"))
        if not paths or [path.stem for path in paths] != [f"{number:04d}" for number in range(len(paths))]:
            raise InputError(f"{self.folder / FRAMES} holds {len(paths)} frames, not all of a video; {again}")
        try:
            frames = [np.asarray(open_image(path).convert("RGB")) for path in paths]
        except InputError as error:
            raise InputError(f"{error}; {again}") from error
        if len({frame.shape for frame in frames}) > 1:
            raise InputError(f"the frames in {self.folder / FRAMES} are of different sizes; {again}")
        return np.stack(frames)


def generate_case(
    pipeline: LumosXPipeline, sample_folder: Path, config: GenerationConfig, seed: int, target: GeneratedCase
) -> None:
    """Generates the video of a sample folder and writes both, whole or not at all."""
    frames = generate_frames(pipeline, read_sample(sample_folder), config, seed)

    def write_frames(partial: Path) -> None:
        for number, frame in enumerate(frames):
            save_png(Image.fromarray(frame), partial / FRAMES / f"{number:04d}.png")

    _write_case(sample_folder, target, write_frames)


def take_video(video: Path, sample_folder: Path, target: GeneratedCase) -> None:
    """Copies a video that was made elsewhere, with its sample, whole or not at all."""
    _write_case(
        sample_folder, target, lambda partial: copy_file(video, partial / f"{VIDEO}{video.suffix.lower()}", "the video")
    )


def leave_gap(why: str, sample_folder: Path, target: GeneratedCase) -> None:
    """Writes a case that has no video."""
    _write_case(sample_folder, target, lambda partial: write_text(partial / GAP, why))


def generate_frames(pipeline: LumosXPipeline, sample: Sample, config: GenerationConfig, seed: int) -> np.ndarray:
    """uint8 frames [F, H, W, 3] of a sample, nothing written."""
    return decode(pipeline, denoise(pipeline, prepare(pipeline, sample, config), config, [seed]))


def _write_case(sample_folder: Path, target: GeneratedCase, write: Callable[[Path], object]) -> None:
    with whole_folder(target.folder, "the case") as partial:
        shutil.copytree(sample_folder, partial / SAMPLE)
        write(partial)
