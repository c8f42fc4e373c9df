"""What the tests do in ComfyUI's page: open it, put workflows and nodes on its canvas, run them."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "lumosx_core" / "assets" / "samples"
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
PEOPLE = Path(__file__).parent / "people_without_subgraphs.json"  # a template of 0.1.0
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


# Every node of the prompt that would be sent, as text that holds all that it depends on, whatever the ids.
MEANING = """async () => {
    const { output } = await app.graphToPrompt()
    const known = {}
    const told = (id) => known[id] ??= JSON.stringify([output[id].class_type, Object.entries(output[id].inputs).sort()
        .filter(([name]) => name !== 'upload') // Load Image's button, which the host sends out of subgraphs alone
        .map(([name, value]) => [name, Array.isArray(value) && output[value[0]] ? [told(value[0]), value[1]] : value])])
    return Object.keys(output).map(told).sort()
}"""


def clear(page: Any) -> None:
    """An empty canvas of the outermost graph."""
    page.evaluate("""() => {
        const root = app.rootGraph ?? app.graph
        app.canvas.setGraph(root)
        root.clear()
        app.canvas.ds.reset()
    }""")
    page.evaluate(UNCOVERED)


def open_page(page: Any, address: str) -> None:
    """ComfyUI with an empty canvas that nothing covers."""
    page.goto("about:blank")
    page.goto(address, timeout=120_000)
    page.wait_for_function(READY, timeout=120_000)
    page.wait_for_timeout(3000)
    page.keyboard.press("Escape")
    page.wait_for_load_state("networkidle")  # blueprints arrive after the page is there
    clear(page)


# The host covers its page while it loads. Where little is drawn (no screen, busy cores) the sheet's fading may never end, and
# it then keeps every click from the page; nothing of ours lies under it.
UNCOVERED = """() => new Promise((resolve) => {
    const end = performance.now() + 2000
    const look = () => {
        const sheet = document.querySelector('.p-blockui-mask')
        if (sheet && performance.now() < end) return setTimeout(look, 50)
        sheet?.remove()
        resolve()
    }
    look()
})"""


def drop(page: Any, path: Path) -> None:
    """Put a workflow file on the canvas and wait until its nodes are there."""
    text = path.read_text("utf-8")
    clear(page)
    page.evaluate(DROP, [path.name, text])
    page.wait_for_function(f"app.graph._nodes.length === {len(json.loads(text)['nodes'])}", timeout=30_000)


def lost(page: Any, path: Path) -> list[str]:
    """What the canvas does not hold as the workflow file says: our nodes' values, the number of links."""
    saved, shown = json.loads(path.read_text("utf-8")), page.evaluate("app.graph.serialize()")
    mine = {node["id"]: node for node in shown["nodes"]}
    different = [
        node["type"]
        for node in saved["nodes"]
        if node["type"].startswith("LumosX")
        and mine.get(node["id"], {}).get("widgets_values", []) != node.get("widgets_values", [])
    ]
    return different + ([] if len(shown["links"]) == len(saved["links"]) else ["links"])


def offer(page: Any, words: str, offered: str) -> Any:
    """The field of the node search with these words in it, as soon as `offered` is listed.

    The search is opened by the host's own command: of a double click on busy cores, the second one comes too late.
    """
    field = page.locator("[role=dialog] input[type=text]").first
    if not field.is_visible():
        page.evaluate("app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
    field.wait_for(timeout=30_000)
    field.fill(words)
    page.locator("[role=dialog]").get_by_text(offered).last.wait_for(timeout=60_000)
    return field


def search(page: Any, words: str, offered: str) -> list[str]:
    """What is on the canvas after these words in the node search and Enter as soon as `offered` is listed: titles."""
    clear(page)
    field = offer(page, words, offered)
    page.wait_for_timeout(800)  # the list is filtered with a delay
    field.press("Enter")
    page.wait_for_timeout(800)
    page.mouse.click(700, 420)
    page.wait_for_function("app.graph._nodes.length > 0", timeout=15_000)
    return page.evaluate("app.graph._nodes.map((node) => node.title)")


_blueprints: dict[int, dict[str, Any]] = {}  # id of a page -> the canvas that the search left there


def blueprint(page: Any) -> None:
    """The canvas holds "LumosX two people" alone; searched for once in every page."""
    if id(page) not in _blueprints:
        assert search(page, "LumosX two people", "LumosX two people") == ["LumosX two people"]
        _blueprints[id(page)] = page.evaluate("app.graph.serialize()")
    else:
        page.evaluate("(stored) => app.loadGraphData(stored)", _blueprints[id(page)])
        page.wait_for_function("app.graph._nodes[0]?.title === 'LumosX two people'", timeout=10_000)
