"""The nodes that turn pictures into references: cut-outs to the pixel, and what they refuse."""

import inspect
import os
import pickle
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
from tiny_detectors import TINY_WIDTH, build_tiny_sam

from lumosx_core.detection import cut_outs, segment_anything
from lumosx_core.errors import InputError
from lumosx_core.references import Attribute, SceneReference, Subject

ATTRIBUTE = {"phrase": "hat", "cut_out": "mask", "box": "", "points": "", "sam": "none", "margin": 0.0}


@pytest.fixture
def nodes(pack: Callable[[str], ModuleType], models_folder: Path) -> ModuleType:
    """`nodes/reference_nodes.py`."""
    assert models_folder.name == "models"
    return pack("nodes.reference_nodes")


@pytest.fixture
def faces(pack: Callable[[str], ModuleType]) -> ModuleType:
    """`nodes/face_nodes.py`."""
    return pack("nodes.face_nodes")


@pytest.fixture
def subjects(pack: Callable[[str], ModuleType]) -> ModuleType:
    """`nodes/subject_nodes.py`."""
    return pack("nodes.subject_nodes")


def test_schemas_say_what_execute_takes_and_explain_everything(
    nodes: ModuleType, faces: ModuleType, subjects: ModuleType
) -> None:
    from comfy_api.latest import _io

    ids = {
        "FaceReferenceNode": "LumosXFaceReference",
        "AttributeReferenceNode": "LumosXAttributeReference",
        "SceneReferenceNode": "LumosXSceneReference",
        "SubjectNode": "LumosXSubject",
    }
    for name, node_id in ids.items():
        node = getattr({"SubjectNode": subjects, "FaceReferenceNode": faces}.get(name, nodes), name)
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
    assert faces.FaceReferenceNode.INPUT_TYPES()["optional"]["bboxes"][0] == "BOUNDING_BOX"


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


def test_the_picture_is_shown_for_drawing_on_it(nodes: ModuleType, models_folder: Path) -> None:
    """At its own size, or shrunk beside the size that it has."""
    for size, shown in (((20, 12), (20, 12)), ((4096, 16), (2048, 8))):
        picture = image(size, ((4, 2, 14, 7), RED))
        made = attribute_node(nodes, picture, mask=mask(size, (4, 2, 14, 7))).ui.as_dict()
        (file,) = made["lumosx_source"]
        assert (file["width"], file["height"], file["type"]) == (*size, "temp") and len(made["images"]) == 1
        with Image.open(models_folder.parent / "temp" / file["subfolder"] / file["filename"]) as stored:
            assert stored.size == shown


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
        ({"cut_out": "phrase", "mask": mask((40, 30), (0, 0, 4, 4))}, "mask is connected, but cut_out is 'phrase'"),
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
def sam_file(models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Any]:
    """The name of a small Segment Anything file in models/sams, and the same model."""
    registry = pytest.importorskip("segment_anything", reason="NO SEGMENT-ANYTHING: pip install -e '.[face]' to test cut-outs")
    torch.manual_seed(5)
    sam = build_tiny_sam()
    (models_folder / "sams").mkdir(parents=True)
    torch.save(sam.state_dict(), models_folder / "sams/sam_tiny.pth")
    monkeypatch.setitem(segment_anything.MODEL_TYPES, TINY_WIDTH, "vit_tiny")
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
    wanted = cut_outs.on_white(cut_outs.cut_out(Image.fromarray(values), expected, cut_outs.CutOutOptions(margin=0.1)))
    np.testing.assert_array_equal(pixels(cut), pixels(wanted))


