"""Colours, titles and thumbnails that all pictures of references share: an owner has the same colour everywhere.

An owner is the background, an object, or a subject with everything that belongs to it.
"""

from dataclasses import dataclass

from PIL import Image

from lumosx_core.files.images import rgb_on_white
from lumosx_core.lettering import RGB, fit_lines
from lumosx_core.references import Reference, ReferenceSet

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
    """One owner: its heading, its colour, and the indices of its pictures in `ReferenceSet.references()`.

    kept: letters at the beginning of the title, its kind and number, that are shown however narrow the place is.
    """

    title: str
    colour: RGB
    members: tuple[int, ...]
    kept: int = 0

    def title_lines(self, size: int, width: float, most: int) -> list[str]:
        """The title in at most `most` lines, its name cut in the middle where that is not enough."""
        return fit_lines(self.title, size, width, most, self.kept)


def owners(references: ReferenceSet) -> tuple[Owner, ...]:
    """All owners in model order: background, objects, subjects."""
    flat = references.references()
    found: list[Owner] = []
    objects = 0
    for index, reference in enumerate(flat):
        if reference.kind == "background":
            found.append(Owner(title="Background", colour=BACKGROUND_COLOUR, members=(index,), kept=10))
        elif reference.kind == "object":
            colour = OBJECT_COLOURS[objects % len(OBJECT_COLOURS)]
            objects += 1
            found.append(Owner(title=f"Object {objects}", colour=colour, members=(index,), kept=len(f"Object {objects}")))
    for number, subject in enumerate(references.subjects):
        members = tuple(index for index, reference in enumerate(flat) if reference.subject == number)
        start = f"Subject {number + 1}" + (": " if subject.name else "")
        colour = SUBJECT_COLOURS[number % len(SUBJECT_COLOURS)]
        found.append(Owner(title=start + subject.name, colour=colour, members=members, kept=len(start)))
    return tuple(found)


def tint(colour: RGB, share: float) -> RGB:
    """The colour mixed with white; share 0 is white, 1 the colour."""
    return tuple(round(255 + (channel - 255) * share) for channel in colour)  # type: ignore[return-value]


def thumbnail(reference: Reference, side: int) -> Image.Image:
    """The picture on white, fitted into side x side pixels; small pictures are enlarged without smoothing."""
    image = rgb_on_white(reference.image)
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    smooth = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    canvas = Image.new("RGB", (side, side), "white")
    canvas.paste(image.resize(size, smooth), ((side - size[0]) // 2, (side - size[1]) // 2))
    return canvas
