"""The subgraph blueprint fits the nodes of the pack and of the host, and its own sockets."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from node_info import NodeInfo, host_info, pack_info
from workflow_graph import check_subgraph, fields

from lumosx_core.sampling.config import PipelineDefaults

FOLDER = Path(__file__).parents[2] / "subgraphs"


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


def test_the_subgraph_fits_its_node_and_its_nodes_fit_their_classes(
    blueprint: dict[str, Any], subgraph: dict[str, Any], infos: dict[str, NodeInfo]
) -> None:
    (node,) = blueprint["nodes"]
    assert (node["title"], subgraph["name"]) == ("LumosX two people", "LumosX two people")
    assert [slot["type"] for slot in subgraph["outputs"]] == ["IMAGE", "IMAGE"]
    check_subgraph(node, subgraph, infos)


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
