"""The pictures that a user would give to ask for a clip: faces, cut-outs, objects, the background, each in its own pose."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from lumosx_core.puppets.clip import COLUMNS, ROWS, ClipSpec
from lumosx_core.puppets.draw import (
    HEAD_V,
    Pose,
    paint_attribute,
    paint_puppet,
)
from lumosx_core.puppets.painter import Painter
from lumosx_core.puppets.render import enlarged, left_column
from lumosx_core.puppets.scenes import (
    ObjectSpec,
    paint_object,
    paint_scene,
)
from lumosx_core.puppets.spec import (
    AttributeSpec,
    PuppetSpec,
)
from lumosx_core.references import Attribute, ReferenceSet, Sample, SceneReference, Subject

# Extent of each attribute in puppet units (u0, v0, u1, v1), with room for its contour.
ATTRIBUTE_EXTENTS: dict[str, tuple[float, float, float, float]] = {
    "shirt": (-17, -25, 17, -6), "jacket": (-17, -25, 17, -6), "dress": (-17, -25, 17, -2),
    "hat": (-16, -52, 16, -35), "glasses": (-14, -39, 14, -27), "scarf": (-11, -26, 11, -8), "bag": (-17, -24, 8, -1),
}  # fmt: skip
OBJECT_EXTENT = (-15.0, -28.0, 15.0, 2.0)  # of every object, likewise


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
    return Image.fromarray(enlarged(pixels[None])[0])


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
    u0, v0, u1, v1 = OBJECT_EXTENT
    painter = camera.painter(ROWS, ROWS, ROWS / (u1 - u0), (u0 + u1) / 2, (v0 + v1) / 2)
    paint_object(painter, thing)
    return camera.photograph(painter, np.full(3, 255.0))


def background_picture(rng: np.random.Generator, clip: ClipSpec) -> Image.Image:
    """The clip's background without anybody (96 x 80, of four people 128 x 80), seen from a slightly different place and in
    another light."""
    scene = paint_scene(clip.scene, clip.scene_seed)
    left = left_column(clip.scene_offset + float(rng.integers(-8, 9)), clip.columns)
    light = rng.uniform(0.9, 1.06)
    return _picture(np.clip(scene[:, left : left + clip.columns] * light, 0, 255).astype(np.uint8))


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
