"""Workflow files as the frontend reads them: the fields of a node in order, and the API format that a run sends."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from node_info import DYNAMIC_COMBO, FRONTEND_IDS, GROWING, InputInfo, NodeInfo, growing_names

SEED_CONTROLS = ("fixed", "increment", "decrement", "randomize")
SWITCHED_OFF = (2, 4)  # modes of a node: never, bypass
INTO, OUT = -10, -20  # ids of a subgraph's own sockets


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


def subgraphs(workflow: dict) -> dict[str, dict]:
    """Type of the node that stands for it -> subgraph."""
    return {each["id"]: each for each in workflow.get("definitions", {}).get("subgraphs", [])}


def check_subgraph(node: dict, subgraph: dict, infos: dict[str, NodeInfo]) -> None:
    """Asserts that a subgraph has the sockets of the node that stands for it, that its links join slots of one type, and that
    its nodes have the inputs, outputs and fields of their classes."""
    assert node["type"] == subgraph["id"]
    for mine, theirs in ((node["inputs"], subgraph["inputs"]), (node["outputs"], subgraph["outputs"])):
        assert [(slot["name"], slot["type"]) for slot in mine] == [(slot["name"], slot["type"]) for slot in theirs]
    nodes = {inner["id"]: inner for inner in subgraph["nodes"]}
    assert [link["id"] for link in subgraph["links"]] == list(range(1, subgraph["state"]["lastLinkId"] + 1))
    for link in subgraph["links"]:
        number, kind = link["id"], link["type"]
        if link["origin_id"] == INTO:
            source = subgraph["inputs"][link["origin_slot"]]
            assert number in source["linkIds"]
        else:
            source = nodes[link["origin_id"]]["outputs"][link["origin_slot"]]
            assert number in source["links"]
        if link["target_id"] == OUT:
            target = subgraph["outputs"][link["target_slot"]]
            assert target["linkIds"] == [number]
        else:
            target = nodes[link["target_id"]]["inputs"][link["target_slot"]]
            assert target["link"] == number
        assert source["type"] == target["type"] == kind, f"link {number}"
    assert all(socket["linkIds"] for socket in subgraph["inputs"] + subgraph["outputs"])
    for inner in subgraph["nodes"]:
        info, where = infos[inner["type"]], f"{inner['type']} {inner['id']} of {subgraph['name']}"
        check_inputs(inner, info, where, in_subgraph=True)
        assert [(slot["name"], slot["type"]) for slot in inner["outputs"]] == info.outputs, where
        filled, left = fields(info, inner["widgets_values"])
        assert not left and all(field.given for field in filled), where


def unpacked(workflow: dict) -> dict:
    """The workflow with the nodes of its subgraphs, which hold no subgraphs, in the places of those that stand for them."""
    flat, known = copy.deepcopy(workflow), subgraphs(workflow)
    links = [tuple(link[1:]) for link in flat["links"]]  # source, output, target, slot, type
    holders = [node for node in flat["nodes"] if node["type"] in known]
    flat["nodes"] = [node for node in flat["nodes"] if node["type"] not in known]
    for holder in holders:
        inner = copy.deepcopy(known[holder["type"]])
        first = max(node["id"] for node in [*flat["nodes"], *holders]) + 1
        new = {node["id"]: number for number, node in enumerate(inner["nodes"], start=first)}
        for node in inner["nodes"]:
            node["id"] = new[node["id"]]
        flat["nodes"] += inner["nodes"]
        into = {link[3]: link for link in links if link[2] == holder["id"]}
        out = [link for link in links if link[0] == holder["id"]]
        links = [link for link in links if holder["id"] not in (link[0], link[2])]
        for link in inner["links"]:
            start, slot, end, end_slot = (link[name] for name in ("origin_id", "origin_slot", "target_id", "target_slot"))
            if end == OUT:
                links += [(new[start], slot, *after[2:]) for after in out if after[1] == end_slot]
            elif start != INTO:
                links.append((new[start], slot, new[end], end_slot, link["type"]))
            elif slot in into:
                links.append((*into[slot][:2], new[end], end_slot, link["type"]))
    nodes = {node["id"]: node for node in flat["nodes"]}
    for node in flat["nodes"]:
        for slot in node["inputs"]:
            slot["link"] = None
        for slot in node["outputs"]:
            slot["links"] = None
    flat["links"] = [[number, *link] for number, link in enumerate(links, start=1)]
    for number, source, output, target, slot, _ in flat["links"]:
        nodes[target]["inputs"][slot]["link"] = number
        nodes[source]["outputs"][output]["links"] = [*(nodes[source]["outputs"][output]["links"] or []), number]
    return flat
