"""The node that crops one person's face out of pictures."""

import torch
from comfy_api.latest import io
from PIL import Image

from lumosx_core.detection import faces
from lumosx_core.detection.boxes import Box, inside_picture, mask_box, show, square_around
from lumosx_core.errors import InputError
from lumosx_core.files.images import rgb_on_white

from . import comfy_folders
from .advanced_inputs import ADVANCED
from .image_tensors import boxes_of, image_of, masks_of, pictures_of
from .io_types import Face, FaceReference
from .node_inputs import checked_inputs
from .reference_inputs import boxes_input, margin_input, place_inputs, strength_input
from .search_aliases import SAME_PERSON, search_aliases
from .shown_pictures import ShownPictures

CROPS = ("detect", "box", "already cropped")


class FaceReferenceNode(io.ComfyNode):
    """One person's face, cropped out of one or several pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        packs = faces.available_packs(comfy_folders.insightface_folders())
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
                    options=list(faces.CHOICES),
                    default="largest",
                    tooltip="Which one is meant where several faces are found: the largest, the one with this index from left "
                    "to right, or the one at the point x, y.",
                ),
                *place_inputs("face"),
                margin_input(
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
                    extra_dict=ADVANCED,
                ),
                boxes_input("Boxes of the face from another detector, instead of detecting."),
                io.Mask.Input("mask", optional=True, tooltip="A mask of the face: its box is taken, instead of detecting."),
                strength_input("this face"),
            ],
            outputs=[
                Face.Output(display_name="face", tooltip="For LumosX Subject."),
                io.Image.Output(display_name="crops", tooltip="The crops; smaller ones are centred on white."),
                io.String.Output(display_name="text", tooltip="What was taken from each picture."),
            ],
            is_output_node=True,  # its preview stays after a reload, and it can be run alone
            **search_aliases("face crop", "identity", "insightface", "person reference", *SAME_PERSON),
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
        strength: float = 1.0,
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
                chosen = faces.choose(boxes, choice, index=index, point=(x, y))
                square = square_around(inside_picture(chosen, picture), picture, margin)
                crops.append(picture.crop(square))
                lines.append(f"view {number}: {faces.tell(boxes, chosen, choice)}; cropped to {show(square)}")
        shown = image_of(crops)
        face = FaceReference(views=tuple(crops), strength=strength)
        return io.NodeOutput(face, shown, "\n".join(lines), ui=ShownPictures(shown, image, cls))


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
    detector = faces.load_detector(*faces.find_pack(comfy_folders.insightface_folders(), pack))
    return [faces.detect_faces(detector, picture) for picture in pictures]
