"""The words that LumosX Relation Graph shows while a prompt is typed are those of a run. In both renderers."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from typed_prompts import CASTS, PROMPTS, run_verdict

from .pages import PEOPLE, WORKFLOWS, blueprint, drop

Nano = tuple[Any, Any, Any]  # MODEL, CLIP, VAE
# The nodes of a cast and one relation graph for every prompt; nothing else is on the canvas.
BUILD = """([cast, prompts]) => {
    app.graph.clear()
    const add = (type, values = {}) => {
        const node = LiteGraph.createNode(type)
        app.graph.add(node)
        for (const [name, value] of Object.entries(values)) node.widgets.find((widget) => widget.name === name).value = value
        return node
    }
    const into = (node, name) => node.inputs.findIndex((input) => input.name === name)
    const said = ({ words, tag, occurrence }, field) => ({ [field]: words, tag: tag ?? '', occurrence: occurrence ?? 0 })
    const nano = add('LumosXNano')
    const subjects = cast.subjects.map((person) => {
        const subject = add('LumosXSubject', said(person, 'name'))
        if (person.face) add('LumosXFaceReference').connect(0, subject, into(subject, 'face'))
        person.attributes.forEach((each, index) => add('LumosXAttributeReference', said(each, 'phrase'))
            .connect(0, subject, into(subject, `attributes.attribute_${index + 1}`)))
        return subject
    })
    const objects = cast.objects.map((each) => add('LumosXSceneReference', said(each, 'phrase')))
    const background = cast.background && add('LumosXSceneReference', said(cast.background, 'phrase'))
    window.typed = prompts.map((prompt) => {
        const graph = add('LumosXRelationGraph', { prompt })
        nano.connect(1, graph, into(graph, 'clip'))
        subjects.forEach((each, index) => each.connect(0, graph, into(graph, `subjects.subject_${index + 1}`)))
        objects.forEach((each, index) => each.connect(0, graph, into(graph, `objects.object_${index + 1}`)))
        background?.connect(0, graph, into(graph, 'background'))
        return graph
    })
}"""
STRIPS = """() => {
    const graphs = window.typed ?? app.canvas.graph._nodes.filter((node) => node.type === 'LumosXRelationGraph')
    return graphs.map((node) => {
        const { element } = node.widgets.find((widget) => widget.name === 'owned_words')
        const all = (query) => [...element.querySelectorAll(query)].map((each) => each.textContent)
        return [all('.lumosx-problem'), all('span'), all('.lumosx-prompt').length, all('.lumosx-note')]
    })
}"""


def strips(page: Any, drawn: int = 1) -> list[tuple[list[str], list[str]]]:
    """(problems, owned words) of every relation graph on the canvas, once all of them are there and stay the same."""
    page.wait_for_function(f"() => ({STRIPS})().filter((strip) => strip[2] === 1).length === {drawn}", timeout=15_000)
    page.wait_for_timeout(600)
    return [(problems, words) for problems, words, _, _ in page.evaluate(STRIPS)]


def type_into(page: Any, kind: str, field: str, value: str) -> None:
    """A value for that field of the first node of a kind on the canvas."""
    page.evaluate(
        """([kind, field, value]) => {
            const node = app.canvas.graph._nodes.find((each) => each.type === kind)
            node.widgets.find((widget) => widget.name === field).value = value
        }""",
        [kind, field, value],
    )


def owned(page: Any, kind: str, *fields: str) -> list[str]:
    """What the nodes of a kind say in these fields."""
    return page.evaluate(
        """([kind, fields]) => app.canvas.graph._nodes.filter((node) => node.type === kind).flatMap((node) =>
            node.widgets.filter((widget) => fields.includes(widget.name)).map((widget) => widget.value))""",
        [kind, fields],
    )


@pytest.mark.usefixtures("host_folders")
@pytest.mark.parametrize("name", list(CASTS))
def test_the_words_are_those_of_a_run(
    page: Any,
    pack: Callable[[str], ModuleType],
    nano: Nano,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    conditioning = pack("nodes.conditioning_nodes")
    monkeypatch.setattr(conditioning, "draw_relation_graph", lambda *_: pack("nodes.words_while_typing").DOT)
    page.evaluate(BUILD, [CASTS[name], PROMPTS[name]])
    found = strips(page, len(PROMPTS[name]))
    page.evaluate("delete window.typed")
    for prompt, (problems, words) in zip(PROMPTS[name], found, strict=True):
        refused, own, missing, others = run_verdict(conditioning, nano[1], CASTS[name], prompt)
        first = [refused] if refused else [f"not in the prompt: {', '.join(missing)}"] if missing else []
        assert (problems, words) == ([*first, *others], own), prompt
    assert not page.troubles


def test_words_come_through_links_and_out_of_subgraphs(page: Any) -> None:
    drop(page, PEOPLE)
    ((problems, words),) = strips(page)
    phrases = [
        owned(page, f"LumosX{kind}", field)
        for kind, field in (("Subject", "name"), ("AttributeReference", "phrase"), ("SceneReference", "phrase"))
    ]
    assert not problems and sorted(words) == sorted(sum(phrases, []))
    page.evaluate("""() => {
        const graph = app.graph._nodes.find((node) => node.type === 'LumosXRelationGraph')
        const text = LiteGraph.createNode('PrimitiveStringMultiline')
        app.graph.add(text)
        text.widgets[0].value = graph.widgets.find((widget) => widget.name === 'prompt').value.replace('man', 'boy')
        text.connect(0, graph, graph.inputs.findIndex((input) => input.name === 'prompt'))
    }""")
    page.wait_for_selector(".lumosx-problem", state="attached", timeout=10_000)
    ((problems, fewer),) = strips(page)
    assert problems == ["not in the prompt: man"] and fewer == words[1:]
    page.evaluate("""() => {
        const pick = (of) => new Set(app.graph._nodes.filter((node) => of.includes(node.type)))
        app.graph.convertToSubgraph(pick(['LumosXSubject', 'LumosXFaceReference', 'LumosXAttributeReference']))
    }""")
    page.wait_for_timeout(1000)
    assert strips(page) == [(problems, fewer)]
    page.evaluate("""() => {
        const isGraph = (node) => node.type === 'LumosXRelationGraph'
        app.graph.convertToSubgraph(new Set(app.graph._nodes.filter(isGraph)))
        const holder = app.graph._nodes.find((each) => each.subgraph?._nodes.some(isGraph))
        app.canvas.openSubgraph(holder.subgraph, holder)
    }""")
    page.wait_for_timeout(1000)
    assert strips(page) == [(problems, fewer)]
    assert not page.troubles


def click_offer(page: Any, label: str) -> None:
    """A click on the button with that label in the relation graph."""
    buttons = "[...document.querySelectorAll('.lumosx-prompt-colours button')]"
    page.wait_for_function(f"(label) => {buttons}.some((each) => each.textContent === label)", arg=label, timeout=10_000)
    page.evaluate(f"(label) => {buttons}.find((each) => each.textContent === label).click()", label)
    page.wait_for_timeout(600)


def test_words_are_put_into_the_prompt_by_a_click(page: Any) -> None:
    drop(page, PEOPLE)
    ((_, words),) = strips(page)
    (prompt,) = owned(page, "LumosXRelationGraph", "prompt")
    type_into(page, "LumosXRelationGraph", "prompt", prompt.replace("red jacket", "red jackett").replace("library", ""))
    page.wait_for_selector(".lumosx-problem", state="attached", timeout=10_000)
    assert strips(page)[0][0] == ["not in the prompt: red jacket, library"]
    click_offer(page, "red jackett \u2192 red jacket")
    (text,) = owned(page, "LumosXRelationGraph", "prompt")
    assert text == prompt.replace("library", "")
    page.evaluate(
        """(at) => {
            const node = app.canvas.graph._nodes.find((each) => each.type === 'LumosXRelationGraph')
            const { element, value } = node.widgets.find((widget) => widget.name === 'prompt')
            const drawn = [...document.querySelectorAll(`[data-node-id="${node.id}"] textarea`)] // in the second renderer
            const field = element?.isConnected ? element : drawn.find((each) => each.value === value)
            field.focus()
            field.setSelectionRange(at, at)
        }""",
        prompt.index("library"),
    )
    click_offer(page, "library")
    ((problems, found),) = strips(page)
    assert owned(page, "LumosXRelationGraph", "prompt") == [prompt]
    assert not problems and found == words
    assert not page.troubles


def test_a_connected_sample_colours_its_words_and_offers_its_tags(page: Any) -> None:
    page.evaluate("""() => {
        const add = (type) => {
            const node = LiteGraph.createNode(type)
            app.graph.add(node)
            return node
        }
        const [folder, graph] = ['LumosXSampleFolder', 'LumosXRelationGraph'].map(add)
        folder.widgets.find(({ name }) => name === 'sample').value = 'two_people'
        const slot = folder.outputs.findIndex(({ type }) => type === 'LUMOSX_SAMPLE')
        folder.connect(slot, graph, graph.inputs.findIndex(({ name }) => name === 'sample'))
    }""")
    ((problems, words),) = strips(page)  # of the caption, while nothing is typed
    assert not problems and "dress" in words
    for label in ("@1", "@2.hat"):
        click_offer(page, label)
    assert owned(page, "LumosXRelationGraph", "prompt") == ["@1 @2.hat"]
    ((problems, words),) = strips(page)
    assert words == ["person", "hat"] and problems[0] == "not in the prompt: dress, dress"
    assert not page.troubles


def test_words_of_people_out_of_photographs_are_known(page: Any) -> None:
    drop(page, next(path for path in WORKFLOWS if path.stem == "LumosX from two photos"))
    ((problems, words),) = strips(page)
    assert not problems and words == ["man", "red jacket", "glasses", "woman", "blue dress"]
    type_into(page, "LumosXPerson", "attributes", "red jacket\n cane ")
    page.wait_for_selector(".lumosx-problem", state="attached", timeout=10_000)
    assert strips(page)[0][0] == ["not in the prompt: cane"]
    assert not page.troubles


def test_nodes_that_are_switched_off_say_nothing(page: Any) -> None:
    drop(page, PEOPLE)
    ((_, words),) = strips(page)
    for mode in (2, 4):  # never, bypass
        thing = page.evaluate(
            """(mode) => {
                const node = app.graph._nodes.find((each) => each.type === 'LumosXAttributeReference')
                node.mode = mode
                return node.widgets.find((widget) => widget.name === 'phrase').value
            }""",
            mode,
        )
        page.wait_for_timeout(1200)
        ((problems, fewer),) = strips(page)
        assert not problems and fewer == [word for word in words if word != thing]
    assert not page.troubles


def test_the_blueprint_shows_the_words_of_its_own_fields(page: Any) -> None:
    blueprint(page)
    page.evaluate("""() => {
        const blueprint = app.graph._nodes[0]
        const set = (name, value) => { blueprint.widgets.find((widget) => widget.name === name).value = value }
        set('prompt', 'A boy in a cap talks with a woman.')
        set('person_1', 'boy')
        set('words_1', 'cap')
        app.canvas.openSubgraph(blueprint.subgraph, blueprint)
    }""")
    page.wait_for_selector(".lumosx-problem", state="attached", timeout=10_000)
    ((problems, words),) = strips(page)
    assert (problems, words) == (["not in the prompt: glasses, garden"], ["boy", "cap", "woman"])


def test_without_an_answer_the_prompt_is_grey(page: Any) -> None:
    drop(page, PEOPLE)
    strips(page)
    page.route("**/lumosx/words", lambda route: route.abort())
    type_into(page, "LumosXRelationGraph", "prompt", "Somebody waves.")
    page.wait_for_function(f"() => ({STRIPS})()[0][3][0] === 'Somebody waves.'", timeout=10_000)
    page.unroute("**/lumosx/words")
    ((problems, words),) = strips(page)  # asked again after a while
    assert problems and not words
