"""What ComfyUI tells its frontend about a node (as /object_info does), for nodes of the pack and of the host."""

import asyncio
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
DYNAMIC_COMBO, GROWING = "COMFY_DYNAMICCOMBO_V3", "COMFY_AUTOGROW_V3"
# Where the host keeps the nodes of its own that our workflows use.
HOST_MODULES = {
    "nodes": (
        "CLIPTextEncode", "VAEDecode", "VAEEncode", "UNETLoader", "CLIPLoader", "VAELoader", "LoadImage", "SaveImage",
        "ImageScaleBy", "EmptyImage", "ImageBatch", "SetLatentNoiseMask",
    ),
    "comfy_extras.nodes_video": ("CreateVideo", "SaveVideo"),
    "comfy_extras.nodes_images": ("ImageStitch", "ImageFromBatch"),
    "comfy_extras.nodes_latent": ("LatentCut", "LatentConcat"),
    "comfy_extras.nodes_mask": ("ImageToMask",),
    "comfy_extras.nodes_custom_sampler": ("SamplerCustom",),
    "comfy_extras.nodes_preview_any": ("PreviewAny",),
    "comfy_extras.nodes_context_windows": ("WanContextWindowsManual",),
}  # fmt: skip
HOST_IDS = frozenset(name for names in HOST_MODULES.values() for name in names)
LISTS_OF_FILES = frozenset({  # choices that depend on the machine
    ("LumosXSampleFolder", "sample"), ("LumosXFaceReference", "pack"), ("LumosXAttributeReference", "sam"),
    ("UNETLoader", "unet_name"), ("CLIPLoader", "clip_name"), ("VAELoader", "vae_name"), ("LoadImage", "image"),
})  # fmt: skip
FRONTEND_IDS = frozenset({"MarkdownNote"})  # nodes that only the frontend knows


@dataclass(frozen=True, kw_only=True)
class InputInfo:
    """One input. options: of a combo, else None; for a dynamic combo a list of (choice, inputs below it)."""

    name: str
    type: str
    optional: bool
    settings: dict[str, Any]
    options: list[Any] | None

    @property
    def is_widget(self) -> bool:
        """Whether it is a field on the node (which may be linked all the same)."""
        return self.type in (*WIDGET_TYPES, DYNAMIC_COMBO) and not self.settings.get("forceInput")

    @property
    def default(self) -> Any:
        """The value of a fresh widget."""
        if "default" in self.settings:
            return self.settings["default"]
        if self.type == DYNAMIC_COMBO:
            return self.options[0][0] if self.options else None
        if self.options:
            return self.options[0]
        return {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False}.get(self.type)


@dataclass(frozen=True, kw_only=True)
class NodeInfo:
    """A node as the frontend sees it. outputs: (name, type)."""

    id: str
    inputs: list[InputInfo]
    outputs: list[tuple[str, str]]
    raw: dict[str, Any]

    @property
    def is_output(self) -> bool:
        """Whether the host runs it for its own sake."""
        return bool(self.raw["output_node"])

    def input(self, name: str) -> InputInfo | None:
        """The input of that name; of a growing input also its sockets, "subjects.subject_2"."""
        for each in self.inputs:
            if each.name == name:
                return each
            if each.type == GROWING and name in growing_names(each):
                ((_, spec),) = (
                    item
                    for kind in ("required", "optional")
                    for item in each.settings["template"]["input"].get(kind, {}).items()
                )
                return _input(name, spec, optional=True)
        return None


def growing_names(growing: InputInfo) -> list[str]:
    """The sockets of a growing input: "subjects.subject_1" and so on."""
    return [f"{growing.name}.{name}" for name in growing.settings["template"]["names"]]


def pack_nodes(pack: Callable[[str], ModuleType]) -> list[Any]:
    """The node classes of the pack."""
    return asyncio.run(pack("nodes").LumosXExtension().get_node_list())


def pack_info(pack: Callable[[str], ModuleType]) -> dict[str, NodeInfo]:
    """Every node of the pack by id."""
    return {info.id: info for info in map(_of_class, pack_nodes(pack))}


def host_info() -> dict[str, NodeInfo]:
    """The nodes of HOST_MODULES by id; the host must be importable."""
    importlib.import_module("utils.extra_config")  # as the host does: its nodes.py hides the package behind comfy/utils.py
    importlib.import_module("comfy_extras.nodes_post_processing")  # it and nodes_latent import each other: only in this order
    return {name: _of_class(_host_classes(module)[name], name) for module, names in HOST_MODULES.items() for name in names}


def snapshot(infos: dict[str, NodeInfo]) -> dict[str, dict]:
    """What saved workflows and prompts depend on, the same on every host and machine: ids, inputs in order with types,
    defaults and choices, outputs."""
    return {info.id: _snapshot_of(info) for info in sorted(infos.values(), key=lambda info: info.id)}


def _snapshot_of(info: NodeInfo) -> dict[str, Any]:
    inputs = {}
    for each in info.inputs:
        entry: dict[str, Any] = {"type": each.type, "optional": each.optional}
        if each.type == GROWING:
            entry["sockets"] = {name: info.input(name).type for name in growing_names(each)}
            entry["min"] = each.settings["template"]["min"]
        elif each.is_widget:
            files = (info.id, each.name) in LISTS_OF_FILES
            entry["default"] = "of the machine" if files else each.default
            if each.type == "COMBO":
                entry["choices"] = "files of the machine" if files else each.options
            entry |= {
                key: each.settings[key]
                for key in ("min", "max", "step", "multiline", "dynamicPrompts", "control_after_generate")
                if key in each.settings
            }
        inputs[each.name] = entry
    return {
        "display_name": info.raw["display_name"],
        "category": info.raw["category"],
        "output_node": info.is_output,
        "inputs": inputs,
        "outputs": [{"name": name, "type": kind} for name, kind in info.outputs],
    }


def _host_classes(module_name: str) -> dict[str, Any]:
    module = importlib.import_module(module_name)
    if hasattr(module, "NODE_CLASS_MAPPINGS"):
        return module.NODE_CLASS_MAPPINGS

    async def classes() -> list[Any]:
        made = module.comfy_entrypoint()
        extension = await made if inspect.isawaitable(made) else made
        return await extension.get_node_list()

    return {each.GET_SCHEMA().node_id: each for each in asyncio.run(classes())}


def _of_class(node: Any, name: str = "") -> NodeInfo:
    if hasattr(node, "GET_NODE_INFO_V1"):
        return _of_raw(node.GET_NODE_INFO_V1())
    types, outputs = node.INPUT_TYPES(), list(getattr(node, "RETURN_TYPES", ()))
    return _of_raw(
        {
            "name": name,
            "input": types,
            "input_order": {kind: list(specs) for kind, specs in types.items()},
            "output": outputs,
            "output_name": list(getattr(node, "RETURN_NAMES", outputs)),
            "output_node": getattr(node, "OUTPUT_NODE", False),
        }
    )


def _of_raw(raw: dict[str, Any]) -> NodeInfo:
    inputs = [
        _input(key, raw["input"][kind][key], optional=kind == "optional")
        for kind in ("required", "optional")
        for key in raw["input_order"].get(kind, [])
    ]
    outputs = [(str(key), str(kind)) for key, kind in zip(raw["output_name"], raw["output"], strict=True)]
    return NodeInfo(id=raw["name"], inputs=inputs, outputs=outputs, raw=raw)


def _input(name: str, spec: Any, *, optional: bool) -> InputInfo:
    kind, settings = spec[0], dict(spec[1]) if len(spec) > 1 else {}
    options = list(kind) if isinstance(kind, (list, tuple)) else settings.get("options")
    if isinstance(kind, (list, tuple)):
        kind = "COMBO"
    if kind == DYNAMIC_COMBO:
        options = [
            (
                choice["key"],
                [
                    _input(f"{name}.{key}", below, optional=group == "optional")
                    for group in ("required", "optional")
                    for key, below in choice["inputs"].get(group, {}).items()
                ],
            )
            for choice in settings["options"]
        ]
    return InputInfo(name=name, type=str(kind), optional=optional, settings=settings, options=options)
