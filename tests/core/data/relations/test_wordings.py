"""Who has what in many wordings: two people with two things each, drawn at random, must be read right in every one."""

import random

import pytest

from lumosx_core.data.relations.rules import read_rules
from lumosx_core.puppets.captions import article

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey")
PATTERNS = ("", "striped ", "dotted ", "checked ")
HIM = {"man": ("him", "his"), "boy": ("him", "his"), "woman": ("her", "her"), "girl": ("her", "her")}
# {A} has {a1} and {a2}, {B} has {b1} and {b2}, near {o} in {s}; where both can have one name.
ALIKE = (
    "In {s}, {A} wears {a1} and {a2}; {B} wears {b1} and {b2}.",
    "{A} in {a1} with {a2} stands beside {B} in {b1} with {b2}.",
    "{A}, who wears {a1} and {a2}, waves at {B}, who has {b1} and {b2}.",
    "{B} with {b1} and {b2} walks behind {A} with {a1} and {a2} in {s}.",
    "Dressed in {a1} and {a2}, {A} dances next to {B} dressed in {b1} and {b2}.",
    "Two people are in {s}: {A} with {a1} and {a2}, and {B} with {b1} and {b2}.",
    "{A} and {B} walk in {s}. The first wears {a1} and {a2}, the second {b1} and {b2}.",
    "{A} is wearing {a1} while {B} is wearing {b1}. The former also has {a2} and the latter has {b2}.",
    "On the left there is {A} with {a1} and {a2}, on the right {B} with {b1} and {b2}.",
    "There are two people in {s}. One has {a1} and {a2}. The other has {b1} and {b2}.",
    "{A}'s outfit: {a1}, {a2}. {B}'s outfit: {b1}, {b2}.",
    "Wearing {a1}, {A} carries {a2}; {B}, wearing {b1}, carries {b2}.",
    "{A} standing near {o} has {a1} and {a2} on, and {B} jumping in {s} has {b1} and {b2} on.",
    "We see {A} in {a1} and {a2} and {B} in {b1} and {b2} near {o}.",
    "The video shows {A} with {a1}, {a2} and {B} with {b1}, {b2}.",
    "{A} sports {a1} along with {a2}, whereas {B} sports {b1} together with {b2}.",
    "With {a1} and {a2}, {A} jumps beside {B}, with {b1} and {b2}.",
    "A scene in {s} with {A} wearing {a1} and {a2} and {B} wearing {b1} and {b2}.",
    "{A} (with {a1} and {a2}) and {B} (with {b1} and {b2}) dance in {s}.",
    "Beside {B} in {b1} and {b2} walks {A} in {a1} and {a2}.",
    "{A}, in {a1} and {a2}, and {B}, in {b1} and {b2}, stand near {o}.",
    "{A} clad in {a1} and carrying {a2} hops next to {B} clad in {b1} and carrying {b2}.",
    "Standing in {s}, {A} wears {a1} and {a2}, and {B} wears {b1} and {b2}.",
    "{A} dances in {s}, wearing {a1} and {a2}. {B} is nearby, wearing {b1} and {b2}.",
    "Here {A} in {a1} holding {a2} meets {B} in {b1} holding {b2}.",
    "It is {A} that wears {a1} and {a2}, and {B} that wears {b1} and {b2}.",
    "Left: {A}, {a1}, {a2}. Right: {B}, {b1}, {b2}.",
    "{A} wearing both {a1} and {a2} is next to {B} wearing both {b1} and {b2}.",
    "{A} is dressed in {a1} and {a2}, {B} in {b1} and {b2}.",
    "{A} with {a1} as well as {a2} and {B} with {b1} as well as {b2} are in {s} by {o}.",
    "You can see {A} on the left wearing {a1} and {a2}, and {B} on the right wearing {b1} and {b2}.",
    "{a1} and {a2} are worn by {A}; {b1} and {b2} are worn by {B}.",
    "Near {o}, {A} with {a1} on and {a2} in hand looks at {B}, whose {bare3} and {bare4} shine.",
    "{A} has no crown but {a1} and {a2}; {B} has {b1} and {b2} but no umbrella.",
    "{A} wears {a1} and {a2}, and another {nameA} wears {b1} and {b2}.",
    "Two {nameA}s dance in {s}: one with {a1} and {a2}, the other with {b1} and {b2}.",
    "The first {nameA} has {a1} and {a2}; the second {nameB} has {b1} and {b2}.",
    "One {nameA} in {a1} and {a2} and one {nameB} in {b1} and {b2} jump near {o}.",
    "The {nameA} on the left is wearing {a1} and {a2}. The {nameB} on the right is wearing {b1} and {b2}.",
    "{A} in {a1} with {a2} walks, {B} in {b1} with {b2} waves.",
    "{A} walks in {s} with {a1} and {a2}. Another {nameA} jumps with {b1} and {b2}.",
    "There is {A} who has {a1} and {a2} and there is {B} who has {b1} and {b2}.",
)
# Where a pronoun or "the woman" tells them apart.
DIFFERENT = (
    "{A} has {a1} and {a2}. Next to {him}, {B} has {b1} and {b2}.",
    "{A} and {B} are in {s}; the {nameA} wears {a1} and {a2}, the {nameB} wears {b1} and {b2}.",
    "{A} has {a1}, {B} has {b1}. the {nameA} also has {a2} and the {nameB} also has {b2}.",
    "A short clip of {A} waving, {his} {bare1} and {bare2} clearly visible, next to {B} who is wearing {b1} and {b2}.",
    "{A} looks around in {s}. {his} {bare1} goes with {his} {bare2}. {B} wears {b1} and {b2}.",
    "{A} jumps and {B} waves. the {nameA} is in {a1} and {a2}. the {nameB} is in {b1} and {b2}.",
    "{A} wears {a1} plus {a2}; next to {him} is {B} with {b1} plus {b2}.",
)


