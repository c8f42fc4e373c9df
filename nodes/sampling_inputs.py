"""Inputs that several sampling nodes have."""

from comfy_api.latest import io

from lumosx_core.sampling.solver import SOLVERS

from .advanced_inputs import ADVANCED


def steps_input(tooltip: str) -> io.Input:
    """How many steps; 50 as published."""
    return io.Int.Input("steps", default=50, min=1, max=1000, tooltip=tooltip)


def shift_input(values: str) -> io.Input:
    """The shift of the schedule. values: which one is for what."""
    tooltip = f"Higher: more steps at high noise, where it is decided who wears what. {values}"
    return io.Float.Input("shift", default=8.0, min=0.01, max=100.0, step=0.1, tooltip=tooltip)


def solver_input(published: str) -> io.Input:
    """One of the core's solvers."""
    tooltip = f"dpmpp_2m: {published}. unipc: often as good in fewer steps. euler: the plain one."
    return io.Combo.Input("solver", options=list(SOLVERS), default="dpmpp_2m", tooltip=tooltip)


def relation_inputs() -> list[io.Input]:
    """The switches of the method; left alone they are the published one."""
    return [
        io.Boolean.Input(
            "causal_self_attention_mask",
            default=True,
            optional=True,
            extra_dict=ADVANCED,
            tooltip="References look only at their own subject. Off: everything looks at everything, and people blend.",
        ),
        io.Boolean.Input(
            "relational_positions",
            default=True,
            optional=True,
            extra_dict=ADVANCED,
            tooltip="The pictures of one subject share a place in time. Off: every picture has its own.",
        ),
        io.Float.Input(
            "ratio",
            default=0.5,
            min=0.0,
            max=2.0,
            step=0.05,
            optional=True,
            extra_dict=ADVANCED,
            tooltip="How strongly pictures are drawn to their own words and kept from others'. Published: 0.5; 0 is off.",
        ),
        io.Combo.Input(
            "pool_layout",
            options=["released", "aligned"],
            default="released",
            optional=True,
            extra_dict=ADVANCED,
            tooltip="released: as the published weights were trained. aligned: every place reads its own score.",
        ),
        io.Combo.Input(
            "negative_spans",
            options=["positive", "none"],
            default="positive",
            optional=True,
            extra_dict=ADVANCED,
            tooltip="positive: the negative prompt's pass keeps the places of the prompt's words, as published. none: it has "
            "no such places.",
        ),
        io.Float.Input(
            "start_percent",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            optional=True,
            extra_dict=ADVANCED,
            tooltip="From which part of the sampling on the references are there.",
        ),
        io.Float.Input(
            "end_percent",
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.01,
            optional=True,
            extra_dict=ADVANCED,
            tooltip="Until which part of the sampling they are there; after it the model sees text alone.",
        ),
        io.Combo.Input(
            "attention",
            options=["host", "sage", "sdpa"],
            default="host",
            optional=True,
            extra_dict=ADVANCED,
            tooltip="host: what ComfyUI was started with. sage: SageAttention, if it is installed. sdpa: PyTorch's own.",
        ),
        io.Boolean.Input(
            "record_attention",
            default=False,
            optional=True,
            extra_dict=ADVANCED,
            tooltip="Record where the video looks at each subject's references, for LumosX Inspect. Costs a few percent "
            "more time.",
        ),
        io.Combo.Input(
            "negative_references",
            options=["kept", "blank"],
            default="kept",
            optional=True,
            extra_dict=ADVANCED,
            tooltip="kept: the negative prompt's pass sees the references, as published. blank: it sees blank ones, so that "
            "cfg strengthens what the references show too; for weights trained for that, as the nano model is.",
        ),
        io.Combo.Input(
            "blank_tokens",
            options=["keep", "drop"],
            default="keep",
            optional=True,
            extra_dict=ADVANCED,
            tooltip="keep: as published. drop: parts of the pictures that show nothing but white are left out, which saves "
            "time and changes the video a little.",
        ),
        io.Int.Input(
            "reference_refresh",
            default=1,
            min=1,
            max=1000,
            optional=True,
            extra_dict=ADVANCED,
            tooltip="The pictures are computed anew every so many steps. 1: in every step, as published. 4 saves about a tenth "
            "of the time at 81 frames, more in short videos, takes memory and changes the video a little.",
        ),
    ]
