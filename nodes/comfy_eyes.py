"""The finders that nodes see with: detectors of photographs below models/eyes on the host's device, or the embedded ones."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import comfy.model_management
import folder_paths

from lumosx_core.errors import InputError

from .file_states import state_of

if TYPE_CHECKING:
    from lumosx_core.detection.person import Eyes
    from lumosx_core.detection.segment_anything import SamSegmenter
    from lumosx_core.detection.things import ThingEyes

PHOTOGRAPHS, PUPPETS = "photographs", "puppets"
EYES = (PHOTOGRAPHS, PUPPETS)  # the choices of an input
ROOM = 4 * 2**30  # bytes that the largest finder needs besides its weights
_kept: dict[type, tuple[str, Any]] = {}  # class -> state of its files, and the finder
Finders = TypeVar("Finders", "Eyes", "ThingEyes")
Finder = TypeVar("Finder")


def person_eyes(kind: str) -> "Eyes":
    """The eyes of a choice of `EYES` for people with their faces and things. Raises InputError for missing models."""
    from lumosx_core.detection.person import Eyes
    from lumosx_core.detection.real_eyes import real_eyes

    if kind == PUPPETS:
        from lumosx_core.puppets.analyser import PuppetAnalyser

        analyser = PuppetAnalyser()
        return Eyes(people=analyser, faces=analyser, phrases=analyser, masks=analyser)
    eyes = _or_puppets(lambda: real_eyes(_folder(), device=_device()))
    return replace(eyes, people=kept_finder(eyes.people), phrases=kept_finder(eyes.phrases), masks=kept_finder(eyes.masks))


def phrase_eyes(kind: str, sam: Path | None) -> "ThingEyes":
    """The eyes of a choice of `EYES` for one thing. sam: a file that cuts out where models/eyes has no model for that. Raises
    InputError for missing models."""
    from lumosx_core.detection.real_eyes import thing_eyes
    from lumosx_core.detection.things import ThingEyes

    if kind == PUPPETS:
        from lumosx_core.puppets.analyser import PuppetAnalyser

        analyser = PuppetAnalyser()
        return ThingEyes(phrases=analyser, masks=analyser)
    eyes = _or_puppets(lambda: thing_eyes(_folder(), device=_device(), sam=sam))
    return replace(eyes, phrases=kept_finder(eyes.phrases), masks=kept_finder(eyes.masks))


def place_eyes(sam: Path) -> "SamSegmenter":
    """What cuts out what boxes and points show, by a file of Segment Anything."""
    from lumosx_core.detection.segment_anything import SamSegmenter

    return kept_finder(SamSegmenter(sam, device=_device()))


def kept_finder(made: Finder) -> Finder:
    """The finder of this class of the last run, with its model unless the host unloaded it, if its files are those of `made`;
    else `made`, which is kept from now on. One is kept of each class."""
    from .comfy_models import NetworkLender

    finder: Any = made
    state = state_of(finder.folder if hasattr(finder, "folder") else finder.path)
    if type(made) in _kept:
        known, kept = _kept[type(made)]
        if known == state:
            return kept
        kept.lend.drop()
    finder.lend = NetworkLender(finder.free, ROOM)
    _kept[type(made)] = state, finder
    return made


def release(finders: "Eyes | ThingEyes") -> None:
    """After a run: frees what the host's memory manager does not look after, such as detectors of onnxruntime."""
    from lumosx_core.detection.things import free_all

    kept = [finder for _, finder in _kept.values()]
    used = [getattr(finders, each.name) for each in fields(finders)]
    free_all(*(finder for finder in used if not any(finder is other for other in kept)))


def _or_puppets(load: Callable[[], Finders]) -> Finders:
    try:
        return load()
    except InputError as error:
        raise InputError(f"{error}. For pictures of the puppet world choose puppets in the input eyes") from error


def _folder() -> Path:
    return Path(folder_paths.models_dir) / "eyes"


def _device() -> str:
    return str(comfy.model_management.get_torch_device())
