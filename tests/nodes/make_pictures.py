"""The pictures that depend on the embedded weights, made anew: python -m tests.nodes.make_pictures [--only WORDS ...]

Every template of `workflows/` gets its square thumbnail: a frame of a real run of the nano templates in ComfyUI, the reference
pictures of embedded samples for those that need other weights. docs/images/comfyui_two_people.png is ComfyUI's page after a run
of its template, docs/images/benchmark_cases.png twelve cases of `lumosx evaluate puppets`, the other pictures of two people
those of `lumosx demo`. Needs ComfyUI (COMFYUI_ROOT) and Chromium; a quarter of an hour on two cores.

--only: those whose file names hold one of these words.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from lumosx_core.cli.main import main as lumosx
from lumosx_core.drawing.contact_sheet import MARGIN
from lumosx_core.drawing.lettering import RGB, draw_text, text_width
from lumosx_core.drawing.palette import INK, OBJECT_COLOURS, PAPER, SUBJECT_COLOURS, thumbnail
from lumosx_core.drawing.seed_sheet import FRAME, SHOWN, TITLE
from lumosx_core.files.atomic import whole_file
from lumosx_core.files.images import decoded, encoded_jpeg, open_image, save_image
from lumosx_core.files.videos import read_video
from lumosx_core.puppets.clip import HEIGHT, WIDTH
from lumosx_core.puppets.samples import PHOTOGRAPHS_FOLDER, SAMPLES_FOLDER
from lumosx_core.references import Reference
from lumosx_core.sample_folder import read_sample

sys.path.insert(0, str(Path(__file__).parent))  # as for the tests
from comfyui_folder import comfyui_root
from host_server import HostServer

ROOT = Path(__file__).parents[2]
WORKFLOWS, IMAGES, API = ROOT / "workflows", ROOT / "docs" / "images", Path(__file__).parent / "api"
SIDE, BAND, LETTERS = 512, 92, 64  # pixels
WIDEST = 1629  # pixels of a picture of the readme
TWO_PEOPLE, PAGE = "LumosX nano - two people", "comfyui_two_people"
COMMANDS = ("two_people_sheet", "two_people_relations", "two_people_masks", "benchmark_cases")
RUN = {  # nano templates -> what stands on their thumbnails
    TWO_PEOPLE: "Two people",
    "LumosX nano - several seeds": "4 seeds",
    "LumosX nano - relations on and off": "On | off",
    "LumosX nano - continue a video": "Go on",
    "LumosX nano from two photos": "2 photos",
}


def poster(picture: Image.Image, words: str) -> Image.Image:
    """A square of SIDE pixels: the picture (its middle, as wide as it must be), a few large words below."""
    place = (SIDE, SIDE - BAND)
    scale = max(place[0] / picture.width, place[1] / picture.height)
    size = (round(picture.width * scale), round(picture.height * scale))
    smooth = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    left, top = (size[0] - place[0]) // 2, (size[1] - place[1]) // 2
    square = Image.new("RGB", (SIDE, SIDE), INK)
    square.paste(picture.resize(size, smooth).crop((left, top, left + place[0], top + place[1])))
    letters = next(size for size in range(LETTERS, 0, -1) if text_width(words, size) <= SIDE - 32)
    draw_text(square, (SIDE / 2, SIDE - BAND / 2), words, letters, PAPER, anchor="mm")
    return square


def tiles(rows: list[list[tuple[Image.Image, RGB]]]) -> Image.Image:
    """Rows of pictures on paper, as large as they all fit, each whole and in a frame of its colour."""
    side = min((SIDE - BAND) // len(rows), SIDE // max(map(len, rows))) - 20
    sheet = Image.new("RGB", (SIDE, SIDE - BAND), PAPER)
    for row, pictures in enumerate(rows):
        for column, (picture, colour) in enumerate(pictures):
            x = round((column + 0.5) * SIDE / len(pictures) - side / 2)
            y = round((row + 0.5) * (SIDE - BAND) / len(rows) - side / 2)
            sheet.paste(colour, (x - 6, y - 6, x + side + 6, y + side + 6))
            sheet.paste(thumbnail(Reference(kind="object", subject=None, phrase="", image=picture), side), (x, y))
    return sheet


def owned(sample: str, *kinds: str) -> list[tuple[Image.Image, RGB]]:
    """The reference pictures of these kinds of an embedded sample, each with its owner's colour."""
    found = read_sample(SAMPLES_FOLDER / sample).references.references()
    return [
        (each.image, OBJECT_COLOURS[0] if each.subject is None else SUBJECT_COLOURS[each.subject])
        for each in found
        if each.kind in kinds
    ]


def drawn_posters() -> dict[str, Image.Image]:
    """Template -> its thumbnail, of those that this pack cannot run: what goes into them, no result."""
    faces, worn, room = owned("three_people", "face"), owned("two_people", "face", "attribute"), "one_person_in_a_room"
    photographs = [(open_image(path), INK) for path in sorted(PHOTOGRAPHS_FOLDER.glob("*.png"))]
    return {
        "LumosX 1.3B - faces only": poster(tiles([faces[:2], faces[2:]]), "Faces"),
        "LumosX 1.3B - 161 frames": poster(tiles([faces[:2]]), "161 frames"),
        "LumosX 1.3B - people with attributes, objects, background": poster(tiles([worn[:3], worn[3:]]), "People + things"),
        "LumosX from two photos": poster(tiles([photographs]), "2 photos"),
        "LumosX prepare references": poster(tiles([owned(room, "attribute")[:1] + owned(room, "object")]), "Cut out"),
    }


