"""Nodes that turn noise into a video: a model that sees references, the published schedule and solvers, all in one."""

from typing import Any

from comfy_api.latest import io

from lumosx_core.model.attention_shares import AttentionRecord
from lumosx_core.model.flow import flow_sigmas
from lumosx_core.model.relational_attention import PoolLayout
from lumosx_core.model.relational_options import BlankTokens, NegativeReferences, NegativeSpans
from lumosx_core.sampling.solver import SOLVERS

from .comfy_bridge import PatchOptions, apply_relations
from .comfy_prompts import check_prompts
from .comfy_sampling import check_latent, host_sampler, sample_latent, with_shift
from .io_types import AttentionSocket, EncodedReferences, ReferencesSocket
from .node_inputs import checked_inputs
from .sampling_inputs import relation_inputs, shift_input, solver_input, steps_input
from .search_aliases import VIDEO_OF_REFERENCES, search_aliases
from .written_prompts import prompts_beside, prompts_into


class Scheduler(io.ComfyNode):
    """The noise levels of the published sampler."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="LumosXScheduler",
            display_name="LumosX Scheduler",
            category="LumosX",
            description="The noise schedule that LumosX was trained and published with, for SamplerCustom.",
            inputs=[
                steps_input("Sampling steps. Published: 50."),
                shift_input("8 for the released 1.3B weights, 3 for the nano model. It replaces ModelSamplingSD3's shift."),
            ],
            outputs=[io.Sigmas.Output(display_name="sigmas", tooltip="steps + 1 noise levels, from 1 down to 0.")],
        )

    @classmethod
    @checked_inputs
    def execute(cls, steps: int, shift: float) -> io.NodeOutput:
        """Sigmas [steps + 1]."""
        return io.NodeOutput(flow_sigmas(steps, shift))


class Solver(io.ComfyNode):
    """The published solver as a SAMPLER."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="LumosXSolver",
            display_name="LumosX Solver",
            category="LumosX",
            description="The solver that LumosX was published with, for SamplerCustom. ComfyUI's own dpmpp_2m is another "
            "one and gives worse results with this kind of model.",
            inputs=[solver_input("DPM-Solver++ (2M) for flow models, as published")],
            outputs=[io.Sampler.Output(display_name="sampler", tooltip="For SamplerCustom's sampler input.")],
        )

    @classmethod
    @checked_inputs
    def execute(cls, solver: str) -> io.NodeOutput:
        """A SAMPLER."""
        return io.NodeOutput(host_sampler(SOLVERS[solver]))


class Apply(io.ComfyNode):
    """A MODEL that sees references, for any sampler."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="LumosXApply",
            display_name="LumosX Apply",
            category="LumosX",
            description="Gives a Wan2.1 text-to-video model the references and LumosX's three mechanisms, for SamplerCustom "
            "and others. LumosX Sampler does this by itself.",
            inputs=[
                io.Model.Input("model", tooltip="LumosX 1.3B weights, loaded as a diffusion model, or the nano model."),
                ReferencesSocket.Input("references", tooltip="From LumosX Encode References."),
                *relation_inputs(),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="A copy that sees the references."),
                AttentionSocket.Output(
                    display_name="attention record", tooltip="With record_attention: for LumosX Inspect; filled while sampling."
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.unique_id],  # to see which prompt is encoded
            **search_aliases("patch model", "reference"),
        )

    @classmethod
    @checked_inputs
    def execute(
        cls,
        model: Any,
        references: EncodedReferences,
        causal_self_attention_mask: bool = True,
        relational_positions: bool = True,
        ratio: float = 0.5,
        pool_layout: PoolLayout = "released",
        negative_spans: NegativeSpans = "positive",
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        attention: str = "host",
        record_attention: bool = False,
        negative_references: NegativeReferences = "kept",
        blank_tokens: BlankTokens = "keep",
        reference_refresh: int = 1,
    ) -> io.NodeOutput:
        """A MODEL, and an `AttentionRecord` or None. Raises InputError for other models, for a second set of references, and
        for a sampler behind it whose prompt is not the graph's."""
        check_prompts(prompts_beside(cls.hidden.prompt, cls.hidden.unique_id) if cls.hidden else [], references)
        options = PatchOptions(
            causal_self_attention_mask=causal_self_attention_mask,
            relational_positions=relational_positions,
            ratio=ratio,
            pool_layout=pool_layout,
            negative_spans=negative_spans,
            negative_references=negative_references,
            blank_tokens=blank_tokens,
            reference_refresh=reference_refresh,
            start_percent=start_percent,
            end_percent=end_percent,
            attention=attention,
        )
        record = AttentionRecord() if record_attention else None
        return io.NodeOutput(apply_relations(model, references, options, record), record)


