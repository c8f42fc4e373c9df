"""LaMa, a network that invents what is hidden in a picture, from an ONNX file.

Files in circulation take a picture (0 to 1) and a mask (1 where something is invented), some of one fixed size, and answer 0 to
1 or 0 to 255. TorchScript files (big-lama.pt) hold code and are not read.

Legend: H, W = pixels of the picture, h, w = pixels that the network sees.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.files.existing import existing_file
from lumosx_core.packages import install_command

MULTIPLE = 8  # of which the sides of a picture must be, where a file takes any size


class LamaFiller:
    """A `Filler` (Suvorov et al. 2021). path: the ONNX file; it is loaded when it is needed first. device: cpu or cuda. Raises
    InputError for a file that is missing or is no .onnx."""

    def __init__(self, path: Path, *, device: str = "cpu") -> None:
        self.path = existing_file(path, "LaMa file", "give an ONNX file of LaMa, or leave models.filler empty")
        if self.path.suffix.lower() != ".onnx":
            raise InputError(
                f"models.filler is {path}, expected a LaMa model as .onnx (TorchScript holds code, which is not run)"
            )
        self.device = device
        self._session: Any = None

    def fill(self, picture: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The picture uint8 [H, W, 3] RGB with these places bool [H, W] invented; all else stays as it is.

        Raises InputError if onnxruntime is missing, and for a file that is no LaMa.
        """
        session = self._loaded()
        height, width = picture.shape[:2]
        declared = session.get_inputs()[0].shape[2:]
        h, w = (
            side if isinstance(side, int) and side > 0 else (length + MULTIPLE - 1) // MULTIPLE * MULTIPLE
            for side, length in zip(declared, (height, width), strict=True)
        )
        fixed = any(isinstance(side, int) for side in declared)
        given, mask = _scaled(picture, places, (w, h)) if fixed else _padded(picture, places, h, w)
        image_CHW = given.transpose(2, 0, 1)[None].astype(np.float32) / 255
        names = [entry.name for entry in session.get_inputs()]
        (answer, *_) = session.run(None, {names[0]: image_CHW, names[1]: mask[None, None].astype(np.float32)})
        if answer.shape != image_CHW.shape:
            raise InputError(f"{self.path} answers {answer.shape} to a picture {image_CHW.shape}; give an ONNX file of LaMa")
        scale = 255 if answer.max() <= 2 else 1
        made = (answer[0].transpose(1, 2, 0) * scale).round().clip(0, 255).astype(np.uint8)
        made = np.asarray(Image.fromarray(made).resize((width, height), Image.Resampling.LANCZOS)) if fixed else made
        return np.where(places[..., None], made[:height, :width], picture)

    def _loaded(self) -> Any:
        if self._session is None:
            try:
                import onnxruntime
            except ImportError as error:
                raise InputError(f"LaMa needs onnxruntime; run  {install_command(['onnxruntime'])}") from error
            providers = ["CPUExecutionProvider"] if self.device == "cpu" else ["CUDAExecutionProvider"]
            try:
                session = onnxruntime.InferenceSession(str(self.path), providers=providers)
            except Exception as error:  # the library has no common class of errors
                raise InputError(f"{self.path} cannot be loaded as ONNX ({error}); give an ONNX file of LaMa") from error
            shapes = [entry.shape for entry in session.get_inputs()]
            if [len(shape) for shape in shapes] != [4, 4] or [shape[1] for shape in shapes] != [3, 1]:
                told = ", ".join(f"{entry.name} {entry.shape}" for entry in session.get_inputs())
                raise InputError(
                    f"{self.path} takes {told}; expected a picture [1, 3, H, W] and a mask [1, 1, H, W], as LaMa does"
                )
            self._session = session
        return self._session


def _scaled(picture: np.ndarray, places: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Picture and mask of another size (w, h); a place is open where any of it was."""
    small = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    share = np.asarray(Image.fromarray(places.astype(np.float32)).resize(size, Image.Resampling.BOX))
    return small, share > 0


def _padded(picture: np.ndarray, places: np.ndarray, h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
    """Both with their last rows and columns repeated to h x w."""
    room = ((0, h - picture.shape[0]), (0, w - picture.shape[1]))
    return np.pad(picture, (*room, (0, 0)), mode="edge"), np.pad(places, room, mode="edge")
