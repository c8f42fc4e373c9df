"""The node that shows several seeds side by side: whose things are on whom is judged by more than one video."""

from typing import Any

import numpy as np
import torch
from comfy_api.latest import io, ui

from lumosx_core.errors import InputError
from lumosx_core.model.relational_attention import PoolLayout
from lumosx_core.model.relational_options import BlankTokens, NegativeReferences, NegativeSpans

from .comfy_prompts import check_prompts
from .comfy_references import check_vae
from .comfy_sampling import check_latent
from .image_tensors import image_of, pictures_of
from .io_types import EncodedReferences, GraphSocket, ReferencesSocket, RelationGraph
from .node_inputs import checked_inputs
from .sampling_inputs import relation_inputs, shift_input, solver_input, steps_input
from .sampling_nodes import Sampler
from .search_aliases import search_aliases
from .written_prompts import prompts_into

MOST = 16  # seeds of one sheet
LARGEST_SEED = 0xFFFFFFFFFFFFFFFF
MEASURED = "record_attention"  # of one run, so not of several


class Seeds(io.ComfyNode):
    """Several seeds from the same graph, and a contact sheet of them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="LumosXSeeds",
            display_name="LumosX Seeds",
            category="LumosX",
            description="Samples the same graph with several seeds and shows them side by side: the references at the left, a "
            "row of frames for each seed. Judge by several seeds who wears what; for a cheap first look take few steps and a "
            "small size.",
            inputs=[
                io.Model.Input("model", tooltip="As for LumosX Sampler."),
                GraphSocket.Input("graph", tooltip="From LumosX Relation Graph: the references at the left of the sheet."),
                ReferencesSocket.Input("references", tooltip="From LumosX Encode References, of the same graph."),
                io.Conditioning.Input("positive", tooltip="As for LumosX Sampler: the prompt that the graph gives out."),
                io.Conditioning.Input("negative", tooltip="As for LumosX Sampler; may be empty text."),
                io.Latent.Input("latent", tooltip="From LumosX Encode References: one video, which every seed makes anew."),
                io.Vae.Input("vae", tooltip="Decodes the videos for the sheet."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=LARGEST_SEED,
                    control_after_generate=True,
                    tooltip="The first seed; the others count on from it. LumosX Sampler gives the same video for one of them.",
                ),
                io.Int.Input("seeds", default=4, min=1, max=MOST, tooltip="How many; one is sampled after the other."),
                steps_input("Released weights: 50, for a first look 15 to 20. Nano: 16."),
                io.Float.Input(
                    "cfg", default=6.0, min=1.0, max=30.0, step=0.1, tooltip="As for LumosX Sampler. Released: 6. Nano: 3."
                ),
                shift_input("Released weights: 8. Nano: 3."),
                solver_input("as published"),
                *(item for item in relation_inputs() if item.id != MEASURED),
            ],
            outputs=[
                io.Image.Output(display_name="picture", tooltip="The contact sheet."),
                io.Latent.Output(display_name="latent", tooltip="All videos as one batch, in the order of the seeds."),
            ],
            is_output_node=True,
            hidden=[io.Hidden.prompt, io.Hidden.unique_id],  # to see which prompt is encoded
            **search_aliases("several seeds", "compare", "contact sheet", "grid"),
        )

    @classmethod
    @checked_inputs
    def execute(
        cls,
        model: Any,
        graph: RelationGraph,
        references: EncodedReferences,
        positive: Any,
        negative: Any,
        latent: dict,
        vae: Any,
        seed: int,
        seeds: int,
        steps: int,
        cfg: float,
        shift: float,
        solver: str,
        causal_self_attention_mask: bool = True,
        relational_positions: bool = True,
        ratio: float = 0.5,
        pool_layout: PoolLayout = "released",
        negative_spans: NegativeSpans = "positive",
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        attention: str = "host",
        negative_references: NegativeReferences = "kept",
        blank_tokens: BlankTokens = "keep",
        reference_refresh: int = 1,
    ) -> io.NodeOutput:
        """The sheet [1, H, W, 3] and a LATENT [seeds, 16, T, h, w]. Raises InputError as LumosX Sampler does, for a batch of
        latents, a VAE that is not Wan2.1's, and references of another graph."""
        from lumosx_core.drawing.seed_sheet import seed_sheet

        check_vae(vae)
        check_latent(latent, references)
        check_prompts(prompts_into(cls.hidden.prompt, cls.hidden.unique_id, ("positive",)) if cls.hidden else [], references)
        if len(latent["samples"]) != 1:
            raise InputError(f"the latent is a batch of {len(latent['samples'])}, expected one video; every seed makes it anew")
        if references.kinds != tuple(reference.kind for reference in graph.bound.references):
            raise InputError("the references are not of this graph; connect the graph that went into LumosX Encode References")
        switches = (
            causal_self_attention_mask,
            relational_positions,
            ratio,
            pool_layout,
            negative_spans,
            start_percent,
            end_percent,
        )
        found, videos = [], []
        for number in [(seed + k) % (LARGEST_SEED + 1) for k in range(seeds)]:
            sampled, _ = Sampler.execute(
                model,
                references,
                positive,
                negative,
                latent,
                number,
                steps,
                cfg,
                shift,
                solver,
                *switches,
                attention,
                False,
                negative_references,
                blank_tokens,
                reference_refresh,
            ).args
            found.append(sampled["samples"])
            videos.append((number, _frames(vae.decode(sampled["samples"]))))
        picture = image_of([seed_sheet(graph.references, videos, prompt=graph.bound.prompt)])
        return io.NodeOutput(picture, {**latent, "samples": torch.cat(found)}, ui=ui.PreviewImage(picture, cls=cls))


def _frames(decoded: torch.Tensor) -> np.ndarray:
    """uint8 [F, H, W, 3] of what a VAE gives out, [1, F, H, W, 3] or [F, H, W, 3]."""
    frames = decoded.reshape(-1, *decoded.shape[-3:])
    return np.stack([np.asarray(picture.convert("RGB")) for picture in pictures_of(frames)])