class Sampler(io.ComfyNode):
    """The whole sampling in one node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="LumosXSampler",
            display_name="LumosX Sampler",
            category="LumosX",
            description="Samples a video with references, with the schedule and solver that LumosX was published with.",
            inputs=[
                io.Model.Input("model", tooltip="LumosX 1.3B weights, loaded as a diffusion model, or the nano model."),
                ReferencesSocket.Input("references", tooltip="From LumosX Encode References."),
                io.Conditioning.Input(
                    "positive",
                    tooltip="CLIP Text Encode of the prompt that LumosX Relation Graph gives out: of no other, or "
                    "the words that subjects own are not where they were found.",
                ),
                io.Conditioning.Input("negative", tooltip="CLIP Text Encode of what should not be seen; may be empty text."),
                io.Latent.Input("latent", tooltip="From LumosX Encode References. A batch gives several videos."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Another seed gives another video; the same one gives the same again.",
                ),
                steps_input("Released weights: 50. Nano: 16."),
                io.Float.Input(
                    "cfg",
                    default=6.0,
                    min=1.0,
                    max=30.0,
                    step=0.1,
                    tooltip="How strictly the prompt is followed. Released weights: 6. Nano: 3. 1 leaves the negative prompt "
                    "out and takes half the time.",
                ),
                shift_input("Released weights: 8. Nano: 3. It replaces the model's own and ModelSamplingSD3's."),
                solver_input("as published"),
                *relation_inputs(),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="For VAE Decode."),
                AttentionSocket.Output(display_name="attention record", tooltip="With record_attention: for LumosX Inspect."),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.unique_id],  # to see which prompt is encoded
            **search_aliases("multi subject video", "ksampler", *VIDEO_OF_REFERENCES),
        )

    @classmethod
    @checked_inputs
    def execute(
        cls,
        model: Any,
        references: EncodedReferences,
        positive: Any,
        negative: Any,
        latent: dict,
        seed: int,
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
        record_attention: bool = False,
        negative_references: NegativeReferences = "kept",
        blank_tokens: BlankTokens = "keep",
        reference_refresh: int = 1,
    ) -> io.NodeOutput:
        """A LATENT of clean samples, and an `AttentionRecord` or None. Raises InputError as LumosX Apply does, for a latent
        that is not of the references' size, and for a prompt that is not the graph's."""
        check_latent(latent, references)
        check_prompts(prompts_into(cls.hidden.prompt, cls.hidden.unique_id, ("positive",)) if cls.hidden else [], references)
        patched, record = Apply.execute(
            with_shift(model, shift),
            references,
            causal_self_attention_mask,
            relational_positions,
            ratio,
            pool_layout,
            negative_spans,
            start_percent,
            end_percent,
            attention,
            record_attention,
            negative_references,
            blank_tokens,
            reference_refresh,
        ).args
        out = sample_latent(
            patched,
            latent,
            positive,
            negative,
            sampler=host_sampler(SOLVERS[solver]),
            sigmas=flow_sigmas(steps, shift),
            cfg=cfg,
            seed=seed,
        )
        return io.NodeOutput(out, record)
