"""The nodes that turn pictures into references: crops and cut-outs to the pixel, detection, and what they refuse."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from coloured_images import BLUE, GREEN, RED, box, image, mask, on_white, pixels
from PIL import Image
from tiny_detectors import CYAN, MAGENTA, TINY_WIDTH, build_tiny_sam, write_face_detector

from lumosx_core.errors import InputError
from lumosx_core.references import Attribute, SceneReference, Subject

FACE = {"crop": "detect", "choice": "largest", "index": 1, "x": 0, "y": 0, "margin": 0.0, "pack": "buffalo_l"}
ATTRIBUTE = {"phrase": "hat", "cut_out": "mask", "box": "", "points": "", "sam": "none", "margin": 0.0}


@pytest.fixture
def models(comfyui: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder that the host takes for its own."""
    assert comfyui.is_dir()
    import folder_paths

    known = {name: entry for name, entry in folder_paths.folder_names_and_paths.items() if name not in ("sams", "insightface")}
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path / "temp"))
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return tmp_path / "models"


@pytest.fixture
def nodes(pack: Callable[[str], ModuleType], models: Path) -> ModuleType:
    """`nodes/reference_nodes.py`."""
    assert models.name == "models"
    return pack("nodes.reference_nodes")


@pytest.fixture
def subjects(pack: Callable[[str], ModuleType]) -> ModuleType:
    """`nodes/subject_nodes.py`."""
    return pack("nodes.subject_nodes")


def test_schemas_say_what_execute_takes_and_explain_everything(nodes: ModuleType, subjects: ModuleType) -> None:
    from comfy_api.latest import _io

    ids = {
        "FaceReferenceNode": "LumosXFaceReference",
        "AttributeReferenceNode": "LumosXAttributeReference",
        "SceneReferenceNode": "LumosXSceneReference",
        "SubjectNode": "LumosXSubject",
    }
    for name, node_id in ids.items():
        node = getattr(subjects if name == "SubjectNode" else nodes, name)
        schema = node.GET_SCHEMA()
        assert schema.node_id == node_id and schema.category == "LumosX" and schema.description
        parameters = inspect.signature(node.execute).parameters
        assert [item.id for item in schema.inputs] == list(parameters)
        assert {item.id: item.optional for item in schema.inputs} == {
            name: parameter.default is not inspect.Parameter.empty for name, parameter in parameters.items()
        }
        assert all(item.tooltip for item in [*schema.inputs, *schema.outputs])
        assert set(node.INPUT_TYPES()) <= {"required", "optional", "hidden"}
    nested = {"attributes.attribute_1": "hat", "attributes.attribute_3": "scarf", "name": "man"}
    inputs, _, v3_data = _io.get_finalized_class_inputs(subjects.SubjectNode.INPUT_TYPES(), nested)
    assert _io.build_nested_inputs(nested, v3_data)["attributes"] == {"attribute_1": "hat", "attribute_3": "scarf"}
    assert inputs["optional"]["attributes.attribute_3"][0] == "LUMOSX_ATTRIBUTE"
    assert nodes.FaceReferenceNode.INPUT_TYPES()["optional"]["bboxes"][0] == "BOUNDING_BOX"


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
def pack_folder(models: Path) -> Path:
    """A model pack with a detector of coloured squares, in the inner folder that antelopev2's archive unpacks into."""
    pytest.importorskip("insightface", reason="NO INSIGHTFACE: pip install -e '.[face]' to test face detection")
    return write_face_detector(models / "insightface/models/antelopev2/antelopev2")


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
    nodes: ModuleType, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = image((64, 64))
    wanted = r"no face detector in .*models.insightface.models.buffalo_l; get buffalo_l\.zip from \"Model Zoo\".*non-commercial"
    (models / "insightface/models/buffalo_l").mkdir(parents=True)  # insightface would take it for complete
    with pytest.raises(InputError, match=wanted):
        face_node(nodes, picture)
    assert list(models.rglob("*.zip")) == []
    (models / "insightface/models/buffalo_l/det_10g.onnx").write_bytes(b"cut off")
    with monkeypatch.context() as without, pytest.raises(InputError, match="needs the packages insightface and onnxruntime"):
        without.setitem(sys.modules, "insightface.app", None)
        face_node(nodes, picture)
    pytest.importorskip("insightface", reason="NO INSIGHTFACE: pip install -e '.[face]' to test face detection")
    with pytest.raises(InputError, match="hold no face detector that insightface can load .*unpack the pack again"):
        nodes.face_detection.load_detector(models / "insightface", models / "insightface/models/buffalo_l")


def attribute_node(nodes: ModuleType, picture: torch.Tensor, **more: Any) -> Any:
    return nodes.AttributeReferenceNode.execute(picture, **{**ATTRIBUTE, **more})


