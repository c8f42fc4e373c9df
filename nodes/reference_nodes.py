"""Nodes that turn pictures into references: a face, what a person wears or holds, an object or the background."""

from pathlib import Path

import numpy as np
import torch
from comfy_api.latest import io, ui
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.files.images import rgb_on_white
from lumosx_core.references import Attribute, SceneReference

from . import comfy_folders, face_detection, segmentation
from .image_tensors import (
    Box,
    boxes_of,
    check_way_round,
    cut_by_mask,
    cut_by_transparency,
    image_of,
    inside_picture,
    mask_box,
    masks_of,
    one_picture,
    opaque_part,
    pictures_of,
    show,
    square_around,
)
from .io_types import AttributeSocket, Face, FaceReference, SceneSocket
from .node_inputs import checked_inputs
from .search_aliases import search_aliases

BoundingBoxes = io.Custom("BOUNDING_BOX")  # io.BoundingBox exists only in newer hosts
LARGEST_SIDE = 16384  # pixels
CROPS = ("detect", "box", "already cropped")
CUTS = ("mask", "segment", "already cut out")


def _boxes_input(tooltip: str) -> io.Input:
    return BoundingBoxes.Input("bboxes", optional=True, tooltip=tooltip, extra_dict={"forceInput": True})


def phrase_inputs() -> list[io.Input]:
    """The optional inputs that say how a prompt names a reference."""
    return [
        io.String.Input(
            "tag",
            default="",
            optional=True,
            tooltip="Short name for tags in the prompt: a subject tagged anna is written @anna, its attribute tagged hat "
            "@anna.hat. Letters, digits and underscores; may stay empty.",
        ),
        io.Int.Input(
            "occurrence",
            default=0,
            min=0,
            max=1000,
            optional=True,
            tooltip="Which place in the prompt is meant if the words stand there several times: 1 is the first. 0: not said.",
        ),
    ]


def _mask_inputs(tooltip: str) -> list[io.Input]:
    return [
        io.Mask.Input("mask", optional=True, tooltip=tooltip),
        io.Boolean.Input(
            "invert_mask",
            default=False,
            optional=True,
            tooltip="Keep what is outside the mask. Switch it on for Load Image's mask of a transparent picture, which "
            "marks what is transparent.",
        ),
    ]


def _margin_input(default: float, tooltip: str) -> io.Input:
    return io.Float.Input("margin", default=default, min=0.0, max=2.0, step=0.01, tooltip=tooltip)


def tag_of(text: str) -> str | None:
    """A tag as the core wants it; users may write the @ of the prompt before it."""
    return text.strip().removeprefix("@") or None


