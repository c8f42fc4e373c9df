"""The finders that nodes see with: detectors of photographs below models/eyes on the host's device, or the embedded ones."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import comfy.model_management
import folder_paths

from lumosx_core.errors import InputError

if TYPE_CHECKING:
    from lumosx_core.detection.person import Eyes
    from lumosx_core.detection.things import ThingEyes

PHOTOGRAPHS, PUPPETS = "photographs", "puppets"
EYES = (PHOTOGRAPHS, PUPPETS)  # the choices of an input
ROOM = 4 * 2**30  # bytes that the largest finder needs besides its weights
Finders = TypeVar("Finders", "Eyes", "ThingEyes")


def person_eyes(kind: str) -> "Eyes":
    """The eyes of a choice of `EYES` for people with their faces and things. Raises InputError for missing models."""
    from lumosx_core.detection.person import Eyes
    from lumosx_core.detection.real_eyes import real_eyes

    if kind == PUPPETS:
        from lumosx_core.puppets.analyser import PuppetAnalyser

        analyser = PuppetAnalyser()
        return Eyes(people=analyser, faces=analyser, phrases=analyser, masks=analyser)
    return _or_puppets(lambda: real_eyes(_folder(), device=_device()))


def phrase_eyes(kind: str, sam: Path | None) -> "ThingEyes":
    """The eyes of a choice of `EYES` for one thing. sam: a file that cuts out where models/eyes has no model for that. Raises
    InputError for missing models."""
    from lumosx_core.detection.real_eyes import thing_eyes
    from lumosx_core.detection.things import ThingEyes

    if kind == PUPPETS:
        from lumosx_core.puppets.analyser import PuppetAnalyser

        analyser = PuppetAnalyser()
        return ThingEyes(phrases=analyser, masks=analyser)
    return _or_puppets(lambda: thing_eyes(_folder(), device=_device(), sam=sam))


def _or_puppets(load: Callable[[], Finders]) -> Finders:
    try:
        return load()
    except InputError as error:
        raise InputError(f"{error}. For pictures of the puppet world choose puppets in the input eyes") from error


def _folder() -> Path:
    return Path(folder_paths.models_dir) / "eyes"


def _device() -> str:
    """The host's device, with room made on it."""
    management = comfy.model_management
    device = management.get_torch_device()
    management.free_memory(ROOM, device)
    return str(device)
