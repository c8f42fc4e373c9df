"""Nodes that show what the model makes of the references."""

import numpy as np
import torch
from comfy_api.latest import io, ui
from PIL import Image

from lumosx_core.drawing.palette import PAPER
from lumosx_core.errors import InputError
from lumosx_core.model.attention_shares import AttentionRecord
from lumosx_core.model.token_layout import TokenLayout

from .image_tensors import image_of, pictures_of
from .io_types import AttentionSocket, EncodedReferences, GraphSocket, ReferencesSocket, RelationGraph
from .node_inputs import checked_inputs
from .search_aliases import search_aliases


class Inspect(io.ComfyNode):
    """The masks of the method, and after a run where the video looked at whose references."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="LumosXInspect",
            display_name="LumosX Inspect",
            category="LumosX",
            description="Shows which tokens may look at which, and which words each picture is drawn to or kept from. With a "
            "record of attention also where in the frames each subject's references were looked at, and how much.",
            inputs=[
                GraphSocket.Input("graph", tooltip="From LumosX Relation Graph."),
                ReferencesSocket.Input("references", tooltip="From LumosX Encode References, of the same graph."),
                AttentionSocket.Input(
                    "attention",
                    optional=True,
                    tooltip="From LumosX Sampler or LumosX Apply with record_attention on. After LumosX Apply, connect frames "
                    "too: they make this node wait for the sampling.",
                ),
                io.Image.Input("frames", optional=True, tooltip="The decoded video of the same run, to draw attention on."),
            ],
            outputs=[io.Image.Output(display_name="picture", tooltip="Masks on top, attention below.")],
            is_output_node=True,
            **search_aliases("attention map", "mask", "debug"),
        )

    @classmethod
    @checked_inputs
    def execute(
        cls,
        graph: RelationGraph,
        references: EncodedReferences,
        attention: AttentionRecord | None = None,
        frames: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """An IMAGE of one picture. Raises InputError if the inputs come from different graphs or runs."""
        from lumosx_core.drawing.attention import draw_attention

        pictures = [_masks(graph, references, None if attention is None else attention.layout)]
        if attention is not None:
            video = None if frames is None else np.stack([np.asarray(p.convert("RGB")) for p in pictures_of(frames)])
            pictures.append(draw_attention(graph.references, attention, video))
        image = image_of([_stacked(pictures)])
        return io.NodeOutput(image, ui=ui.PreviewImage(image, cls=cls))


def _masks(graph: RelationGraph, references: EncodedReferences, sampled: TokenLayout | None) -> Image.Image:
    """The masks of the run with the layout `sampled`; without one, the published ones."""
    from lumosx_core.drawing.masks import draw_masks

    bound = graph.bound
    if references.kinds != tuple(reference.kind for reference in bound.references):
        raise InputError(
            f"the graph has {len(bound.references)} pictures and the references {len(references.kinds)}, or in another order; "
            "connect the graph that went into LumosX Encode References"
        )
    height, width = references.latents.shape[-2:]
    grid = (references.frames, height // 2, width // 2)
    layout = TokenLayout.for_references(grid, bound.references)
    if sampled is not None and (sampled.kinds, sampled.subjects) == (layout.kinds, layout.subjects):
        layout = sampled
    return draw_masks(graph.references, bound, layout, references.levels, graph.tokenizer)


def _stacked(pictures: list[Image.Image]) -> Image.Image:
    """One below the other, at the left edge."""
    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), PAPER)
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet
