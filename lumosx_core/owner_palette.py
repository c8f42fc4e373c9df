"""Colours, fonts and thumbnails that all pictures of references share: an owner has the same colour everywhere.

An owner is the background, an object, or a subject with everything that belongs to it.
"""

from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from lumosx_core.files.images import rgb_on_white
from lumosx_core.references import Reference, ReferenceSet

RGB = tuple[int, int, int]

INK: RGB = (34, 36, 44)
QUIET: RGB = (120, 124, 136)
ALARM: RGB = (200, 32, 48)
PAPER: RGB = (250, 250, 248)
SUBJECT_COLOURS: tuple[RGB, ...] = (
    (214, 84, 52), (44, 112, 204), (40, 146, 92), (150, 78, 186), (190, 138, 16), (206, 70, 138), (20, 146, 160), (112, 96, 84),
)  # fmt: skip
OBJECT_COLOURS: tuple[RGB, ...] = ((96, 108, 130), (128, 116, 72), (84, 128, 118), (138, 98, 112))
BACKGROUND_COLOUR: RGB = (92, 98, 92)


@dataclass(frozen=True, kw_only=True)
class Owner:
    """One owner: its heading, its colour, and the indices of its pictures in `ReferenceSet.references()`."""

    title: str
    colour: RGB
    members: tuple[int, ...]


def owners(references: ReferenceSet) -> tuple[Owner, ...]:
    """All owners in model order: background, objects, subjects."""
    flat = references.references()
    found: list[Owner] = []
    objects = 0
    for index, reference in enumerate(flat):
        if reference.kind == "background":
            found.append(Owner(title="Background", colour=BACKGROUND_COLOUR, members=(index,)))
        elif reference.kind == "object":
            colour = OBJECT_COLOURS[objects % len(OBJECT_COLOURS)]
            objects += 1
            found.append(Owner(title=f"Object {objects}", colour=colour, members=(index,)))
    for number, subject in enumerate(references.subjects):
        members = tuple(index for index, reference in enumerate(flat) if reference.subject == number)
        title = f"Subject {number + 1}" + (f": {subject.name}" if subject.name else "")
        found.append(Owner(title=title, colour=SUBJECT_COLOURS[number % len(SUBJECT_COLOURS)], members=members))
    return tuple(found)


def tint(colour: RGB, share: float) -> RGB:
    """The colour mixed with white; share 0 is white, 1 the colour."""
    return tuple(round(255 + (channel - 255) * share) for channel in colour)  # type: ignore[return-value]


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's built-in font at `size` pixels: the same on every machine."""
    return ImageFont.load_default(size)


def fit_text(draw: ImageDraw.ImageDraw, text: str, size: int, width: int) -> str:
    """The text, cut with dots so that it is at most `width` pixels wide."""
    if draw.textlength(text, font(size)) <= width:
        return text
    while text and draw.textlength(text + "...", font(size)) > width:
        text = text[:-1]
    return text.rstrip() + "..."


def thumbnail(reference: Reference, side: int) -> Image.Image:
    """The picture on white, fitted into side x side pixels; small pictures are enlarged without smoothing."""
    image = rgb_on_white(reference.image)
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    smooth = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    canvas = Image.new("RGB", (side, side), "white")
    canvas.paste(image.resize(size, smooth), ((side - size[0]) // 2, (side - size[1]) // 2))
    return canvas
