"""The texts of the nodes as the frontend's translations hold them (locales/<language>/nodeDefs.json).

The frontend compiles them with vue-i18n or shows them raw, which of the two depends on its version and on the place. Some
signs have a meaning in the one and not in the other, and a message that does not compile is an error that nothing catches in
older frontends (1.35 to 1.37 at least). So texts with such signs are left out of the English file (what the node says itself
is shown), and translations do without them.
"""

from typing import Any

from node_info import GROWING, NodeInfo, growing_names

SPECIAL_SIGNS = frozenset("@{}|\\")
SETTINGS_OF_NODE = ("display_name", "description")


def message_key(name: str) -> str:
    """The key of an input: the frontend writes _ for the points of "subjects.subject_1"."""
    return name.replace(".", "_")


def english_messages(infos: dict[str, NodeInfo]) -> dict[str, dict[str, Any]]:
    """Node id -> display_name, description, inputs and outputs, as the schemas say them."""
    return {info.id: _without_special(_messages_of(info)) for info in sorted(infos.values(), key=lambda info: info.id)}


def all_messages(infos: dict[str, NodeInfo]) -> dict[str, dict[str, Any]]:
    """The same with texts that cannot be in the English file."""
    return {info.id: _messages_of(info) for info in infos.values()}


def _messages_of(info: NodeInfo) -> dict[str, Any]:
    inputs = {}
    for each in info.inputs:
        inputs[message_key(each.name)] = {"name": each.name, "tooltip": each.settings["tooltip"]}
        if each.type == GROWING:
            for socket in growing_names(each):
                inputs[message_key(socket)] = {"tooltip": info.input(socket).settings["tooltip"]}
    tooltips = info.raw["output_tooltips"]
    outputs = {
        str(index): {"name": name, "tooltip": tooltip}
        for index, ((name, _), tooltip) in enumerate(zip(info.outputs, tooltips, strict=True))
    }
    messages = {key: info.raw[key] for key in SETTINGS_OF_NODE}
    return {**messages, **({"inputs": inputs} if inputs else {}), "outputs": outputs}


def _without_special(messages: dict[str, Any]) -> dict[str, Any]:
    result = {}
    for key, value in messages.items():
        if isinstance(value, dict):
            if kept := _without_special(value):
                result[key] = kept
        elif not SPECIAL_SIGNS & set(value):
            result[key] = value
    return result


def texts(messages: dict[str, Any], path: str = "") -> dict[str, str]:
    """Every text by its path, "LumosXNano.outputs.0.tooltip"."""
    result = {}
    for key, value in messages.items():
        place = f"{path}.{key}" if path else key
        result |= texts(value, place) if isinstance(value, dict) else {place: value}
    return result
