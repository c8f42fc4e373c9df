"""The ComfyUI face of LumosX. The list below is the map of this folder."""

from comfy_api.latest import ComfyExtension, io
from typing_extensions import override

from .sampling_nodes import Scheduler, Solver


class LumosXExtension(ComfyExtension):
    """What ComfyUI asks for the nodes."""

    @override
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node of the pack."""
        return [Scheduler, Solver]