class FaceReferenceNode(io.ComfyNode):
    """One person's face, cropped out of one or several pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        packs = face_detection.available_packs(comfy_folders.insightface_folders())
        return io.Schema(
            node_id="LumosXFaceReference",
            display_name="LumosX Face Reference",
            category="LumosX",
            description="A square crop around a face. A batch of images gives several views of one person.",
            inputs=[
                io.Image.Input("image", tooltip="A picture of the person; a batch is several views of the same person."),
                io.Combo.Input(
                    "crop",
                    options=list(CROPS),
                    default="detect",
                    tooltip="detect: find the face (needs insightface and its model files). box: around the connected boxes or "
                    "mask. already cropped: the picture as it is. A connected box or mask is also used with detect.",
                ),
                io.Combo.Input(
                    "choice",
                    options=list(face_detection.CHOICES),
                    default="largest",
                    tooltip="Which one is meant where several faces are found: the largest, the one with this index from left "
                    "to right, or the one at the point x, y.",
                ),
                io.Int.Input("index", default=1, min=1, max=100, tooltip="For left to right: 1 is the leftmost face."),
                io.Int.Input("x", default=0, min=0, max=LARGEST_SIDE, tooltip="For at point: pixels from the left edge."),
                io.Int.Input("y", default=0, min=0, max=LARGEST_SIDE, tooltip="For at point: pixels from the top edge."),
                _margin_input(
                    0.3,
                    "How much is added around the face on every side, as a part of the face's longer side. "
                    "LumosX was trained on crops with the hair and some surroundings.",
                ),
                io.Combo.Input(
                    "pack",
                    options=packs,
                    default=packs[0],
                    tooltip="For detect: the insightface model pack in models/insightface/models. Its models are for "
                    "non-commercial use; nothing is downloaded.",
                ),
                _boxes_input("Boxes of the face from another detector, instead of detecting."),
                io.Mask.Input("mask", optional=True, tooltip="A mask of the face: its box is taken, instead of detecting."),
            ],
            outputs=[
                Face.Output(display_name="face", tooltip="For LumosX Subject."),
                io.Image.Output(display_name="crops", tooltip="The crops; smaller ones are centred on white."),
                io.String.Output(display_name="text", tooltip="What was taken from each picture."),
            ],
            is_output_node=True,  # its preview stays after a reload, and it can be run alone
            **search_aliases("face crop", "identity", "insightface", "person reference"),
        )

    @classmethod
    @checked_inputs
    def execute(
        cls,
        image: torch.Tensor,
        crop: str,
        choice: str,
        index: int,
        x: int,
        y: int,
        margin: float,
        pack: str,
        bboxes: object = None,
        mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """A `FaceReference` with one view for each image, the crops [B, H, W, 3], and a line of text for each.

        Raises InputError if a view shows no face, or not the one that was asked for, if the detector's files are missing,
        and for boxes or masks that contradict `crop` or do not fit the images.
        """
        pictures = [rgb_on_white(picture) for picture in pictures_of(image)]
        if crop == "already cropped" and (bboxes is not None or mask is not None):
            raise InputError('crop is "already cropped", but a box or mask is connected; choose "box", or disconnect it')
        crops, lines = pictures, [f"view {number}: as it is" for number in range(1, len(pictures) + 1)]
        if crop != "already cropped":
            places = _face_boxes(pictures, crop, pack, bboxes, mask)
            crops, lines = [], []
            for number, (picture, boxes) in enumerate(zip(pictures, places, strict=True), start=1):
                if not boxes:
                    raise InputError(
                        f"view {number}: no face found; use a picture that shows the face larger and from the "
                        'front, connect a box or a mask, or crop it yourself and choose "already cropped"'
                    )
                chosen = face_detection.choose(boxes, choice, index=index, point=(x, y))
                square = square_around(inside_picture(chosen, picture), picture, margin)
                crops.append(picture.crop(square))
                lines.append(f"view {number}: {face_detection.tell(boxes, chosen, choice)}; cropped to {show(square)}")
        shown = image_of(crops)
        return io.NodeOutput(FaceReference(views=tuple(crops)), shown, "\n".join(lines), ui=ui.PreviewImage(shown, cls=cls))


def _face_boxes(
    pictures: list[Image.Image], crop: str, pack: str, bboxes: object, mask: torch.Tensor | None
) -> list[list[Box]]:
    """The boxes to choose from, for each picture: connected ones, the mask's, or those of the faces that are found."""
    if bboxes is not None and mask is not None:
        raise InputError("a box and a mask are connected, but only one of them can say where the face is; disconnect one")
    if bboxes is not None:
        return boxes_of(bboxes, len(pictures))
    if mask is not None:
        return [[mask_box(each)] for each in masks_of(mask, pictures)]
    if crop == "box":
        raise InputError('crop is "box", but neither a box nor a mask is connected; connect one, or choose "detect"')
    detector = face_detection.load_detector(*face_detection.find_pack(comfy_folders.insightface_folders(), pack))
    return [face_detection.detect_faces(detector, picture) for picture in pictures]


