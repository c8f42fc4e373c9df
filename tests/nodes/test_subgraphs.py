"""The subgraph blueprint fits the nodes of the pack and of the host, and its own sockets."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from node_info import NodeInfo, host_info, pack_info
from workflow_graph import check_inputs, fields

from lumosx_core.sampling.config import PipelineDefaults

FOLDER = Path(__file__).parents[2] / "subgraphs"
INTO, OUT = -10, -20  # ids of the subgraph's own sockets


@pytest.fixture(scope="module")
def infos(pack: Callable[[str], ModuleType]) -> dict[str, NodeInfo]:
    return {**pack_info(pack), **host_info()}


@pytest.fixture(scope="module")
def blueprint() -> dict[str, Any]:
    return json.loads((FOLDER / "LumosX two people.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def subgraph(blueprint: dict[str, Any]) -> dict[str, Any]:
    (inner,) = blueprint["definitions"]["subgraphs"]
    return inner


def test_one_node_stands_for_the_subgraph(blueprint: dict[str, Any], subgraph: dict[str, Any]) -> None:
    (node,) = blueprint["nodes"]
    assert (node["type"], node["title"], subgraph["name"]) == (subgraph["id"], "LumosX two people", "LumosX two people")
    for mine, theirs in ((node["inputs"], subgraph["inputs"]), (node["outputs"], subgraph["outputs"])):
        assert [(slot["name"], slot["type"]) for slot in mine] == [(slot["name"], slot["type"]) for slot in theirs]
    assert [slot["type"] for slot in subgraph["outputs"]] == ["IMAGE", "IMAGE"]


def test_links_join_slots_of_one_type(subgraph: dict[str, Any]) -> None:
    nodes = {node["id"]: node for node in subgraph["nodes"]}
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


def test_slots_and_fields_are_those_of_the_nodes(subgraph: dict[str, Any], infos: dict[str, NodeInfo]) -> None:
    for node in subgraph["nodes"]:
        info, where = infos[node["type"]], f"{node['type']} {node['id']}"
        check_inputs(node, info, where, in_subgraph=True)
        assert [(slot["name"], slot["type"]) for slot in node["outputs"]] == info.outputs, where
        filled, left = fields(info, node["widgets_values"])
        assert not left and all(field.given for field in filled), where


def test_it_samples_as_published(subgraph: dict[str, Any], infos: dict[str, NodeInfo]) -> None:
    values = {
        node["type"]: {field.name: field.value for field in fields(infos[node["type"]], node["widgets_values"])[0]}
        for node in subgraph["nodes"]
    }
    defaults, sampler = PipelineDefaults(), values["LumosXSampler"]
    assert (sampler["steps"], sampler["cfg"], sampler["shift"]) == (defaults.steps, defaults.cfg, defaults.shift)
    assert (sampler["solver"], sampler["ratio"], sampler["negative_references"]) == ("dpmpp_2m", 0.5, "kept")
    size = {"width": defaults.width, "height": defaults.height, "length": defaults.frames}
    assert values["LumosXEncodeReferences"] == size
    texts = [node["widgets_values"][0] for node in subgraph["nodes"] if node["type"] == "CLIPTextEncode"]
    assert sorted(texts) == ["", defaults.negative_prompt]


def test_every_phrase_is_in_the_prompt(subgraph: dict[str, Any]) -> None:
    values = {node["title"]: node["widgets_values"] for node in subgraph["nodes"] if "title" in node}
    (prompt,) = (node["widgets_values"][0] for node in subgraph["nodes"] if node["type"] == "LumosXRelationGraph")
    for title in ("Thing of person 1", "Person 1", "Thing of person 2", "Person 2", "Background"):
        assert len(re.findall(rf"\b{values[title][0]}\b", prompt)) == 1, f"{values[title][0]!r} in {prompt!r}"
