"""What a puppet is: its identity (a face made from parameters) and what it wears, before a single pixel is drawn.

An identity has more than 10^6 distinct values (`identity_count`), an attribute is a kind with two colours and a pattern.
A fixed hash keeps one tenth of the identities and one tenth of the colour-pattern combinations out of training
(`is_held_out`), so that a benchmark can ask for people and clothes that were never seen.
"""

import hashlib
import math
from dataclasses import asdict, dataclass

import numpy as np

from lumosx_core.errors import InputError

RGB = tuple[int, int, int]

SKINS: tuple[RGB, ...] = (
    (255, 224, 196), (246, 200, 160), (230, 172, 122), (198, 134, 84), (150, 94, 58), (100, 62, 40),
    (214, 190, 120), (168, 200, 150),
)  # fmt: skip
HAIR_COLOURS: dict[str, RGB] = {
    "black": (38, 34, 44), "brown": (110, 66, 36), "blond": (240, 204, 96), "ginger": (216, 104, 40),
    "grey": (170, 172, 180), "white": (240, 240, 236), "pink": (244, 120, 176), "blue": (64, 112, 220),
    "green": (66, 160, 84), "violet": (138, 78, 190),
}  # fmt: skip
HAIR_STYLES = (
    "bald", "cap", "bowl", "spiky", "long", "bun", "pigtails", "afro", "mohawk", "ponytail", "parted", "curly",
)  # fmt: skip
HEAD_SHAPES = ("round", "square", "long", "wide")
EYE_COLOURS: tuple[RGB, ...] = (
    (40, 30, 30),
    (110, 66, 30),
    (40, 100, 190),
    (40, 140, 80),
    (120, 70, 170),
    (90, 100, 110),
)
EYE_SHAPES = ("tall", "round", "sleepy")
BROWS = ("thin", "thick", "angled")
BEARDS = ("none", "moustache", "goatee", "full")
NOSES = ("dot", "long", "none")
MOUTHS = ("smile", "line", "open")

