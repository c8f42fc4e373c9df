"""A clip of the puppet world: what happens (`ClipSpec`), its pixels and exact truth (`render_clip`), and the pictures
that a user would give to ask for it (`reference_set`).

The world is drawn in 48 x 40 large pixels, each shown as 2 x 2: pixel art that a small VAE can keep.

Shapes: F = frames, H, W = pixels (80 x 96), N = puppets.
"""

from dataclasses import asdict, dataclass, field

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.puppets.captions import Caption, write_caption
from lumosx_core.puppets.draw import (
    ATTRIBUTE_LABELS,
    HEAD_V,
    LABEL_HAIR,
    LABEL_HEAD,
    Pose,
    draw_puppet,
    paint_attribute,
    paint_puppet,
)
from lumosx_core.puppets.motion import PANS, Placement, camera_x, pose_at, sample_placements
from lumosx_core.puppets.painter import UNITS_PER_PIXEL, Painter
from lumosx_core.puppets.scenes import (
    SCENE_TOP,
    SCENE_WIDTH,
    SCENES,
    ObjectSpec,
    paint_object,
    paint_scene,
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
from lumosx_core.references import Attribute, ReferenceSet, Sample, SceneReference, Subject

COLUMNS, ROWS = 48, 40  # pixels of the drawing
BLOCK = 2  # every pixel of the drawing is shown as BLOCK x BLOCK pixels of the frame
WIDTH, HEIGHT, FPS = BLOCK * COLUMNS, BLOCK * ROWS, 8
OBJECT_PLACES = {1: (0.85, 0.15), 2: (0.5, 0.96), 3: (0.34, 0.66)}  # between so many people, shares of the width
SCENE_VIEW = COLUMNS * UNITS_PER_PIXEL  # width of the frame in units
# Extent of each attribute in puppet units (u0, v0, u1, v1), with room for its contour.
ATTRIBUTE_EXTENTS: dict[str, tuple[float, float, float, float]] = {
    "shirt": (-17, -25, 17, -6), "jacket": (-17, -25, 17, -6), "dress": (-17, -25, 17, -2),
    "hat": (-16, -52, 16, -35), "glasses": (-14, -39, 14, -27), "scarf": (-11, -26, 11, -8), "bag": (-17, -24, 8, -1),
}  # fmt: skip


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


@dataclass(frozen=True, kw_only=True)
class RenderedClip:
    """Pixels and truth of a clip."""

    frames: np.ndarray  # uint8 [F, H, W, 3]
    owner: np.ndarray  # int8 [F, H, W]: index of the puppet that a pixel shows, -1 elsewhere
    label: np.ndarray  # int16 [F, H, W]: LABEL_* of the person, ATTRIBUTE_LABELS of what is worn, OBJECT_LABEL, 0
    face_boxes: np.ndarray  # float32 [F, N, 4]: x0, y0, x1, y1 of the visible head and hair, NaN when hidden

    def attribute_mask(self, puppet: int, kind: str) -> np.ndarray:
        """Bool [F, H, W]: where that puppet's attribute of that kind is visible."""
        return (self.owner == puppet) & (self.label == ATTRIBUTE_LABELS[kind])

    def puppet_boxes(self) -> np.ndarray:
        """float32 [F, N, 4]: x0, y0, x1, y1 of each whole puppet, NaN when hidden."""
        count = self.face_boxes.shape[1]
        return np.stack([[_bounding_box(owner == n) for n in range(count)] for owner in self.owner]).astype(np.float32)


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
) -> ClipSpec:
    """A random clip.

    people: 1 to 3. attributes: how many each wears (0 to 4), one number or one per person. described: colour words in the
    caption (None: a coin). In a caption that is not described everyone has the same name and the same kinds of things.
    held_out: identities and colour-pattern combinations from the tenth that training never sees. frames: 4n + 1.
    pattern_shares: how often a worn thing has each of PATTERNS, summing to 1; None: equally often.
    """
    if not 1 <= people <= 3:
        raise InputError(f"puppet clip: {people} people, expected 1 to 3")
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
    puppets: list[PuppetSpec] = []
    for count in counts:
        name = NAMES[int(rng.integers(len(NAMES)))] if described else shared_name
        kinds = shared_kinds if not described and count == counts[0] else sample_kinds(rng, count)
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
    placements = sample_placements(rng, people, SCENE_VIEW)
    things = tuple(sample_object(rng) for _ in range(objects))
    scene, pan = SCENES[int(rng.integers(len(SCENES)))], PANS[int(rng.choice(3, p=(0.7, 0.15, 0.15)))]
    caption = write_caption(rng, tuple(puppets), placements, things, scene, pan, described=described)
    return ClipSpec(
        puppets=tuple(puppets),
        placements=tuple(placements),
        objects=things,
        object_places=tuple(float(SCENE_VIEW * OBJECT_PLACES[people][k] + rng.uniform(-3, 3)) for k in range(objects)),
        scene=scene,
        scene_seed=int(rng.integers(1 << 30)),
        scene_offset=float(rng.uniform(13, SCENE_WIDTH - SCENE_VIEW - 13)),
        pan=pan,
        caption=caption,
        frames=frames,
    )


