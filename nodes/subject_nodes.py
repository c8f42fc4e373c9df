"""The nodes that make a person out of a face and what belongs to it, and that keep people for other workflows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from comfy_api.latest import io, ui

from lumosx_core.errors import InputError, quoted
from lumosx_core.files.images import save_image
from lumosx_core.references import MAX_STRENGTH, ReferenceSet, Subject

from .comfy_samples import new_subject, saved_subject, saved_subjects
from .file_states import state_of
from .image_tensors import image_of
from .io_types import Face, FaceReference, SubjectSocket
from .node_inputs import checked_inputs
from .reference_inputs import attributes_input, phrase_inputs, strength_input, tag_of
from .search_aliases import SAME_PERSON, search_aliases


class SubjectNode(io.ComfyNode):
    """One person: a name in the prompt, a face, and what belongs to that person."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="LumosXSubject",
            display_name="LumosX Subject",
            category="LumosX",
            description="Binds a face and attributes to one person of the prompt.",
            inputs=[
                io.String.Input(
                    "name",
                    default="",
                    placeholder="man",
                    tooltip="The words that stand for the person in the prompt, such as man or the young woman. Only a subject "
                    "without a face may do without.",
                ),
                Face.Input("face", optional=True, tooltip="From LumosX Face Reference."),
                attributes_input(
                    "attributes",
                    "What belongs to this person: from LumosX Attribute Reference. LumosX was trained with up to 3.",
                ),
                *phrase_inputs(),
                strength_input("all pictures of this person, beside what each has of its own"),
            ],
            outputs=[SubjectSocket.Output(display_name="subject", tooltip="For LumosX Relation Graph.")],
            **search_aliases("person", "identity", "character", *SAME_PERSON),
        )

    @classmethod
    @checked_inputs
    def execute(
        cls,
        name: str,
        face: FaceReference | None = None,
        attributes: io.Autogrow.Type | None = None,
        tag: str = "",
        occurrence: int = 0,
        strength: float = 1.0,
    ) -> io.NodeOutput:
        """A `Subject`; attributes in the order of their sockets. Raises InputError as `Subject` does."""
        views = face.views if face else ()
        connected = tuple(item for item in (attributes or {}).values() if item is not None)
        return io.NodeOutput(
            Subject(
                name=name,
                face=views[0] if views else None,
                more_views=views[1:],
                attributes=connected,
                tag=tag_of(tag),
                occurrence=occurrence or None,
                strength=strength,
                face_strength=face.strength if face else 1.0,
            )
        )


class SaveSubject(io.ComfyNode):
    """Keeps a person in the library."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="LumosXSaveSubject",
            display_name="LumosX Save Subject",
            category="LumosX",
            description="Keeps a person, with face, attributes and words, in ComfyUI's input/lumosx/subjects/, for other "
            "workflows. It is a plain folder of pictures that can be copied into a sample folder.",
            inputs=[
                SubjectSocket.Input("subject", tooltip="From LumosX Subject."),
                io.String.Input("save_as", default="", placeholder="anna", tooltip="Name in the list of LumosX Load Subject."),
                io.Boolean.Input(
                    "overwrite", default=False, tooltip="Replace a person saved under that name before. Off: stop instead."
                ),
            ],
            outputs=[
                SubjectSocket.Output(display_name="subject", tooltip="The same person, for LumosX Relation Graph."),
                io.Image.Output(display_name="picture", tooltip="All pictures of the person; also kept beside the folder."),
            ],
            is_output_node=True,
            **search_aliases("save character", "library", "person"),
        )

    @classmethod
    @checked_inputs
    def execute(cls, subject: Subject, save_as: str, overwrite: bool) -> io.NodeOutput:
        """The person and a picture. Raises InputError for a name that is none, or that somebody else is saved under."""
        from lumosx_core.drawing.contact_sheet import reference_panel
        from lumosx_core.sample_folder import write_subject

        folder = new_subject(save_as)
        picture_file = folder.with_name(f"{folder.name}.png")
        if picture_file.is_dir():
            raise InputError(f"{picture_file} is a folder, but the picture of the person goes there; save under another name")
        if not (folder.is_dir() and _is_saved(subject, folder)):
            if folder.exists() and not overwrite:
                raise InputError(
                    f"somebody else is saved as {quoted(save_as.strip())}; switch overwrite on, or save under another name"
                )
            write_subject(folder, subject, overwrite=overwrite)
        panel = reference_panel(ReferenceSet(subjects=(subject,)))
        save_image(panel, picture_file)
        picture = image_of([panel])
        return io.NodeOutput(subject, picture, ui=ui.PreviewImage(picture, cls=cls))

    @classmethod
    def fingerprint_inputs(cls, save_as: str, **_: Any) -> str:
        """Changes when the folder is gone."""
        return str(new_subject(save_as).exists())


class LoadSubject(io.ComfyNode):
    """A person out of the library."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="LumosXLoadSubject",
            display_name="LumosX Load Subject",
            category="LumosX",
            description="A person that LumosX Save Subject has kept, or a folder of pictures in input/lumosx/subjects/.",
            inputs=[
                io.Combo.Input("subject", options=saved_subjects(), tooltip="Who. Reload the page for new ones."),
                io.String.Input(
                    "name",
                    default="",
                    optional=True,
                    tooltip="The words that stand for the person in this prompt. Empty: those it was saved with.",
                ),
                *phrase_inputs(),
                strength_input("all pictures of this person, beside what was saved"),
            ],
            outputs=[
                SubjectSocket.Output(display_name="subject", tooltip="For LumosX Relation Graph."),
                io.Image.Output(display_name="picture", tooltip="All pictures of the person."),
            ],
            is_output_node=True,
            **search_aliases("load character", "library", "person"),
        )

    @classmethod
    @checked_inputs
    def execute(cls, subject: str, name: str = "", tag: str = "", occurrence: int = 0, strength: float = 1.0) -> io.NodeOutput:
        """The person and a picture; what is given replaces what was saved. Raises InputError as `read_subject` does."""
        from lumosx_core.drawing.contact_sheet import reference_panel
        from lumosx_core.sample_folder import read_subject

        saved = read_subject(saved_subject(subject))
        if saved.strength * strength > MAX_STRENGTH:
            raise InputError(
                f"strength {strength:g} times the {saved.strength:g} that {quoted(subject)} was saved with is more than "
                f"{MAX_STRENGTH:g}; give at most {MAX_STRENGTH / saved.strength:.3g}"
            )
        person = replace(
            saved,
            name=name.strip() or saved.name,
            tag=tag_of(tag) or saved.tag,
            occurrence=occurrence or saved.occurrence,
            strength=saved.strength * strength,
        )
        picture = image_of([reference_panel(ReferenceSet(subjects=(person,)))])
        return io.NodeOutput(person, picture, ui=ui.PreviewImage(picture, cls=cls))

    @classmethod
    def fingerprint_inputs(cls, subject: str, **_: Any) -> str:
        """Changes when a file of the folder does."""
        return state_of(saved_subject(subject))


def _is_saved(subject: Subject, folder: Path) -> bool:
    from lumosx_core.sample_folder import read_subject

    try:
        return read_subject(folder) == subject
    except InputError:  # something else lies there
        return False
