"""Nodes that load and convert the weights of the published transformer, from ComfyUI's folder of diffusion models."""

from typing import Any

from comfy_api.latest import io

from lumosx_core.references import LONGEST_PHRASE, check_length

from .comfy_diffusion_models import (
    WEIGHT_TYPES,
    check_transformer,
    diffusion_model_path,
    diffusion_models,
    load_host_model,
    new_model_path,
    relative_name,
    shown_progress,
)
from .file_states import state_of
from .node_inputs import checked_inputs
from .search_aliases import search_aliases

ENTRIES = ("ema", "model")
STORAGE = ("fp16", "bf16", "fp32", "fp8_e4m3fn")  # fp16 first: what ComfyUI computes Wan in


def _source_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "file",
            options=diffusion_models(),
            tooltip="The released LumosX.pt, the folder of a distributed checkpoint, or any file of Wan2.1 text-to-video "
            "weights below ComfyUI's models/diffusion_models.",
        ),
        io.Combo.Input(
            "entry",
            options=list(ENTRIES),
            default=ENTRIES[0],
            tooltip="Which weights, where a file holds two: the running average (ema, as published results) or the last ones "
            "(model). Without effect elsewhere.",
        ),
    ]


class LoadModel(io.ComfyNode):
    """The transformer, from the file that was released, without converting it first."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and the output."""
        return io.Schema(
            node_id="LumosXLoadModel",
            display_name="LumosX Load Model",
            category="LumosX",
            description="Loads the released LumosX weights, or any Wan2.1 text-to-video weights, as they are: .pt, a "
            "distributed checkpoint folder, safetensors. ComfyUI's own weight types and memory handling apply.",
            inputs=[
                *_source_inputs(),
                io.Combo.Input(
                    "weight_dtype",
                    options=list(WEIGHT_TYPES),
                    default="default",
                    tooltip="As in Load Diffusion Model: fp8 takes half the memory of fp16 and is less exact.",
                    optional=True,
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="For LumosX Sampler or LumosX Apply.")],
            **search_aliases("checkpoint", "load diffusion model", "wan"),
        )

    @classmethod
    @checked_inputs
    def execute(cls, file: str, entry: str, weight_dtype: str = "default") -> io.NodeOutput:
        """MODEL. Raises InputError for a file that is gone, damaged or of another model."""
        return io.NodeOutput(load_host_model(diffusion_model_path(file), entry, weight_dtype))

    @classmethod
    def fingerprint_inputs(cls, file: str, **_: Any) -> str:
        """Changes when the file does."""
        return state_of(diffusion_model_path(file))


class ConvertModel(io.ComfyNode):
    """The transformer as one safetensors file, which every loader reads and which is half as large."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and the output."""
        return io.Schema(
            node_id="LumosXConvertModel",
            display_name="LumosX Convert Model",
            category="LumosX",
            description="Writes the released weights once as a safetensors file into models/diffusion_models: smaller, "
            "quicker to load, and read by ComfyUI's own Load Diffusion Model. A file that is there already is left as it is.",
            inputs=[
                *_source_inputs(),
                io.Combo.Input(
                    "storage",
                    options=list(STORAGE),
                    default=STORAGE[0],
                    tooltip="Type on disk. fp16 is what ComfyUI computes Wan in; it loses less than bf16. fp32 keeps "
                    "everything, fp8 is the smallest and the least exact.",
                ),
                io.String.Input(
                    "name",
                    default="lumosx_1.3b_fp16",
                    tooltip="Of the new file below models/diffusion_models, with folders if wanted.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="file", tooltip="The new file, as Load Diffusion Model lists it after a reload.")
            ],
            is_output_node=True,
            **search_aliases("convert checkpoint", "safetensors"),
        )

    @classmethod
    @checked_inputs
    def execute(cls, file: str, entry: str, storage: str, name: str) -> io.NodeOutput:
        """The name of the new file, which is written whole or not at all; progress is shown and can be cancelled. Raises
        InputError as `convert_transformer` does, before anything is written, for names that are none, and where something
        else lies under that name."""
        from lumosx_core.model.convert import convert_transformer

        source = diffusion_model_path(file)
        check_length(name, "name", LONGEST_PHRASE)
        target = new_model_path(name)
        if target.exists():
            check_transformer(target)
        else:
            convert_transformer(source, target, entry=entry, storage=storage, progress=shown_progress())
        return io.NodeOutput(relative_name(target))

    @classmethod
    def fingerprint_inputs(cls, file: str, name: str, **_: Any) -> str:
        """Changes when the source does, or the result is gone."""
        return f"{state_of(diffusion_model_path(file))} {new_model_path(name).exists()}"
