"""Drawing one puppet: body, clothes, head, hair, face, in painter's order.

Labels tell which part a pixel shows: `LABEL_*` for the person, `ATTRIBUTE_LABELS[kind]` for what is worn.
"""

import math
from dataclasses import dataclass

import numpy as np

from lumosx_core.puppets.painter import UNITS_PER_PIXEL, Fill, Painter, box, capsule, ellipse, pattern_fill, trapezoid
from lumosx_core.puppets.spec import (
    ATTRIBUTE_KINDS,
    BEARDS,
    BROWS,
    EYE_COLOURS,
    EYE_SHAPES,
    HAIR_COLOURS,
    HAIR_STYLES,
    HAT_STYLES,
    HEAD_SHAPES,
    MOUTHS,
    NOSES,
    PALETTE,
    SKINS,
    AttributeSpec,
    Identity,
    PuppetSpec,
)

LABEL_BODY, LABEL_HEAD, LABEL_HAIR = 1, 2, 3
ATTRIBUTE_LABELS = {kind: 10 + index for index, kind in enumerate(ATTRIBUTE_KINDS)}
HEAD_V = -33.0  # centre of the head
REACH_U, REACH_V = 24.0, 56.0  # no part of a puppet is further from its feet than this
UNDERSHIRT, TROUSERS, SHOES = (206, 208, 214), (70, 78, 104), (60, 48, 44)


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where a puppet is and what its limbs do. Places in units of the scene, angles in radians.

    `turn` runs from -1 (looks left) to 1 (looks right); arm angles are measured from hanging down, outwards.
    """

    foot_x: float
    foot_y: float
    scale: float = 1.0
    turn: float = 0.0
    left_arm: float = 0.25
    right_arm: float = 0.25
    stride: float = 0.0
    bob: float = 0.0  # the upper body rises by this many units


def draw_puppet(spec: PuppetSpec, pose: Pose, width: int, height: int, top: float) -> Painter:
    """Paint `spec` in `pose` for a drawing of width x height pixels whose upper edge is at y = `top` units.

    The foot is moved to the nearest corner of a pixel, so that a puppet looks the same wherever it stands. The painter
    covers only the part of the drawing that a puppet can reach (`painter.window`): several times faster than all of it.
    """
    unit = UNITS_PER_PIXEL
    foot_x, foot_y = round(pose.foot_x / unit), round((pose.foot_y - top) / unit)
    reach, above = REACH_U * pose.scale / unit, REACH_V * pose.scale / unit
    x0, x1 = (int(np.clip(foot_x + side * reach, 0, width)) for side in (-1, 1))
    y0, y1 = (int(np.clip(foot_y + down, 0, height)) for down in (-above, 4.0))
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32) + 0.5
    scale = pose.scale / unit
    painter = Painter((x - foot_x) / scale, (y - foot_y) / scale, (slice(y0, y1), slice(x0, x1)))
    paint_puppet(painter, spec, pose)
    return painter


def paint_puppet(painter: Painter, spec: PuppetSpec, pose: Pose) -> None:
    """Paint `spec` with the limbs, turn and bob of `pose` on a painter whose coordinates are already set."""
    legs(painter, pose)
    painter.v = painter.v + pose.bob
    hair = HAIR_STYLES[spec.identity.hair]
    has_hat = spec.attribute("hat") is not None
    hair_behind(painter, spec.identity, hair, pose.turn)
    body(painter, spec, pose)
    head(painter, spec.identity, hair, pose.turn, has_hat)
    for kind in ("scarf", "glasses", "hat", "bag"):
        attribute = spec.attribute(kind)
        if attribute is not None:
            ACCESSORIES[kind](painter, attribute, pose.turn)


def paint_attribute(painter: Painter, attribute: AttributeSpec, pose: Pose) -> None:
    """Paint one attribute alone, as a cut-out: a garment with its sleeves, or an accessory."""
    if attribute.kind in ACCESSORIES:
        ACCESSORIES[attribute.kind](painter, attribute, pose.turn)
        return
    fill, label = attribute_fill(attribute, -23.0), ATTRIBUTE_LABELS[attribute.kind]
    torso(painter, attribute.kind, fill, label)
    sleeves(painter, pose, fill, label)


def attribute_fill(attribute: AttributeSpec, anchor_v: float) -> Fill:
    """The painter fill of an attribute's colours and pattern."""
    return pattern_fill(PALETTE[attribute.colour], PALETTE[attribute.second], attribute.pattern, anchor_v)