def _easily_confused(a: AttributeSpec, b: AttributeSpec) -> bool:
    """Two people in one clip never wear things of one colour in the same place."""
    place_a, place_b = ("body" if x.kind in BODY_KINDS else x.kind for x in (a, b))
    return place_a == place_b and a.colour == b.colour


def _look_alike(a: Identity, b: Identity) -> bool:
    """Two people in one clip differ in skin or hair colour, and in the style of the hair."""
    return (a.skin, a.hair_colour) == (b.skin, b.hair_colour) or a.hair == b.hair


def render_clip(clip: ClipSpec) -> RenderedClip:
    """Pixels and exact truth of the clip."""
    scene = paint_scene(clip.scene, clip.scene_seed)
    shape = (clip.frames, ROWS, COLUMNS)
    frames = np.zeros((*shape, 3), np.uint8)
    owner, label = np.full(shape, -1, np.int8), np.zeros(shape, np.int16)
    y, x = (np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float32) + 0.5) * UNITS_PER_PIXEL
    y = y + SCENE_TOP
    for f in range(clip.frames):
        shift = camera_x(clip.pan, f)
        left = _left_column(clip.scene_offset + shift)
        frames[f] = scene[:, left : left + COLUMNS]
        for thing, place_x in zip(clip.objects, clip.object_places, strict=True):
            moved = UNITS_PER_PIXEL * round((place_x - shift) / UNITS_PER_PIXEL)
            painter = Painter(x - moved, y - 57.0)
            paint_object(painter, thing)
            _stamp(frames[f], owner[f], label[f], painter, -1)
        for n, (puppet, place) in enumerate(zip(clip.puppets, clip.placements, strict=True)):
            painter = draw_puppet(puppet, pose_at(place, f), COLUMNS, ROWS, SCENE_TOP)
            _stamp(frames[f], owner[f], label[f], painter, n)
    heads = (label == LABEL_HEAD) | (label == LABEL_HAIR)
    boxes = [[_bounding_box(heads[f] & (owner[f] == n)) for n in range(len(clip.puppets))] for f in range(clip.frames)]
    return RenderedClip(
        frames=_enlarged(frames),
        owner=_enlarged(owner),
        label=_enlarged(label),
        face_boxes=BLOCK * np.asarray(boxes, np.float32),
    )


def _left_column(offset: float) -> int:
    """The column of the scene that is at the frame's left edge."""
    return int(np.clip(round(offset / UNITS_PER_PIXEL), 0, round(SCENE_WIDTH / UNITS_PER_PIXEL) - COLUMNS))


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    """[F, rows, columns, ...] with every pixel as BLOCK x BLOCK."""
    return pixels.repeat(BLOCK, 1).repeat(BLOCK, 2)


def _stamp(frame: np.ndarray, owner: np.ndarray, label: np.ndarray, painter: Painter, index: int) -> None:
    painted = painter.label > 0
    frame[painter.window][painted] = np.clip(painter.rgb[painted], 0, 255).astype(np.uint8)
    owner[painter.window][painted] = index
    label[painter.window][painted] = painter.label[painted]


def _bounding_box(mask: np.ndarray) -> list[float]:
    if not mask.any():
        return [np.nan] * 4
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)]


