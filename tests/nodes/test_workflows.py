"""The workflow files fit the nodes of the pack and of the host, and the API files of the nano workflows fit them.

After a change of a nano workflow: `LUMOSX_WRITE_SNAPSHOTS=1 pytest tests/nodes/test_snapshots.py` writes tests/nodes/api anew.
"""

import itertools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from node_info import FRONTEND_IDS, HOST_IDS, LISTS_OF_FILES, InputInfo, NodeInfo, host_info, pack_info
from PIL import Image
from workflow_graph import (
    SEED_CONTROLS,
    SWITCHED_OFF,
    api_format,
    check_inputs,
    check_subgraph,
    executed_nodes,
    fields,
    known_inputs,
    rectangles,
    subgraphs,
    unpacked,
)

from lumosx_core.puppets.clip import FPS, HEIGHT, WIDTH
from lumosx_core.references import Attribute, ReferenceSet, SceneReference, Subject
from lumosx_core.sampling.config import PipelineDefaults, read_defaults
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.text_spans import bind_prompt
from lumosx_core.tokenizers import SentencePieceTokenizer

ROOT = Path(__file__).parents[2]
FOLDER, API_FOLDER = ROOT / "workflows", Path(__file__).parent / "api"
NAMES = (
    "LumosX nano - two people", "LumosX nano - relations on and off", "LumosX nano - several seeds",
    "LumosX nano - continue a video", "LumosX nano from two photos", "LumosX prepare references",
    "LumosX 1.3B - people with attributes, objects, background", "LumosX 1.3B - faces only", "LumosX from two photos",
    "LumosX 1.3B - 161 frames",
)  # fmt: skip
NANO_NAMES, BIG_NAMES, LONG = NAMES[:5], NAMES[6:], NAMES[-1]
PICTURE = Image.new("RGB", (8, 8))
KINDS = {"INT": int, "FLOAT": (int, float), "STRING": str, "BOOLEAN": bool}
PAINTED = {
    "LoadImage",
    "LumosXAttributeReference",
    "LumosXSceneReference",
    "SaveImage",
}  # start switched off: nothing is painted yet
ONLY_IN_NEWER_HOSTS = {"SaveVideo": {"format.codec"}, "CreateVideo": {"bit_depth"}}

every_workflow = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def infos(pack: Callable[[str], ModuleType]) -> dict[str, NodeInfo]:
    return {**pack_info(pack), **host_info()}


