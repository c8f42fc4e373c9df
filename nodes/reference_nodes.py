"""Nodes that turn pictures into references: what a person wears or holds, an object or the background."""

from pathlib import Path

import numpy as np
import torch
from comfy_api.latest import io, ui
from PIL import Image

from lumosx_core.detection.boxes import Box, Point, cut_by_mask, parse_box, parse_points
from lumosx_core.errors import InputError
from lumosx_core.files.images import rgb_on_white
from lumosx_core.references import Attribute, SceneReference

from . import comfy_folders
from .advanced_inputs import ADVANCED
from .comfy_eyes import phrase_eyes, place_eyes, release
from .image_tensors import (
    boxes_of,
    check_way_round,
    cut_by_transparency,
    image_of,
    masks_of,
    one_picture,
    opaque_part,
)
from .io_types import AttributeSocket, SceneSocket
from .node_inputs import checked_inputs
from .reference_inputs import boxes_input, eyes_input, margin_input, mask_inputs, phrase_inputs, strength_input, tag_of
from .search_aliases import search_aliases
from .shown_pictures import ShownPictures

CUTS = ("mask", "segment", "already cut out", "phrase")


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
                    "out: on white already, or a transparent picture with Load Image's mask connected. phrase: found by its "
                    "own words.",
                ),
                io.String.Input(
                    "box",
                    default="",
                    placeholder="left, top, right, bottom",
                    tooltip="For segment: a box around the thing in pixels of the image, as left, top, right, bottom. For "
                    "phrase: where it is looked for, empty for the whole image.",
                ),
                io.String.Input(
                    "points",
                    default="",
                    placeholder="x, y; x, y",
                    tooltip="For segment: points on the thing in pixels of the image, as x, y; x, y. Alone or with one box. "
                    "For phrase: which one is meant where several are found.",
                ),
                io.Combo.Input(
                    "sam",
                    options=files,
                    default=files[0],
                    tooltip="For segment: a Segment Anything file (sam_vit_b, sam_vit_l or sam_vit_h) in models/sams. For "
                    "phrase it cuts out where models/eyes has nothing for that.",
                    extra_dict=ADVANCED,
                ),
                margin_input(0.05, "How much white is left around the thing on every side, as a part of its longer side."),
                *mask_inputs(
                    "For mask: white where the thing is, as large as the image. For already cut out: Load Image's mask, which "
                    "is white where the picture is transparent."
                ),
                boxes_input(
                    "For segment: boxes around the thing from a detector, instead of the text; several are cut out together. "
                    "For phrase: one box that it is looked for in."
                ),
                *phrase_inputs(),
                eyes_input(optional=True),
                strength_input("this thing's picture"),
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
        eyes: str = "photographs",
        strength: float = 1.0,
    ) -> io.NodeOutput:
        """An `Attribute` and its picture [1, H, W, 3].

        Raises InputError for a batch, an empty phrase or mask, inputs that contradict `cut_out`, missing models, places outside
        the picture, and a thing that is not found.
        """
        picture = one_picture(image)
        for name, value, used_by in (("mask", mask, ("mask", "already cut out")), ("bboxes", bboxes, ("segment", "phrase"))):
            if value is not None and cut_out not in used_by:
                raise InputError(f"{name} is connected, but cut_out is {cut_out!r}; choose {used_by[0]!r}, or disconnect it")
        if cut_out == "segment":
            boxes = _boxes(box, bboxes)
            picture = _segmented(rgb_on_white(picture), boxes, parse_points(points), comfy_folders.sam_path(sam), margin)
        elif cut_out == "phrase":
            picture = _found(rgb_on_white(picture), phrase, _boxes(box, bboxes), parse_points(points), eyes, sam, margin)
        elif cut_out == "already cut out":
            picture = cut_by_transparency(picture, _opaque(picture, mask, invert_mask), margin)
        elif mask is not None:
            picture = _masked(picture, mask, invert_mask, margin)
        else:
            raise InputError("cut_out is 'mask', but no mask is connected; connect one, choose 'segment' or 'already cut out'")
        attribute = Attribute(phrase=phrase, image=picture, tag=tag_of(tag), occurrence=occurrence or None, strength=strength)
        shown = image_of([picture])
        return io.NodeOutput(attribute, shown, ui=ShownPictures(shown, image, cls))


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


def _boxes(typed: str, bboxes: object) -> list[Box]:
    """The box that is typed, or those that are connected."""
    if typed.strip() and bboxes is not None:
        raise InputError("bboxes are connected and the input box is filled in; clear one of the two")
    if bboxes is not None:
        return boxes_of(bboxes, 1)[0]
    box = parse_box(typed)
    return [box] if box else []


def _segmented(picture: Image.Image, boxes: list[Box], points: list[Point], file: Path, margin: float) -> Image.Image:
    """The picture cut out by Segment Anything."""
    from lumosx_core.detection.cut_outs import CutOutOptions, cut_out, on_white

    mask = place_eyes(file).segment_at(picture, boxes, points)
    return on_white(cut_out(picture, mask, CutOutOptions(margin=margin)))


def _found(
    picture: Image.Image, phrase: str, boxes: list[Box], points: list[Point], eyes: str, sam: str, margin: float
) -> Image.Image:
    """The picture cut out by its own words."""
    from lumosx_core.detection.cut_outs import CutOutOptions, cut_out, on_white
    from lumosx_core.detection.things import find_thing

    if len(boxes) > 1:
        raise InputError(f"got {len(boxes)} boxes; with cut_out 'phrase' one box at most says where the thing is looked for")
    finders = phrase_eyes(eyes, None if sam == comfy_folders.NO_FILE else comfy_folders.sam_path(sam))
    try:
        found, mask = find_thing(picture, phrase, finders, within=boxes[0] if boxes else None, points=points)
    finally:
        release(finders)
    return on_white(cut_out(picture, mask, CutOutOptions(margin=margin), frame=found.whole))


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
                margin_input(0.05, "With a mask: how much white is left around the object, as a part of its longer side."),
                *mask_inputs("Cuts an object out on white: white where the object is. Leave it open for a background."),
                *phrase_inputs(),
                io.Mask.Input(
                    "transparency",
                    optional=True,
                    tooltip="Load Image's mask, white where the picture is transparent: cuts out a transparent picture; "
                    "without transparency it changes nothing.",
                ),
                strength_input("this picture"),
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
        strength: float = 1.0,
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
        scene = SceneReference(phrase=phrase, image=picture, tag=tag_of(tag), occurrence=occurrence or None, strength=strength)
        shown = image_of([picture])
        return io.NodeOutput(scene, shown, ui=ui.PreviewImage(shown, cls=cls))
