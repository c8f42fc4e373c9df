"""Nodes that turn noise into a video: the published schedule and solvers."""

from comfy_api.latest import io

from lumosx_core.sampling.schedule import flow_sigmas
from lumosx_core.sampling.solver import SOLVERS

from .comfy_bridge import host_sampler


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
                io.Int.Input("steps", default=50, min=1, max=1000, tooltip="Sampling steps. Published: 50."),
                io.Float.Input(
                    "shift", default=8.0, min=0.01, max=100.0, step=0.1,
                    tooltip="Higher: more steps at high noise, where it is decided who wears what. 8 for the released "
                    "1.3B weights, 3 for the nano model. It replaces ModelSamplingSD3's shift.",
                ),
            ],
            outputs=[io.Sigmas.Output(display_name="sigmas", tooltip="steps + 1 noise levels, from 1 down to 0.")],
        )  # fmt: skip

    @classmethod
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
            inputs=[
                io.Combo.Input(
                    "solver", options=list(SOLVERS), default="dpmpp_2m",
                    tooltip="dpmpp_2m: DPM-Solver++ (2M) for flow models, as published. unipc: often as good in fewer "
                    "steps. euler: the plain one.",
                )
            ],
            outputs=[io.Sampler.Output(display_name="sampler", tooltip="For SamplerCustom's sampler input.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, solver: str) -> io.NodeOutput:
        """A SAMPLER."""
        return io.NodeOutput(host_sampler(SOLVERS[solver]))
