"""Nodes that settle who owns which pictures and words, and encode the pictures."""

import logging
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io, ui

from lumosx_core.drawing.relation_graph import draw_relation_graph
from lumosx_core.errors import InputError
from lumosx_core.model.pixels import blank_tokens
from lumosx_core.model.token_layout import text_levels
from lumosx_core.references import ReferenceSet, Sample, SceneReference, prepared_pictures
from lumosx_core.text_spans import bind_prompt

from .advanced_inputs import ADVANCED
from .comfy_node_text import show_text
from .comfy_references import empty_latent, encode_references, is_small
from .comfy_tokenizer import host_prompt, plain_prompt, prompt_tokenizer
from .image_tensors import image_of
from .io_types import EncodedReferences, GraphSocket, ReferencesSocket, RelationGraph, SampleSocket, SceneSocket, SubjectSocket
from .node_inputs import checked_inputs
from .search_aliases import VIDEO_OF_REFERENCES, search_aliases
from .told_work import checked_size, nano_warning, told_work

if TYPE_CHECKING:
    from lumosx_core.sampling.config import OnProblem

log = logging.getLogger(__name__)

MOST = 6  # subjects, and objects, of one graph


class RelationGraphNode(io.ComfyNode):
    """Binds the words of a prompt to the subjects, objects and background that own them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        subject = SubjectSocket.Input("subject", tooltip="A person with face and attributes, from LumosX Subject.")
        thing = SceneSocket.Input("object", tooltip="A thing that belongs to nobody, from LumosX Scene Reference.")
        return io.Schema(
            node_id="LumosXRelationGraph",
            display_name="LumosX Relation Graph",
            category="LumosX",
            description="Settles which subject owns which words of the prompt, and shows it. Give the prompt that comes out "
            "to CLIP Text Encode, and the graph to LumosX Encode References.",
            inputs=[
                io.Autogrow.Input(
                    "subjects",
                    template=io.Autogrow.TemplateNames(subject, names=_names("subject"), min=0),
                    tooltip="The people of the video, at most 6. A new input appears when the last one is connected.",
                ),
                io.Autogrow.Input(
                    "objects",
                    template=io.Autogrow.TemplateNames(thing, names=_names("object"), min=0),
                    tooltip="Things that belong to nobody, at most 6.",
                ),
                io.Clip.Input("clip", tooltip="Wan's text encoder (umt5_xxl, type wan): its tokens are what words own."),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    dynamic_prompts=True,
                    tooltip="Every phrase of a subject must stand in it, word by word. Or write @1, @2 for the subjects, "
                    "@tag for a tag and @tag.hat for an attribute. \\( and \\) are plain parentheses; weights such as "
                    "(man:1.2) are refused.",
                ),
                SceneSocket.Input("background", optional=True, tooltip="Where it happens: one picture and its words."),
                io.Combo.Input(
                    "on_problem",
                    options=["error", "warn"],
                    default="error",
                    optional=True,
                    tooltip="A phrase that is not in the prompt, or that two subjects share without saying which place is "
                    "whose: error stops here and says what to do; warn leaves such a picture without words.",
                    extra_dict=ADVANCED,
                ),
                SampleSocket.Input(
                    "sample",
                    optional=True,
                    tooltip="All of a LumosX Sample Folder; people and things that are connected above come after its own, a "
                    "background above replaces its own. While the prompt is empty, its caption counts.",
                ),
            ],
            outputs=[
                GraphSocket.Output(display_name="graph", tooltip="Who owns which pictures and words."),
                io.String.Output(display_name="prompt", tooltip="The prompt with its tags replaced, for CLIP Text Encode."),
                io.Image.Output(display_name="picture", tooltip="The graph as a picture: words and owners in colour."),
            ],
            is_output_node=True,
            **search_aliases("multi subject", "identity", "relation", "bind prompt"),
        )

    @classmethod
    @checked_inputs
    def execute(
        cls,
        clip: Any,
        prompt: str,
        subjects: dict | None = None,
        objects: dict | None = None,
        background: SceneReference | None = None,
        on_problem: "OnProblem" = "error",
        sample: Sample | None = None,
    ) -> io.NodeOutput:
        """Graph, prompt and picture. Raises InputError for a graph without any picture, a CLIP that is not Wan's, prompts with
        weights, and (on_problem "error") phrases whose words nobody can tell."""
        from .words_while_typing import remember

        whole = sample.references if sample else ReferenceSet()
        references = ReferenceSet(
            subjects=(*whole.subjects, *_connected(subjects)),
            objects=(*whole.objects, *_connected(objects)),
            background=background or whole.background,
        )
        if not references.references():
            raise InputError(
                "the relation graph has no picture: neither a subject nor an object nor a background; connect one, or use "
                "the model without LumosX nodes for a video from text alone"
            )
        reader = prompt_tokenizer(clip)
        remember(reader)
        bound = bind_prompt(
            sample.prompt if sample and not prompt.strip() else plain_prompt(prompt),
            references,
            reader.tokenizer,
            text_len=reader.text_len,
            on_problem=on_problem,
        )
        picture = image_of([draw_relation_graph(references, bound)])
        graph = RelationGraph(references=references, bound=bound, tokenizer=reader.tokenizer)
        return io.NodeOutput(graph, host_prompt(bound.prompt), picture, ui=ui.PreviewImage(picture, cls=cls))


class EncodeReferences(io.ComfyNode):
    """Reference pictures as latents, with an empty latent of the same size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="LumosXEncodeReferences",
            display_name="LumosX Encode References",
            category="LumosX",
            description="Encodes the pictures of a relation graph at the size of the video, and makes the empty latent.",
            inputs=[
                GraphSocket.Input("graph", tooltip="From LumosX Relation Graph."),
                io.Vae.Input("vae", tooltip="Wan2.1's VAE (wan_2.1_vae)."),
                io.Int.Input(
                    "width",
                    default=832,
                    min=16,
                    max=4096,
                    step=16,
                    tooltip="Width of the video, pixels, a multiple of 16. Released weights: 832. Nano: 96.",
                ),
                io.Int.Input(
                    "height",
                    default=480,
                    min=16,
                    max=4096,
                    step=16,
                    tooltip="Height of the video, pixels, a multiple of 16. Released weights: 480. Nano: 80.",
                ),
                io.Int.Input(
                    "length",
                    default=81,
                    min=1,
                    max=1001,
                    step=4,
                    tooltip="Frames of the video, 4n + 1. Released weights: 81 (5 s at 16 fps). Nano: 17.",
                ),
            ],
            outputs=[
                ReferencesSocket.Output(display_name="references", tooltip="For LumosX Sampler or LumosX Apply."),
                io.Latent.Output(display_name="latent", tooltip="An empty latent of this size, for the sampler."),
            ],
            hidden=[io.Hidden.unique_id],  # to show in it what the video will cost
            **search_aliases("reference latents", "wan reference", *VIDEO_OF_REFERENCES),
        )

    @classmethod
    @checked_inputs
    def execute(cls, graph: RelationGraph, vae: Any, width: int, height: int, length: int) -> io.NodeOutput:
        """`EncodedReferences` and a LATENT [1, 16, T, h, w]; shows an estimate of the work in the node, and a warning where the
        nano model's VAE meets a size that nano was not made for. Raises InputError for sizes that Wan cannot do and for a VAE
        that is not Wan2.1's."""
        size = checked_size(width, height, length)
        lines = [told_work(size, graph.bound.references)]
        if is_small(vae) and (warning := nano_warning(size)):
            log.warning(warning)
            lines.insert(0, warning)
        show_text("\n".join(lines), cls.hidden.unique_id if cls.hidden else None)
        empty = empty_latent(size)
        bound = graph.bound
        pictures = prepared_pictures(graph.references.references(), size.width, size.height)
        tokens = len(bound.token_ids) + 1  # with the end token; the bridge pads the levels to what the model reads
        encoded = EncodedReferences(
            latents=encode_references(vae, pictures),
            kinds=tuple(reference.kind for reference in bound.references),
            subjects=tuple(reference.subject for reference in bound.references),
            levels=text_levels(bound.references, tokens),
            frames=empty.shape[2],
            token_ids=bound.token_ids,
            tokenizer=graph.tokenizer,
            strengths=tuple(reference.strength for reference in bound.references),
            blank=tuple(map(blank_tokens, pictures)),
        )
        return io.NodeOutput(encoded, {"samples": empty})


def _names(prefix: str) -> list[str]:
    return [f"{prefix}_{number}" for number in range(1, MOST + 1)]


def _connected(inputs: dict | None) -> tuple:
    """What is connected to a growing input, in the order of its names; a sample with fewer subjects leaves some empty."""
    return tuple(value for _, value in sorted((inputs or {}).items()) if value is not None)
