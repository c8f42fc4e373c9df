"""The node that crops a face: crops to the pixel, detection, and what it refuses."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from coloured_images import BLUE, RED, box, image, mask, on_white, pixels
from tiny_detectors import CYAN, MAGENTA, write_face_detector

from lumosx_core.detection import faces
from lumosx_core.errors import InputError

FACE = {"crop": "detect", "choice": "largest", "index": 1, "x": 0, "y": 0, "margin": 0.0, "pack": "buffalo_l"}


@pytest.fixture
def nodes(pack: Callable[[str], ModuleType], models_folder: Path) -> ModuleType:
    """`nodes/face_nodes.py`."""
    assert models_folder.name == "models"
    return pack("nodes.face_nodes")


def face_node(nodes: ModuleType, pictures: torch.Tensor, **more: Any) -> Any:
    return nodes.FaceReferenceNode.execute(pictures, **{**FACE, **more})


def test_a_face_that_is_cropped_already(nodes: ModuleType) -> None:
    views = torch.cat([image((6, 4), colour=RED), image((6, 4), colour=BLUE)])
    out = face_node(nodes, views, crop="already cropped")
    face, crops, text = out.args
    assert [view.getpixel((0, 0)) for view in face.views] == [RED, BLUE] and face.views[0].size == (6, 4)
    assert torch.equal(crops, views) and text == "view 1: as it is\nview 2: as it is"
    assert len(out.ui.as_dict()["images"]) == 2
    half = face_node(nodes, image((2, 2), colour=(0, 0, 0, 51)), crop="already cropped").args[0].views[0]
    assert half.getpixel((0, 0)) == (204, 204, 204)  # alpha on white


def test_a_face_in_connected_boxes(nodes: ModuleType) -> None:
    picture = image((60, 40), ((4, 8, 14, 18), RED), ((40, 10, 52, 22), BLUE))
    boxes = [box(40, 10, 52, 22), box(4, 8, 14, 18)]
    for crop, choice, colour, side, taken in [
        ("box", "largest", BLUE, 12, "took the largest, number 2 from the left, (40, 10) to (52, 22)"),
        ("detect", "left to right", RED, 10, "took number 1 from the left, (4, 8) to (14, 18)"),
        ("box", "at point", RED, 10, "took the one at the point, number 1 from the left, (4, 8) to (14, 18)"),
    ]:
        face, crops, text = face_node(nodes, picture, crop=crop, choice=choice, x=5, y=17, bboxes=boxes).args
        assert (pixels(crops) == colour).all() and face.views[0].size == (side, side)
        assert text == f"view 1: 2 faces, {taken}; cropped to {taken.split(', ', 2 if 'took the' in taken else 1)[-1]}"
    face, _, text = face_node(nodes, picture, crop="box", margin=0.5, bboxes=boxes[1]).args
    expected = pixels(image((20, 20), ((4, 5, 14, 15), RED)))  # 5 more on every side, moved in from the left edge
    assert (pixels(face.views[0]) == pixels(picture)[3:23, 0:20]).all() and expected.shape == (20, 20, 3)
    assert (pixels(face.views[0]) == expected).all() and text.endswith("(4, 8) to (14, 18); cropped to (0, 3) to (20, 23)")


def test_a_face_in_a_mask_and_boxes_per_view(nodes: ModuleType) -> None:
    views = torch.cat([image((40, 30), ((4, 8, 14, 18), RED)), image((40, 30), ((20, 10, 32, 22), BLUE))])
    masks = torch.cat([mask((40, 30), (4, 8, 14, 18)), mask((40, 30), (20, 10, 32, 22))])
    boxes = [[box(4, 8, 14, 18)], [box(20, 10, 32, 22)]]
    for more in ({"mask": masks}, {"bboxes": boxes}):
        face, crops, text = face_node(nodes, views, crop="box", **more).args
        assert [view.size for view in face.views] == [(10, 10), (12, 12)] and crops.shape == (2, 12, 12, 3)
        assert (pixels(crops[:1]) == on_white((12, 12), ((1, 1, 11, 11), RED))).all() and (pixels(crops[1:]) == BLUE).all()
        assert text == (
            "view 1: 1 face, (4, 8) to (14, 18); cropped to (4, 8) to (14, 18)\n"
            "view 2: 1 face, (20, 10) to (32, 22); cropped to (20, 10) to (32, 22)"
        )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"crop": "box"}, "neither a box nor a mask is connected"),
        ({"crop": "already cropped", "bboxes": box(0, 0, 4, 4)}, 'choose "box", or disconnect it'),
        ({"bboxes": box(0, 0, 4, 4), "mask": mask((40, 30), (0, 0, 4, 4))}, "a box and a mask are connected"),
        ({"bboxes": box(50, 0, 60, 4)}, r"\(50, 0\) to \(60, 4\) does not lie in the image of 40x30"),
        ({"bboxes": [[]]}, "view 1: no face found"),
        (
            {"bboxes": box(1, 2, 5, 6), "choice": "left to right", "index": 2},
            r"number 2 from the left was asked for, but there is 1 face: \(1, 2\) to \(5, 6\)",
        ),
        (
            {"bboxes": box(1, 2, 5, 6), "choice": "at point", "x": 5, "y": 3},
            r"no face at the point \(5, 3\), but 1 face: \(1, 2\)",
        ),
        ({"mask": torch.zeros(1, 64, 64)}, "mask 1 is empty .64x64 pixels.*Load Image gives an empty 64x64 mask"),
        ({"mask": mask((30, 40), (0, 0, 4, 4))}, "the mask has 30x40 pixels, the image 40x30"),
        ({"mask": mask((40, 30), (0, 0, 4, 4)).repeat(3, 1, 1)}, "got 3 masks for 1 images"),
        ({"mask": torch.ones(1, 1, 30, 40)}, r"shape \[1, 1, 30, 40\], expected \[masks, height, width\]"),
    ],
)
def test_what_the_face_node_refuses(nodes: ModuleType, more: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        face_node(nodes, image((40, 30)), **more)


@pytest.fixture
def pack_folder(models_folder: Path) -> Path:
    """A model pack with a detector of coloured squares, in the inner folder that antelopev2's archive unpacks into."""
    pytest.importorskip("insightface", reason="NO INSIGHTFACE: pip install -e '.[face]' to test face detection")
    return write_face_detector(models_folder / "insightface/models/antelopev2/antelopev2")


