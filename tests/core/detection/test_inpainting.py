"""LaMa as ONNX files: sizes, order of channels, range of the answer, and what is no LaMa."""

from pathlib import Path

import numpy as np
import pytest

from lumosx_core.detection.inpainting import LamaFiller
from lumosx_core.errors import InputError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def tiny_lama(path: Path, *, side: int | None = None, scale: float = 1.0, mask_channels: int = 1) -> Path:
    """Answers the picture with red and blue exchanged, times `scale`, wherever the mask is; black elsewhere."""
    from onnx import TensorProto, helper, numpy_helper

    h, w = (side, side) if side else ("H", "W")
    swap = np.zeros((3, 3, 1, 1), np.float32)
    swap[0, 2], swap[1, 1], swap[2, 0] = scale, scale, scale
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "swap"], ["swapped"]), helper.make_node("Mul", ["swapped", "mask"], ["output"])],
        "lama",
        [
            helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, h, w]),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, mask_channels, h, w]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 3, h, w])],
        [numpy_helper.from_array(swap, "swap")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize(("side", "scale"), [(None, 1.0), (None, 255.0), (64, 1.0), (64, 255.0)])
def test_places_are_filled_and_all_else_stays(tmp_path: Path, side: int | None, scale: float) -> None:
    picture = np.zeros((45, 70, 3), np.uint8)
    picture[...] = (200, 120, 40)
    picture[:, :10] = (7, 8, 9)
    places = np.zeros((45, 70), bool)
    places[10:40, 30:60] = True
    filled = LamaFiller(tiny_lama(tmp_path / "lama.onnx", side=side, scale=scale)).fill(picture, places)
    assert filled.dtype == np.uint8 and (filled[~places] == picture[~places]).all()
    assert np.abs(filled[15:35, 35:55].astype(int) - (40, 120, 200)).max() <= 1


def test_what_is_no_lama_is_refused(tmp_path: Path) -> None:
    picture, places = np.zeros((16, 16, 3), np.uint8), np.ones((16, 16), bool)
    with pytest.raises(InputError, match="LaMa file"):
        LamaFiller(tmp_path / "none.onnx")
    (tmp_path / "big-lama.pt").write_bytes(b"x")
    with pytest.raises(InputError, match="expected a LaMa model as .onnx"):
        LamaFiller(tmp_path / "big-lama.pt")
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match="cannot be loaded as ONNX"):
        LamaFiller(tmp_path / "broken.onnx").fill(picture, places)
    with pytest.raises(InputError, match=r"expected a picture \[1, 3, H, W\] and a mask"):
        LamaFiller(tiny_lama(tmp_path / "other.onnx", mask_channels=3)).fill(picture, places)
