"""Workflow files as the frontend reads them: the fields of a node in order, and the API format that a run sends."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from node_info import DYNAMIC_COMBO, FRONTEND_IDS, GROWING, InputInfo, NodeInfo, growing_names

SEED_CONTROLS = ("fixed", "increment", "decrement", "randomize")
SWITCHED_OFF = (2, 4)  # modes of a node: never, bypass


@dataclass(frozen=True, kw_only=True)
class Field:
    """A widget of a node in a workflow. kind: "input" (sent to the host), "seed control" or "upload" (the frontend's own).
    given: whether the workflow has a value for it; else it is the default."""

    name: str
    kind: str
    input: InputInfo
    value: Any
    given: bool


def fields(info: NodeInfo, values: list[Any]) -> tuple[list[Field], list[Any]]:
    """The widgets of a node with the values of a workflow, in the frontend's order, and the values that are left over."""
    left = list(values)
    return [field for each in info.inputs if each.is_widget for field in _fields_of(each, left)], left


def _fields_of(each: InputInfo, left: list[Any]) -> Iterator[Field]:
    def take(kind: str, default: Any) -> Field:
        given = bool(left)
        value = left.pop(0) if left else default
        return Field(name=each.name, kind=kind, input=each, value=value, given=given)

    field = take("input", each.default)
    yield field
    if each.settings.get("control_after_generate"):
        yield take("seed control", "randomize")
    if each.settings.get("image_upload"):
        yield take("upload", "image")
    if each.type == DYNAMIC_COMBO:
        for choice, below in each.options or []:
            if choice == field.value:
                for inner in below:
                    yield from _fields_of(inner, left)


def socket_names(info: NodeInfo, node: dict, in_subgraph: bool = False) -> list[str]:
    """The inputs that a node is saved with: its sockets in order, growing inputs up to the first empty one, then the fields
    up to the last linked one.

    in_subgraph: as the frontend's own nodes have them, the growing inputs last. There a promoted field is found by its number
    among the inputs of the node (frontends 1.35 and 1.45), on the canvas by its name.
    """
    linked = {slot["name"] for slot in node["inputs"] if slot.get("link") is not None}
    sockets: list[str] = []
    growing: list[str] = []
    for each in info.inputs:
        if each.type == GROWING:
            all_names = growing_names(each)
            filled = [number for number, name in enumerate(all_names, start=1) if name in linked]
            (growing if in_subgraph else sockets).extend(all_names[: max(filled, default=0) + 1])
        elif not each.is_widget:
            sockets.append(each.name)
    shown = [each.name for each in info.inputs if each.is_widget]
    last = max((number for number, name in enumerate(shown, start=1) if name in linked), default=0)
    return sockets + shown[:last] + growing


def check_inputs(node: dict, info: NodeInfo, where: str, in_subgraph: bool = False) -> None:
    """Asserts that the saved inputs of a node are those of its class, and that nothing needed is left unconnected."""
    assert [slot["name"] for slot in node["inputs"]] == socket_names(info, node, in_subgraph), where
    for slot in node["inputs"]:
        each = info.input(slot["name"])
        assert each is not None and slot["type"] == each.type, f"{where}: {slot['name']}"
        assert ("widget" in slot) == each.is_widget, f"{where}: {slot['name']}"
        assert each.optional or each.is_widget or slot["link"] is not None, f"{where}: {slot['name']} is not connected"


def api_format(workflow: dict, infos: dict[str, NodeInfo]) -> dict[str, dict]:
    """What the frontend sends for a workflow: {node id: class_type, inputs, title}; fields that it adds for itself left out."""
    links = {link[0]: link for link in workflow["links"]}
    nodes = [node for node in workflow["nodes"] if node["type"] not in FRONTEND_IDS and node["mode"] not in SWITCHED_OFF]
    sent = {node["id"] for node in nodes}
    result = {}
    for node in sorted(nodes, key=lambda node: node["order"]):
        info = infos[node["type"]]
        filled, _ = fields(info, node.get("widgets_values", []))
        inputs: dict[str, Any] = {field.name: field.value for field in filled if field.kind == "input"}
        for slot in node["inputs"]:
            if slot.get("link") is not None:
                _, source, output, *_ = links[slot["link"]]
                inputs.pop(slot["name"], None)
                if source in sent:
                    inputs[slot["name"]] = [str(source), output]
        title = node.get("title", info.id)
        result[str(node["id"])] = {"class_type": info.id, "inputs": inputs, "_meta": {"title": title}}
    return result


def known_inputs(info: NodeInfo, api_inputs: dict[str, Any]) -> dict[str, Any]:
    """Those inputs of an API file that this host's version of the node knows; the others belong to newer versions."""
    filled, _ = fields(info, [])
    below = {field.name for field in filled}
    return {name: value for name, value in api_inputs.items() if name in below or info.input(name) is not None}


def executed_nodes(workflow: dict, infos: dict[str, NodeInfo]) -> set[int]:
    """Nodes that a run would execute: output nodes that are switched on, and all that they need."""
    sources: dict[int, set[int]] = {}
    for _, source, _, target, *_ in workflow["links"]:
        sources.setdefault(target, set()).add(source)
    by_id = {node["id"]: node for node in workflow["nodes"]}
    todo = [node["id"] for node in workflow["nodes"] if node["type"] not in FRONTEND_IDS and infos[node["type"]].is_output]
    found: set[int] = set()
    while todo:
        node = todo.pop()
        if node not in found and by_id[node]["type"] not in FRONTEND_IDS:
            found.add(node)
            todo += sources.get(node, ())
    return found


def rectangles(workflow: dict) -> dict[int, tuple[float, float, float, float]]:
    """Node id -> left, top (of the title bar), right, bottom. A folded node is its title bar alone."""
    title_bar = 30
    result = {}
    for node in workflow["nodes"]:
        (x, y), (width, height) = node["pos"], node["size"]
        height = 0 if node["flags"].get("collapsed") else height
        result[node["id"]] = (x, y - title_bar, x + width, y + height)
    return result
