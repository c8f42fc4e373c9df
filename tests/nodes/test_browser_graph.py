"""What a page does to the graph as a whole keeps every link: paste; references run alone.

In both renderers, with the fixtures of test_browser.py.
"""

import shutil
from pathlib import Path
from typing import Any

from host_server import HostServer
from test_browser import ENDED, WORKFLOWS, browser, drop, open_page, open_tab, page, server  # noqa: F401 - fixtures

PEOPLE = next(path for path in WORKFLOWS if "attributes" in path.stem)
# Every node of the prompt that would be sent, as text that holds all that it depends on, whatever the ids.
MEANING = """async () => {
    const { output } = await app.graphToPrompt()
    const known = {}
    const told = (id) => known[id] ??= JSON.stringify([output[id].class_type, Object.entries(output[id].inputs).sort()
        .filter(([name]) => name !== 'upload') // Load Image's button, which the host sends out of subgraphs alone
        .map(([name, value]) => [name, Array.isArray(value) && output[value[0]] ? [told(value[0]), value[1]] : value])])
    return Object.keys(output).map(told).sort()
}"""
PASTE = """(ids) => {
    const nodes = ids ? app.graph._nodes.filter((node) => ids.includes(node.id)) : app.graph._nodes
    app.canvas.deselectAll()
    app.canvas.selectItems(nodes)
    app.canvas.copyToClipboard()
    app.canvas.pasteFromClipboard()
}"""
# The first person with everything that leads to it.
PERSON = """() => {
    const found = new Set()
    const walk = (node) => {
        found.add(node.id)
        for (const [slot, input] of (node.inputs ?? []).entries()) if (input.link != null) walk(node.getInputNode(slot))
    }
    const subjects = app.graph._nodes.filter((node) => node.type === 'LumosXSubject')
    walk(subjects.sort((a, b) => b.inputs.length - a.inputs.length)[0])
    return [...found]
}"""


def twice(meanings: list[str]) -> list[str]:
    return sorted(meanings * 2)


def test_everything_pasted_is_linked_as_the_original(page: Any) -> None:  # noqa: F811
    drop(page, PEOPLE)
    before = page.evaluate(MEANING)
    page.evaluate(PASTE, None)
    assert page.evaluate(MEANING) == twice(before)
    assert not page.troubles


def test_a_pasted_person_has_all_its_things(page: Any) -> None:  # noqa: F811
    drop(page, PEOPLE)
    before, person = page.evaluate(MEANING), page.evaluate(PERSON)
    page.evaluate(PASTE, person)
    after = page.evaluate(MEANING)
    added = list(after)
    for meaning in before:
        added.remove(meaning)
    subjects = [meaning for meaning in added if meaning.startswith('["LumosXSubject"')]
    assert len(subjects) == 1 and subjects[0] in before
    assert subjects[0].count("LumosXAttributeReference") == 2 and len(added) == len(person)


def test_a_reference_runs_alone_and_shows_its_preview(page: Any, server: HostServer) -> None:  # noqa: F811
    picture = Path(__file__).parents[2] / "lumosx_core" / "assets" / "samples" / "two_people" / "subjects" / "1" / "dress.png"
    shutil.copyfile(picture, server.folder / "input" / "dress.png")
    open_page(page, page.url)
    page.evaluate("""() => {
        const add = (type) => { const node = LiteGraph.createNode(type); app.graph.add(node); return node }
        const [picture, thing] = [add('LoadImage'), add('LumosXAttributeReference')]
        picture.widgets.find((widget) => widget.name === 'image').value = 'dress.png'
        for (const [name, value] of [['phrase', 'dress'], ['cut_out', 'already cut out']])
            thing.widgets.find((widget) => widget.name === name).value = value
        picture.connect(0, thing, 0)
        window.thing = thing.id
    }""")
    end, detail = page.evaluate(ENDED)
    assert end == "execution_success", detail
    (output,) = page.evaluate("Object.values(outputsOfRun)")
    assert len(output["images"]) == 1
