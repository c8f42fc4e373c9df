"""Colours, titles and thumbnails that all pictures of references share: an owner has the same colour everywhere."""

from PIL import Image, ImageDraw

from lumosx_core.drawing.lettering import RGB, draw_text, fit_lines, text_width
from lumosx_core.files.images import rgb_on_white
from lumosx_core.owners import Owner
from lumosx_core.references import Reference

INK: RGB = (34, 36, 44)
QUIET: RGB = (120, 124, 136)
ALARM: RGB = (200, 32, 48)
PAPER: RGB = (250, 250, 248)
SUBJECT_COLOURS: tuple[RGB, ...] = (
    (214, 84, 52), (44, 112, 204), (40, 146, 92), (150, 78, 186), (190, 138, 16), (206, 70, 138), (20, 146, 160), (112, 96, 84),
)  # fmt: skip
OBJECT_COLOURS: tuple[RGB, ...] = ((96, 108, 130), (128, 116, 72), (84, 128, 118), (138, 98, 112))
BACKGROUND_COLOUR: RGB = (92, 98, 92)
STRENGTH_TEXT = 13  # pixels


def colour_of(owner: Owner) -> RGB:
    """The colour of an owner; after the last of its kind they begin again."""
    colours = {"background": (BACKGROUND_COLOUR,), "object": OBJECT_COLOURS, "subject": SUBJECT_COLOURS}[owner.kind]
    return colours[owner.number % len(colours)]


def title_lines(owner: Owner, size: int, width: float, most: int) -> list[str]:
    """The title in at most `most` lines of `width` pixels, its name cut in the middle where that is not enough; its kind and
    number are shown however narrow the place is."""
    return fit_lines(owner.title, size, width, most, len(owner.heading))


def tint(colour: RGB, share: float) -> RGB:
    """The colour mixed with white; share 0 is white, 1 the colour."""
    return tuple(round(255 + (channel - 255) * share) for channel in colour)  # type: ignore[return-value]


def thumbnail(reference: Reference, side: int) -> Image.Image:
    """The picture on white, fitted into side x side pixels; small pictures are enlarged without smoothing. A strength that is
    not 1 stands in the corner, as "x 0.5"."""
    image = rgb_on_white(reference.image)
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    smooth = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    canvas = Image.new("RGB", (side, side), "white")
    canvas.paste(image.resize(size, smooth), ((side - size[0]) // 2, (side - size[1]) // 2))
    if reference.strength != 1:
        told = f"x {reference.strength:.3g}"
        left, top = side - round(text_width(told, STRENGTH_TEXT)) - 8, side - STRENGTH_TEXT - 8
        ImageDraw.Draw(canvas).rectangle((left, top, side, side), fill=INK)
        draw_text(canvas, (left + 4, top + 3), told, STRENGTH_TEXT, "white")
    return canvas
