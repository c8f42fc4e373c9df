"""Every template as it opens at 1920 x 1080, in both renderers: it holds what was saved, what is written can be read, and
nothing lies over another."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .pages import UNCOVERED, WORKFLOWS, clear, lost

SMALLEST = 9  # pixels of a letter
OPEN = "async ([graph, name]) => { await app.loadGraphData(graph, true, true, name, { openSource: 'template' }) }"
# Sizes of the letters of titles and notes on the screen, and the nodes that share a place on it.
SEEN = """() => {
    const scale = app.canvas.ds.scale
    const shown = [...document.querySelectorAll('.comfy-markdown .tiptap *, .comfy-markdown-content *, .lg-node-header *')]
        .filter((each) => [...each.childNodes].some((part) => part.nodeType === 3 && part.textContent.trim()))
    const letters = shown.map((each) => [parseFloat(getComputedStyle(each).fontSize) * scale, each.textContent.slice(0, 30)])
    letters.push([LiteGraph.NODE_TEXT_SIZE * scale, 'titles of the canvas'])
    const boxes = app.graph._nodes.map((node) => {
        const element = document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect()
        const [x, y, wide, high] = node.boundingRect ?? node.getBounding()
        return element
            ? [node.title, element.left / scale, element.top / scale, element.right / scale, element.bottom / scale]
            : [node.title, x, y, x + wide, y + high]
    })
    const apart = (a, b) => a[3] <= b[1] + 1 || b[3] <= a[1] + 1 || a[4] <= b[2] + 1 || b[4] <= a[2] + 1
    const over = boxes.flatMap((a, k) => boxes.slice(k + 1).filter((b) => !apart(a, b)).map((b) => [a, b]))
    return { letters, over }
}"""


@pytest.fixture
def screen(page: Any) -> Iterator[Any]:
    """The page on a screen of 1920 x 1080."""
    before = page.viewport_size
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.wait_for_timeout(500)
    yield page
    page.set_viewport_size(before)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_template_opens_whole_and_readable(screen: Any, path: Path) -> None:
    clear(screen)
    screen.evaluate(OPEN, [json.loads(path.read_text("utf-8")), path.stem])
    screen.wait_for_timeout(1500)
    screen.evaluate(UNCOVERED)
    assert not lost(screen, path)
    seen = screen.evaluate(SEEN)
    assert not seen["over"]
    assert len(seen["letters"]) > 3
    assert not [letter for letter in seen["letters"] if letter[0] < SMALLEST - 0.01]
    assert not screen.troubles
