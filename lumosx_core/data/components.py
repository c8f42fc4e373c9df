"""Who looks at the pictures: the finders of a collection, made once in every worker, with a digest of what they are.

Legend: H, W = pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from lumosx_core.data.collect_config import ModelSettings
from lumosx_core.data.records import digest_of
from lumosx_core.eyes import FaceFinder, PeopleFinder, PhraseFinder, Segmenter

READ_AT_ONCE = 2**20


class Captioner(Protocol):
    """Writes a caption."""

    def describe(self, pictures: Sequence[Image.Image]) -> str:
        """Words for a clip of which these are frames, in order; empty where it has none."""
        ...


@dataclass(frozen=True, kw_only=True)
class Components:
    """The finders. digest: of the model files behind them; a stage that used them is done again when it changes."""

    people: PeopleFinder
    faces: FaceFinder
    phrases: PhraseFinder
    masks: Segmenter
    captioner: Captioner | None
    digest: str


def make_components(settings: ModelSettings) -> Components:
    """The finders of these settings: the puppet analyser, or the models of a folder. Raises InputError for what is missing."""
    if settings.eyes == "puppets":
        from lumosx_core.puppets.analyser import PuppetAnalyser
        from lumosx_core.puppets.analyser_network import WEIGHTS
        from lumosx_core.puppets.describe import PuppetCaptioner

        analyser = PuppetAnalyser()
        return Components(
            people=analyser, faces=analyser, phrases=analyser, masks=analyser, captioner=PuppetCaptioner(analyser),
            digest=digest_of(WEIGHTS.read_bytes()),
        )  # fmt: skip
    from lumosx_core.detection.real_eyes import real_eyes

    eyes = real_eyes(Path(settings.eyes), device=settings.device)
    return Components(
        people=eyes.people, faces=eyes.faces, phrases=eyes.phrases, masks=eyes.masks, captioner=None,
        digest=folder_digest(Path(settings.eyes)),
    )  # fmt: skip


def components_digest(settings: ModelSettings) -> str:
    """The digest alone, without loading anything. Raises InputError as `make_components`."""
    if settings.eyes == "puppets":
        from lumosx_core.puppets.analyser_network import WEIGHTS

        return digest_of(WEIGHTS.read_bytes())
    return folder_digest(Path(settings.eyes))


def folder_digest(folder: Path) -> str:
    """Of names, sizes and times of all files below a folder of models."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest_of([[str(p.relative_to(folder)), p.stat().st_size, p.stat().st_mtime_ns] for p in files])