@pytest.mark.parametrize("described", [True, False], ids=["described", "plain"])
@pytest.mark.parametrize("wording", ALIKE + DIFFERENT)
def test_every_wording_is_read_without_a_fault(wording: str, described: bool) -> None:
    rng = random.Random(wording)
    for number in range(6):
        names = ("woman", "boy", "man", "girl") if number % 2 else ("man", "woman", "girl", "boy")
        first, second = names[:2] if wording in DIFFERENT or number < 4 else ("person", "person")
        if "{nameA}s" in wording or "nother {nameA}" in wording:
            second = first = "girl"
        looks = [f"{rng.choice(COLOURS)} {rng.choice(PATTERNS)}" if described else "" for _ in range(4)]
        kinds = rng.choice((("shirt", "hat", "dress", "scarf"), ("jacket", "glasses", "shirt", "bag")))
        things = [look + kind for look, kind in zip(looks, kinds, strict=True)]
        words = {name: article(thing) for name, thing in zip(("a1", "a2", "b1", "b2"), things, strict=True)}
        words |= {f"bare{n}": thing for n, thing in enumerate(things, 1)}
        words |= {"A": article(first), "B": article(second), "nameA": first, "nameB": second}
        words |= {"o": "a lamp", "s": rng.choice(("a park", "the desert")), "him": "him", "his": "his"}
        words["him"], words["his"] = HIM.get(first, ("him", "his"))
        caption = ". ".join(part[:1].upper() + part[1:] for part in wording.format(**words).split(". "))
        reading = read_rules(caption)
        owned = [tuple(words.lower() for words in reading.attributes_of(n)) for n in range(len(reading.mentions))]
        assert sorted(map(sorted, owned)) == sorted(map(sorted, (things[:2], things[2:]))), caption
        assert reading.people == 2, caption
        if "{o}" in wording:
            assert reading.words("object") == ("lamp",), caption