def halves(frame: Image.Image) -> Image.Image:
    """Of two videos of two people side by side: the left person of the left one, the right person of the right one."""
    quarter = frame.width // 4
    joined = Image.new("RGB", (2 * quarter, frame.height))
    joined.paste(frame.crop((0, 0, quarter, frame.height)), (0, 0))
    joined.paste(frame.crop((frame.width - quarter, 0, frame.width, frame.height)), (quarter, 0))
    return joined


def first_frames(sheet: Image.Image) -> Image.Image:
    """The first frames of the last four rows of a sheet of seeds, two by two."""
    wide = SHOWN * (FRAME + 4) - 4
    high = round(FRAME * HEIGHT / WIDTH)
    left, row = sheet.width - MARGIN - wide, TITLE + high + 8
    grid = Image.new("RGB", (2 * FRAME, 2 * high))
    for number in range(4):
        top = sheet.height - MARGIN - (4 - number) * row + TITLE
        cut = sheet.crop((left, top, left + FRAME, top + high))
        grid.paste(cut, (number % 2 * FRAME, number // 2 * high))
    return grid


def run_poster(server: HostServer, name: str) -> Image.Image:
    """The thumbnail of a nano template: it runs in ComfyUI, and shows the middle frame of its video, or frames of its sheet."""
    prompt = json.loads((API / f"{name}.json").read_text("utf-8"))
    run = server.run(prompt)
    if run.end != "execution_success":
        raise RuntimeError(f"{name}: {run.end} {run.error}")
    shown = {node["class_type"]: run.outputs[number]["images"][0] for number, node in prompt.items() if number in run.outputs}
    saved = shown.get("SaveVideo") or shown["LumosXSeeds"]
    path = server.folder / saved["type"] / saved["subfolder"] / saved["filename"]
    if "SaveVideo" not in shown:
        return poster(first_frames(open_image(path)), RUN[name])
    frames, _ = read_video(path)
    frame = Image.fromarray(frames[len(frames) // 2])
    return poster(halves(frame) if "on and off" in name else frame, RUN[name])


def page_after_a_run(server: HostServer, name: str) -> Image.Image:
    """ComfyUI's page, 1920 x 1080, after a run of a template."""
    from browser.pages import ENDED, UNCOVERED, open_page
    from playwright.sync_api import sync_playwright

    server.post(
        "/api/settings", {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": True, "Comfy.Minimap.Visible": False}
    )
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page(viewport={"width": 1920, "height": 1080})
        open_page(page, f"http://{server.address}")
        graph = json.loads((WORKFLOWS / f"{name}.json").read_text("utf-8"))
        page.evaluate(
            "([graph, name]) => app.loadGraphData(graph, true, true, name, { openSource: 'template' })", [graph, name]
        )
        page.wait_for_timeout(2000)
        page.evaluate(UNCOVERED)
        end, detail = page.evaluate(ENDED)
        if end != "execution_success":
            raise RuntimeError(f"{name}: {end} {detail}")
        page.wait_for_timeout(5000)
        return decoded(page.screenshot())


def commands_pictures(folder: Path) -> dict[str, Path]:
    """Name in docs/images -> the picture that a command of LumosX made of the two people, or of benchmark cases."""
    lumosx(["demo", "--out", str(folder)])
    lumosx(["inspect", str(SAMPLES_FOLDER / "two_people"), "--out", str(folder)])
    lumosx(["evaluate", "puppets", "--count", "12", "--seed", "11", "--out", str(folder / "cases")])
    made = {f"two_people_{what}": folder / f"two_people_{what}.png" for what in ("relations", "masks")}
    (made["two_people_sheet"],) = folder.glob("two_people_*_sheet.png")  # named by the seed of the demo
    return {**made, "benchmark_cases": folder / "cases" / "sheet.png"}


def for_the_readme(picture: Image.Image) -> Image.Image:
    """A wide one smaller and in 256 colours: a third of its bytes."""
    if picture.width <= WIDEST:
        return picture
    size = (WIDEST, round(picture.height * WIDEST / picture.width))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).quantize(256)


def write_thumbnail(name: str, picture: Image.Image) -> None:
    """workflows/<name>.jpg."""
    with whole_file(WORKFLOWS / f"{name}.jpg", "the thumbnail") as partial:
        partial.write_bytes(encoded_jpeg(picture, 90))
    print(f"workflows/{name}.jpg")


def main() -> int:
    """Make those that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""])
    only = parser.parse_args().only

    def wanted(name: str) -> bool:
        return any(word in name for word in only)

    comfyui = comfyui_root()
    if comfyui is None:
        print("no ComfyUI found; set COMFYUI_ROOT to its folder")
        return 2
    for name, drawn in drawn_posters().items():
        if wanted(name):
            write_thumbnail(name, drawn)
    with tempfile.TemporaryDirectory() as folder:
        if any(map(wanted, [*RUN, PAGE])):
            server = HostServer(comfyui, Path(folder) / "host")
            try:
                for name in filter(wanted, RUN):
                    write_thumbnail(name, run_poster(server, name))
                if wanted(PAGE):
                    print(save_image(page_after_a_run(server, TWO_PEOPLE), IMAGES / f"{PAGE}.png").relative_to(ROOT))
            finally:
                server.stop()
        if any(map(wanted, COMMANDS)):
            for name, path in commands_pictures(Path(folder)).items():
                print(save_image(for_the_readme(open_image(path)), IMAGES / f"{name}.png").relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
