"""The node that makes a person out of photographs: the face and the things that are named by words."""

from typing import TYPE_CHECKING

import torch
from comfy_api.latest import io

from lumosx_core.detection import faces
from lumosx_core.files.images import rgb_on_white
from lumosx_core.references import Subject

from .comfy_eyes import person_eyes, release
from .image_tensors import image_of, pictures_of
from .io_types import Face, FaceReference, SubjectSocket
from .node_inputs import checked_inputs
from .reference_inputs import attributes_input, eyes_input, margin_input, phrase_inputs, place_inputs, strength_input, tag_of
from .search_aliases import SAME_PERSON, search_aliases
from .shown_pictures import ShownPictures

if TYPE_CHECKING:
    from lumosx_core.detection.person import FoundSubject


class PersonNode(io.ComfyNode):
    """One person out of a photograph, or out of several photographs of that person."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="LumosXPerson",
            display_name="LumosX Person",
            category="LumosX",
            description="Finds a person in a photograph, crops the face and cuts out the things that are named.",
            inputs=[
                io.Image.Input("image", tooltip="A photograph; a batch is several photographs of the same person."),
                io.String.Input(
                    "name",
                    default="",
                    placeholder="man",
                    tooltip="The words that stand for the person in the prompt, such as man or the young woman.",
                ),
                io.String.Input(
                    "attributes",
                    default="",
                    multiline=True,
                    placeholder="red jacket\nround glasses",
                    tooltip="The things to cut out, one a line, in the words of the prompt.",
                ),
                io.Combo.Input(
                    "choice",
                    options=list(faces.CHOICES),
                    default="largest",
                    tooltip="Which person is meant where several are found: the largest, the one with this index from left to "
                    "right, or the one at the point x, y.",
                ),
                *place_inputs("person"),
                margin_input(0.3, "How much is added around the face on every side, as a part of the face's longer side."),
                eyes_input(),
                Face.Input("face", optional=True, tooltip="From LumosX Face Reference: instead of the face that is found."),
                attributes_input(
                    "given", "Further things of this person; one with the words of a line above replaces what would be found."
                ),
                *phrase_inputs(),
                strength_input("all pictures of this person, beside what each has of its own"),
            ],
            outputs=[
                SubjectSocket.Output(display_name="subject", tooltip="For LumosX Relation Graph."),
                io.Image.Output(
                    display_name="sheet", tooltip="The photographs with what was found, and the pictures made of it."
                ),
                io.String.Output(display_name="text", tooltip="What was found how surely, and what was not found."),
            ],
            is_output_node=True,  # its preview stays after a reload, and it can be run alone
            **search_aliases(
                "subject from photo", "person reference", "detect person", "grounding", "cut out clothes", *SAME_PERSON
            ),
        )

    @classmethod
    @checked_inputs
    def execute(
        cls,
        image: torch.Tensor,
        name: str,
        attributes: str,
        choice: str,
        index: int,
        x: int,
        y: int,
        margin: float,
        eyes: str,
        face: FaceReference | None = None,
        given: io.Autogrow.Type | None = None,
        tag: str = "",
        occurrence: int = 0,
        strength: float = 1.0,
    ) -> io.NodeOutput:
        """A `Subject`, the sheet [1, H, W, 3] and a text. Raises InputError as `find_subject` does, and for missing models."""
        from lumosx_core.detection.cut_outs import CutOutOptions
        from lumosx_core.detection.person import Which, find_subject
        from lumosx_core.drawing.person_sheet import person_sheet

        pictures = [rgb_on_white(picture) for picture in pictures_of(image)]
        connected = tuple(item for item in (given or {}).values() if item is not None)
        there = {item.phrase for item in connected}
        phrases = [line for line in (" ".join(line.split()) for line in attributes.splitlines()) if line and line not in there]
        which = Which(choice=choice, index=index, point=(x, y))
        finders = person_eyes(eyes)
        try:
            found = find_subject(pictures, name, phrases, finders, which=which, options=CutOutOptions(), face_margin=margin)
        finally:
            release(finders)
        views = face.views if face else _views(found)
        subject = Subject(
            name=name,
            face=views[0] if views else None,
            more_views=views[1:],
            attributes=(*found.subject.attributes, *connected),
            tag=tag_of(tag),
            occurrence=occurrence or None,
            strength=strength,
            face_strength=face.strength if face else 1.0,
        )
        shown = [(view.picture, found.marks(number)) for number, view in enumerate(found.views)]
        sheet = image_of([person_sheet(shown, subject, found.text)])
        return io.NodeOutput(subject, sheet, found.text, ui=ShownPictures(sheet, image, cls))


def _views(found: "FoundSubject") -> tuple:
    return () if found.subject.face is None else (found.subject.face, *found.subject.more_views)
