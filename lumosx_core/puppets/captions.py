"""Captions of puppet clips in varied wording, and the phrases in them that name each owner.

People are named from left to right. A caption is "described" (a man wearing a red striped shirt) or "plain" (a person
wearing a shirt): plain captions use the same words for everyone, so that only the references tell whose is what.
"""

from dataclasses import dataclass

import numpy as np

from lumosx_core.puppets.motion import Placement
from lumosx_core.puppets.scenes import ObjectSpec
from lumosx_core.puppets.spec import PuppetSpec

SCENE_WORDS: dict[str, str] = {
    "park": "park", "beach": "beach", "street": "street", "room": "room",
    "desert": "desert", "snow": "snowy field", "night": "night sky", "stage": "stage",
}  # fmt: skip
SCENE_PREPOSITIONS = {"beach": "at the", "street": "on the", "snow": "on a", "night": "under the", "stage": "on the"}
ACTION_WORDS: dict[str, tuple[str, ...]] = {
    "stand": ("standing", "standing still"),
    "walk": ("walking",),
    "wave": ("waving", "waving a hand"),
    "jump": ("jumping", "hopping"),
    "turn": ("looking around", "turning"),
    "dance": ("dancing",),
}
WEARING = ("wearing", "with", "in")
JOINS = ("and", "next to", "beside")
PAN_WORDS = {"none": "", "left": " The camera pans left.", "right": " The camera pans right."}


@dataclass(frozen=True, kw_only=True)
class Caption:
    """The text of a clip and its phrases: per puppet the phrase of each attribute, per object its phrase, the scene's.

    `clauses` are the parts of the text that speak of each puppet, in order.
    """

    text: str
    attribute_phrases: tuple[tuple[str, ...], ...]
    object_phrases: tuple[str, ...]
    scene_phrase: str
    clauses: tuple[str, ...] = ()


def article(phrase: str) -> str:
    """The phrase with a or an; none for glasses."""
    return (
        phrase
        if phrase.startswith("glasses") or phrase.split()[-1] == "glasses"
        else (f"an {phrase}" if phrase[0] in "aeiou" else f"a {phrase}")
    )


def listing(things: list[str]) -> str:
    """ "a, b and c" of one or more."""
    return things[0] if len(things) == 1 else ", ".join(things[:-1]) + " and " + things[-1]


def write_caption(
    rng: np.random.Generator,
    puppets: tuple[PuppetSpec, ...],
    placements: list[Placement],
    objects: tuple[ObjectSpec, ...],
    scene: str,
    pan: str,
    *,
    described: bool,
) -> Caption:
    """A caption for the clip, drawn at random among the wordings; `described` adds colour and pattern words."""
    clauses, phrases = [], []
    for puppet, place in zip(puppets, placements, strict=True):
        own = tuple(f"{a.adjectives} {a.kind}" if described else a.kind for a in puppet.attributes)
        phrases.append(own)
        worn = f" {rng.choice(WEARING)} {listing([article(p) for p in own])}" if own else ""
        clauses.append(f"a {puppet.name}{worn} {rng.choice(ACTION_WORDS[place.action])}")
    object_phrases = tuple(f"{o.adjectives} {o.kind}" if described else o.kind for o in objects)
    where = f"{SCENE_PREPOSITIONS.get(scene, 'in the')} {SCENE_WORDS[scene]}"
    people = f" {rng.choice(JOINS)} ".join(clauses) if len(clauses) < 3 else listing(clauses)
    near = f" near {listing([article(p) for p in object_phrases])}" if object_phrases else ""
    text = f"{where} {people}{near}." if rng.random() < 0.3 else f"{people} {where}{near}."
    return Caption(
        text=text[0].upper() + text[1:] + PAN_WORDS[pan],
        attribute_phrases=tuple(phrases),
        object_phrases=object_phrases,
        scene_phrase=SCENE_WORDS[scene],
        clauses=tuple(clauses),
    )
