"""The node that says where in the frame each subject may appear."""

from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io, ui

from lumosx_core.errors import InputError
from lumosx_core.model.regions import columns, region_tokens, regions_of_references
from lumosx_core.model.video_size import VideoSize

from .conditioning_nodes import MOST
from .image_tensors import mask_values
from .io_types import EncodedReferences, ReferencesSocket
from .node_inputs import checked_inputs
from .search_aliases import search_aliases

PLACES = ("masks", "left to right", "right to left")


class Regions(io.ComfyNode):
    """References that each subject's part of the frame alone sees."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return io.Schema(
            node_id="LumosXRegions",
            display_name="LumosX Regions",
            category="LumosX",
            description="Says where in the frame each subject may appear. Between LumosX Encode References and the sampler; "
            "without it subjects appear where the prompt and the model put them.",
            inputs=[
                ReferencesSocket.Input("references", tooltip="From LumosX Encode References."),
                io.Combo.Input(
                    "places",
                    options=list(PLACES),
                    default="masks",
                    tooltip="masks: as the connected masks say. left to right, right to left: all subjects in this order, with "
                    "as much room for each; no mask is needed.",
                ),
                # Not a growing input: the host closes its gaps, and a mask would become another subject's.
                *(
                    io.Mask.Input(
                        f"region_{number}",
                        optional=True,
                        tooltip=f"For masks: where subject {number} of LumosX Relation Graph's picture may be, white, as large "
                        "as the video. Without a mask anywhere.",
                    )
                    for number in range(1, MOST + 1)
                ),
            ],
            outputs=[
                ReferencesSocket.Output(display_name="references", tooltip="For LumosX Sampler, LumosX Apply or LumosX Seeds."),
                io.Mask.Output(
                    display_name="masks", tooltip="The region of each subject as the model takes it, 16 pixels fine."
                ),
            ],
            is_output_node=True,
            **search_aliases("regional prompt", "area", "left right", "position", "mask per subject"),
        )

    @classmethod
    @checked_inputs
    def execute(
        cls,
        references: EncodedReferences,
        places: str,
        region_1: torch.Tensor | None = None,
        region_2: torch.Tensor | None = None,
        region_3: torch.Tensor | None = None,
        region_4: torch.Tensor | None = None,
        region_5: torch.Tensor | None = None,
        region_6: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        """`EncodedReferences` and a MASK [subjects, H, W].

        Raises InputError for a mask of another size, an empty one, one of a subject that is not there, a batch of masks, and
        masks that would not count.
        """
        size = _size_of(references)
        regions = (region_1, region_2, region_3, region_4, region_5, region_6)
        masks = {number: mask for number, mask in enumerate(regions, start=1) if mask is not None}
        count = len({subject for subject in references.subjects if subject is not None})
        if not count:
            raise InputError("there is no subject among the references, so nobody has a region; take this node away")
        if places != PLACES[0]:
            if masks:
                raise InputError(f"places is {places!r}, but masks are connected; choose {PLACES[0]!r}, or disconnect them")
            found = columns(count, size)
            tokens = found if places == PLACES[1] else found[::-1]
        else:
            if masks and max(masks) > count:
                raise InputError(f"region_{max(masks)} is connected, but there are {count} subjects; disconnect it")
            tokens = [_tokens(masks.get(number), size, f"region_{number}") for number in range(1, count + 1)]
        marked = replace(references, regions=regions_of_references(tokens, references.subjects))
        shown = _shown(tokens, size)
        return io.NodeOutput(marked, shown, ui=ui.PreviewMask(shown, cls=cls))


def _size_of(references: EncodedReferences) -> VideoSize:
    height, width = references.latents.shape[-2:]
    return VideoSize(width=8 * width, height=8 * height, frames=4 * references.frames - 3)


def _tokens(mask: Any, size: VideoSize, what: str) -> bytes:
    if mask is None:
        return b""
    values = mask_values(mask).cpu().numpy().reshape(-1, *mask.shape[-2:])
    if len(values) > 1:
        raise InputError(f"{what} is a batch of {len(values)} masks, expected one for the whole video; take one of them")
    return region_tokens(values[0], size, what)


def _shown(tokens: list[bytes], size: VideoSize) -> torch.Tensor:
    """MASK [subjects, H, W]: 1 in the tokens of each region, and everywhere where none is given."""
    _, rows, across = size.grid
    marks = [torch.tensor(list(each or bytes([1]) * (rows * across)), dtype=torch.float32) for each in tokens]
    small = torch.stack(marks).reshape(-1, rows, across)
    return small.repeat_interleave(size.height // rows, 1).repeat_interleave(size.width // across, 2)
