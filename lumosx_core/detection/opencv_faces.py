"""Faces by OpenCV's YuNet (boxes, points) and SFace (embeddings), for those who may not use insightface's models.

Both are small ONNX files under free licences, and the library that runs them is opencv-python-headless.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.eyes import FoundFace
from lumosx_core.files.images import rgb_on_white
from lumosx_core.packages import install_command

YUNET, SFACE = "face_detection_yunet_2023mar.onnx", "face_recognition_sface_2021dec.onnx"
THRESHOLD = 0.8  # lowest score of a face; YuNet's own example asks for 0.9
OVERLAP = 0.3  # boxes that overlap more are one face
LONGEST = 1280  # pixels; larger pictures are shrunk for the detector, which knows faces of 10 to 300 pixels


class OpenCVFaces:
    """A `FaceFinder`. `folder` holds YUNET, and SFACE for embeddings; without it faces have none. The models are loaded when
    they are needed first and kept until `free`."""

    def __init__(self, folder: Path, *, threshold: float = THRESHOLD) -> None:
        self.folder, self.threshold = folder, threshold
        self._models: tuple[Any, Any] | None = None

    def free(self) -> None:
        """Let go of the models; the next use loads them again."""
        self._models = None

    def find_faces(self, picture: Image.Image) -> list[FoundFace]:
        """All faces from left to right: boxes cut at the edges, five points, embeddings of length 1.

        Raises InputError if OpenCV is missing, and for files that are missing or hold something else.
        """
        detector, recogniser = self._loaded()
        rgb = rgb_on_white(picture)
        scale = min(1.0, LONGEST / max(rgb.size))
        small = rgb.resize((max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))) if scale < 1 else rgb
        pixels = np.ascontiguousarray(np.asarray(small)[..., ::-1])  # OpenCV's order: blue, green, red
        detector.setInputSize(small.size)
        _, rows = detector.detect(pixels)
        faces = []
        for row in rows if rows is not None else ():
            left, top, right, bottom = row[0], row[1], row[0] + row[2], row[1] + row[3]
            box = (
                max(0, left) / scale,
                max(0, top) / scale,
                min(small.width, right) / scale,
                min(small.height, bottom) / scale,
            )
            if box[0] >= box[2] or box[1] >= box[3]:
                continue
            points = tuple((float(x) / scale, float(y) / scale) for x, y in row[4:14].reshape(5, 2))
            embedding = None
            if recogniser is not None:
                embedding = recogniser.feature(recogniser.alignCrop(pixels, row)).ravel().astype(np.float32)
                embedding = embedding / max(float(np.linalg.norm(embedding)), 1e-12)
            left, top, right, bottom = map(float, box)
            faces.append(FoundFace(box=(left, top, right, bottom), score=float(row[14]), points=points, embedding=embedding))
        return sorted(faces, key=lambda face: face.box[0] + face.box[2])

    def _loaded(self) -> tuple[Any, Any]:
        if self._models is not None:
            return self._models
        try:
            import cv2
        except ImportError as error:
            raise InputError(
                f"YuNet needs the package opencv-python-headless ({error}); run  {install_command(['opencv-python-headless'])} "
                " and start again, or give a box or a cropped face"
            ) from error
        yunet, sface = self.folder / YUNET, self.folder / SFACE
        if not yunet.is_file():
            raise InputError(
                f"there is no {YUNET} in {self.folder}; get it from github.com/opencv/opencv_zoo, folder "
                "models/face_detection_yunet (MIT licence), and put it there"
            )
        try:
            detector = cv2.FaceDetectorYN.create(str(yunet), "", (320, 320), self.threshold, OVERLAP)
            recogniser = cv2.FaceRecognizerSF.create(str(sface), "") if sface.is_file() else None
        except cv2.error as error:
            fault = " ".join(str(error).split())[:200]
            raise InputError(
                f"the face models in {self.folder} cannot be loaded ({fault}); copy {YUNET} and {SFACE} again"
            ) from error
        self._models = detector, recogniser
        return self._models
