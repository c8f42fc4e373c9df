"""Which models can be eyes, or judge videos: what they do, their folder, where to find them, and under which licence.

Nothing is ever downloaded. The user gets a model and puts it into a folder of this table below one root, such as
`models/eyes`; what is missing is told where it is asked for.
"""

from dataclasses import dataclass
from pathlib import Path

from lumosx_core.errors import InputError

ROOT = Path("models/eyes")  # where the command line looks unless it is told another folder


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """One model. role: of ROLES or METRIC_ROLES. needed: the files that must be there. source: its name on
    huggingface.co, or where else it is found. packages: that must be installed. terms: of the weights, not the code."""

    role: str
    needed: tuple[str, ...]
    source: str
    terms: str
    packages: tuple[str, ...] = ("transformers",)


_FOLDER = ("config.json", "preprocessor_config.json")
_WORDS = (*_FOLDER, "tokenizer_config.json")
_CV = ("opencv-python-headless",)
# Folder -> model. In every role the first one that is there is taken.
MODELS: dict[str, KnownModel] = {
    "rtdetr_v2": KnownModel(role="people", needed=_FOLDER, source="PekingU/rtdetr_v2_r50vd", terms="Apache-2.0"),
    "d_fine": KnownModel(role="people", needed=_FOLDER, source="ustc-community/dfine-medium-coco", terms="Apache-2.0"),
    "yunet_sface": KnownModel(
        role="faces",
        needed=("face_detection_yunet_2023mar.onnx", "face_recognition_sface_2021dec.onnx"),
        source="opencv/face_detection_yunet and opencv/face_recognition_sface",
        terms="MIT (YuNet) and Apache-2.0 (SFace)",
        packages=_CV,
    ),
    "insightface": KnownModel(
        role="faces",
        needed=("models",),
        source='buffalo_l.zip from "Model Zoo" of github.com/deepinsight/insightface, unpacked into models/buffalo_l',
        terms="non-commercial research only",
        packages=("insightface", "onnxruntime"),
    ),
    "grounding_dino": KnownModel(role="phrases", needed=_WORDS, source="IDEA-Research/grounding-dino-tiny", terms="Apache-2.0"),
    "owlv2": KnownModel(role="phrases", needed=_WORDS, source="google/owlv2-base-patch16-ensemble", terms="Apache-2.0"),
    "sam3": KnownModel(role="masks", needed=("config.json",), source="facebook/sam3", terms="SAM License, on request"),
    "sam2": KnownModel(role="masks", needed=_FOLDER, source="facebook/sam2.1-hiera-base-plus", terms="Apache-2.0"),
    "sam": KnownModel(
        role="masks",
        needed=("sam_vit_b_01ec64.pth",),
        source='"Model Checkpoints" in the readme of github.com/facebookresearch/segment-anything',
        terms="Apache-2.0",
        packages=("segment-anything",),
    ),
    "dinov2": KnownModel(role="likeness", needed=_FOLDER, source="facebook/dinov2-base", terms="Apache-2.0"),
    "clip": KnownModel(role="wording", needed=_WORDS, source="openai/clip-vit-large-patch14", terms="MIT"),
    "raft": KnownModel(
        role="motion",
        needed=("raft_large_C_T_V1-22a6c225.pth",),
        source="download.pytorch.org/models/raft_large_C_T_V1-22a6c225.pth",
        terms="BSD-3-Clause",
        packages=("torchvision",),
    ),
}
# What eyes do, and what only metrics need.
ROLES = {"people": "finds people", "faces": "finds faces", "phrases": "finds things by words", "masks": "cuts things out"}
METRIC_ROLES = {
    "likeness": "tells how alike pictures are",
    "wording": "tells how well pictures fit words",
    "motion": "tells how much moves",
}
PURPOSES = ROLES | METRIC_ROLES


def model_folder(root: Path, name: str) -> Path:
    """The folder of a model of MODELS below `root`. Raises InputError, saying what is missing and where to find it."""
    known, folder = MODELS[name], root / name
    if missing := missing_files(root, name):
        raise InputError(
            f"{name}, which {PURPOSES[known.role]}, is not whole: {folder} has no {' and no '.join(missing)}; get "
            f"{known.source} (licence of the weights: {known.terms}) and put its files into {folder}"
        )
    return folder


def missing_files(root: Path, name: str) -> list[str]:
    """The needed files of a model that are not there."""
    return [file for file in MODELS[name].needed if not (root / name / file).exists()]


def available_models(root: Path, role: str) -> list[str]:
    """Names of the models of a role that are there, best first."""
    return [name for name, known in MODELS.items() if known.role == role and not missing_files(root, name)]
