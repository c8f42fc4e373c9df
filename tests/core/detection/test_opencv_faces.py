"""YuNet and SFace by the real library, on small ONNX files that answer to magenta squares."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lumosx_core.detection.opencv_faces import SFACE, YUNET, OpenCVFaces
from lumosx_core.errors import InputError

SIDE = 64  # of the pictures that the small detector sees


def save_graph(path: Path, nodes: list, weights: list, picture: list, outputs: list[tuple[str, list[int]]]) -> None:
    onnx = pytest.importorskip("onnx", reason="NO ONNX: pip install -e '.[dev]' to test face detection")
    from onnx import TensorProto, helper

    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, picture)]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs]
    graph = helper.make_graph(nodes, "tiny", inputs, results, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))


def write_yunet(path: Path) -> None:
    """YuNet's interface for 64 x 64: a magenta cell of 32 pixels is a face of that size; the other strides see nothing."""
    pytest.importorskip("onnx", reason="NO ONNX: pip install -e '.[dev]' to test face detection")
    from onnx import TensorProto, helper

    nodes: list[Any] = []
    weights: list[Any] = []
    outputs: list[tuple[str, list[int]]] = []
    for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            key = f"{name}_{stride}"
            weight, bias = np.zeros((width, 3)), np.zeros(width)
            if width == 1:  # blue, green, red in 0..255: high where green is low and the others are high
                weight[0], bias[0] = ([0.1, -0.2, 0.1], -40) if stride == 32 else ([0, 0, 0], -50)
            elif name == "bbox":
                bias[:2] = 0.5  # the middle of the cell; sizes are exp(0) strides
            else:
                bias[:] = [0.25, 0.25, 0.75, 0.25, 0.5, 0.5, 0.25, 0.75, 0.75, 0.75]
            weights.append(helper.make_tensor(f"{key}_w", TensorProto.FLOAT, (width, 3, 1, 1), weight.ravel()))
            weights.append(helper.make_tensor(f"{key}_b", TensorProto.FLOAT, (width,), bias))
            count = (SIDE // stride) ** 2
            weights.append(helper.make_tensor(f"{key}_s", TensorProto.INT64, (3,), [1, count, width]))
            nodes += [
                helper.make_node("AveragePool", ["input"], [f"{key}_m"], kernel_shape=[stride] * 2, strides=[stride] * 2),
                helper.make_node("Conv", [f"{key}_m", f"{key}_w", f"{key}_b"], [f"{key}_c"], kernel_shape=[1, 1]),
                helper.make_node("Transpose", [f"{key}_c"], [f"{key}_t"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"{key}_t", f"{key}_s"], [f"{key}_r" if width == 1 else key]),
            ]
            if width == 1:
                nodes.append(helper.make_node("Sigmoid", [f"{key}_r"], [key]))
            outputs.append((key, [1, count, width]))
    save_graph(path, nodes, weights, [1, 3, SIDE, SIDE], outputs)


def write_sface(path: Path) -> None:
    """SFace's interface: 112 x 112 pixels -> 128 numbers."""
    pytest.importorskip("onnx", reason="NO ONNX: pip install -e '.[dev]' to test face detection")
    from onnx import TensorProto, helper

    mix = np.random.default_rng(0).standard_normal((12, 128))
    nodes = [
        helper.make_node("AveragePool", ["input"], ["mean"], kernel_shape=[56, 56], strides=[56, 56]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "mix"], ["feature"]),
    ]
    weights = [helper.make_tensor("mix", TensorProto.FLOAT, (12, 128), mix.ravel())]
    save_graph(path, nodes, weights, [1, 3, 112, 112], [("feature", [1, 128])])


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    pytest.importorskip("cv2", reason="NO OPENCV: pip install -e '.[face]' to test YuNet")
    folder = tmp_path_factory.mktemp("yunet")
    write_yunet(folder / YUNET)
    write_sface(folder / SFACE)
    return folder


def picture(*corners: tuple[int, int]) -> Image.Image:
    pixels = np.full((SIDE, SIDE, 3), (40, 200, 90), np.uint8)
    for left, top in corners:
        pixels[top : top + 32, left : left + 32] = (255, 0, 255)
    return Image.fromarray(pixels)


def test_faces_from_left_to_right_with_points_and_embeddings(models: Path) -> None:
    finder = OpenCVFaces(models)
    right, left = (32, 0), (0, 32)
    found = finder.find_faces(picture(right, left))
    assert [tuple(round(edge) for edge in face.box) for face in found] == [(0, 32, 32, 64), (32, 0, 64, 32)]
    assert all(face.score > 0.99 for face in found)
    assert np.allclose(found[1].points, [(40, 8), (56, 8), (48, 16), (40, 24), (56, 24)], atol=0.01)
    for face in found:
        assert face.embedding is not None and face.embedding.shape == (128,)
        assert np.linalg.norm(face.embedding) == pytest.approx(1, abs=1e-5)
    finder.free()
    assert finder.find_faces(picture()) == []


def test_without_sface_there_are_no_embeddings(models: Path, tmp_path: Path) -> None:
    (tmp_path / YUNET).write_bytes((models / YUNET).read_bytes())
    (face,) = OpenCVFaces(tmp_path).find_faces(picture((0, 0)))
    assert face.embedding is None


def test_faults_are_told(models: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"there is no {YUNET} in .*opencv_zoo"):
        OpenCVFaces(tmp_path).find_faces(picture())
    (tmp_path / YUNET).write_bytes(b"nonsense")
    with pytest.raises(InputError, match="cannot be loaded"):
        OpenCVFaces(tmp_path).find_faces(picture())
    assert (models / YUNET).is_file()
