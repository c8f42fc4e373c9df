"""The eyes for photographs: of every role the best model that lies in the folder of models."""

from pathlib import Path

from lumosx_core.detection.faces import InsightFaces
from lumosx_core.detection.known_models import MODELS, ROLES, available_models
from lumosx_core.detection.opencv_faces import OpenCVFaces
from lumosx_core.detection.people import PeopleDetector
from lumosx_core.detection.person import Eyes
from lumosx_core.detection.phrases import PhraseDetector
from lumosx_core.detection.segment_anything import SamSegmenter
from lumosx_core.detection.segment_folders import FolderSegmenter
from lumosx_core.errors import InputError
from lumosx_core.eyes import FaceFinder, Segmenter


def real_eyes(root: Path, *, device: str = "cpu") -> Eyes:
    """Finders with the models below `root` (folders as in `known_models.MODELS`), loaded when they are needed first.

    Raises InputError that lists every role for which there is no model, with what to get.
    """
    there = {role: available_models(root, role) for role in ROLES}
    if missing := [role for role, names in there.items() if not names]:
        raise InputError(f"some models are not in {root}: " + "; ".join(_advice(root, role) for role in missing))
    faces: FaceFinder
    faces = OpenCVFaces(root / "yunet_sface") if there["faces"][0] == "yunet_sface" else InsightFaces(root / "insightface")
    name = there["masks"][0]
    masks: Segmenter
    if name == "sam":
        masks = SamSegmenter(root / name / MODELS[name].needed[0], device=device)
    else:
        masks = FolderSegmenter(root / name, device=device)
    return Eyes(
        people=PeopleDetector(root / there["people"][0], device=device),
        faces=faces,
        phrases=PhraseDetector(root / there["phrases"][0], device=device),
        masks=masks,
    )


def _advice(root: Path, role: str) -> str:
    choices = [
        f"{known.source} into {root / name} (licence: {known.terms})" for name, known in MODELS.items() if known.role == role
    ]
    return f"nothing {ROLES[role]}; put {', or '.join(choices)}"
