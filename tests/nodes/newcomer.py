"""A newcomer's way from two own photographs to a queued video, in ComfyUI's own page with a real mouse, counted.

    python -m tests.nodes.newcomer

Template "LumosX from two photos". Its three model files (1.3B) are replaced by LumosX Nano before the first click, and its eyes
by those for puppets, since neither can come with this pack; the photographs are puppets' too. Needs ComfyUI (COMFYUI_ROOT) and
Chromium; two minutes.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # as for the tests
sys.path.insert(0, str(Path(__file__).parents[1] / "core"))
from browser.pages import open_page
from chromium import started_browser
from comfyui_folder import comfyui_root
from host_server import HostServer

from lumosx_core.puppets.samples import PHOTOGRAPHS_FOLDER

TEMPLATE = "LumosX from two photos"
PHOTOGRAPHS = [PHOTOGRAPHS_FOLDER / f"{name}.png" for name in ("one_person", "two_people")]
TEXTS = {  # what the newcomer types: (node, field) -> text
    ("Person 1: man", "attributes"): "yellow shirt\nblue scarf",
    ("Person 2: woman", "attributes"): "teal dotted shirt\nyellow glasses",
    (
        "LumosX Relation Graph",
        "prompt",
    ): "A man wearing a yellow shirt and a blue scarf standing next to a woman wearing a teal "
    "dotted shirt and yellow glasses in the park.",
}
# Nano instead of the files that are loaded, with its sizes, and the eyes for puppets.
STAND_IN = """() => {
    const nano = LiteGraph.createNode('LumosXNano')
    app.graph.add(nano)
    const loaders = { UNETLoader: 0, CLIPLoader: 1, VAELoader: 2 }
    for (const node of [...app.graph._nodes]) {
        if (!(node.type in loaders)) continue
        for (const id of [...(node.outputs[0].links ?? [])]) {
            const link = app.graph.getLink?.(id) ?? app.graph.links[id]
            nano.connect(loaders[node.type], app.graph.getNodeById(link.target_id), link.target_slot)
        }
        app.graph.remove(node)
    }
    const set = (type, values) => app.graph._nodes.filter((node) => node.type === type).forEach((node) => {
        for (const [name, value] of Object.entries(values)) node.widgets.find((each) => each.name === name).value = value
    })
    set('LumosXPerson', { eyes: 'puppets' })
    set('LumosXEncodeReferences', { width: 96, height: 80, length: 17 })
    set('LumosXSampler', { steps: 4, cfg: 3, shift: 3 })
}"""
QUEUED = """() => new Promise((resolve) => {
    app.api.addEventListener('promptQueued', () => resolve('queued'))
    app.api.addEventListener('execution_start', () => resolve('queued'))
    setTimeout(() => resolve('nothing was queued'), 20000)
})"""


class Newcomer:
    """The page, and what was done in it so far."""

    def __init__(self, page: Any) -> None:
        self.page, self.clicks, self.texts = page, 0, 0

    def click(self, what: Any, why: str) -> None:
        """One click of the mouse."""
        what.click(timeout=30_000)
        self.clicks += 1
        print(f"click {self.clicks}  {why}", flush=True)
        self.page.wait_for_timeout(1500)

    def choose(self, title: str, path: Path) -> None:
        """A click on the button of a Load Image, and one on the file in the dialog of the system."""
        node = self.node(title)
        with self.page.expect_file_chooser(timeout=30_000) as chosen:
            self.click(node.locator("label", has=self.page.locator("input[type=file]")).first, f"upload, {title}")
        chosen.value.set_files(str(path))
        self.clicks += 1
        print(f"click {self.clicks}  {path.name} in the dialog", flush=True)
        self.page.wait_for_timeout(1500)

    def type(self, title: str, field: str, text: str) -> None:
        """One text, which takes a click into its field: counted as a text."""
        self.node(title).locator("textarea").first.fill(text)
        self.texts += 1
        print(f"text {self.texts}   {title}, {field}", flush=True)

    def node(self, title: str) -> Any:
        """The node with that title that is unfolded."""
        found = self.page.evaluate(
            "(title) => app.graph._nodes.find((node) => node.title === title && !node.flags.collapsed)?.id", title
        )
        return self.page.locator(f"[data-node-id='{found}']")


def way(page: Any) -> Newcomer:
    """From the empty page to a queued video. Raises RuntimeError if nothing is queued."""
    newcomer = Newcomer(page)
    newcomer.click(page.get_by_text("Templates", exact=True).first, "Templates")
    newcomer.click(page.locator("[role=dialog]").get_by_text("lumosx", exact=True).first, "the pack's templates")
    newcomer.click(page.locator("[role=dialog]").get_by_text(TEMPLATE, exact=True).first, TEMPLATE)
    page.wait_for_function("app.graph._nodes.some((node) => node.type === 'LumosXPerson')", timeout=30_000)
    page.evaluate(STAND_IN)
    page.wait_for_timeout(1500)
    for number, path in enumerate(PHOTOGRAPHS, start=1):
        newcomer.choose(f"Photo {number}", path)
    for (title, field), text in TEXTS.items():
        newcomer.type(title, field, text)
    page.evaluate(f"() => {{ window.newcomersRun = ({QUEUED})() }}")
    newcomer.click(page.get_by_role("button", name="Run", exact=True).first, "Run")
    told = page.evaluate("window.newcomersRun")
    if told != "queued":
        raise RuntimeError(told)
    return newcomer


def main() -> int:
    """Go it and count."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    comfyui = comfyui_root()
    if comfyui is None:
        print("no ComfyUI found; set COMFYUI_ROOT to its folder")
        return 2
    with tempfile.TemporaryDirectory() as folder, started_browser() as browser:
        server = HostServer(comfyui, Path(folder) / "host")
        try:
            server.post("/api/settings", {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": True})
            page = browser.new_page(viewport={"width": 1920, "height": 1080})
            open_page(page, f"http://{server.address}")
            newcomer = way(page)
        finally:
            server.stop()
    print(f"queued after {newcomer.clicks} clicks and {newcomer.texts} texts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