@pytest.mark.parametrize(
    ("choice", "taken", "colour", "text"),
    [
        ({}, (128, 320, 192, 384), CYAN, "took the largest, number 1 from the left"),
        ({"choice": "left to right", "index": 2}, (320, 96, 352, 128), MAGENTA, "took number 2 from the left"),
        ({"choice": "left to right", "index": 3}, (512, 64, 544, 96), MAGENTA, "took number 3 from the left"),
        (
            {"choice": "at point", "x": 540, "y": 70},
            (512, 64, 544, 96),
            MAGENTA,
            "took the one at the point, number 3 from the left",
        ),
    ],
)
def test_detected_faces(nodes: ModuleType, pack_folder: Path, choice: dict, taken: tuple, colour: tuple, text: str) -> None:
    assert pack_folder.is_dir()
    assert nodes.FaceReferenceNode.INPUT_TYPES()["required"]["pack"][1]["options"] == ["antelopev2", "buffalo_l"]
    picture = image((640, 640), ((320, 96, 352, 128), MAGENTA), ((512, 64, 544, 96), MAGENTA), ((128, 320, 144, 336), CYAN))
    face, _, line = face_node(nodes, picture, pack="antelopev2", **choice).args
    left, top, right, bottom = taken
    assert line == (
        f"view 1: 3 faces, {text}, ({left}, {top}) to ({right}, {bottom}); cropped to ({left}, {top}) to ({right}, {bottom})"
    )
    assert (pixels(face.views[0]) == pixels(picture)[top:bottom, left:right]).all()
    assert face.views[0].getpixel((1, 1)) == colour
    with pytest.raises(InputError, match="view 2: no face found; use a picture that shows the face"):
        face_node(nodes, torch.cat([picture, image((640, 640))]), pack="antelopev2")


def test_a_pack_that_is_missing_broken_or_without_its_package(
    nodes: ModuleType, models_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = image((64, 64))
    wanted = r"no face detector in .*models.insightface.models.buffalo_l; get buffalo_l\.zip from \"Model Zoo\".*non-commercial"
    (models_folder / "insightface/models/buffalo_l").mkdir(parents=True)  # insightface would take it for complete
    with pytest.raises(InputError, match=wanted):
        face_node(nodes, picture)
    assert list(models_folder.rglob("*.zip")) == []
    (models_folder / "insightface/models/buffalo_l/det_10g.onnx").write_bytes(b"cut off")
    with monkeypatch.context() as without, pytest.raises(InputError, match="needs the packages insightface and onnxruntime"):
        without.setitem(sys.modules, "insightface.app", None)
        face_node(nodes, picture)
    pytest.importorskip("insightface", reason="NO INSIGHTFACE: pip install -e '.[face]' to test face detection")
    with pytest.raises(InputError, match="hold no face detector that insightface can load .*unpack the pack again"):
        faces.load_detector(models_folder / "insightface", models_folder / "insightface/models/buffalo_l")
