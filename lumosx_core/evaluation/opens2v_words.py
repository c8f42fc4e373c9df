"""Which words of a prompt the labels of OpenS2V-Eval mean: a label often stands in the prompt in other words, or twice.

What is tried, in this order, for all labels of a case together, so that nobody takes the words of a better match:
label     the label itself, in any case, in singular or plural
spelling  the same letters with other spaces or hyphens ("hairdryer", "hair dryer")
synonym   words of `SYNONYMS`
person    of a person: somebody of that sex whom the reader of captions finds named, then "the person", "the individual"
part      the last words of the label ("sports car" of "red sports car"), or a word that ends in it ("armchair")
scene     of a scene: where the reader of captions finds that things happen
pronoun   of a person: "she", "he"
other     of a label that is there several times: "the other", "another"
Several pictures with one label take its places in order; a place behind "the" tells again of what was told before, unless it is
"the other" or "the second".
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lumosx_core.data.relations.lexicon import gender, noun, noun_kind
from lumosx_core.data.relations.reading import Mention, Reading
from lumosx_core.data.relations.rules import read_rules
from lumosx_core.data.relations.vocabulary import IRREGULAR_NOUNS
from lumosx_core.word_borders import Place, Signs, fold, plurals

How = Literal["label", "spelling", "synonym", "person", "part", "scene", "pronoun", "other", "none"]
HOW: tuple[How, ...] = ("label", "spelling", "synonym", "person", "part", "scene", "pronoun", "other")
SHORTEST_ENDING = 5  # letters of a label that other words may end in: "hat" is the end of "that"
LONGEST_SPELLING = 4  # words that may be one word of a label
WORDS_BEFORE = 4  # in which a determiner is looked for

# Of each label what else it is called, the likeliest first; ours, from what such prompts say.
SYNONYMS: dict[str, tuple[str, ...]] = {
    line.split(":")[0].replace("_", " "): tuple(word.replace("_", " ") for word in line.split(":")[1].split())
    for line in """man:gentleman guy male father husband boy businessman actor
