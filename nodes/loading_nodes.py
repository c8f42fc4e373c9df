"""Nodes that load what is embedded in the pack: the nano model and sample folders."""

from typing import Any

from comfy_api.latest import io, ui

from lumosx_core.errors import InputError
from lumosx_core.files.images import open_image
from lumosx_core.references import Sample

from .comfy_samples import sample_folder, sample_folders, sample_photographs
from .comfy_tokenizer import host_prompt
from .file_states import state_of
from .image_tensors import image_of
from .io_types import SampleSocket, SceneSocket, SubjectSocket
from .node_inputs import checked_inputs
from .search_aliases import search_aliases
from .written_prompts import is_taken

SUBJECTS, OBJECTS = 3, 3  # single outputs of the sample node
PARTS = (0, 1, 2, 3, 7, 8)  # their numbers


class Nano(io.ComfyNode):
    """The embedded nano model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Outputs; there is nothing to choose."""
        return io.Schema(
            node_id="LumosXNano",
            display_name="LumosX Nano",
            category="LumosX",
            description="A tiny LumosX model of a puppet world that comes with this pack, for trying workflows on any machine "
            "in seconds: 96 x 80 pixels, 17 frames, 16 steps, cfg 3, shift 3. Connect these numbers instead of typing them. "
            "It knows nothing but puppets.",
            inputs=[],
            outputs=[
                io.Model.Output(display_name="model", tooltip="For LumosX Sampler or LumosX Apply; its schedule has shift 3."),
                io.Clip.Output(display_name="clip", tooltip="For LumosX Relation Graph and CLIP Text Encode."),
                io.Vae.Output(display_name="vae", tooltip="For LumosX Encode References and VAE Decode."),
                io.Int.Output(display_name="width", tooltip="Pixels, for LumosX Encode References."),
                io.Int.Output(display_name="height", tooltip="Pixels, for LumosX Encode References."),
                io.Int.Output(display_name="length", tooltip="Frames, for LumosX Encode References."),
                io.Int.Output(display_name="steps", tooltip="For LumosX Sampler or LumosX Scheduler."),
                io.Float.Output(display_name="cfg", tooltip="For LumosX Sampler or SamplerCustom."),
                io.Float.Output(display_name="shift", tooltip="For LumosX Sampler or LumosX Scheduler."),
            ],
            **search_aliases("tiny model", "demo"),
        )

    @classmethod
    @checked_inputs
    def execute(cls) -> io.NodeOutput:
        """MODEL, CLIP and VAE, and the numbers that the model was made for: width, height, frames, steps, cfg, shift."""
        from lumosx_core.sampling.config import read_defaults
        from lumosx_core.sampling.pipeline import NANO_FOLDER

        from .comfy_models import nano_models

        made_for = read_defaults(NANO_FOLDER)
        size = (made_for.width, made_for.height, made_for.frames)
        return io.NodeOutput(*nano_models(NANO_FOLDER), *size, made_for.steps, made_for.cfg, made_for.shift)


class SampleFolder(io.ComfyNode):
    """A sample folder, taken apart into what the relation graph takes in."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="LumosXSampleFolder",
            display_name="LumosX Sample Folder",
            category="LumosX",
            description="Reads a sample folder: a caption and pictures of subjects, objects and background. Put your own below "
            "ComfyUI's input/lumosx/. Connect sample to LumosX Relation Graph: it is all of it; or take single parts.",
            inputs=[
                io.Combo.Input(
                    "sample",
                    options=list(sample_folders()),
                    tooltip="The embedded samples of the puppet world, and your folders: input/lumosx/<name>/caption.txt, "
                    "subjects/1/face_<name>.png, subjects/1/<attribute>.png, objects/<phrase>.png, background/<phrase>.png.",
                )
            ],
            outputs=[
                *(
                    SubjectSocket.Output(display_name=f"subject_{number}", tooltip="A person, or nothing.")
                    for number in range(1, SUBJECTS + 1)
                ),
                SceneSocket.Output(display_name="object_1", tooltip="A thing that belongs to nobody, or nothing."),
                SceneSocket.Output(display_name="background", tooltip="Where it happens, or nothing."),
                io.String.Output(display_name="prompt", tooltip="The caption, for LumosX Relation Graph."),
                io.Image.Output(display_name="picture", tooltip="All pictures of the sample, by owner."),
                *(
                    SceneSocket.Output(
                        display_name=f"object_{number}", tooltip="A further thing that belongs to nobody, or nothing."
                    )
                    for number in range(2, OBJECTS + 1)
                ),
                SampleSocket.Output(display_name="sample", tooltip="All of it with its caption, for LumosX Relation Graph."),
            ],
            is_output_node=True,
            hidden=[io.Hidden.prompt, io.Hidden.unique_id],  # to see whether all of it is taken, or single parts
            **search_aliases("example", "load sample", "reference folder"),
        )

    @classmethod
    @checked_inputs
    def execute(cls, sample: str) -> io.NodeOutput:
        """Three subjects, an object, background (each may be None), prompt, picture, two further objects, the whole sample.

        Raises InputError for a folder that is no sample, and for one that has more than the single outputs where one of them
        is connected.
        """
        from lumosx_core.drawing.contact_sheet import reference_panel
        from lumosx_core.sample_folder import read_sample

        content = read_sample(sample_folder(sample))
        references = content.references
        if not cls.hidden or any(is_taken(cls.hidden.prompt, cls.hidden.unique_id, part) for part in PARTS):
            _check_counts(sample, content)
        picture = image_of([reference_panel(references)])
        first, *more = _filled(references.objects, OBJECTS)
        parts = (*_filled(references.subjects, SUBJECTS), first, references.background)
        whole = (host_prompt(content.prompt), picture, *more, content)
        return io.NodeOutput(*parts, *whole, ui=ui.PreviewImage(picture, cls=cls))

    @classmethod
    def fingerprint_inputs(cls, sample: str) -> str:
        """Changes when a file of the folder does."""
        return state_of(sample_folder(sample))


class SamplePhoto(io.ComfyNode):
    """A photograph of the puppet world, for trying the nodes that look at photographs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Input and output."""
        return io.Schema(
            node_id="LumosXSamplePhoto",
            display_name="LumosX Sample Photo",
            category="LumosX",
            description="A picture of people of the puppet world that comes with this pack, for trying LumosX Person and the "
            "nano model. Your own photographs come from Load Image.",
            inputs=[
                io.Combo.Input("photo", options=list(sample_photographs()), tooltip="Which of the embedded photographs."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="For LumosX Person, with its eyes set to puppets.")],
            is_output_node=True,  # its preview stays after a reload, and it can be run alone
            **search_aliases("example picture", "load image"),
        )

    @classmethod
    @checked_inputs
    def execute(cls, photo: str) -> io.NodeOutput:
        """The picture [1, H, W, 3]."""
        shown = image_of([open_image(sample_photographs()[photo])])
        return io.NodeOutput(shown, ui=ui.PreviewImage(shown, cls=cls))


def _filled(items: tuple, count: int) -> list[Any]:
    return [*items[:count], *[None] * (count - len(items))]


def _check_counts(name: str, sample: Sample) -> None:
    for what, items, most in (
        ("subjects", sample.references.subjects, SUBJECTS),
        ("objects", sample.references.objects, OBJECTS),
    ):
        if len(items) > most:
            raise InputError(
                f"the sample {name!r} has {len(items)} {what}, this node has single outputs for {most}; connect its output "
                "sample to the input sample of LumosX Relation Graph instead"
            )