class AttributeReferenceNode(io.ComfyNode):
    """Something that belongs to one person, cut out on white."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        files = comfy_folders.sam_files()
        return io.Schema(
            node_id="LumosXAttributeReference",
            display_name="LumosX Attribute Reference",
            category="LumosX",
            description="Clothing, glasses or a held thing of one person, cut out on white, with its words in the prompt.",
            inputs=[
                io.Image.Input("image", tooltip="A picture that shows the thing."),
                io.String.Input(
                    "phrase",
                    default="",
                    placeholder="red hat",
                    tooltip="The words that stand for it in the prompt, exactly as they are written there.",
                ),
                io.Combo.Input(
                    "cut_out",
                    options=list(CUTS),
                    default="mask",
                    tooltip="mask: by the connected mask. segment: by Segment Anything, with a box or points. already cut "
                    "out: on white already, or a transparent picture with Load Image's mask connected.",
                ),
                io.String.Input(
                    "box",
                    default="",
                    placeholder="left, top, right, bottom",
                    tooltip="For segment: a box around the thing in pixels of the image, as left, top, right, bottom.",
                ),
                io.String.Input(
                    "points",
                    default="",
                    placeholder="x, y; x, y",
                    tooltip="For segment: points on the thing in pixels of the image, as x, y; x, y. Alone or with one box.",
                ),
                io.Combo.Input(
                    "sam",
                    options=files,
                    default=files[0],
                    tooltip="For segment: a Segment Anything file (sam_vit_b, sam_vit_l or sam_vit_h) in models/sams.",
                ),
                _margin_input(0.05, "How much white is left around the thing on every side, as a part of its longer side."),
                *_mask_inputs(
                    "For mask: white where the thing is, as large as the image. For already cut out: Load Image's mask, which "
                    "is white where the picture is transparent."
                ),
                _boxes_input(
                    "For segment: boxes around the thing from a detector, instead of the text; several are cut out together."
                ),
                *phrase_inputs(),
            ],
            outputs=[
                AttributeSocket.Output(display_name="attribute", tooltip="For LumosX Subject."),
                io.Image.Output(display_name="image", tooltip="The cut-out on white, as the model gets it."),
            ],
            is_output_node=True,  # its preview stays after a reload, and it can be run alone
            **search_aliases("clothing", "cut out", "segment anything", "sam", "garment reference"),
        )

    @classmethod
    @checked_inputs
    def execute(
        cls,
        image: torch.Tensor,
        phrase: str,
        cut_out: str,
        box: str,
        points: str,
        sam: str,
        margin: float,
        mask: torch.Tensor | None = None,
        invert_mask: bool = False,
        bboxes: object = None,
        tag: str = "",
        occurrence: int = 0,
    ) -> io.NodeOutput:
        """An `Attribute` and its picture [1, H, W, 3].

        Raises InputError for a batch, an empty phrase or mask, inputs that contradict `cut_out`, a missing Segment Anything
        file, and places outside the picture.
        """
        picture = one_picture(image)
        for name, value, used_by in (("mask", mask, ("mask", "already cut out")), ("bboxes", bboxes, ("segment",))):
            if value is not None and cut_out not in used_by:
                raise InputError(f"{name} is connected, but cut_out is {cut_out!r}; choose {used_by[0]!r}, or disconnect it")
        if cut_out == "segment":
            picture = _segmented(rgb_on_white(picture), box, points, bboxes, comfy_folders.sam_path(sam), margin)
        elif cut_out == "already cut out":
            picture = cut_by_transparency(picture, _opaque(picture, mask, invert_mask), margin)
        elif mask is not None:
            picture = _masked(picture, mask, invert_mask, margin)
        else:
            raise InputError("cut_out is 'mask', but no mask is connected; connect one, choose 'segment' or 'already cut out'")
        attribute = Attribute(phrase=phrase, image=picture, tag=tag_of(tag), occurrence=occurrence or None)
        shown = image_of([picture])
        return io.NodeOutput(attribute, shown, ui=ui.PreviewImage(shown, cls=cls))


def _masked(picture: Image.Image, mask: torch.Tensor, invert: bool, margin: float) -> Image.Image:
    kept = masks_of(mask, [picture], invert=invert)[0]
    check_way_round(picture, kept)
    return cut_by_mask(picture, kept, margin)


def _opaque(picture: Image.Image, mask: torch.Tensor | None, invert: bool) -> np.ndarray | None:
    """What is opaque of a picture that is cut out already, from the connected mask; None if nothing is said, or all of it."""
    if mask is None:
        return None
    opaque = masks_of(mask, [picture])[0] if invert else opaque_part(mask, picture)
    if opaque is not None:
        check_way_round(picture, opaque)
    return opaque


def _segmented(picture: Image.Image, box: str, points: str, bboxes: object, file: Path, margin: float) -> Image.Image:
    """The picture cut out by Segment Anything."""
    if box.strip() and bboxes is not None:
        raise InputError("bboxes are connected and the input box is filled in; clear one of the two")
    typed = segmentation.parse_box(box)
    boxes = boxes_of(bboxes, 1)[0] if bboxes is not None else [typed] if typed else []
    clicks = segmentation.parse_points(points)
    segmentation.check_prompts(picture, boxes, clicks)
    sam = segmentation.load_sam(file)
    with comfy_folders.on_device(sam):
        mask = segmentation.segment(sam, picture, boxes, clicks)
    return cut_by_mask(picture, mask.astype(np.float32), margin)


class SceneReferenceNode(io.ComfyNode):
    """An object or the background."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="LumosXSceneReference",
            display_name="LumosX Scene Reference",
            category="LumosX",
            description="An object that belongs to nobody, or the background, with its words in the prompt.",
            inputs=[
                io.Image.Input("image", tooltip="An object on white or with a mask; a background as a whole picture."),
                io.String.Input(
                    "phrase",
                    default="",
                    placeholder="a quiet street",
                    tooltip="The words that stand for it in the prompt, exactly as they are written there.",
                ),
                _margin_input(0.05, "With a mask: how much white is left around the object, as a part of its longer side."),
                *_mask_inputs("Cuts an object out on white: white where the object is. Leave it open for a background."),
                *phrase_inputs(),
                io.Mask.Input(
                    "transparency",
                    optional=True,
                    tooltip="Load Image's mask, white where the picture is transparent: cuts out a transparent picture; "
                    "without transparency it changes nothing.",
                ),
            ],
            outputs=[
                SceneSocket.Output(display_name="scene", tooltip="For an object input or background of LumosX Relation Graph."),
                io.Image.Output(display_name="image", tooltip="The picture as the model gets it."),
            ],
            is_output_node=True,  # its preview stays after a reload, and it can be run alone
            **search_aliases("object reference", "background reference"),
        )

    @classmethod
    @checked_inputs
    def execute(
        cls,
        image: torch.Tensor,
        phrase: str,
        margin: float,
        mask: torch.Tensor | None = None,
        invert_mask: bool = False,
        tag: str = "",
        occurrence: int = 0,
        transparency: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """A `SceneReference` and its picture [1, H, W, 3]. Raises InputError for a batch, an empty phrase or mask, and for a
        mask beside a transparency that is not empty."""
        picture = one_picture(image)
        opaque = _opaque(picture, transparency, invert=False)
        if opaque is not None and mask is not None:
            raise InputError("mask and transparency are both connected, but only one can cut the object out; disconnect one")
        if opaque is not None:
            picture = cut_by_mask(picture, opaque, margin)
        else:
            picture = rgb_on_white(picture) if mask is None else _masked(picture, mask, invert_mask, margin)
        scene = SceneReference(phrase=phrase, image=picture, tag=tag_of(tag), occurrence=occurrence or None)
        shown = image_of([picture])
        return io.NodeOutput(scene, shown, ui=ui.PreviewImage(shown, cls=cls))