def legs(p: Painter, pose: Pose) -> None:
    """Trousers and shoes; `stride` swings the legs."""
    for side in (-1, 1):
        swing = side * pose.stride * 3.0
        p.fill(ellipse(p.u, p.v, side * 3.8 + swing + 0.6 * pose.turn, -1.0, 3.0, 1.9), SHOES, LABEL_BODY)
        p.fill(capsule(p.u, p.v, side * 3.6, -10.0, side * 3.8 + swing, -3.4, 2.2), TROUSERS, LABEL_BODY)


def body(p: Painter, spec: PuppetSpec, pose: Pose) -> None:
    """Torso, arms and hands, in the colours of the garment if one is worn."""
    garment = next((a for a in spec.attributes if a.kind in ("shirt", "jacket", "dress")), None)
    skin = SKINS[spec.identity.skin]
    fill = attribute_fill(garment, -23.0) if garment else UNDERSHIRT
    label = ATTRIBUTE_LABELS[garment.kind] if garment else LABEL_BODY
    torso(p, garment.kind if garment else "shirt", fill, label)
    for side, angle in ((-1, pose.left_arm), (1, pose.right_arm)):
        hand_u, hand_v = side * (8.2 + 10.5 * math.sin(angle)), -19.5 + 10.5 * math.cos(angle)
        p.fill(ellipse(p.u, p.v, hand_u, hand_v, 2.3, 2.3), skin, LABEL_BODY)
    sleeves(p, pose, fill, label)


def sleeves(p: Painter, pose: Pose, fill: Fill, label: int) -> None:
    """Both arms in the garment's fill, swung outwards by the pose's angles."""
    for side, angle in ((-1, pose.left_arm), (1, pose.right_arm)):
        end_u, end_v = side * (8.2 + 8.0 * math.sin(angle)), -19.5 + 8.0 * math.cos(angle)
        p.fill(capsule(p.u, p.v, side * 8.2, -19.5, end_u, end_v, 2.3), fill, label)


def torso(p: Painter, kind: str, fill: Fill, label: int) -> None:
    """The trunk of a garment: a shirt, an open jacket, or a dress with a wide skirt."""
    if kind == "dress":
        p.fill(trapezoid(p.u, p.v, -23.0, -4.0, 6.5, 12.0), fill, label)
        return
    p.fill(trapezoid(p.u, p.v, -23.0, -8.5, 7.0, 8.2), fill, label)
    if kind == "jacket":
        p.fill(trapezoid(p.u, p.v, -23.0, -9.0, 3.2, 2.4), (250, 250, 246), label, outline=False)
        p.fill(box(p.u, p.v, -0.75, -23.0, 0.75, -9.0), (90, 90, 100), label, outline=False)


def head_distance(p: Painter, identity: Identity) -> np.ndarray:
    """Signed distance to the head's outline."""
    shape = HEAD_SHAPES[identity.head]
    if shape == "square":
        return box(p.u, p.v, -9.8, HEAD_V - 9.6, 9.8, HEAD_V + 9.6, 4.0)
    radii = {"round": (10.4, 10.2), "long": (9.0, 11.4), "wide": (12.0, 9.2)}[shape]
    return ellipse(p.u, p.v, 0.0, HEAD_V, *radii)


def hair_behind(p: Painter, identity: Identity, hair: str, turn: float) -> None:
    """The part of the hair that hangs behind head and body."""
    colour = tuple(HAIR_COLOURS.values())[identity.hair_colour]
    if hair == "long":
        p.fill(box(p.u, p.v, -11.8 - turn, HEAD_V - 10.5, 11.8 - turn, -17.5, 5.0), colour, LABEL_HAIR)
    elif hair == "afro":
        p.fill(ellipse(p.u, p.v, 0.0, HEAD_V - 3.5, 15.5, 13.0), colour, LABEL_HAIR)
    elif hair == "pigtails":
        for side in (-1, 1):
            p.fill(ellipse(p.u, p.v, side * 13.0, HEAD_V + 3.0, 4.0, 5.6), colour, LABEL_HAIR)
    elif hair == "ponytail":
        p.fill(capsule(p.u, p.v, -9.0, HEAD_V - 5.0, -14.5, HEAD_V + 9.0, 3.2), colour, LABEL_HAIR)
    elif hair == "bun":
        p.fill(ellipse(p.u, p.v, 0.0, HEAD_V - 12.0, 5.0, 4.4), colour, LABEL_HAIR)


