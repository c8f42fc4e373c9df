"""The pack in ComfyUI's own pages, in both renderers: workflows dropped and run, nodes found, help, blueprint, colours.

Needs ComfyUI, Chromium and the Python package playwright (which brings no browser of its own).
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host_server import HostServer

SAMPLES = Path(__file__).parents[2] / "lumosx_core" / "assets" / "samples"
HELP = Path(__file__).parents[2] / "web" / "docs" / "LumosXNano.md"
WORKFLOWS = sorted((Path(__file__).parents[2] / "workflows").glob("*.json"))
# What the host itself asks for in vain: a style sheet of the user's, stored files of a new user, and a help page in the
# user's language before the one without.
HOSTS_OWN = ("/user.css", "/api/userdata", "/api/experiment/models", "/docs/LumosXNano/en.md")
OWNERS = ("LUMOSX_SUBJECT", "LUMOSX_SCENE")
DROP = """async ([name, text]) => {
    const data = new DataTransfer()
    data.items.add(new File([text], name, { type: 'application/json' }))
    const canvas = document.querySelector('#graph-canvas')
    canvas.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, clientX: 600, clientY: 400 }))
}"""
READY = "window.app?.graph && Object.keys(LiteGraph.registered_node_types).some((name) => name === 'LumosXSampler')"
ENDED = """() => new Promise((resolve) => {
    setTimeout(() => resolve(['no end within two minutes', '']), 120000)
    window.outputsOfRun = {}
    app.api.addEventListener('executed', ({ detail }) => { window.outputsOfRun[detail.node] = detail.output })
    for (const kind of ['execution_success', 'execution_error', 'execution_interrupted'])
        app.api.addEventListener(kind, (event) => resolve([kind, JSON.stringify(event.detail).slice(0, 400)]))
    app.queuePrompt(0)
})"""


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


@pytest.fixture(scope="module")
def server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostServer]:
    host = HostServer(comfyui, tmp_path_factory.mktemp("browser") / "base")
    yield host
    host.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("NO BROWSER: install chromium to run the tests in ComfyUI's pages")
    playwright = pytest.importorskip("playwright.sync_api", reason="NO PLAYWRIGHT: pip install playwright")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield started
        started.close()


@pytest.fixture(scope="module", params=[False, True], ids=["canvas", "vue"])
def open_tab(request: pytest.FixtureRequest, server: HostServer, browser: Any) -> Iterator[Any]:
    """ComfyUI's page with one of the two renderers; its `troubles` are page errors and failed requests that are ours."""
    server.post("/api/settings", {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": request.param})
    page = browser.new_page(viewport={"width": 1700, "height": 1000})
    page.troubles = []
    page.on("pageerror", lambda error: page.troubles.append(f"page error: {error}"))
    page.on(
        "response",
        lambda answer: (
            page.troubles.append(f"{answer.status} {answer.url}")
            if answer.status >= 400 and not any(path in answer.url for path in HOSTS_OWN)
            else None
        ),
    )
    open_page(page, f"http://{server.address}")
    yield page
    page.close()


@pytest.fixture
def page(open_tab: Any) -> Any:
    """The same page for all tests, its troubles those of one."""
    open_tab.troubles.clear()
    return open_tab


def open_page(page: Any, address: str) -> None:
    """ComfyUI with an empty canvas that nothing covers."""
    page.goto("about:blank")
    page.goto(address, timeout=120_000)
    page.wait_for_function(READY, timeout=120_000)
    page.wait_for_timeout(3000)
    page.keyboard.press("Escape")
    page.evaluate("app.graph.clear()")


def drop(page: Any, path: Path) -> None:
    """Put a workflow file on the canvas and wait until its nodes are there."""
    text = path.read_text("utf-8")
    page.evaluate("app.graph.clear()")
    page.evaluate(DROP, [path.name, text])
    page.wait_for_function(f"app.graph._nodes.length === {len(json.loads(text)['nodes'])}", timeout=30_000)


def search(page: Any, words: str, offered: str) -> list[str]:
    """What is on the canvas after double click, these words, Enter as soon as `offered` is listed: titles."""
    open_page(page, page.url)
    page.wait_for_load_state("networkidle")  # blueprints arrive after the page is there
    page.mouse.dblclick(700, 420)
    page.wait_for_timeout(1200)
    page.keyboard.type(words, delay=20)
    page.get_by_text(offered).last.wait_for(timeout=15_000)
    page.wait_for_timeout(800)  # the list is filtered with a delay
    page.keyboard.press("Enter")
    page.wait_for_timeout(800)
    page.mouse.click(700, 420)
    page.wait_for_function("app.graph._nodes.length > 0", timeout=15_000)
    return page.evaluate("app.graph._nodes.map((node) => node.title)")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_dropped_workflow_is_there_as_it_was_saved(page: Any, path: Path) -> None:
    drop(page, path)
    saved = json.loads(path.read_text("utf-8"))
    shown = page.evaluate("app.graph.serialize()")
    mine = {node["id"]: node for node in shown["nodes"]}
    for node in saved["nodes"]:
        if node["type"].startswith("LumosX"):
            assert mine[node["id"]].get("widgets_values", []) == node.get("widgets_values", []), node["type"]
    assert len(shown["links"]) == len(saved["links"])
    assert not page.troubles


@pytest.mark.parametrize("path", [path for path in WORKFLOWS if "nano" in path.stem], ids=lambda path: path.stem)
def test_a_nano_workflow_runs(page: Any, path: Path) -> None:
    drop(page, path)
    end, detail = page.evaluate(ENDED)
    assert end == "execution_success", detail
    assert not page.troubles


def test_a_node_is_found_by_another_word(page: Any, server: HostServer) -> None:
    if not server.get("/object_info/LumosXSampler")["LumosXSampler"].get("search_aliases"):
        pytest.skip("NO SEARCH ALIASES: this ComfyUI does not know them")
    assert search(page, "multi subject video", "LumosX Sampler") == ["LumosX Sampler"]


def test_the_blueprint_is_found_and_holds_its_nodes(page: Any) -> None:
    assert search(page, "LumosX two people", "LumosX two people") == ["LumosX two people"]
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
    assert search(page, "LumosX two people", "LumosX two people") == ["LumosX two people"]
    frames, relations = page.evaluate(WIRE, [{name: f"{name}.png" for name in pictures}, values])
    end, detail = page.evaluate(ENDED)
    assert end == "execution_success", detail
    shown = page.evaluate("outputsOfRun")
    assert [len(shown[str(node)]["images"]) for node in (frames, relations)] == [17, 1], shown
    assert not page.troubles


def test_words_of_the_prompt_have_their_owners_colours(page: Any) -> None:
    drop(page, next(path for path in WORKFLOWS if "attributes" in path.stem))
    page.wait_for_selector(".lumosx-prompt-colours span", state="attached", timeout=10_000)
    words = page.evaluate("""[...document.querySelectorAll('.lumosx-prompt-colours span')]
        .map((word) => [word.textContent, word.style.background])""")
    (graph,) = page.evaluate("app.graph.serialize().nodes.filter((node) => node.type === 'LumosXRelationGraph')")
    phrases = page.evaluate("""app.graph._nodes.filter((node) => node.type.startsWith('LumosX')).flatMap((node) =>
        (node.widgets ?? []).filter((widget) => ['name', 'phrase'].includes(widget.name)).map((widget) => widget.value))""")
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
        const missing = [...document.querySelectorAll('.lumosx-prompt-colours > div + div')].map((line) => line.textContent)
        const words = document.querySelectorAll('.lumosx-prompt-colours span')
        return missing.some((line) => line.endsWith(`: ${word}`)) && words.length === count
    }""",
        arg=[words[0][0], len(words) - 1],
    )
    assert not page.troubles


def test_help_opens(page: Any) -> None:
    open_page(page, page.url)
    page.evaluate("""() => {
        const node = LiteGraph.createNode('LumosXNano')
        node.pos = [300, 300]
        app.graph.add(node)
        app.canvas.selectNode(node)
        app.canvas.setDirty(true, true)
    }""")
    page.wait_for_timeout(1000)
    button = page.locator(".selection-toolbox button, [data-testid=info-button]").filter(
        has=page.locator("css=[class*='lucide--info'], .pi-question-circle, .pi-info-circle")
    )
    button.first.click(timeout=10_000)
    (heading,) = re.findall(r"^## (When .*)$", HELP.read_text("utf-8"), re.MULTILINE)[:1]
    page.get_by_text(heading).first.wait_for(timeout=10_000)
    assert not page.troubles
