"""What a page does to the graph as a whole keeps every link: paste; references run alone. In both renderers."""

import shutil
from typing import Any

import pytest
from host_server import HostServer

from .pages import ENDED, MEANING, PEOPLE, READY, SAMPLES, WORKFLOWS, blueprint, drop

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


# The node has a preview in the host's memory of this page.
SHOWN = "(type) => app.nodeOutputs[app.graph._nodes.find((node) => node.type === type).id]?.images?.length === 1"


def twice(meanings: list[str]) -> list[str]:
    return sorted(meanings * 2)


def test_everything_pasted_is_linked_as_the_original(page: Any) -> None:
    drop(page, PEOPLE)
    before = page.evaluate(MEANING)
    page.evaluate(PASTE, None)
    assert page.evaluate(MEANING) == twice(before)
    assert not page.troubles


def test_a_pasted_person_has_all_its_things(page: Any) -> None:
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


def test_a_reference_runs_alone_and_shows_its_preview_after_a_reload(page: Any, server: HostServer) -> None:
    picture = SAMPLES / "two_people" / "subjects" / "1" / "dress.png"
    shutil.copyfile(picture, server.folder / "input" / "dress.png")
    page.evaluate("""() => {
        const add = (type) => { const node = LiteGraph.createNode(type); app.graph.add(node); return node }
        const [picture, thing] = [add('LoadImage'), add('LumosXAttributeReference')]
        picture.widgets.find((widget) => widget.name === 'image').value = 'dress.png'
        for (const [name, value] of [['phrase', 'dress'], ['cut_out', 'already cut out']])
            thing.widgets.find((widget) => widget.name === name).value = value
        picture.connect(0, thing, 0)
    }""")
    previews = []
    for _ in range(2):
        end, detail = page.evaluate(ENDED)
        assert end == "execution_success", detail
        (output,) = [shown for shown in page.evaluate("Object.values(outputsOfRun)") if shown]
        page.wait_for_function(SHOWN, arg="LumosXAttributeReference", timeout=10_000)
        previews.append(output["images"])
        page.wait_for_timeout(1500)  # the host's page stores the workflow after a while
        page.reload()
        page.wait_for_function(f"() => {READY} && app.graph._nodes.length === 2", timeout=60_000)
    # The second run computed nothing: the host told what it remembers, as it does for its own Preview Image.
    assert previews[0] == previews[1] and len(previews[0]) == 1


PACK = """(ids) => app.graph.convertToSubgraph(new Set(app.graph._nodes.filter((node) => ids.includes(node.id))))"""
UNPACK = "app.graph.unpackSubgraph(app.graph._nodes.find((node) => node.subgraph))"
UNDO = "app.extensionManager.workflow.activeWorkflow.changeTracker.undo()"
# Sockets whose link leads to another one.
ASTRAY = """() => app.graph._nodes.flatMap((node) => (node.inputs ?? []).filter((input, slot) => {
    const link = input.link == null ? null : app.graph.getLink(input.link)
    return link && (link.target_slot !== slot || String(link.target_id) !== String(node.id))
}).map((input) => [node.type, input.name]))"""
OF_PEOPLE = "app.graph._nodes.filter(({ type }) => /^LumosX(Subject|Face|Attribute)/.test(type)).map(({ id }) => id)"
OF_PACK = "app.graph._nodes.filter(({ type }) => type.startsWith('LumosX')).map(({ id }) => id)"


@pytest.mark.parametrize("packed", [PERSON, OF_PEOPLE, OF_PACK], ids=["person", "people", "all"])
def test_a_subgraph_packed_and_unpacked_changes_no_link(page: Any, packed: str) -> None:
    drop(page, PEOPLE)
    before = page.evaluate(MEANING)
    page.evaluate(PACK, page.evaluate(packed))
    page.wait_for_timeout(300)
    assert page.evaluate(MEANING) == before and not page.evaluate(ASTRAY)
    page.evaluate(UNPACK)
    page.wait_for_timeout(300)
    assert page.evaluate(MEANING) == before and not page.evaluate(ASTRAY)
    page.evaluate(UNDO)
    page.wait_for_timeout(500)
    assert page.evaluate(MEANING) == before and not page.evaluate(ASTRAY)


def test_the_blueprint_unpacked_keeps_its_links(page: Any) -> None:
    blueprint(page)  # nothing is connected to it
    before = page.evaluate(MEANING)
    page.evaluate(UNPACK)
    page.wait_for_timeout(300)
    assert page.evaluate(MEANING) == before and not page.evaluate(ASTRAY)
    taken = page.evaluate("""app.graph._nodes.find(({ type }) => type === 'LumosXRelationGraph').inputs
        .filter(({ link }) => link != null).map(({ name }) => name)""")
    assert taken == ["background", "subjects.subject_1", "subjects.subject_2"]


def test_two_people_deleted_at_once_leave_the_rest(page: Any) -> None:
    drop(page, PEOPLE)
    page.evaluate("""app.graph._nodes.filter(({ type }) => type === 'LumosXSubject').slice(0, 2)
        .forEach((node) => app.graph.remove(node))""")
    page.wait_for_timeout(300)
    sockets = page.evaluate("""app.graph._nodes.find(({ type }) => type === 'LumosXRelationGraph').inputs
        .map(({ name, link }) => [name, link != null])""")
    assert dict(sockets) == {
        "subjects.subject_1": False,
        "objects.object_1": True,
        "objects.object_2": False,
        "clip": True,
        "background": True,
        "prompt": False,
        "on_problem": False,
        "sample": False,
    }
    assert not page.evaluate(ASTRAY)


def test_what_a_video_costs_is_told_while_its_size_is_chosen(page: Any) -> None:
    (two_people,) = [path for path in WORKFLOWS if path.stem == "LumosX nano - two people"]
    drop(page, two_people)
    page.wait_for_selector(".lumosx-cost", state="attached", timeout=10_000)
    assert page.inner_text(".lumosx-cost").startswith("6 pictures, 330 tokens.")
    page.evaluate("""() => {
        const node = app.graph._nodes.find((each) => each.type === 'LumosXEncodeReferences')
        node.disconnectInput(node.inputs.findIndex((each) => each.name === 'width'))
        node.widgets.find((each) => each.name === 'width').value = 208
    }""")
    page.wait_for_function("document.querySelector('.lumosx-cost')?.textContent.includes('715 tokens')", timeout=10_000)
    said = page.evaluate("[...document.querySelectorAll('.lumosx-problem')].map((each) => each.textContent)")
    assert said == [
        "LumosX Nano was made for 96 x 80 pixels and 17 frames, this is 208 x 80 and 17: connect its outputs width, height "
        "and length."
    ]
    assert not page.troubles
