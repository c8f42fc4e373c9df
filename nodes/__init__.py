"""The ComfyUI face of LumosX. The list below is the map of this folder."""

from comfy_api.latest import ComfyExtension, io
from typing_extensions import override

from .comfy_routes import add_routes
from .conditioning_nodes import EncodeReferences, RelationGraphNode
from .face_nodes import FaceReferenceNode
from .inspection_nodes import Inspect
from .loading_nodes import Nano, SampleFolder, SamplePhoto
from .model_nodes import ConvertModel, LoadModel
from .person_nodes import PersonNode
from .reference_nodes import AttributeReferenceNode, SceneReferenceNode
from .region_nodes import Regions
from .sampling_nodes import Apply, Sampler, Scheduler, Solver
from .seed_nodes import Seeds
from .subject_nodes import LoadSubject, SaveSubject, SubjectNode


class LumosXExtension(ComfyExtension):
    """What ComfyUI asks for the nodes."""

    @override
    async def on_load(self) -> None:
        """Once, before the nodes are asked for."""
        add_routes()

    @override
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node of the pack."""
        return [
            Nano,
            LoadModel,
            ConvertModel,
            SampleFolder,
            SamplePhoto,
            FaceReferenceNode,
            AttributeReferenceNode,
            SceneReferenceNode,
            SubjectNode,
            PersonNode,
            SaveSubject,
            LoadSubject,
            RelationGraphNode,
            EncodeReferences,
            Regions,
            Apply,
            Sampler,
            Seeds,
            Scheduler,
            Solver,
            Inspect,
        ]
