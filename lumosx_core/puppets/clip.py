"""What happens in a clip of the puppet world: who, wearing what, where, how they move, and the words for it.

The world is drawn in 48 x 40 large pixels, each shown as 2 x 2: pixel art that a small VAE can keep. Four people stand on a
frame of 64 x 40.
"""

from dataclasses import asdict, dataclass

import numpy as np

from lumosx_core.errors import InputError
from lumosx_core.puppets.captions import Caption, write_caption
from lumosx_core.puppets.motion import PANS, Placement, sample_placements
from lumosx_core.puppets.painter import UNITS_PER_PIXEL
from lumosx_core.puppets.scenes import (
    SCENE_WIDTH,
    SCENES,
    ObjectSpec,
    sample_object,
)
from lumosx_core.puppets.spec import (
    BODY_KINDS,
    NAMES,
    PATTERNS,
    AttributeSpec,
    Identity,
    PuppetSpec,
    sample_attribute,
    sample_identity,
    sample_kinds,
)

COLUMNS, ROWS = 48, 40  # pixels of the drawing
BLOCK = 2  # every pixel of the drawing is shown as BLOCK x BLOCK pixels of the frame
WIDTH, HEIGHT, FPS = BLOCK * COLUMNS, BLOCK * ROWS, 8
WIDE_COLUMNS = 64  # of a frame with four people
SCENE_VIEW = COLUMNS * UNITS_PER_PIXEL  # width of the usual frame in units
OBJECT_PLACES = {
    1: (0.85, 0.15),
    2: (0.5, 0.96),
    3: (0.34, 0.66),
    4: (0.25, 0.75),
}  # between so many people, shares of the width


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """Everything that happens in a clip; rendering it is deterministic."""

    puppets: tuple[PuppetSpec, ...]
    placements: tuple[Placement, ...]
    objects: tuple[ObjectSpec, ...]
    object_places: tuple[float, ...]  # x of each object, units
    scene: str
    scene_seed: int
    scene_offset: float  # x of the frame's left edge in the background, units
    pan: str
    caption: Caption
    frames: int = 9
    columns: int = COLUMNS  # width of the frame in pixels of the drawing

    def to_dict(self) -> dict:
        """Plain JSON types; `from_dict` reads it back."""
        return asdict(self)

    @staticmethod
    def from_dict(record: dict) -> "ClipSpec":
        """The inverse of `to_dict`. Raises InputError when a field is missing or unknown."""
        try:
            caption = record["caption"]
            return ClipSpec(
                **{
                    **record,
                    "puppets": tuple(PuppetSpec.from_dict(p) for p in record["puppets"]),
                    "placements": tuple(Placement(**p) for p in record["placements"]),
                    "objects": tuple(ObjectSpec(**o) for o in record["objects"]),
                    "object_places": tuple(record["object_places"]),
                    "caption": Caption(
                        text=caption["text"],
                        attribute_phrases=tuple(tuple(p) for p in caption["attribute_phrases"]),
                        object_phrases=tuple(caption["object_phrases"]),
                        scene_phrase=caption["scene_phrase"],
                        clauses=tuple(caption.get("clauses", ())),
                    ),
                }
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"puppet clip record: {error}; expected the fields that ClipSpec.to_dict writes") from error


def sample_clip(
    rng: np.random.Generator,
    *,
    people: int = 2,
    attributes: int | tuple[int, ...] = 2,
    described: bool | None = None,
    held_out: bool = False,
    objects: int = 0,
    frames: int = 9,
    pattern_shares: tuple[float, ...] | None = None,
    shared_names: bool = False,
    same_clothes: bool = False,
) -> ClipSpec:
    """A random clip.

    people: 1 to 4, four on a frame of WIDE_COLUMNS. attributes: how many each wears (0 to 4), one number or one per person.
    described: colour words in the caption (None: a coin). In a caption that is not described everyone has the same name and
    the same kinds of things. held_out: identities and colour-pattern combinations from the tenth that training never sees.
    frames: 4n + 1. pattern_shares: how often a worn thing has each of PATTERNS, summing to 1; None: equally often.
    shared_names: a described caption too gives everyone the same name. same_clothes: in it too everyone wears the same kinds of
    things, in other colours.
    """
    if not 1 <= people <= 4:
        raise InputError(f"puppet clip: {people} people, expected 1 to 4")
    if not 0 <= objects <= 2:
        raise InputError(f"puppet clip: {objects} objects, expected 0 to 2")
    if (frames - 1) % 4:
        raise InputError(f"puppet clip: {frames} frames, expected 4n + 1, for example 9 or 17")
    if pattern_shares is not None and (len(pattern_shares) != len(PATTERNS) or abs(sum(pattern_shares) - 1) > 1e-6):
        raise InputError(f"puppet clip: pattern shares {pattern_shares}, expected {len(PATTERNS)} numbers that sum to 1")
    counts = (attributes,) * people if isinstance(attributes, int) else attributes
    described = bool(rng.random() < 0.5) if described is None else described
    shared_name = NAMES[int(rng.integers(len(NAMES)))] if rng.random() < 0.5 else "person"
    shared_kinds = sample_kinds(rng, counts[0])
    columns = COLUMNS if people < 4 else WIDE_COLUMNS
    view = columns * UNITS_PER_PIXEL  # width of the frame in units
    puppets: list[PuppetSpec] = []
    for count in counts:
        name = NAMES[int(rng.integers(len(NAMES)))] if described and not shared_names else shared_name
        alike = (same_clothes or not described) and count == counts[0]
        kinds = shared_kinds if alike else sample_kinds(rng, count)
        worn: list[AttributeSpec] = []
        for kind in kinds:
            attribute = sample_attribute(rng, kind, held_out=held_out, pattern_shares=pattern_shares)
            while any(_easily_confused(attribute, a) for p in puppets for a in p.attributes):
                attribute = sample_attribute(rng, kind, held_out=held_out, pattern_shares=pattern_shares)
            worn.append(attribute)
        identity = sample_identity(rng, held_out=held_out)
        while any(_look_alike(identity, p.identity) for p in puppets):
            identity = sample_identity(rng, held_out=held_out)
        puppets.append(PuppetSpec(identity=identity, name=name, attributes=tuple(worn)))
    placements = sample_placements(rng, people, view)
    things = tuple(sample_object(rng) for _ in range(objects))
    scene, pan = SCENES[int(rng.integers(len(SCENES)))], PANS[int(rng.choice(3, p=(0.7, 0.15, 0.15)))]
    caption = write_caption(rng, tuple(puppets), placements, things, scene, pan, described=described)
    return ClipSpec(
        puppets=tuple(puppets),
        placements=tuple(placements),
        objects=things,
        object_places=tuple(float(view * OBJECT_PLACES[people][k] + rng.uniform(-3, 3)) for k in range(objects)),
        scene=scene,
        scene_seed=int(rng.integers(1 << 30)),
        scene_offset=float(rng.uniform(13, SCENE_WIDTH - view - 13)),
        pan=pan,
        caption=caption,
        frames=frames,
        columns=columns,
    )


def _easily_confused(a: AttributeSpec, b: AttributeSpec) -> bool:
    """Two people in one clip never wear things of one colour in the same place."""
    place_a, place_b = ("body" if x.kind in BODY_KINDS else x.kind for x in (a, b))
    return place_a == place_b and a.colour == b.colour


def _look_alike(a: Identity, b: Identity) -> bool:
    """Two people in one clip differ in skin or hair colour, and in the style of the hair."""
    return (a.skin, a.hair_colour) == (b.skin, b.hair_colour) or a.hair == b.hair
