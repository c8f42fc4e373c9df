"""docs/images/comfyui_templates.jpg: every template as it opens at 1920 x 1080, in the canvas renderer and in Nodes 2.0.

    python -m tests.nodes.make_template_sheet

Needs ComfyUI (COMFYUI_ROOT) and Chromium; some minutes.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from lumosx_core.files.atomic import whole_file
from lumosx_core.files.images import decoded, encoded_jpeg

sys.path.insert(0, str(Path(__file__).parent))  # as for the tests
sys.path.insert(0, str(Path(__file__).parents[1] / "core"))
from browser.pages import UNCOVERED, WORKFLOWS, open_page
from browser.test_browser_templates import OPEN
from chromium import started_browser
from comfyui_folder import comfyui_root
from host_server import HostServer

SHEET = Path(__file__).parents[2] / "docs" / "images" / "comfyui_templates.jpg"
SCREEN = {"width": 1920, "height": 1080}
SHOWN = (1010, 568)  # pixels of a screen on the sheet
GAP = 4
QUALITY = 55
MOST_BYTES = 1_000_000


def screens(server: HostServer, page: Any, is_vue: bool) -> list[Image.Image]:
    """The page with every template, in the order of their names."""
    server.post(
        "/api/settings", {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": is_vue, "Comfy.Minimap.Visible": False}
    )
    open_page(page, f"http://{server.address}")
    found = []
    for path in WORKFLOWS:
        page.evaluate(OPEN, [json.loads(path.read_text("utf-8")), path.stem])
        page.wait_for_timeout(2500)
        page.evaluate(UNCOVERED)
        found.append(decoded(page.screenshot()).convert("RGB").resize(SHOWN, Image.Resampling.LANCZOS))
    return found


def sheet_of(columns: list[list[Image.Image]]) -> Image.Image:
    """Columns of pictures of one size."""
    width, height = SHOWN[0] + GAP, SHOWN[1] + GAP
    sheet = Image.new("RGB", (len(columns) * width - GAP, len(columns[0]) * height - GAP), "white")
    for x, column in enumerate(columns):
        for y, picture in enumerate(column):
            sheet.paste(picture, (x * width, y * height))
    return sheet


def main() -> int:
    """Make it."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    comfyui = comfyui_root()
    if comfyui is None:
        print("no ComfyUI found; set COMFYUI_ROOT to its folder")
        return 2
    with tempfile.TemporaryDirectory() as folder, started_browser() as browser:
        server = HostServer(comfyui, Path(folder) / "host")
        try:
            page = browser.new_page(viewport=SCREEN)
            sheet = sheet_of([screens(server, page, is_vue) for is_vue in (False, True)])
        finally:
            server.stop()
    content = encoded_jpeg(sheet, QUALITY)
    assert len(content) <= MOST_BYTES, f"{len(content):,} bytes; lower QUALITY or SHOWN"
    with whole_file(SHEET, "the sheet") as partial:
        partial.write_bytes(content)
    print(SHEET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