PALETTE: dict[str, RGB] = {
    "red": (220, 50, 50), "orange": (244, 140, 40), "yellow": (250, 216, 60), "green": (60, 164, 76),
    "teal": (40, 178, 178), "blue": (52, 96, 214), "purple": (136, 70, 190), "pink": (246, 132, 186),
    "brown": (130, 82, 46), "black": (48, 46, 56), "white": (244, 244, 240), "grey": (146, 150, 160),
}  # fmt: skip
PATTERNS = ("plain", "striped", "dotted", "checked")
ATTRIBUTE_KINDS = ("shirt", "jacket", "dress", "hat", "glasses", "scarf", "bag")
BODY_KINDS = ("shirt", "jacket", "dress")  # at most one of these on a puppet
HAT_STYLES = ("brim", "beanie")
NAMES = ("person", "man", "woman", "kid", "boy", "girl")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The face of one puppet. Every field is an index into the table of the same name."""

    skin: int
    head: int
    hair: int
    hair_colour: int
    eyes: int
    eye_colour: int
    brows: int
    beard: int
    nose: int
    mouth: int
    cheeks: int  # 0 or 1: rosy cheeks


IDENTITY_RANGES: dict[str, int] = {
    "skin": len(SKINS), "head": len(HEAD_SHAPES), "hair": len(HAIR_STYLES), "hair_colour": len(HAIR_COLOURS),
    "eyes": len(EYE_SHAPES), "eye_colour": len(EYE_COLOURS), "brows": len(BROWS), "beard": len(BEARDS),
    "nose": len(NOSES), "mouth": len(MOUTHS), "cheeks": 2,
}  # fmt: skip


def identity_count() -> int:
    """Number of distinct identities the tables allow (all combinations)."""
    return math.prod(IDENTITY_RANGES.values())


@dataclass(frozen=True, kw_only=True)
class AttributeSpec:
    """One worn thing: its kind, main colour, second colour (of the pattern) and pattern, all by name."""

    kind: str
    colour: str
    second: str
    pattern: str
    style: int = 0  # hats only: index into HAT_STYLES

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("kind", self.kind, ATTRIBUTE_KINDS),
            ("colour", self.colour, tuple(PALETTE)),
            ("second", self.second, tuple(PALETTE)),
            ("pattern", self.pattern, PATTERNS),
        ):
            if value not in allowed:
                raise InputError(f"puppet attribute: {name} is {value!r}, expected one of {', '.join(allowed)}")

    @property
    def adjectives(self) -> str:
        """Words for the look, e.g. "red", "red striped"."""
        return self.colour if self.pattern == "plain" else f"{self.colour} {self.pattern}"


@dataclass(frozen=True, kw_only=True)
class PuppetSpec:
    """One character: who it is, what the caption calls it, what it wears."""

    identity: Identity
    name: str
    attributes: tuple[AttributeSpec, ...]

    def attribute(self, kind: str) -> AttributeSpec | None:
        """The attribute of that kind, or None."""
        return next((a for a in self.attributes if a.kind == kind), None)

    def to_dict(self) -> dict:
        """Plain JSON types; `from_dict` reads it back."""
        return asdict(self)

    @staticmethod
    def from_dict(record: dict) -> "PuppetSpec":
        """The inverse of `to_dict`. Raises InputError when a field is missing or unknown."""
        try:
            return PuppetSpec(
                identity=Identity(**record["identity"]),
                name=record["name"],
                attributes=tuple(AttributeSpec(**a) for a in record["attributes"]),
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"puppet record: {error}; expected the fields that PuppetSpec.to_dict writes") from error


def is_held_out(thing: Identity | AttributeSpec) -> bool:
    """True for the tenth of all identities, and of all colour-pattern combinations, that training never sees.

    The choice is a hash of the values, so it is the same on every machine and in every version.
    """
    if isinstance(thing, Identity):
        key = ",".join(str(getattr(thing, name)) for name in IDENTITY_RANGES)
    else:
        key = f"{thing.colour}/{thing.second}/{thing.pattern}"
    return hashlib.sha256(key.encode()).digest()[0] % 10 == 0


def sample_identity(rng: np.random.Generator, *, held_out: bool = False) -> Identity:
    """A random identity from the training part, or from the held-out part."""
    while True:
        identity = Identity(**{name: int(rng.integers(n)) for name, n in IDENTITY_RANGES.items()})
        if is_held_out(identity) == held_out:
            return identity


def sample_attribute(
    rng: np.random.Generator,
    kind: str,
    *,
    held_out: bool = False,
    pattern_shares: tuple[float, ...] | None = None,
) -> AttributeSpec:
    """A random look for the given kind from the training part, or from the held-out part.

    pattern_shares: how often each of PATTERNS comes, summing to 1; None: equally often. Glasses are always plain: their rims
    are too thin for a pattern.
    """
    colours = tuple(PALETTE)
    while True:
        first, second = rng.choice(len(colours), size=2, replace=False)
        if kind == "glasses":
            pattern = "plain"
        elif pattern_shares is None:
            pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
        else:
            pattern = PATTERNS[int(rng.choice(len(PATTERNS), p=pattern_shares))]
        style = int(rng.integers(len(HAT_STYLES))) if kind == "hat" else 0
        attribute = AttributeSpec(kind=kind, colour=colours[first], second=colours[second], pattern=pattern, style=style)
        if is_held_out(attribute) == held_out:
            return attribute


def sample_kinds(rng: np.random.Generator, count: int) -> tuple[str, ...]:
    """`count` (0 to 5) different attribute kinds that can be worn together, in the order of ATTRIBUTE_KINDS."""
    body = BODY_KINDS[int(rng.integers(len(BODY_KINDS)))]
    others = [k for k in ATTRIBUTE_KINDS if k not in BODY_KINDS]
    # A garment is the largest and most telling attribute, so most puppets that wear anything wear one.
    chosen = [body] if count and rng.random() < 0.8 else []
    chosen += list(rng.permutation(others)[: count - len(chosen)])
    return tuple(k for k in ATTRIBUTE_KINDS if k in chosen)