def head(p: Painter, identity: Identity, hair: str, turn: float, has_hat: bool) -> None:
    """Skull, ears, face and the hair in front of it. Under a hat only the hair at the sides shows."""
    skin = SKINS[identity.skin]
    colour = tuple(HAIR_COLOURS.values())[identity.hair_colour]
    shift = 3.0 * turn
    outline = head_distance(p, identity)
    half = {"wide": 12.0, "long": 9.0}.get(HEAD_SHAPES[identity.head], 10.0)
    for side in (-1, 1):
        p.fill(ellipse(p.u, p.v, side * half - turn, HEAD_V + 1.0, 2.0, 2.6), skin, LABEL_HEAD)
    p.fill(outline, skin, LABEL_HEAD)
    face(p, identity, outline, colour, shift)
    hair_front(p, hair, outline, colour, shift, has_hat)


def face(p: Painter, identity: Identity, outline: np.ndarray, hair_colour: tuple, shift: float) -> None:
    """Eyes, brows, nose, mouth, cheeks and beard, moved sideways by `shift` units when the head turns."""
    u = p.u - shift
    skin = np.asarray(SKINS[identity.skin], np.float32)
    dark = tuple(float(c) for c in skin * 0.62)
    beard, eyes = BEARDS[identity.beard], EYE_SHAPES[identity.eyes]
    if beard == "full":
        chin = np.maximum(outline, HEAD_V + 2.5 - p.v)
        p.fill(np.maximum(chin, -ellipse(u, p.v, 0.0, HEAD_V + 1.5, 6.0, 3.6)), hair_colour, LABEL_HAIR, outline=False)
    elif beard == "goatee":
        p.fill(np.maximum(outline, box(u, p.v, -3.0, HEAD_V + 5.8, 3.0, HEAD_V + 11.5)), hair_colour, LABEL_HAIR, False)
    if identity.cheeks:
        for side in (-1, 1):
            p.fill(ellipse(u, p.v, side * 6.6, HEAD_V + 3.6, 1.7, 1.2), (240, 130, 130), LABEL_HEAD, outline=False)
    rv = {"tall": 2.6, "round": 2.0, "sleepy": 1.2}[eyes]
    for side in (-1, 1):
        p.fill(ellipse(u, p.v, side * 4.3, HEAD_V + 0.2, 2.3, rv + 0.5), (255, 255, 255), LABEL_HEAD, outline=False)
        p.fill(ellipse(u, p.v, side * 4.0, HEAD_V + 0.4, 1.5, rv), EYE_COLOURS[identity.eye_colour], LABEL_HEAD, False)
        kind = BROWS[identity.brows]
        tilt = 0.18 * side * (u - side * 4.3) if kind == "angled" else 0.0
        thick = 1.4 if kind == "thick" else 0.8
        brow = box(u, p.v + tilt, side * 4.3 - 2.4, HEAD_V - 4.6 - thick, side * 4.3 + 2.4, HEAD_V - 4.6 + thick)
        p.fill(brow, tuple(c * 0.7 for c in hair_colour), LABEL_HAIR, outline=False)
    nose = NOSES[identity.nose]
    if nose != "none":
        p.fill(box(u, p.v, -0.8, HEAD_V + (0.6 if nose == "long" else 2.0), 0.8, HEAD_V + 3.4), dark, LABEL_HEAD, False)
    if beard == "moustache":
        p.fill(box(u, p.v, -4.2, HEAD_V + 4.0, 4.2, HEAD_V + 5.8, 0.8), hair_colour, LABEL_HAIR, outline=False)
    mouth = MOUTHS[identity.mouth]
    if mouth == "open":
        p.fill(ellipse(u, p.v, 0.0, HEAD_V + 6.8, 2.2, 1.5), (150, 40, 50), LABEL_HEAD, outline=False)
    else:
        lips = box(u, p.v, -2.3, HEAD_V + 6.0, 2.3, HEAD_V + 7.6)
        if mouth == "smile":
            for side in (-1, 1):
                lips = np.minimum(lips, box(u, p.v, side * 3.0 - 0.8, HEAD_V + 4.6, side * 3.0 + 0.8, HEAD_V + 6.2))
        p.fill(lips, (150, 50, 56), LABEL_HEAD, outline=False)