woman:lady girl female mother wife businesswoman actress
boy:child kid son teenager
girl:child kid daughter lady teenager
baby:infant toddler child newborn
child:kid boy girl toddler
person:individual man woman figure
cat:kitten kitty feline tabby
dog:puppy pup hound canine retriever corgi poodle husky
bird:parrot sparrow pigeon owl eagle chick penguin
chicken:hen rooster chick
chiken:chicken hen rooster
horse:pony stallion mare foal
rabbit:bunny hare
bear:cub panda
teddybear:teddy bear plush plush_toy stuffed_animal
toy:doll figurine figure plush robot puppet action_figure cube puzzle block stuffed_animal
shoes:shoe sneakers sneaker trainers boots boot heels sandals footwear
hat:cap beanie fedora beret helmet headwear
glasses:sunglasses eyeglasses spectacles shades goggles eyewear
bag:backpack handbag purse tote satchel suitcase briefcase pouch rucksack
clothes:dress shirt t-shirt jacket coat suit sweater hoodie outfit gown blouse vest uniform skirt jeans attire clothing garment
shirt:t-shirt tee blouse top
jacket:coat blazer hoodie
dress:gown robe skirt
cup:mug teacup tumbler glass goblet vase teapot coffee
bottle:flask jar thermos
beer:can bottle lager ale
bowl:dish basin
pot:pan bowl cauldron
pan:wok skillet pot
plate:dish saucer
vase:pitcher jug pot
phone:smartphone cellphone mobile_phone cell_phone device
earphone:headphones headphone earbuds headset
camera:dslr camcorder
tv:television screen monitor
computer:laptop notebook pc monitor
laptop:computer notebook
watch:wristwatch smartwatch timepiece
clock:alarm_clock timepiece watch
ring:band diamond
necklace:pendant chain jewelry
sofa:couch armchair settee loveseat chair
chair:armchair stool seat
table:desk counter
desk:table counter
lamp:lantern light streetlight lamppost
bike:bicycle cycle motorbike
motor:motorcycle motorbike bike scooter
car:vehicle automobile sedan suv truck convertible
boat:ship sailboat yacht vessel canoe kayak
plane:airplane aircraft jet
train:locomotive tram
hairdryer:dryer
guitar:ukulele instrument
piano:keyboard grand_piano
violin:fiddle
ball:basketball football soccer_ball volleyball tennis_ball baseball soccer
basketball:ball soccer_ball football
book:novel notebook magazine
box:crate case package carton container
hammer:gavel mallet
pillow:cushion
painting:picture artwork portrait
fry_machine:fryer
flower:rose bouquet tulip sunflower blossom
plant:tree flower houseplant foliage
umbrella:parasol
cake:cupcake dessert pastry
fruit:apple orange banana
environment:background scene surroundings setting
scene:background environment surroundings setting
beach:shore seaside coast sand
seaside:beach shore coast ocean sea
forest:woods woodland trees
street:road avenue alley sidewalk city
room:living_room bedroom interior
bedroom:room
livingroom:living_room room
house:home cottage villa building
mountain:hill peak mountains
kitchen:kitchenette
office:workplace workspace
school:classroom campus schoolyard
park:garden meadow lawn
sea:ocean water waves""".splitlines()
}
CLOTHES = {"clothes", "clothing", "garment", "outfit"}  # mean whatever is worn
SEXES = {"man": "male", "boy": "male", "woman": "female", "girl": "female"}
PRONOUNS = {"male": ("he", "him", "his"), "female": ("she", "her"), "": ("they", "them")}
SOMEBODY = ("person", "individual", "figure", "participant", "one")  # "the person on the left"
PRONOUN_NOUNS = ("one", "other", "another")
OTHERS = ("the other one", "the other", "another one", "another", "the second")
AGAIN, NEW = {"the", "this", "that", "these", "those"}, {"a", "an", "another", "other", "one", "first", "second", "third"}


@dataclass(frozen=True, kw_only=True)
class Label:
    """A label of a picture. person, scene: what the picture shows."""

    text: str
    person: bool = False
    scene: bool = False


@dataclass(frozen=True, kw_only=True)
class Words:
    """The words that a label means: places in the prompt, end exclusive, all spelled alike; none where nothing means it.
    doubtful: it was not said outright, or one of several places had to be chosen."""

    places: tuple[Place, ...] = ()
    how: How = "none"
    doubtful: bool = True


def find_words(prompt: str, labels: Sequence[Label]) -> list[Words]:
    """The words of each label, in their order. Pure function; no two labels get places that overlap."""
    return _Finder(prompt).find(labels)


class _Finder:
    """One prompt and what is taken of it."""

    def __init__(self, prompt: str) -> None:
        self.prompt, self.signs = prompt, Signs(prompt)
        self.taken: list[Place] = []
        self._reading: Reading | None = None

    @property
    def reading(self) -> Reading:
        if self._reading is None:
            self._reading = read_rules(self.prompt)
        return self._reading

    def find(self, labels: Sequence[Label]) -> list[Words]:
        found: dict[int, Words] = {}
        groups: dict[str, list[int]] = {}
        for number, label in enumerate(labels):
            groups.setdefault(fold(label.text).casefold(), []).append(number)
        shared = {number for members in groups.values() if len(members) > 1 for number in members}
        for members in groups.values():
            if len(members) > 1 and labels[members[0]].person:
                self.share_people(members, labels[members[0]], found)
        for how in HOW:
            for members in groups.values():
                left = [number for number in members if number not in found]
                if left and (how != "other" or len(left) < len(members)):
                    self.give(left, labels[left[0]], how, found, alone=left[0] not in shared)
        return [found.get(number, Words()) for number in range(len(labels))]

    def give(self, left: list[int], label: Label, how: How, found: dict[int, Words], *, alone: bool) -> None:
        """What one way finds for those of a label that have nothing yet: alone all places of the first spelling that has any,
        otherwise one place each."""
        for places in getattr(self, f"by_{how}")(label):
            free = [place for place in places if self.is_free(place)]
            if alone and free:
                alike = Counter(self.prompt[start:end] for start, end in free)
                spelled = max(alike, key=lambda words: alike[words])
                own = tuple(place for place in free if self.prompt[slice(*place)] == spelled)
                self.take(left[0], Words(places=own, how=how, doubtful=how not in HOW[:2]), found)
                return
            waiting = [number for number in left if number not in found]
            if how == "person" and free and waiting:  # each of these is one person
                words = self.prompt[slice(*free[0])]
                own = tuple(place for place in free if self.prompt[slice(*place)] == words)
                self.take(waiting[0], Words(places=own, how=how), found)
                continue
            doubtful = how not in HOW[:2] or len(free) != len(left)
            for number, place in zip(waiting, self.in_order(free, len(waiting)), strict=False):
                self.take(number, Words(places=(place,), how=how, doubtful=doubtful), found)

    def share_people(self, members: list[int], label: Label, found: dict[int, Words]) -> None:
        """People of one label are those whom the reader tells apart and who are nobody else's, if there are enough of them."""
        fitting = [
            one for one in self.reading.mentions if self.fits(one, label) and self.is_free((one.span.start, one.span.end))
        ]
        if len(fitting) < len(members):
            return
        for number, one in zip(members, fitting, strict=False):
            words = one.span.of(self.prompt)
            again = [s for s in one.also if s.of(self.prompt) == words and self.is_free((s.start, s.end))]
            places = tuple((span.start, span.end) for span in (one.span, *again))
            literal = any(words.casefold().endswith(spelling) for spelling in _forms(label.text))
            doubtful = not literal or len(fitting) != len(members)
            self.take(number, Words(places=places, how="label" if literal else "person", doubtful=doubtful), found)

    def take(self, number: int, words: Words, found: dict[int, Words]) -> None:
        found[number] = words
        self.taken += words.places

    def is_free(self, place: Place) -> bool:
        return all(place[1] <= start or end <= place[0] for start, end in self.taken)

    def in_order(self, places: list[Place], wanted: int) -> list[Place]:
        """As many places as are wanted, those that tell of something new before those that tell again."""
        new = [place for place in places if not self.tells_again(place)]
        chosen = new[:wanted] + [place for place in places if place not in new][: max(0, wanted - len(new))]
        return sorted(chosen)

    def tells_again(self, place: Place) -> bool:
        before = re.findall(r"[\w'-]+", self.prompt[: place[0]].casefold())[-WORDS_BEFORE:]
        last = next((word for word in reversed(before) if word in AGAIN | NEW), "")
        return last in AGAIN

    def fits(self, mention: Mention, label: Label) -> bool:
        """Whether one person who is named may be who the label means."""
        last = mention.span.of(self.prompt).casefold().split()[-1]
        known, wanted = noun(last), SEXES.get(label.text.casefold(), "")
        single = last in PRONOUN_NOUNS or (known is not None and not known.plural)
        return mention.count == 1 and single and (not wanted or self.sex(mention) in ("", wanted))

    def sex(self, mention: Mention) -> str:
        """What the noun says, or the pronouns that go with it; empty where nothing does."""
        known = noun(mention.span.of(self.prompt).casefold().split()[-1])
        told = gender(known.lemma) if known else ""
        words = {span.of(self.prompt).casefold() for span in mention.also}
        return told or next((sex for sex in ("male", "female") if words & set(PRONOUNS[sex])), "")

    def spelled(self, spellings: Sequence[str]) -> list[Place]:
        return sorted({place for spelling in spellings for place in self.signs.places(spelling)})

    def by_label(self, label: Label) -> Iterator[list[Place]]:
        yield self.spelled(_forms(label.text))

    def by_spelling(self, label: Label) -> Iterator[list[Place]]:
        wanted = {_letters(form) for form in _forms(label.text)}
        words = self.signs.words()
        runs = [
            (words[first][0], words[last][1])
            for first in range(len(words))
            for last in range(first, min(first + LONGEST_SPELLING, len(words)))
        ]
        yield [run for run in runs if _letters(self.prompt[slice(*run)]) in wanted]

    def by_synonym(self, label: Label) -> Iterator[list[Place]]:
        text = fold(label.text).casefold()
        keys = [text, _letters(text), text.rpartition(" ")[2]]
        names = [name for key in keys for form in _forms(key) for name in SYNONYMS.get(form, ())]
        for name in dict.fromkeys(names):
            yield self.spelled(_forms(name))
        worn = [place for place in self.signs.words() if noun_kind(self.prompt[slice(*place)].casefold()) == "worn"]
        for place, after in zip(worn, [*worn[1:], None], strict=True) if text in CLOTHES else ():
            if after is None or self.prompt[place[1] : after[0]].strip():  # not "lace" of "lace top"
                yield [place]

    def by_person(self, label: Label) -> Iterator[list[Place]]:
        if not label.person:
            return
        fitting = [mention for mention in self.reading.mentions if self.fits(mention, label)]
        for mention in sorted(fitting, key=lambda mention: self.sex(mention) == ""):
            yield [(span.start, span.end) for span in (mention.span, *mention.also)]
        for place in self.spelled(SOMEBODY):
            yield [place]

    def by_part(self, label: Label) -> Iterator[list[Place]]:
        words = fold(label.text).casefold().split()
        for first in range(1, len(words)):
            yield self.spelled(_forms(" ".join(words[first:])))
        endings = [form for form in _forms(words[-1]) if len(form) >= SHORTEST_ENDING]
        yield [place for place in self.signs.words() if any(self.prompt[slice(*place)].casefold().endswith(e) for e in endings)]

    def by_scene(self, label: Label) -> Iterator[list[Place]]:
        for phrase in self.reading.phrases if label.scene else ():
            if phrase.kind == "background":
                yield [(phrase.span.start, phrase.span.end)]

    def by_pronoun(self, label: Label) -> Iterator[list[Place]]:
        for word in PRONOUNS[SEXES.get(label.text.casefold(), "")] if label.person else ():
            yield self.spelled([word])

    def by_other(self, _: Label) -> Iterator[list[Place]]:
        for words in OTHERS:
            yield self.spelled([words])


def _forms(text: str) -> list[str]:
    """A label in lower case, its plurals, and what it may be the plural of."""
    text = fold(" ".join(text.split())).casefold()
    head, space, last = text.rpartition(" ")
    known = noun(last)
    single = [f"{head}{space}{known.lemma}"] if known and known.plural and known.lemma != last else []
    irregular = [plural for plural, one in IRREGULAR_NOUNS.items() if one == last != plural]
    more = [f"{head}{space}{plural}" for plural in irregular] or plurals(text)
    return list(dict.fromkeys([text, *single, *more]))


def _letters(text: str) -> str:
    return re.sub(r"[\s_-]", "", text.casefold())
