"""Who looks at the pictures: the finders of a collection, made once in every worker, with a digest of what they are.

Finders of others plug in as `models.eyes = "package.module:function"`: an installed package's function (ModelSettings) ->
`Components`, whose parts keep to the protocols of `lumosx_core/eyes.py`. It is called in every worker, so models should be
loaded when they are needed first.

Legend: H, W = pixels.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from PIL import Image

from lumosx_core.data.collect_config import ModelSettings
from lumosx_core.data.records import digest_of
from lumosx_core.errors import InputError
from lumosx_core.eyes import FaceFinder, Filler, PeopleFinder, PhraseFinder, Segmenter
from lumosx_core.files.existing import existing_file


class Captioner(Protocol):
    """Writes a caption."""

    def describe(self, pictures: Sequence[Image.Image]) -> str:
        """Words for a clip of which these are frames, in order; empty where it has none."""
        ...


@dataclass(frozen=True, kw_only=True)
class Components:
    """The finders. digest: of the model files behind them; a stage that used them is done again when it changes. filler: what
    invents places of backgrounds, None for OpenCV's way."""

    people: PeopleFinder
    faces: FaceFinder
    phrases: PhraseFinder
    masks: Segmenter
    captioner: Captioner | None
    digest: str
    filler: Filler | None = None


def make_components(settings: ModelSettings) -> Components:
    """The finders of these settings: the puppet analyser, the models of a folder, or those that a function of another package
    gives, with the filler of backgrounds. Raises InputError that names all that is missing."""
    missing = []
    try:
        made = _finders(settings)
    except InputError as error:
        missing.append(str(error))
    try:
        filler = _filler(settings)
    except InputError as error:
        missing.append(str(error))
    if missing:
        raise InputError("; ".join(missing))
    return made if filler is None else replace(made, filler=filler, digest=components_digest(settings))


def _filler(settings: ModelSettings) -> Filler | None:
    if not settings.filler:
        return None
    from lumosx_core.detection.inpainting import LamaFiller

    return LamaFiller(Path(settings.filler), device=settings.device)


def _finders(settings: ModelSettings) -> Components:
    if settings.eyes == "puppets":
        from lumosx_core.puppets.analyser import PuppetAnalyser
        from lumosx_core.puppets.analyser_network import WEIGHTS
        from lumosx_core.puppets.describe import PuppetCaptioner

        analyser = PuppetAnalyser()
        return Components(
            people=analyser,
            faces=analyser,
            phrases=analyser,
            masks=analyser,
            captioner=PuppetCaptioner(analyser),
            digest=digest_of(WEIGHTS.read_bytes()),
        )
    if is_function(settings.eyes):
        return _plugged(settings)
    from lumosx_core.detection.real_eyes import real_eyes

    eyes = real_eyes(Path(settings.eyes), device=settings.device)
    return Components(
        people=eyes.people,
        faces=eyes.faces,
        phrases=eyes.phrases,
        masks=eyes.masks,
        captioner=None,
        digest=folder_digest(Path(settings.eyes)),
    )


def components_digest(settings: ModelSettings) -> str:
    """The digest alone, without loading anything. Raises InputError as `make_components`."""
    finders = _finders_digest(settings)
    return finders if not settings.filler else digest_of([finders, file_stamp(Path(settings.filler))])


def _finders_digest(settings: ModelSettings) -> str:
    if settings.eyes == "puppets":
        from lumosx_core.puppets.analyser_network import WEIGHTS

        return digest_of(WEIGHTS.read_bytes())
    if is_function(settings.eyes):
        return _plugged(settings).digest
    return folder_digest(Path(settings.eyes))


def absolute_models(settings: ModelSettings) -> ModelSettings:
    """The same models for a process whose working folder is another one: files and folders by absolute paths."""
    named = settings.eyes == "puppets" or is_function(settings.eyes)
    return replace(
        settings,
        eyes=settings.eyes if named else str(Path(settings.eyes).absolute()),
        reader=settings.reader and str(Path(settings.reader).absolute()),
        filler=settings.filler and str(Path(settings.filler).absolute()),
    )


def is_function(eyes: str) -> bool:
    """Whether a name is "package.module:function" and no folder (nor a Windows drive)."""
    module, colon, function = eyes.partition(":")
    return bool(colon) and len(module) > 1 and all(part.isidentifier() for part in [*module.split("."), function])


def _plugged(settings: ModelSettings) -> Components:
    module, _, name = settings.eyes.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"models.eyes is {settings.eyes!r}, but there is no such function ({error}); install its package, or give "
            "a folder of models, or puppets"
        ) from error
    made = function(settings)
    if not isinstance(made, Components):
        raise InputError(
            f"{settings.eyes} gave {type(made).__name__}, expected lumosx_core.data.components.Components; ask whoever wrote it"
        )
    return made


def file_stamp(path: Path) -> str:
    """Of name, size and time of a file of a model, without reading it. Raises InputError if it is not there."""
    path = existing_file(path, "model file", "give a file that is there")
    return digest_of([path.name, path.stat().st_size, path.stat().st_mtime_ns])


def folder_digest(folder: Path) -> str:
    """Of names, sizes and times of all files below a folder of models."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest_of([[str(p.relative_to(folder)), p.stat().st_size, p.stat().st_mtime_ns] for p in files])
