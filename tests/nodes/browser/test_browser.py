"""The pack in ComfyUI's own pages, in both renderers: workflows dropped and run, nodes found, help, blueprint, colours."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from host_server import HostServer

from .pages import ENDED, PEOPLE, SAMPLES, WORKFLOWS, blueprint, drop, lost, search

OWNERS = ("LUMOSX_SUBJECT", "LUMOSX_SCENE")
# The embedded model and five pictures into the only node there is, its other values, its outputs into previews.
WIRE = """([pictures, values]) => {
    const blueprint = app.graph._nodes[0]
    const into = (name) => blueprint.inputs.findIndex((input) => input.name === name)
    const add = (type) => {
        const node = LiteGraph.createNode(type)
        app.graph.add(node)
        return node
    }
    const nano = add('LumosXNano')
    for (const [slot, name] of ['model', 'clip', 'vae'].entries()) nano.connect(slot, blueprint, into(name))
    for (const [name, file] of Object.entries(pictures)) {
        const picture = add('LoadImage')
        picture.widgets.find((widget) => widget.name === 'image').value = file
        picture.connect(0, blueprint, into(name))
    }
    for (const [name, value] of Object.entries(values)) {
        const widget = blueprint.widgets.find((widget) => widget.name === name)
        widget.value = value
        widget.callback?.(value)
    }
    return [0, 1].map((slot) => {
        const preview = add('PreviewImage')
        blueprint.connect(slot, preview, 0)
        return preview.id
    })
}"""


def test_a_dropped_workflow_is_there_as_it_was_saved(page: Any) -> None:
    """An old one; those of today in test_browser_templates.py."""
    drop(page, PEOPLE)
    assert not lost(page, PEOPLE)
    assert not page.troubles


def test_a_nano_workflow_runs(page: Any) -> None:
    """One of them: test_server.py runs every one."""
    drop(page, next(path for path in WORKFLOWS if path.stem == "LumosX nano - two people"))
    end, detail = page.evaluate(ENDED)
    assert end == "execution_success", detail
    assert not page.troubles


def test_a_node_is_found_by_another_word(page: Any, server: HostServer) -> None:
    if not server.get("/object_info/LumosXSampler")["LumosXSampler"].get("search_aliases"):
        pytest.skip("NO SEARCH ALIASES: this ComfyUI does not know them")
    assert search(page, "multi subject video", "LumosX Sampler") == ["LumosX Sampler"]


def test_the_blueprint_is_found_and_holds_its_nodes(page: Any) -> None:
    blueprint(page)
    inside = page.evaluate("app.graph._nodes[0].subgraph._nodes.map((node) => node.type)")
    assert sorted(inside).count("LumosXSubject") == 2 and "LumosXSampler" in inside
    assert not page.troubles


def test_the_blueprint_makes_a_video(page: Any, server: HostServer) -> None:
    two, room = SAMPLES / "two_people" / "subjects", SAMPLES / "one_person_in_a_room" / "background"
    (scene,) = room.iterdir()
    pictures = {
        "face_1": two / "1" / "face_person.png",
        "thing_1": two / "1" / "dress.png",
        "face_2": two / "2" / "face_person.png",
        "thing_2": two / "2" / "hat.png",
        "background": scene,
    }
    for name, path in pictures.items():
        shutil.copyfile(path, server.folder / "input" / f"{name}.png")
    values = {
        "prompt": "A person wearing a dress standing next to a boy wearing a hat in a room.",
        "person_1": "person",
        "words_1": "dress",
        "person_2": "boy",
        "words_2": "hat",
        "place": "room",
        "negative": "",
        "width": 96,
        "height": 80,
        "length": 17,
        "steps": 4,
        "cfg": 3,
        "shift": 3,
        "negative_references": "blank",
    }
    blueprint(page)
    frames, relations = page.evaluate(WIRE, [{name: f"{name}.png" for name in pictures}, values])
    end, detail = page.evaluate(ENDED)
    assert end == "execution_success", detail
    shown = page.evaluate("outputsOfRun")
    assert [len(shown[str(node)]["images"]) for node in (frames, relations)] == [17, 1], shown
    assert not page.troubles


@pytest.mark.parametrize(
    "path", [PEOPLE, *(path for path in WORKFLOWS if "attributes" in path.stem)], ids=["flat", "subgraphs"]
)
def test_words_of_the_prompt_have_their_owners_colours(page: Any, path: Path) -> None:
    drop(page, path)
    page.wait_for_selector(".lumosx-prompt-colours span", state="attached", timeout=10_000)
    words = page.evaluate("""[...document.querySelectorAll('.lumosx-prompt-colours span')]
        .map((word) => [word.textContent, word.style.background])""")
    (graph,) = page.evaluate("app.graph.serialize().nodes.filter((node) => node.type === 'LumosXRelationGraph')")
    phrases = page.evaluate("""app.graph._nodes.flatMap((node) => node.subgraph?._nodes ?? [node])
        .filter((node) => node.type.startsWith('LumosX')).flatMap((node) => node.widgets ?? [])
        .filter((widget) => ['name', 'phrase'].includes(widget.name)).map((widget) => widget.value)""")
    assert sorted(word for word, _ in words) == sorted(phrases)
    owners = [slot for slot in graph["inputs"] if slot["link"] is not None and slot["type"] in OWNERS]
    assert len({colour for _, colour in words}) == len(owners)
    prompt = graph["widgets_values"][0]
    page.evaluate(
        """(text) => {
        const node = app.graph._nodes.find((node) => node.type === 'LumosXRelationGraph')
        node.widgets.find((widget) => widget.name === 'prompt').value = text
    }""",
        prompt.replace(words[0][0], "nobody", 1),
    )
    page.wait_for_function(
        """([word, count]) => {
        const missing = [...document.querySelectorAll('.lumosx-problem')].map((line) => line.textContent)
        const words = document.querySelectorAll('.lumosx-prompt-colours span')
        return missing.some((line) => line.endsWith(`: ${word}`)) && words.length === count
    }""",
        arg=[words[0][0], len(words) - 1],
    )
    assert not page.troubles


@pytest.mark.parametrize("node", ["LumosXSampler", "LumosXRelationGraph"])
def test_help_opens_and_nothing_is_cut_off(page: Any, node: str) -> None:
    page.evaluate(
        """(type) => {
        const node = LiteGraph.createNode(type)
        node.pos = [300, 300]
        app.graph.add(node)
        app.canvas.selectNode(node)
        app.canvas.setDirty(true, true)
    }""",
        node,
    )
    page.wait_for_timeout(1000)
    button = page.locator(".selection-toolbox button, [data-testid=info-button]").filter(
        has=page.locator("css=[class*='lucide--info'], .pi-question-circle, .pi-info-circle")
    )
    button.first.click(timeout=10_000)
    help_page = page.locator(".node-help-content").first
    help_page.get_by_role("heading", name="When it fails").wait_for(timeout=10_000)
    help_page.get_by_role("heading", name=re.compile(node.removeprefix("LumosX")[:5])).first.wait_for()
    cut_off = help_page.evaluate("""(top) => [top, ...top.querySelectorAll('*')]
        .filter((each) => each.clientWidth > 0 && each.scrollWidth > each.clientWidth + 1)
        .map((each) => [each.tagName, each.clientWidth, each.scrollWidth, each.textContent.slice(0, 60)])""")
    assert not cut_off
    assert not page.troubles