@dataclass(frozen=True)
class _Camera:
    """How a reference picture is taken: flip, tilt, zoom, light."""

    flip: int
    tilt: float  # radians
    zoom: float
    light: np.ndarray = field(repr=False)  # [3], multiplies the colours

    @staticmethod
    def sample(rng: np.random.Generator) -> "_Camera":
        return _Camera(
            flip=int(rng.choice([-1, 1])),
            tilt=float(rng.uniform(-0.15, 0.15)),
            zoom=float(rng.uniform(0.85, 1.0)),
            light=rng.uniform(0.88, 1.06) * rng.uniform(0.97, 1.03, 3),
        )

    def painter(self, width: int, height: int, scale: float, centre_u: float, centre_v: float) -> Painter:
        """A painter for width x height large pixels at `scale` of them per unit, looking at (centre_u, centre_v)."""
        y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
        x, y = (x - width / 2) / (scale * self.zoom), (y - height / 2) / (scale * self.zoom)
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        return Painter(centre_u + self.flip * (cos * x + sin * y), centre_v - sin * x + cos * y)

    def photograph(self, painter: Painter, backdrop: np.ndarray) -> Image.Image:
        """The painted pixels in this light before `backdrop` (a colour [3])."""
        shown = np.where(painter.label[..., None] > 0, painter.rgb * self.light, backdrop)
        return _picture(np.clip(shown, 0, 255).astype(np.uint8))


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(_enlarged(pixels[None])[0])


def face_picture(rng: np.random.Generator, puppet: PuppetSpec) -> Image.Image:
    """A square face crop (80 x 80) of the puppet without its attributes: another pose, scale, flip and light, in front
    of a plain wall."""
    camera = _Camera.sample(rng)
    painter = camera.painter(ROWS, ROWS, ROWS / 34, 0.0, HEAD_V)
    pose = Pose(foot_x=0, foot_y=0, turn=float(rng.uniform(-0.8, 0.8)))
    paint_puppet(painter, PuppetSpec(identity=puppet.identity, name=puppet.name, attributes=()), pose)
    return camera.photograph(painter, rng.uniform(150, 245, 3))


def attribute_picture(rng: np.random.Generator, attribute: AttributeSpec) -> Image.Image:
    """A cut-out of the attribute alone on white, at most 96 x 80: another pose, scale, flip and light."""
    camera = _Camera.sample(rng)
    u0, v0, u1, v1 = ATTRIBUTE_EXTENTS[attribute.kind]
    scale = min(COLUMNS / (u1 - u0), ROWS / (v1 - v0))
    size = (max(1, int(scale * (u1 - u0))), max(1, int(scale * (v1 - v0))))
    painter = camera.painter(*size, scale, (u0 + u1) / 2, (v0 + v1) / 2)
    arms = rng.uniform(0.15, 0.8, 2)
    paint_attribute(painter, attribute, Pose(foot_x=0, foot_y=0, left_arm=arms[0], right_arm=arms[1]))
    return camera.photograph(painter, np.full(3, 255.0))


def object_picture(rng: np.random.Generator, thing: ObjectSpec) -> Image.Image:
    """A cut-out of the object alone on white (80 x 80): another scale, flip and light."""
    camera = _Camera.sample(rng)
    painter = camera.painter(ROWS, ROWS, ROWS / 30, 0.0, -13.0)
    paint_object(painter, thing)
    return camera.photograph(painter, np.full(3, 255.0))


def background_picture(rng: np.random.Generator, clip: ClipSpec) -> Image.Image:
    """The clip's background without anybody (96 x 80), seen from a slightly different place and in another light."""
    scene = paint_scene(clip.scene, clip.scene_seed)
    left = _left_column(clip.scene_offset + float(rng.integers(-8, 9)))
    light = rng.uniform(0.9, 1.06)
    return _picture(np.clip(scene[:, left : left + COLUMNS] * light, 0, 255).astype(np.uint8))


def reference_set(rng: np.random.Generator, clip: ClipSpec, *, background: bool = False) -> ReferenceSet:
    """The pictures that ask for this clip: a face and cut-outs per puppet, objects, the background if asked for."""
    subjects = tuple(
        Subject(
            name=puppet.name,
            face=face_picture(rng, puppet),
            attributes=tuple(
                Attribute(phrase=phrase, image=attribute_picture(rng, attribute))
                for attribute, phrase in zip(puppet.attributes, phrases, strict=True)
            ),
        )
        for puppet, phrases in zip(clip.puppets, clip.caption.attribute_phrases, strict=True)
    )
    objects = tuple(
        SceneReference(phrase=phrase, image=object_picture(rng, thing))
        for thing, phrase in zip(clip.objects, clip.caption.object_phrases, strict=True)
    )
    scene = SceneReference(phrase=clip.caption.scene_phrase, image=background_picture(rng, clip)) if background else None
    return ReferenceSet(subjects=subjects, objects=objects, background=scene)


def puppet_sample(rng: np.random.Generator, clip: ClipSpec, *, background: bool = False) -> Sample:
    """Prompt and references of the clip as a sample that can be written as a folder."""
    return Sample(prompt=clip.caption.text, references=reference_set(rng, clip, background=background), sample_id=None)
