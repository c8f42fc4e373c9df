"""Places drawn on the picture inside a node, with the mouse, in both renderers: the fields, undo, a run, a saved workflow."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host_server import HostServer
from PIL import Image

from lumosx_core.detection.cut_outs import CutOutOptions, cut_out, on_white
from lumosx_core.detection.things import ThingEyes, find_thing
from lumosx_core.evaluation.eyes import photograph_specs
from lumosx_core.puppets.analyser import PuppetAnalyser
from lumosx_core.puppets.render import render_clip

from .pages import ENDED

NODE = "app.graph._nodes.find(({ type }) => type === '%s')"
ADD = """([type, values]) => {
    const node = LiteGraph.createNode(type)
    node.pos = [500, 120]
    app.graph.add(node)
    for (const [name, value] of Object.entries(values)) node.widgets.find((widget) => widget.name === name).value = value
    const load = app.graph._nodes.find((each) => each.type === 'LoadImage') ?? (() => {
        const made = LiteGraph.createNode('LoadImage')
        made.pos = [60, 120]
        app.graph.add(made)
        made.widgets.find((widget) => widget.name === 'image').value = 'drawing.png'
        return made
    })()
    load.connect(0, node, 0)
}"""
FIELDS = """(type) => Object.fromEntries(app.graph._nodes.find((node) => node.type === type).widgets
    .map((widget) => [widget.name, widget.value]))"""
DRAWN = """() => [...document.querySelectorAll('.lumosx-picture rect')].map((rect) =>
    ['x', 'y', 'width', 'height'].map((name) => Number(rect.getAttribute(name))))"""
THING = "LumosXAttributeReference"


@pytest.fixture(scope="module")
def photograph() -> tuple[Image.Image, str]:
    """Two people, and the words for a thing of the right one."""
    spec = next(s for s in photograph_specs(12, seed=7) if len(s.puppets) == 2 and len(s.puppets[1].attributes) > 1)
    picture = Image.fromarray(render_clip(spec).frames[0])
    return picture.resize((picture.width * 4, picture.height * 4), Image.Resampling.NEAREST), spec.caption.attribute_phrases[1][
        0
    ]


@pytest.fixture
def canvas(page: Any, server: HostServer, photograph: tuple[Image.Image, str]) -> Any:
    """The page, with the photograph among the files that Load Image knows."""
    photograph[0].save(server.folder / "input" / "drawing.png")
    return page


def picture_on_screen(page: Any) -> tuple[float, float, float]:
    """(left, top, pixels of the screen for one of the picture) of the only picture that is shown."""
    page.wait_for_function(
        "document.querySelector('.lumosx-picture image')?.getBoundingClientRect().width > 50", timeout=15_000
    )
    page.wait_for_timeout(500)
    place = page.evaluate("""() => {
        const { left, top, width, height } = document.querySelector('.lumosx-picture').getBoundingClientRect()
        const [, , w, h] = document.querySelector('.lumosx-picture').getAttribute('viewBox').split(' ').map(Number)
        const scale = Math.min(width / w, height / h)
        return [left + (width - scale * w) / 2, top + (height - scale * h) / 2, scale]
    }""")
    return tuple(place)


def drag(page: Any, box: tuple[float, ...]) -> None:
    """The mouse from corner to corner of a box of the picture."""
    left, top, scale = picture_on_screen(page)
    corners = [(left + box[i] * scale, top + box[i + 1] * scale) for i in (0, 2)]
    page.mouse.move(*corners[0])
    page.mouse.down()
    page.mouse.move((corners[0][0] + corners[1][0]) / 2, corners[1][1], steps=3)
    page.mouse.move(*corners[1], steps=3)
    page.mouse.up()


def click(page: Any, x: float, y: float) -> None:
    left, top, scale = picture_on_screen(page)
    page.mouse.click(left + x * scale, top + y * scale)


def test_a_box_is_dragged_typed_undone_and_run(canvas: Any, server: HostServer, photograph: tuple[Image.Image, str]) -> None:
    picture, phrase = photograph
    analyser = PuppetAnalyser()
    person = analyser.find_people(picture)[1].box
    canvas.evaluate(ADD, [THING, {"cut_out": "phrase", "eyes": "puppets", "phrase": phrase, "margin": 0.1, "points": ""}])
    placed = canvas.evaluate(f"[...{NODE % THING}.pos]")
    drag(canvas, person)
    box = [int(number) for number in canvas.evaluate(FIELDS, THING)["box"].split(",")]
    assert np.allclose(box, person, atol=2) and canvas.evaluate(f"[...{NODE % THING}.pos]") == placed
    assert canvas.evaluate(DRAWN) == [[box[0], box[1], box[2] - box[0], box[3] - box[1]]]

    end, detail = canvas.evaluate(ENDED)
    assert end == "execution_success", detail
    (shown,) = [output for output in canvas.evaluate("outputsOfRun").values() if "lumosx_source" in output]
    with Image.open(server.folder / "temp" / shown["images"][0]["filename"]) as file:
        made = np.asarray(file.convert("RGB"))
    found, mask = find_thing(picture, phrase, ThingEyes(phrases=analyser, masks=analyser), within=tuple(map(float, box)))
    assert (made == np.asarray(on_white(cut_out(picture, mask, CutOutOptions(margin=0.1), frame=found.whole)))).all()

    canvas.evaluate(f"{NODE % THING}.widgets.find(({{ name }}) => name === 'box').value = '10, 20, 110, 90'")
    canvas.wait_for_function(f"JSON.stringify(({DRAWN})()) === '[[10,20,100,70]]'", timeout=5000)
    canvas.mouse.click(300, 900)  # the host notes what was typed
    drag(canvas, (40, 40, 200, 200))
    assert np.allclose([int(n) for n in canvas.evaluate(FIELDS, THING)["box"].split(",")], (40, 40, 200, 200), atol=2)
    canvas.keyboard.press("Control+z")
    canvas.wait_for_function(f"JSON.stringify(({DRAWN})()) === '[[10,20,100,70]]'", timeout=10_000)
    assert canvas.evaluate(FIELDS, THING)["box"] == "10, 20, 110, 90"
    assert not canvas.troubles


def test_points_come_and_go_by_clicks_and_stay_in_the_workflow(canvas: Any) -> None:
    # All fields are said: the host gives a node of an id that it has known the values of that one.
    canvas.evaluate(ADD, [THING, {"cut_out": "segment", "box": "", "points": ""}])
    click(canvas, 100, 80)
    click(canvas, 220, 160)
    points = [[int(n) for n in point.split(",")] for point in canvas.evaluate(FIELDS, THING)["points"].split(";")]
    assert np.allclose(points, [(100, 80), (220, 160)], atol=2)
    click(canvas, *points[0])
    left = canvas.evaluate(FIELDS, THING)["points"]
    assert left == f"{points[1][0]}, {points[1][1]}" and canvas.evaluate(FIELDS, THING)["box"] == ""
    saved = canvas.evaluate("app.graph.serialize()")
    (node,) = [node for node in saved["nodes"] if node["type"] == THING]
    assert left in node["widgets_values"] and len(node["widgets_values"]) == 11
    canvas.evaluate("(saved) => app.loadGraphData(saved)", saved)
    canvas.wait_for_function("document.querySelectorAll('.lumosx-picture circle').length === 1", timeout=15_000)
    assert canvas.evaluate(FIELDS, THING)["points"] == left
    canvas.locator(".lumosx-draw-places span", has_text="clear").click()
    assert canvas.evaluate(FIELDS, THING)["points"] == ""
    del node["properties"]["lumosx_picture"]  # as saved before pictures were shown
    canvas.evaluate("(saved) => app.loadGraphData(saved)", saved)
    canvas.wait_for_timeout(1000)
    assert canvas.locator(".lumosx-picture image").count() == 0
    canvas.locator(".lumosx-draw-places span").first.click()
    canvas.wait_for_function("document.querySelectorAll('.lumosx-picture circle').length === 1", timeout=15_000)
    assert not canvas.troubles


@pytest.mark.parametrize("kind", ["LumosXPerson", "LumosXFaceReference"])
def test_the_person_at_the_point_is_clicked(canvas: Any, kind: str) -> None:
    # All fields are said: the host gives a node of an id that it has known the values of that one.
    canvas.evaluate(ADD, [kind, {"crop": "detect"} if kind == "LumosXFaceReference" else {}])
    click(canvas, 300, 160)
    fields = canvas.evaluate(FIELDS, kind)
    assert fields["choice"] == "at point" and np.allclose((fields["x"], fields["y"]), (300, 160), atol=2)
    assert not canvas.troubles


def test_a_picture_that_is_made_is_shown_after_a_run(canvas: Any, server: HostServer) -> None:
    canvas.evaluate(ADD, [THING, {"cut_out": "phrase", "eyes": "puppets", "phrase": "violin", "box": "", "points": ""}])
    canvas.evaluate("""() => {
        const [thing, load] = ['LumosXAttributeReference', 'LoadImage'].map((kind) =>
            app.graph._nodes.find(({ type }) => type === kind))
        const scale = LiteGraph.createNode('ImageInvert')
        app.graph.add(scale)
        load.connect(0, scale, 0)
        scale.connect(0, thing, 0)
        thing.widgets.find(({ name }) => name === 'cut_out').value = 'already cut out'
    }""")
    end, detail = canvas.evaluate(ENDED)
    assert end == "execution_success", detail
    canvas.evaluate(f"{NODE % THING}.widgets.find(({{ name }}) => name === 'cut_out').value = 'phrase'")
    picture_on_screen(canvas)
    source = canvas.evaluate("document.querySelector('.lumosx-picture image').getAttribute('href')")
    assert "type=temp" in source and list(Path(server.folder / "temp").glob("*.png"))
    drag(canvas, (40, 40, 200, 200))
    assert np.allclose([int(n) for n in canvas.evaluate(FIELDS, THING)["box"].split(",")], (40, 40, 200, 200), atol=2)
    assert not canvas.troubles
