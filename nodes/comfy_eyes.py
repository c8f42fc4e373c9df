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
    from lumosx_core.detection.things import ThingEyes

PHOTOGRAPHS, PUPPETS = "photographs", "puppets"
EYES = (PHOTOGRAPHS, PUPPETS)  # the choices of an input
ROOM = 4 * 2**30  # bytes that the largest finder needs besides its weights
_kept: dict[str, tuple[str, Any]] = {}  # role -> kind and files, and the finder
Finders = TypeVar("Finders", "Eyes", "ThingEyes")


def person_eyes(kind: str) -> "Eyes":
    """The eyes of a choice of `EYES` for people with their faces and things. Raises InputError for missing models."""
    from lumosx_core.detection.person import Eyes
    from lumosx_core.detection.real_eyes import real_eyes

    if kind == PUPPETS:
        from lumosx_core.puppets.analyser import PuppetAnalyser

        analyser = PuppetAnalyser()
        return Eyes(people=analyser, faces=analyser, phrases=analyser, masks=analyser)
    eyes = _or_puppets(lambda: real_eyes(_folder(), device=_device()))
    people, phrases, masks = (kept_finder(role, getattr(eyes, role)) for role in ("people", "phrases", "masks"))
    return replace(eyes, people=people, phrases=phrases, masks=masks)


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
    return replace(eyes, phrases=kept_finder("phrases", eyes.phrases), masks=kept_finder("masks", eyes.masks))


def kept_finder(role: str, made: Any) -> Any:
    """The finder of that role ("people", "phrases", "masks") of the last run, with its model unless the host unloaded it,
    if its kind and files are those of `made`; else `made`, which is kept from now on. One is kept of each role."""
    from .comfy_models import NetworkLender

    place = made.folder if hasattr(made, "folder") else made.path
    kind = f"{type(made).__name__} {state_of(place)}"
    if role in _kept:
        known, finder = _kept[role]
        if known == kind:
            return finder
        finder.free()
    made.lend = NetworkLender(made.free, ROOM)
    _kept[role] = kind, made
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