def test_segment_anything_is_loaded_once_and_is_in_the_hosts_memory_manager(
    nodes: ModuleType, sam_file: tuple[str, Any], models_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.model_management as management

    management.unload_all_models()
    picture = torch.from_numpy(np.random.default_rng(0).random((1, 80, 120, 3), dtype=np.float32))

    def cut(sam: str) -> np.ndarray:
        return pixels(attribute_node(nodes, picture, cut_out="segment", sam=sam, points="30,40").args[0].image)

    first = cut(sam_file[0])
    held = [model.model.model[0] for model in management.current_loaded_models]
    assert len(held) == 1
    with monkeypatch.context() as unreadable:
        unreadable.setattr(segment_anything, "open_weights", None)  # loading again would fail
        np.testing.assert_array_equal(cut(sam_file[0]), first)
    assert [model.model.model[0] for model in management.current_loaded_models] == held
    management.unload_all_models()
    np.testing.assert_array_equal(cut(sam_file[0]), first)
    other = {key: value * 1.5 for key, value in sam_file[1].state_dict().items()}
    torch.save(other, models_folder / "sams" / "other.pth")
    assert cut("other.pth").shape != first.shape or (cut("other.pth") != first).any()
    assert len(management.current_loaded_models) == 1


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
    sam_file: tuple[str, Any], models_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = sam_file[1].state_dict()
    short = {key: value for key, value in state.items() if key != "mask_decoder.iou_token.weight"}
    for name, content, message in [
        ("other.pth", {"x": torch.zeros(2)}, "is no Segment Anything model of the first version"),
        ("short.pth", short, "does not fit Segment Anything vit_tiny .*iou_token"),
        ("list.pth", [torch.zeros(2)], "holds a list, expected a dictionary"),
        ("code.pth", {"x": Path("y")}, "holds Python objects besides tensors"),
    ]:
        torch.save(content, models_folder / "sams" / name)
        with pytest.raises(InputError, match=message):
            segment_anything.load_sam(models_folder / "sams" / name)
    (models_folder / "sams/broken.pth").write_bytes(b"cut off")
    with pytest.raises(InputError, match="is a text file, not weights"):
        segment_anything.load_sam(models_folder / "sams/broken.pth")
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    with pytest.raises(InputError, match="needs the package segment-anything .*-m pip install .segment-anything>=1.0."):
        segment_anything.load_sam(models_folder / "sams/sam_tiny.pth")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_no_code_of_a_segment_anything_file_runs(nodes: ModuleType, sam_file: tuple[str, Any], models_folder: Path) -> None:
    """24 crafted files, through the node: pickles of every protocol, alone and beside the right weights, in four formats."""
    trap, weights = models_folder / "sprung", sam_file[1].state_dict()

    class Crafted:
        def __reduce__(self) -> tuple:
            return (os.mkdir, (str(trap),))

    files = []
    for content in (Crafted(), {**weights, "image_encoder.pos_embed": Crafted()}):
        for protocol in (0, 1, 2, 3, 4, 5):
            torch.save(content, models_folder / "sams" / f"{len(files)}.pth", pickle_protocol=max(2, protocol))
            files.append(f"{len(files)}.pth")
            plain = isinstance(content, Crafted)
            with (models_folder / "sams" / f"{len(files)}.pt").open("wb") as file:
                if plain:
                    pickle.dump(content, file, protocol)
                else:
                    torch.save(content, file, pickle_protocol=max(2, protocol), _use_new_zipfile_serialization=False)
            files.append(f"{len(files)}.pt")
    for name in files:
        with pytest.raises(InputError):
            attribute_node(nodes, image((40, 30)), cut_out="segment", sam=name, points="4,4")
    assert len(files) == 24 and not trap.exists()


def test_weights_that_are_no_numbers_are_told(nodes: ModuleType, sam_file: tuple[str, Any], models_folder: Path) -> None:
    state = sam_file[1].state_dict()
    for value in (float("nan"), float("inf"), -float("inf")):
        spoilt = {key: tensor.clone() for key, tensor in state.items()}
        spoilt["mask_decoder.iou_token.weight"][0, :3] = value
        torch.save(spoilt, models_folder / "sams" / "spoilt.pth")
        with pytest.raises(InputError, match="spoilt.pth holds 3 NaN or infinite weights in mask_decoder.iou_token.weight"):
            attribute_node(nodes, image((40, 30)), cut_out="segment", sam="spoilt.pth", points="4,4")


def test_scene_references(nodes: ModuleType) -> None:
    picture = image((20, 12), ((4, 2, 14, 7), RED))
    scene, shown = nodes.SceneReferenceNode.execute(picture, "a lawn", 0.1, tag="place").args
    assert isinstance(scene, SceneReference) and (scene.phrase, scene.tag, scene.occurrence) == ("a lawn", "place", None)
    assert (pixels(scene.image) == pixels(picture)).all() and torch.equal(shown, picture)
    cut = nodes.SceneReferenceNode.execute(picture, "ball", 0.1, mask((20, 12), (4, 2, 14, 7)), occurrence=3).args[0]
    assert (pixels(cut.image) == on_white((12, 7), ((1, 1, 11, 6), RED))).all() and cut.occurrence == 3
    with pytest.raises(InputError, match="phrase of an object or a background is empty"):
        nodes.SceneReferenceNode.execute(picture, "", 0.1)


def test_subjects(subjects: ModuleType) -> None:
    views = tuple(Image.new("RGB", (2, 2), colour) for colour in (RED, GREEN, BLUE))
    hat, coat = (Attribute(phrase=phrase, image=views[0]) for phrase in ("hat", "coat"))
    subject = subjects.SubjectNode.execute(
        " man ",
        subjects.FaceReference(views=views),
        {"attribute_1": hat, "attribute_2": None, "attribute_3": coat},
        tag="bob",
        occurrence=2,
    ).args[0]
    assert subject == Subject(name="man", face=views[0], more_views=views[1:], attributes=(hat, coat), tag="bob", occurrence=2)
    assert subjects.SubjectNode.execute("", attributes={"attribute_1": hat}).args[0].face is None
    with pytest.raises(InputError, match="subject 'man' has neither a face nor an attribute"):
        subjects.SubjectNode.execute("man")
