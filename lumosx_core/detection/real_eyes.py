"""The eyes for photographs: of every role the best model that lies in the folder of models."""

from collections.abc import Sequence
from pathlib import Path

from lumosx_core.detection.embedders import FolderEmbedder
from lumosx_core.detection.faces import InsightFaces
from lumosx_core.detection.known_models import MODELS, PURPOSES, ROLES, available_models, missing_files
from lumosx_core.detection.opencv_faces import OpenCVFaces
from lumosx_core.detection.people import PeopleDetector
from lumosx_core.detection.person import Eyes
from lumosx_core.detection.phrases import PhraseDetector
from lumosx_core.detection.segment_anything import SamSegmenter
from lumosx_core.detection.segment_folders import FolderSegmenter
from lumosx_core.detection.things import ThingEyes
from lumosx_core.detection.transformers_models import OnDemand, stored_kind
from lumosx_core.errors import InputError
from lumosx_core.eyes import FaceFinder, Segmenter

# Role -> what loads the models of that role that are folders of transformers.
FOLDER_FINDERS: dict[str, type[OnDemand]] = {
    "people": PeopleDetector, "phrases": PhraseDetector, "masks": FolderSegmenter, "likeness": FolderEmbedder,
    "wording": FolderEmbedder,
}  # fmt: skip


def real_eyes(root: Path, *, device: str = "cpu") -> Eyes:
    """Finders with the models below `root` (folders as in `known_models.MODELS`), loaded when they are needed first.

    Raises InputError that lists every role for which there is no model, with what to get.
    """
    best = best_models(root, tuple(ROLES))
    return Eyes(
        people=PeopleDetector(root / best["people"], device=device),
        faces=face_finder(root),
        phrases=PhraseDetector(root / best["phrases"], device=device),
        masks=_segmenter(root, best["masks"], device),
    )


def face_finder(root: Path) -> FaceFinder:
    """What finds faces, as in `real_eyes`; nothing else is needed."""
    name = best_models(root, ("faces",))["faces"]
    return OpenCVFaces(root / name) if name == "yunet_sface" else InsightFaces(root / name)


def thing_eyes(root: Path, *, device: str = "cpu", sam: Path | None = None) -> ThingEyes:
    """What finds things by words and cuts them out, as in `real_eyes`; nothing for people and faces is needed.

    sam: a Segment Anything file (sam_vit_*.pth) for cutting out, where `root` has no model for that.
    """
    use_sam = sam is not None and not available_models(root, "masks")
    best = best_models(root, ("phrases",) if use_sam else ("phrases", "masks"))
    masks = SamSegmenter(sam, device=device) if sam and use_sam else _segmenter(root, best["masks"], device)
    return ThingEyes(phrases=PhraseDetector(root / best["phrases"], device=device), masks=masks)


def embedder(root: Path, role: str, *, device: str = "cpu") -> FolderEmbedder:
    """What tells how alike pictures are (role "likeness"), or pictures and words ("wording"). Raises InputError as
    `real_eyes`."""
    return FolderEmbedder(root / best_models(root, (role,))[role], device=device)


def fault_of(root: Path, name: str) -> str | None:
    """What is wrong with a model of `known_models.MODELS` below `root`, such as files that are missing or a model of another
    kind; None if nothing is. Only its config.json is read."""
    if missing := missing_files(root, name):
        return f"has no {' and no '.join(missing)}"
    finder = FOLDER_FINDERS.get(MODELS[name].role)
    if finder is None or "config.json" not in MODELS[name].needed:
        return None
    try:
        stored_kind(root / name, finder.kinds)
    except InputError as error:
        return str(error)
    return None


def best_models(root: Path, roles: Sequence[str]) -> dict[str, str]:
    """Role -> name of the best model of `known_models.MODELS` that is there. Raises InputError that lists every role for which
    there is none, with what to get."""
    there = {role: available_models(root, role) for role in roles}
    if missing := [role for role, names in there.items() if not names]:
        raise InputError(f"some models are not in {root}: " + "; ".join(_advice(root, role) for role in missing))
    return {role: names[0] for role, names in there.items()}


def _segmenter(root: Path, name: str, device: str) -> Segmenter:
    if name == "sam":
        return SamSegmenter(root / name / MODELS[name].needed[0], device=device)
    return FolderSegmenter(root / name, device=device)


def _advice(root: Path, role: str) -> str:
    choices = [
        f"{known.source} into {root / name} (licence: {known.terms})" for name, known in MODELS.items() if known.role == role
    ]
    return f"nothing {PURPOSES[role]}; put {', or '.join(choices)}"