def test_cut_out_by_a_mask(nodes: ModuleType) -> None:
    picture = image((20, 12), ((4, 2, 14, 7), RED))
    own = mask((20, 12), (4, 2, 12, 6), (12, 5, 14, 7))  # two boxes: the whole goes from (4, 2) to (14, 7)
    out = attribute_node(nodes, picture, mask=own, margin=0.2, tag="@hat", occurrence=2)
    attribute, shown = out.args
    expected = on_white((14, 9), ((2, 2, 10, 6), RED), ((10, 5, 12, 7), RED))  # 0.2 of 10: 2 pixels of white around it
    assert isinstance(attribute, Attribute) and (attribute.phrase, attribute.tag, attribute.occurrence) == ("hat", "hat", 2)
    assert (pixels(attribute.image) == expected).all() and (pixels(shown) == expected).all()
    assert len(out.ui.as_dict()["images"]) == 1
    plain = attribute_node(nodes, picture, mask=1 - own, invert_mask=True).args[0]
    assert (pixels(plain.image) == expected[2:-2, 2:-2]).all() and (plain.tag, plain.occurrence) == (None, None)


def test_soft_masks_alpha_and_edges(nodes: ModuleType) -> None:
    soft = mask((6, 4), (0, 0, 4, 4)) + mask((6, 4), (4, 0, 5, 4), value=0.4)
    cut = attribute_node(nodes, image((6, 4), colour=(0, 0, 0)), mask=soft[0], margin=0.25).args[0].image
    expected = on_white((6, 6), ((1, 1, 5, 5), (0, 0, 0)), ((5, 1, 6, 5), (153, 153, 153)))  # 255 * 0.6 in the margin
    assert (pixels(cut) == expected).all()  # white also where the picture ends
    clear = image((10, 8), ((2, 3, 6, 5), (200, 0, 0, 255)), ((6, 3, 7, 5), (0, 0, 200, 153)), colour=(9, 9, 9, 0))
    cut = attribute_node(nodes, clear, cut_out="already cut out").args[0].image
    assert (pixels(cut) == on_white((5, 2), ((0, 0, 4, 2), (200, 0, 0)), ((4, 0, 5, 2), (102, 102, 222)))).all()
    whole = attribute_node(nodes, image((5, 3), colour=RED), cut_out="already cut out", margin=0.5).args[0].image
    assert whole.size == (5, 3) and (pixels(whole) == RED).all()
    with pytest.raises(InputError, match="fully transparent"):
        attribute_node(nodes, image((4, 4), colour=(9, 9, 9, 0)), cut_out="already cut out")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "no mask is connected; connect one, choose 'segment' or 'already cut out'"),
        ({"cut_out": "segment", "mask": mask((40, 30), (0, 0, 4, 4))}, "mask is connected, but cut_out is 'segment'"),
        ({"bboxes": box(0, 0, 4, 4)}, "bboxes is connected, but cut_out is 'mask'; choose 'segment'"),
        ({"mask": mask((40, 30), (0, 0, 4, 4)), "phrase": " "}, "the phrase of an attribute is empty"),
        ({"mask": mask((40, 30), (0, 0, 4, 4)), "tag": "a b"}, "tag 'a b'"),
        (
            {"cut_out": "segment", "box": "0,0,4,4"},
            r"no Segment Anything file is chosen; get sam_vit_b_01ec64\.pth from \"Model Checkpoints\".*into .*models.sams",
        ),
        ({"cut_out": "segment", "box": "0,0,4,4", "sam": "gone.pth"}, "there is no Segment Anything file 'gone.pth'"),
    ],
)
def test_what_the_attribute_node_refuses(nodes: ModuleType, more: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        attribute_node(nodes, image((40, 30)), **more)


@pytest.fixture
def sam_file(nodes: ModuleType, models: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Any]:
    """The name of a small Segment Anything file in models/sams, and the same model."""
    registry = pytest.importorskip("segment_anything", reason="NO SEGMENT-ANYTHING: pip install -e '.[face]' to test cut-outs")
    torch.manual_seed(5)
    sam = build_tiny_sam()
    (models / "sams").mkdir(parents=True)
    torch.save(sam.state_dict(), models / "sams/sam_tiny.pth")
    monkeypatch.setitem(nodes.segmentation.MODEL_TYPES, TINY_WIDTH, "vit_tiny")
    monkeypatch.setitem(registry.sam_model_registry, "vit_tiny", build_tiny_sam)
    return "sam_tiny.pth", sam


@pytest.mark.parametrize(
    ("more", "boxes", "points"),
    [
        ({"box": "10, 20, 90,70"}, [(10, 20, 90, 70)], []),
        ({"points": "30,40; 50.5,60"}, [], [(30, 40), (50.5, 60)]),
        ({"points": "30,40"}, [], [(30, 40)]),
        ({"box": "10,20,90,70", "points": "30,40;"}, [(10, 20, 90, 70)], [(30, 40)]),
        ({"bboxes": [[box(10, 20, 90, 70), box(60, 30, 200, 100)]]}, [(10, 20, 90, 70), (60, 30, 120, 80)], []),
    ],
)
def test_cut_out_by_segment_anything(
    nodes: ModuleType, sam_file: tuple[str, Any], more: dict, boxes: list, points: list
) -> None:
    from segment_anything import SamPredictor

    name, sam = sam_file
    assert nodes.AttributeReferenceNode.INPUT_TYPES()["required"]["sam"][1]["options"] == [name, "none"]
    values = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    predictor = SamPredictor(sam)
    predictor.set_image(values)
    expected = np.zeros((80, 120), dtype=bool)
    for place in boxes or [None]:
        masks, qualities, _ = predictor.predict(
            point_coords=np.array(points) if points else None,
            point_labels=np.ones(len(points)) if points else None,
            box=None if place is None else np.array(place),
            multimask_output=not boxes and len(points) == 1,
        )
        expected |= masks[qualities.argmax()]
    assert 0 < expected.sum() < expected.size
    cut = (
        attribute_node(nodes, torch.from_numpy(values)[None] / 255, cut_out="segment", sam=name, margin=0.1, **more)
        .args[0]
        .image
    )
    wanted = nodes.cut_by_mask(Image.fromarray(values), expected.astype(np.float32), 0.1)
    np.testing.assert_array_equal(pixels(cut), pixels(wanted))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "needs to know where: give a box or points"),
        ({"box": "1,2,3"}, r"the box '1,2,3' is not understood, expected four numbers"),
        ({"box": "9,2,3,4"}, "the box '9,2,3,4' is empty"),
        ({"points": "1,2 3,4"}, "the points '1,2 3,4' are not understood"),
        ({"points": "40,2"}, r"the point \(40, 2\) is outside the image of 40x30"),
        ({"box": "50,2,60,4"}, "does not lie in the image of 40x30"),
        ({"box": "1,2,3,4", "bboxes": box(1, 2, 3, 4)}, "bboxes are connected and the input box is filled in"),
        ({"bboxes": [box(1, 2, 3, 4)] * 2, "points": "1,2"}, "got 2 boxes and 1 points; give points with one box at most"),
    ],
)
def test_prompts_that_segment_anything_cannot_use(
    nodes: ModuleType, sam_file: tuple[str, Any], more: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        attribute_node(nodes, image((40, 30)), cut_out="segment", sam=sam_file[0], **more)


def test_files_that_are_no_segment_anything(
    nodes: ModuleType, sam_file: tuple[str, Any], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = sam_file[1].state_dict()
    short = {key: value for key, value in state.items() if key != "mask_decoder.iou_token.weight"}
    for name, content, message in [
        ("other.pth", {"x": torch.zeros(2)}, "is no Segment Anything model of the first version"),
        ("short.pth", short, "does not fit Segment Anything vit_tiny .*iou_token"),
        ("list.pth", [torch.zeros(2)], "holds a list, expected a dictionary"),
        ("code.pth", {"x": Path("y")}, "holds Python objects besides tensors"),
    ]:
        torch.save(content, models / "sams" / name)
        with pytest.raises(InputError, match=message):
            nodes.segmentation.load_sam(models / "sams" / name)
    (models / "sams/broken.pth").write_bytes(b"cut off")
    with pytest.raises(InputError, match="is a text file, not weights"):
        nodes.segmentation.load_sam(models / "sams/broken.pth")
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    with pytest.raises(InputError, match="needs the package segment-anything .*-m pip install .segment-anything>=1.0."):
        nodes.segmentation.load_sam(models / "sams/sam_tiny.pth")


def test_scene_references(nodes: ModuleType) -> None:
    picture = image((20, 12), ((4, 2, 14, 7), RED))
    scene, shown = nodes.SceneReferenceNode.execute(picture, "a lawn", 0.1, tag="place").args
    assert isinstance(scene, SceneReference) and (scene.phrase, scene.tag, scene.occurrence) == ("a lawn", "place", None)
    assert (pixels(scene.image) == pixels(picture)).all() and torch.equal(shown, picture)
    cut = nodes.SceneReferenceNode.execute(picture, "ball", 0.1, mask((20, 12), (4, 2, 14, 7)), occurrence=3).args[0]
    assert (pixels(cut.image) == on_white((12, 7), ((1, 1, 11, 6), RED))).all() and cut.occurrence == 3
    with pytest.raises(InputError, match="phrase of an object or a background is empty"):
        nodes.SceneReferenceNode.execute(picture, "", 0.1)


def test_subjects(nodes: ModuleType, subjects: ModuleType) -> None:
    views = tuple(Image.new("RGB", (2, 2), colour) for colour in (RED, GREEN, BLUE))
    hat, coat = (Attribute(phrase=phrase, image=views[0]) for phrase in ("hat", "coat"))
    subject = subjects.SubjectNode.execute(
        " man ",
        nodes.FaceReference(views=views),
        {"attribute_1": hat, "attribute_2": None, "attribute_3": coat},
        tag="bob",
        occurrence=2,
    ).args[0]
    assert subject == Subject(name="man", face=views[0], more_views=views[1:], attributes=(hat, coat), tag="bob", occurrence=2)
    assert subjects.SubjectNode.execute("", attributes={"attribute_1": hat}).args[0].face is None
    with pytest.raises(InputError, match="subject 'man' has neither a face nor an attribute"):
        subjects.SubjectNode.execute("man")