def load(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def real_nodes(workflow: dict) -> list[dict]:
    """Without notes; what stands for a subgraph counts."""
    return [node for node in workflow["nodes"] if node["type"] not in FRONTEND_IDS]


def of_type(workflow: dict, kind: str) -> list[dict]:
    return [node for node in workflow["nodes"] if node["type"] == kind]


def values_of(node: dict, infos: dict[str, NodeInfo]) -> dict[str, Any]:
    """Field -> value."""
    filled, _ = fields(infos[node["type"]], node.get("widgets_values", []))
    return {field.name: field.value for field in filled if field.kind == "input"}


def test_the_folder_holds_these_workflows() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(NAMES)
    assert {path.stem for path in API_FOLDER.glob("*.json")} == set(NANO_NAMES)


@every_workflow
def test_links_join_slots_of_one_type(name: str, infos: dict[str, NodeInfo]) -> None:
    workflow = load(name)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    assert workflow["version"] == 0.4
    assert len(nodes) == len(workflow["nodes"]) and workflow["last_node_id"] == max(nodes)
    ids = [link[0] for link in workflow["links"]]
    assert sorted(ids) == list(range(1, workflow["last_link_id"] + 1))
    for number, source, output, target, slot, kind in workflow["links"]:
        out, into = nodes[source]["outputs"][output], nodes[target]["inputs"][slot]
        assert kind == out["type"] and into["type"] in (kind, "*"), f"link {number}"
        assert number in out["links"] and into["link"] == number, f"link {number}"
    into = [slot["link"] for node in nodes.values() for slot in node["inputs"] if slot["link"] is not None]
    out = [number for node in nodes.values() for slot in node["outputs"] for number in slot["links"] or []]
    assert sorted(into) == sorted(out) == sorted(ids)
    assert {node["type"] for node in nodes.values()} <= {*infos, *FRONTEND_IDS, *subgraphs(workflow)}


@every_workflow
def test_slots_and_fields_are_those_of_the_nodes(name: str, infos: dict[str, NodeInfo]) -> None:
    workflow = load(name)
    held = subgraphs(workflow)
    assert sorted(node["type"] for node in real_nodes(workflow) if node["type"] in held) == sorted(held)
    for node in real_nodes(workflow):
        if node["type"] in held:
            check_subgraph(node, held[node["type"]], infos)
            continue
        info, where = infos[node["type"]], f"{node['type']} {node['id']}"
        check_inputs(node, info, where)
        mine = [(slot["name"], slot["type"]) for slot in node["outputs"]]
        assert mine == info.outputs[: len(mine)], where  # the frontend adds what is missing
        assert len(mine) == len(info.outputs) or node["type"] in HOST_IDS, where
        filled, left = fields(info, node.get("widgets_values", []))
        assert not left or node["type"] == "SaveVideo", f"{where}: {left}"
        for field in filled:
            assert field.given or node["type"] in HOST_IDS, f"{where}: {field.name} has no value"
            assert fits(field.kind, info.id, field.input, field.value), f"{where}: {field.name} is {field.value!r}"


def fits(kind: str, node: str, each: InputInfo, value: Any) -> bool:
    """Whether a value is one that the field can have."""
    if kind != "input":
        return value in (SEED_CONTROLS if kind == "seed control" else ("image",))
    if each.options is not None:
        choices = [choice[0] if isinstance(choice, tuple) else choice for choice in each.options]
        on_disk = (node, each.name) in LISTS_OF_FILES and node in HOST_IDS
        return isinstance(value, str) and (on_disk or value in choices)
    expected = KINDS[each.type]
    if not isinstance(value, expected) or (each.type != "BOOLEAN" and isinstance(value, bool)):
        return False
    if each.type in ("INT", "FLOAT"):
        return each.settings.get("min", value) <= value <= each.settings.get("max", value)
    return True


@every_workflow
def test_nothing_stands_alone_and_seeds_are_fixed(name: str, infos: dict[str, NodeInfo]) -> None:
    workflow = unpacked(load(name))
    assert executed_nodes(workflow, infos) == {node["id"] for node in real_nodes(workflow)}
    controls = [
        field.value
        for node in real_nodes(workflow)
        for field in fields(infos[node["type"]], node.get("widgets_values", []))[0]
        if field.kind == "seed control"
    ]
    assert set(controls) <= {"fixed"}
    assert len(of_type(workflow, "MarkdownNote")) == 1


@every_workflow
def test_nothing_overlaps_and_groups_hold_their_nodes(name: str) -> None:
    workflow = load(name)
    places = rectangles(workflow)
    for (one, a), (other, b) in itertools.combinations(places.items(), 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, f"nodes {one} and {other} overlap"
    homes = Counter[int]()
    for group in workflow["groups"]:
        left, top, width, height = group["bounding"]
        for number, (x0, y0, x1, y1) in places.items():
            inside = left <= x0 and top <= y0 and x1 <= left + width and y1 <= top + height
            outside = x1 <= left or left + width <= x0 or y1 <= top or top + height <= y0
            assert inside or outside, f"node {number} crosses the border of {group['title']!r}"
            homes[number] += inside
    assert {homes[node["id"]] for node in real_nodes(workflow)} == {1}


@every_workflow
def test_downloads_are_named_where_a_file_is_missing(name: str) -> None:
    """The frontend offers what `properties.models` says; the note says it to everyone else."""
    workflow = load(name)
    (note,) = of_type(workflow, "MarkdownNote")
    for kind in ("CLIPLoader", "VAELoader"):
        for node in of_type(workflow, kind):
            (model,) = node["properties"]["models"]
            assert model["name"] == node["widgets_values"][0] == model["url"].rsplit("/", 1)[1]
            assert model["url"] in note["widgets_values"][0]


@pytest.mark.parametrize("name", NANO_NAMES)
def test_nano_runs_as_it_was_trained(name: str, infos: dict[str, NodeInfo]) -> None:
    workflow = load(name)
    defaults = read_defaults(NANO_FOLDER)
    (encode,) = of_type(workflow, "LumosXEncodeReferences")
    assert values_of(encode, infos) == {"width": WIDTH, "height": HEIGHT, "length": defaults.frames}
    samplers = of_type(workflow, "LumosXSampler") + of_type(workflow, "LumosXSeeds")
    for node in samplers + of_type(workflow, "LumosXScheduler"):
        values = values_of(node, infos)
        assert (values["steps"], values["shift"]) == (defaults.steps, defaults.shift)
    for node in samplers + of_type(workflow, "LumosXApply"):
        assert values_of(node, infos)["negative_references"] == defaults.negative_references
    for node in samplers + of_type(workflow, "SamplerCustom"):
        assert values_of(node, infos)["cfg"] == defaults.cfg
    videos = of_type(workflow, "CreateVideo")
    assert len(videos) == (0 if of_type(workflow, "LumosXSeeds") else 1)
    assert all(values_of(video, infos)["fps"] == FPS == defaults.fps for video in videos)
    assert all(node["type"] not in ("UNETLoader", "CLIPLoader", "VAELoader") for node in workflow["nodes"])


def test_on_and_off_differ_in_the_relations_alone(infos: dict[str, NodeInfo]) -> None:
    workflow = load(NANO_NAMES[1])
    on, off = (values_of(node, infos) for node in of_type(workflow, "LumosXApply"))
    relations = {"causal_self_attention_mask": (True, False), "relational_positions": (True, False), "ratio": (0.5, 0.0)}
    assert {key: (on[key], off[key]) for key in on if on[key] != off[key]} == relations
    one, other = of_type(workflow, "SamplerCustom")
    assert one["widgets_values"] == other["widgets_values"]
    links = {link[0]: link[1:3] for link in workflow["links"]}
    sources = [{slot["name"]: links.get(slot["link"]) for slot in node["inputs"]} for node in (one, other)]
    assert {key for key in sources[0] if sources[0][key] != sources[1][key]} == {"model"}


@pytest.mark.parametrize("name", BIG_NAMES)
def test_big_runs_as_published(name: str, infos: dict[str, NodeInfo]) -> None:
    workflow, defaults = load(name), PipelineDefaults()
    (encode,) = of_type(workflow, "LumosXEncodeReferences")
    length = 161 if name == LONG else defaults.frames
    assert values_of(encode, infos) == {"width": defaults.width, "height": defaults.height, "length": length}
    windows = [values_of(node, infos)["context_length"] for node in of_type(workflow, "WanContextWindowsManual")]
    assert windows == ([defaults.frames] if name == LONG else [])
    (sampler,) = of_type(workflow, "LumosXSampler")
    values = values_of(sampler, infos)
    assert (values["steps"], values["cfg"], values["shift"]) == (defaults.steps, defaults.cfg, defaults.shift)
    (video,) = of_type(workflow, "CreateVideo")
    assert values_of(video, infos)["fps"] == defaults.fps
    texts = [values_of(node, infos)["text"] for node in of_type(workflow, "CLIPTextEncode")]
    assert sorted(texts) == ["", defaults.negative_prompt]


@pytest.mark.parametrize("name", NAMES[4:])
def test_every_phrase_is_found_in_the_prompt(name: str, infos: dict[str, NodeInfo]) -> None:
    workflow = unpacked(load(name))
    nodes = {node["id"]: node for node in workflow["nodes"]}
    source = {(link[3], nodes[link[3]]["inputs"][link[4]]["name"]): nodes[link[1]] for link in workflow["links"]}
    (graph,) = of_type(workflow, "LumosXRelationGraph")

    def connected(node: dict, prefix: str) -> list[dict]:
        return [
            source[node["id"], slot["name"]]
            for slot in node["inputs"]
            if slot["name"].startswith(prefix) and slot["link"] is not None
        ]

    def words(kind: type, nodes: list[dict]) -> list:
        return [kind(phrase=values_of(node, infos)["phrase"], image=PICTURE) for node in nodes]

    def things(node: dict) -> list[Attribute]:
        if node["type"] != "LumosXPerson":
            return words(Attribute, connected(node, "attributes."))
        return [Attribute(phrase=line, image=PICTURE) for line in values_of(node, infos)["attributes"].splitlines()]

    subjects = [
        Subject(name=values_of(node, infos)["name"], face=PICTURE, attributes=things(node))
        for node in connected(graph, "subjects.")
    ]
    references = ReferenceSet(
        subjects=subjects,
        objects=words(SceneReference, connected(graph, "objects.")),
        background=next(iter(words(SceneReference, connected(graph, "background"))), None),
    )
    prompt = values_of(graph, infos)["prompt"]
    bound = bind_prompt(prompt, references, SentencePieceTokenizer(NANO_FOLDER))
    for reference, spans in zip(references.references(), bound.char_spans, strict=True):
        assert {prompt[slice(*span)] for span in spans} == {reference.phrase}
    assert not bound.problems


@pytest.mark.parametrize("name", NANO_NAMES)
def test_api_files_are_the_workflows(name: str, infos: dict[str, NodeInfo]) -> None:
    stored = json.loads((API_FOLDER / f"{name}.json").read_text("utf-8"))
    converted = api_format(load(name), infos)
    assert list(stored) == list(converted)
    for number, node in converted.items():
        mine = stored[number]
        assert (mine["class_type"], mine["_meta"]) == (node["class_type"], node["_meta"])
        assert known_inputs(infos[node["class_type"]], mine["inputs"]) == node["inputs"], f"node {number}"
        assert mine["inputs"].keys() - node["inputs"].keys() <= ONLY_IN_NEWER_HOSTS.get(node["class_type"], set())


def test_only_extras_are_switched_off() -> None:
    for name in NAMES:
        off = {node["type"] for node in load(name)["nodes"] if node["mode"] in SWITCHED_OFF}
        assert off == (PAINTED if "prepare" in name else set())
