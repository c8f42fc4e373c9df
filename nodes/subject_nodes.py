"""The node that makes a person out of a face and what belongs to it."""

from comfy_api.latest import io

from lumosx_core.references import Subject

from .io_types import AttributeSocket, Face, FaceReference, SubjectSocket
from .node_inputs import checked_inputs
from .reference_inputs import phrase_inputs, tag_of
from .search_aliases import search_aliases

MAX_ATTRIBUTES = 8


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
                io.Autogrow.Input(
                    "attributes",
                    optional=True,
                    template=io.Autogrow.TemplateNames(
                        AttributeSocket.Input("attribute", tooltip="From LumosX Attribute Reference."),
                        names=[f"attribute_{number}" for number in range(1, MAX_ATTRIBUTES + 1)],
                        min=0,
                    ),
                    tooltip="What belongs to this person: from LumosX Attribute Reference. LumosX was trained with up to 3.",
                ),
                *phrase_inputs(),
            ],
            outputs=[SubjectSocket.Output(display_name="subject", tooltip="For LumosX Relation Graph.")],
            **search_aliases("person", "identity", "character"),
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
            )
        )
