"""What a running workflow says around a node: the prompts that are written into its text encoders, and what is connected.

A CONDITIONING holds numbers, not the words they were made of. The workflow that runs, in the host's API format (node id ->
class_type and inputs; a link is [node id, output]), does show the words that were typed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Workflow = Mapping[str, Mapping[str, Any]]
ENCODER, TEXT = "CLIPTextEncode", "text"
TYPED = ("PrimitiveString", "PrimitiveStringMultiline")  # nodes that give out what is typed into their `value`
POSITIVE = ("positive", "conditioning")  # beginnings of the names of inputs for the prompt, of samplers and nodes between


def prompts_into(workflow: Workflow | None, node: str | None, inputs: tuple[str, ...] = POSITIVE) -> list[str]:
    """The texts typed into the text encoders behind these inputs of a node, in no order; a text that comes from anywhere else
    (LumosX Relation Graph, other packs) is not among them. Empty if the workflow is not known."""
    found: dict[str, None] = {}
    for at in _behind(workflow or {}, node, inputs):
        if (workflow or {})[at].get("class_type") == ENCODER:
            text = _typed(workflow or {}, _inputs(workflow or {}, at).get(TEXT))
            if text is not None:
                found[text] = None
    return list(found)


def prompts_beside(workflow: Workflow | None, node: str | None) -> list[str]:
    """The texts, as in `prompts_into`, of all samplers and guiders that use the model which a node gives out first, also
    through nodes between that change the model."""
    found: dict[str, None] = {}
    models, seen = [node], {node}
    while models:
        model = models.pop()
        for user in workflow or {}:
            inputs = _inputs(workflow or {}, user)
            if user in seen or [model, 0] not in [list(value) for value in inputs.values() if _is_link(value)]:
                continue
            seen.add(user)
            if any(name.startswith(POSITIVE) for name in inputs):
                found |= dict.fromkeys(prompts_into(workflow, user))
            else:
                models.append(user)
    return list(found)


def is_taken(workflow: Workflow | None, node: str | None, output: int) -> bool:
    """Whether anything is connected to this output of a node. False if the workflow is not known."""
    users = (_inputs(workflow or {}, user).values() for user in workflow or {})
    return any(_is_link(value) and list(value) == [node, output] for values in users for value in values)


def _behind(workflow: Workflow, node: str | None, inputs: tuple[str, ...]) -> Iterator[str]:
    """The nodes behind these inputs, and behind the inputs for prompts of those."""
    todo, seen = [(node, inputs)], set()
    while todo:
        at, names = todo.pop()
        for name, value in _inputs(workflow, at).items():
            if name.startswith(names) and _is_link(value) and value[0] in workflow and value[0] not in seen:
                seen.add(value[0])
                yield value[0]
                todo.append((value[0], POSITIVE))


def _typed(workflow: Workflow, value: Any) -> str | None:
    """The text of an input: typed there, or into a node whose only work is to hold it."""
    seen = set()
    while _is_link(value) and value[0] not in seen:
        seen.add(value[0])
        if workflow.get(value[0], {}).get("class_type") not in TYPED:
            return None
        value = _inputs(workflow, value[0]).get("value")
    return value if isinstance(value, str) else None


def _inputs(workflow: Workflow, node: str | None) -> Mapping[str, Any]:
    inputs = workflow.get(node, {}).get("inputs") if node is not None else None
    return inputs if isinstance(inputs, Mapping) else {}


def _is_link(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[0], str)