def hair_front(p: Painter, hair: str, outline: np.ndarray, colour: tuple, shift: float, has_hat: bool) -> None:
    """The hair above the face. A hat hides what stands above the skull."""
    if hair == "bald":
        return
    grown = outline - 1.0
    fringe = {"bowl": -4.2, "curly": -5.5, "afro": -5.5, "mohawk": -99.0}.get(hair, -5.8)
    line = HEAD_V + fringe + (0.35 * (p.u - shift) if hair == "parted" else 0.0)
    cap = np.maximum(grown, p.v - line)
    if hair in ("bowl", "long", "pigtails"):
        sides = np.maximum(grown, np.maximum(7.8 - np.abs(p.u - 0.5 * shift), p.v - (HEAD_V + 3.0)))
        cap = np.minimum(cap, sides)
    if hair == "spiky" and not has_hat:
        teeth = np.abs(np.mod(p.u + 2.5, 5.0) - 2.5) * 1.6
        cap = np.minimum(cap, np.maximum(np.abs(p.u) - 9.5, np.maximum(HEAD_V - 14.0 + teeth - p.v, p.v - line)))
    if hair == "curly" and not has_hat:
        for cu in (-8.5, -4.5, 0.0, 4.5, 8.5):
            cap = np.minimum(cap, ellipse(p.u, p.v, cu, HEAD_V - 9.0 + 0.06 * cu * cu, 3.6, 3.6))
    if hair == "mohawk":
        cap = ellipse(p.u, p.v, shift * 0.5, HEAD_V - 9.5, 3.0, 6.5) if not has_hat else cap
    p.fill(cap, colour, LABEL_HAIR)


def glasses(p: Painter, attribute: AttributeSpec, turn: float) -> None:
    """Chunky glasses: rims in the main colour, lenses in a light tint of it."""
    u, label = p.u - 3.0 * turn, ATTRIBUTE_LABELS["glasses"]
    colour = np.asarray(PALETTE[attribute.colour], np.float32)
    tint = tuple(float(c) for c in 0.55 * colour + 0.45 * 255)
    p.fill(box(u, p.v, -9.6, HEAD_V - 1.0, 9.6, HEAD_V + 0.4), PALETTE[attribute.colour], label, outline=False)
    for side in (-1, 1):
        p.fill(
            box(u, p.v, side * 4.4 - 3.9, HEAD_V - 3.2, side * 4.4 + 3.9, HEAD_V + 3.6, 1.6), PALETTE[attribute.colour], label
        )
        p.fill(box(u, p.v, side * 4.4 - 2.5, HEAD_V - 1.9, side * 4.4 + 2.5, HEAD_V + 2.3, 1.0), tint, label, False)


def hat(p: Painter, attribute: AttributeSpec, turn: float) -> None:
    """A hat with a brim, or a knitted beanie with a bobble."""
    fill, label = attribute_fill(attribute, HEAD_V - 15.0), ATTRIBUTE_LABELS["hat"]
    u = p.u - turn
    if HAT_STYLES[attribute.style] == "brim":
        p.fill(trapezoid(u, p.v, HEAD_V - 15.5, HEAD_V - 6.0, 7.5, 9.0), fill, label)
        p.fill(box(u, p.v, -14.0, HEAD_V - 7.4, 14.0, HEAD_V - 4.8, 1.0), PALETTE[attribute.colour], label)
        return
    p.fill(ellipse(u, p.v, 0.0, HEAD_V - 15.0, 2.8, 2.6), PALETTE[attribute.second], label)
    p.fill(np.maximum(ellipse(u, p.v, 0.0, HEAD_V - 4.0, 11.8, 10.6), p.v - (HEAD_V - 4.6)), fill, label)


def scarf(p: Painter, attribute: AttributeSpec, turn: float) -> None:
    """A thick scarf round the neck with one end hanging down in front."""
    fill, label = attribute_fill(attribute, HEAD_V + 9.0), ATTRIBUTE_LABELS["scarf"]
    p.fill(box(p.u, p.v, 2.0 + turn, -21.0, 6.6 + turn, -10.5, 0.8), fill, label)
    p.fill(box(p.u, p.v, -8.6, -24.0, 8.6, -19.0, 2.0), fill, label)


def bag(p: Painter, attribute: AttributeSpec, turn: float) -> None:
    """A shoulder bag: a strap across the chest and the bag at the left hip."""
    fill, label = attribute_fill(attribute, -12.5), ATTRIBUTE_LABELS["bag"]
    p.fill(capsule(p.u, p.v, 5.5, -22.0, -8.0, -10.0, 0.9), PALETTE[attribute.colour], label, outline=False)
    p.fill(box(p.u, p.v, -14.5 + turn, -12.5, -4.5 + turn, -3.5, 1.2), fill, label)
    p.fill(box(p.u, p.v, -10.3 + turn, -11.0, -8.7 + turn, -8.6), (250, 240, 200), label, outline=False)


ACCESSORIES = {"glasses": glasses, "hat": hat, "scarf": scarf, "bag": bag}
