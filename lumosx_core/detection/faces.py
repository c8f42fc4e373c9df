"""Faces in a picture by insightface, and which of several is meant.

insightface is imported when it is used, its model files are looked for before that, and nothing is ever downloaded. Its
models, unlike its code, are for non-commercial use.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.detection.boxes import Box, show
from lumosx_core.errors import InputError
from lumosx_core.eyes import FoundFace
from lumosx_core.files.images import rgb_on_white
from lumosx_core.packages import install_command

KNOWN_PACKS = ("buffalo_l", "antelopev2")
CHOICES = ("largest", "left to right", "at point")
NOUNS = {"face": "faces", "person": "people"}
THRESHOLD = 0.5  # lowest score of a face
DETECTION_SIZES = [(128, 128), (640, 640)]  # small: faces that fill the picture; large: all others


def available_packs(roots: Sequence[Path]) -> list[str]:
    """Names of the model packs in these insightface folders, then the well-known ones that are not there."""
    found = [path.name for root in roots for path in sorted((root / "models").glob("*")) if _model_folder(root, path.name)]
    return list(dict.fromkeys([*found, *KNOWN_PACKS]))


def find_pack(roots: Sequence[Path], pack: str) -> tuple[Path, Path]:
    """(insightface folder, folder with the pack's .onnx files); roots: insightface folders, the first is named to the user.

    Raises InputError, saying where to get the files, if no folder has the pack.
    """
    for root in roots:
        if folder := _model_folder(root, pack):
            return root, folder
    raise InputError(
        f'there is no face detector in {roots[0] / "models" / pack}; get {pack}.zip from "Model Zoo" in the readme of '
        "InsightFace (github.com/deepinsight/insightface) and unpack its .onnx files there, or give a box or "
        "a cropped face. InsightFace's models are for non-commercial research use only"
    )


def _model_folder(root: Path, pack: str) -> Path | None:
    """Where the .onnx files of a pack are; some archives unpack into a folder of the same name inside."""
    places = (root / "models" / pack, root / "models" / pack / pack)
    return next((place for place in places if any(place.glob("*.onnx"))), None)


@lru_cache(maxsize=1)
def load_detector(
    root: Path,
    folder: Path,
    providers: tuple[str, ...] = ("CPUExecutionProvider",),
    modules: tuple[str, ...] = ("detection",),
) -> Any:
    """The detector of a pack, as `find_pack` gives it; the last one is kept.

    providers: of onnxruntime. modules: of the pack, such as "recognition" for embeddings.

    Raises InputError if insightface is not installed or the files hold no detector.
    """
    try:
        from insightface.app import FaceAnalysis
    except ImportError as error:
        raise InputError(
            f"finding faces needs the packages insightface and onnxruntime ({error}); run  "
            f"{install_command(['onnxruntime' if error.name == 'onnxruntime' else 'insightface'])}  and start again, "
            "or give a box or a cropped face"
        ) from error
    try:
        detector = FaceAnalysis(
            name=str(folder.resolve()), root=str(root), providers=list(providers), allowed_modules=list(modules)
        )
    except Exception as error:  # onnxruntime's errors have no common base; a pack without a detector is an AssertionError
        raise InputError(
            f"the .onnx files in {folder} hold no face detector that insightface can load "
            f"({type(error).__name__}: {error}); unpack the pack again"
        ) from error
    detector.prepare(ctx_id=-1, det_thresh=THRESHOLD, det_size=DETECTION_SIZES)
    return detector


def detect_faces(detector: Any, picture: Image.Image) -> list[Box]:
    """The boxes of all faces in an RGB picture, from left to right."""
    blue_green_red = np.ascontiguousarray(np.asarray(picture)[..., ::-1])
    boxes: list[Box] = [tuple(map(float, face.bbox)) for face in detector.get(blue_green_red)]  # type: ignore[misc]
    return sorted(boxes, key=_middle)


class InsightFaces:
    """A `FaceFinder` by a pack of insightface, with embeddings where the pack has a recogniser. `root`: the folder that holds
    models/<pack>; the first pack that is there is taken unless one is named."""

    def __init__(self, root: Path, pack: str | None = None) -> None:
        self.root = root
        self.pack = pack or available_packs([root])[0]

    def find_faces(self, picture: Image.Image) -> list[FoundFace]:
        """All faces from left to right. Raises InputError as `find_pack` and `load_detector` do."""
        detector = load_detector(*find_pack([self.root], self.pack), modules=("detection", "recognition"))
        found = []
        for face in detector.get(np.ascontiguousarray(np.asarray(rgb_on_white(picture))[..., ::-1])):
            left, top, right, bottom = map(float, face.bbox)
            points = () if face.kps is None else tuple((float(x), float(y)) for x, y in face.kps)
            # insightface gives None for what a pack has not, and divides by zero for an embedding of nothing
            embedding = None if face.embedding is None or not np.any(face.embedding) else face.normed_embedding
            found.append(
                FoundFace(box=(left, top, right, bottom), score=float(face.det_score), points=points, embedding=embedding)
            )
        return sorted(found, key=lambda face: _middle(face.box))

    def free(self) -> None:
        """Let go of the detector; the next use loads it again."""
        load_detector.cache_clear()


def choose(boxes: Sequence[Box], choice: str, *, index: int, point: tuple[float, float], what: str = "face") -> Box:
    """One of several boxes: the largest, number `index` (from 1) from left to right, or the one at a point (x, y).

    Where boxes overlap at the point, it is the one whose middle is nearest. what: of NOUNS, for messages. Raises InputError if
    there is no such box.
    """
    boxes = sorted(boxes, key=_middle)
    places = f"{_count(boxes, what)}: {'; '.join(show(box) for box in boxes)}"
    if choice == "left to right":
        if not 1 <= index <= len(boxes):
            raise InputError(
                f"{what} number {index} from the left was asked for, but there {'is' if len(boxes) == 1 else 'are'} {places}; "
                "give a number from 1 on"
            )
        return boxes[index - 1]
    if choice == "at point":
        x, y = point
        hits = [box for box in boxes if box[0] <= x < box[2] and box[1] <= y < box[3]]
        if not hits:
            raise InputError(f"there is no {what} at the point ({x:g}, {y:g}), but {places}; give a point inside one of them")
        return min(hits, key=lambda box: (_middle(box)[0] - x) ** 2 + (_middle(box)[1] - y) ** 2)
    return max(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))


def tell(boxes: Sequence[Box], chosen: Box, choice: str, what: str = "face") -> str:
    """What was taken, in words: "2 faces, took the largest, number 1 from the left, (10, 20) to (42, 52)"."""
    if len(boxes) == 1:
        return f"1 {what}, {show(chosen)}"
    how = {"largest": "took the largest, ", "at point": "took the one at the point, "}.get(choice, "took ")
    return f"{_count(boxes, what)}, {how}number {sorted(boxes, key=_middle).index(chosen) + 1} from the left, {show(chosen)}"


def _count(boxes: Sequence[Box], what: str) -> str:
    return f"1 {what}" if len(boxes) == 1 else f"{len(boxes)} {NOUNS[what]}"


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
