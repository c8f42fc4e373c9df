"""Every node of the extension: ids, tooltips, and inputs that are the parameters of its execute."""

import asyncio
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

FIXED_IDS = {
    "LumosXNano",
    "LumosXSampleFolder",
    "LumosXRelationGraph",
    "LumosXEncodeReferences",
    "LumosXApply",
    "LumosXSampler",
    "LumosXScheduler",
    "LumosXSolver",
    "LumosXInspect",
}

SWITCHES = {
    "causal_self_attention_mask", "relational_positions", "ratio", "pool_layout", "negative_spans", "start_percent",
    "end_percent", "attention", "record_attention", "negative_references", "blank_tokens", "reference_refresh",
}  # fmt: skip
WORDS = {"tag", "occurrence", "strength"}
ADVANCED = {
    "LumosXApply": SWITCHES,
    "LumosXSampler": SWITCHES,
    "LumosXSeeds": SWITCHES - {"record_attention"},
    "LumosXRelationGraph": {"on_problem"},
    "LumosXFaceReference": {"index", "x", "y", "pack", "strength"},
    "LumosXAttributeReference": {"sam", "invert_mask", *WORDS},
    "LumosXSceneReference": {"invert_mask", *WORDS},
    "LumosXSubject": WORDS,
    "LumosXLoadSubject": WORDS,
    "LumosXPerson": {"index", "x", "y", *WORDS},
}


@pytest.fixture(scope="module")
def nodes(pack: Callable[[str], ModuleType]) -> list[Any]:
    return asyncio.run(pack("nodes").LumosXExtension().get_node_list())


def test_ids_are_fixed_and_in_one_category(nodes: list[Any]) -> None:
    schemas = [node.GET_SCHEMA() for node in nodes]
    ids = [schema.node_id for schema in schemas]
    assert len(set(ids)) == len(ids)
    assert set(ids) >= FIXED_IDS
    assert {schema.category for schema in schemas} == {"LumosX"}
    assert all(schema.display_name.startswith("LumosX ") and schema.description for schema in schemas)


def test_inputs_are_the_parameters_of_execute(nodes: list[Any]) -> None:
    for node in nodes:
        schema = node.GET_SCHEMA()
        parameters = inspect.signature(node.execute).parameters
        assert {item.id for item in schema.inputs} == set(parameters), schema.node_id
        growing = {item.id for item in schema.inputs if item.io_type == "COMFY_AUTOGROW_V3"}
        optional = {item.id for item in schema.inputs if item.optional} | growing
        defaults = {name for name, parameter in parameters.items() if parameter.default is not parameter.empty}
        assert optional == defaults, schema.node_id
        for item in schema.inputs:
            if item.optional and getattr(item, "default", None) is not None:
                assert parameters[item.id].default == item.default, f"{schema.node_id}.{item.id}"


def test_everything_is_explained(nodes: list[Any]) -> None:
    for node in nodes:
        schema = node.GET_SCHEMA()
        unexplained = [item.id for item in [*schema.inputs, *schema.outputs] if not item.tooltip]
        assert not unexplained, f"{schema.node_id}: {unexplained}"


def test_outputs_are_as_many_as_announced(nodes: list[Any]) -> None:
    counts = {node.GET_SCHEMA().node_id: len(node.GET_SCHEMA().outputs) for node in nodes}
    assert (counts["LumosXSampleFolder"], counts["LumosXRelationGraph"], counts["LumosXNano"]) == (10, 3, 9)


def test_what_a_newcomer_need_not_see_is_folded_away(nodes: list[Any]) -> None:
    """On every host, also where the classes of inputs have no argument for it."""
    folded = {}
    for node in nodes:
        info = node.GET_NODE_INFO_V1()
        inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
        folded[info["name"]] = {name for name, spec in inputs.items() if len(spec) > 1 and spec[1].get("advanced")}
    assert {name: found for name, found in folded.items() if found} == ADVANCED
