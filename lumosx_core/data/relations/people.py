"""The people of a caption while it is read: who was named, who is meant by "he", "the man", "the other", "both"."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from lumosx_core.data.relations import vocabulary as known
from lumosx_core.data.relations.lexicon import gender
from lumosx_core.data.relations.noun_phrases import Chunk

_LOOK_BACK = 24  # people: farther back nobody is meant by a pronoun
_GENERAL = {"man", "woman", "boy", "girl", "person", "lady", "gentleman", "child", "kid"}
_SMALL = {"son", "daughter", "toddler", "baby", "infant", "newborn", "grandson", "granddaughter", "schoolboy", "schoolgirl"}
_GROWN = {"father", "mother", "dad", "mom", "mum", "grandfather", "grandmother", "grandpa", "grandma", "husband", "wife"}
_YOUNG = {"teenager", "child", "kid", "student", "sibling", "youth", "teen", "pupil", "runner", "dancer", "player"}
_AGES = {"old", "young", "elderly", "little", "older", "younger"}
ANYBODY = {"people", "person", "individual", "figure", "friend", "adult", "human", "subject", "character"}
_GENDERS = {"he": "male", "him": "male", "his": "male", "himself": "male", "she": "female", "her": "female", "hers": "female"}
_GENDERS["herself"] = "female"


@dataclass(slots=True)
class Named:
    """One person or group as named first. tokens: first and last. count: 0 if the caption does not say how many."""

    tokens: tuple[int, int]
    lemma: str
    count: int
    plural: bool
    gender: str
    sentence: int
    adjectives: tuple[str, ...] = ()
    side: str = ""
    ordinal: int = 0
    group: int | None = None
    members: list[int] = field(default_factory=list)
    also: list[tuple[int, int]] = field(default_factory=list)


class People:
    """Everyone named so far, and who was spoken of last. People are numbers: places in `named`."""

    def __init__(self) -> None:
        self.named: list[Named] = []
        self.sentence = 0
        self.recent: list[int] = []  # the last one is the latest
        self.subjects: list[int] = []  # of the clause before
        self.chain: list[int] = []  # the last people joined by "and"
        self.group: int | None = None  # whose members may come

    def touch(self, who: Iterable[int]) -> None:
        """Speak of people: they are the latest ones."""
        for number in who:
            if number in self.recent[-_LOOK_BACK:]:
                self.recent.remove(number)
            self.recent.append(number)

    def add(self, chunk: Chunk) -> int:
        """Name somebody new."""
        self.named.append(
            Named(
                tokens=(chunk.first, chunk.last),
                lemma=chunk.word,
                count=chunk.number or (0 if chunk.plural else 1),
                plural=chunk.plural or chunk.number > 1,
                gender=gender(chunk.word),
                sentence=self.sentence,
                adjectives=chunk.adjectives,
                side=chunk.side,
                ordinal=chunk.ordinal,
            )
        )
        number = len(self.named) - 1
        if self.named[number].plural:
            if chunk.word == "couple":
                self.named[number].count = 2
            self.group = number
        self.touch([number])
        return number

    def again(self, chunk: Chunk) -> int | None:
        """Who is meant by "the woman", "the young man", "the two men", if somebody named before is."""
        if chunk.det not in ("the", "this", "that", "these", "those", "both", "all"):
            return None
        plural = chunk.plural or chunk.number > 1
        alike = [n for n in self.window() if self.named[n].plural == plural and self.named[n].lemma == chunk.word]
        if chunk.side:
            alike = [n for n in alike if self.named[n].side in ("", chunk.side)]
        if chunk.adjectives:
            exact = [n for n in alike if set(chunk.adjectives) <= set(self.named[n].adjectives)]
            alike = exact or ([] if any(self.named[n].adjectives for n in alike) or len(alike) > 1 else alike)
        if alike:
            return alike[-1]
        if plural or set(chunk.adjectives) - _AGES or chunk.word not in _GENERAL:
            return None
        wanted = gender(chunk.word)
        unlike = _GROWN if chunk.word in ("boy", "girl", "child", "kid") else _SMALL if chunk.word != "person" else set()
        others = [
            n
            for n in self.window()
            if self.named[n].sentence < self.sentence
            and not self.named[n].plural
            and self.named[n].lemma not in _GENERAL
            and self.fits(n, wanted)
            and self.named[n].lemma not in unlike
        ]
        return others[0] if len(others) == 1 else None

    def window(self) -> list[int]:
        """Who may be meant, the latest last."""
        return self.recent[-_LOOK_BACK:]

    def fits(self, number: int, wanted: str) -> bool:
        return not wanted or self.named[number].gender in ("", wanted)

    def member(self, chunk: Chunk, group: int) -> int:
        """Name a member of a group: "one", "the other two", "the first"."""
        number = self.add(chunk)
        own = self.named[number]
        own.group, own.gender = group, own.gender or self.named[group].gender
        self.named[group].members.append(number)
        self.group = group
        return number

    def open_group(self) -> int | None:
        """A group of which somebody is still unnamed."""
        if self.group is None:
            return None
        group = self.named[self.group]
        return self.group if not group.count or self.rest(self.group) > 0 else None

    def settle_groups(self) -> None:
        """A group of people that is told one by one afterwards ("Two people sit. A man ... A girl ...") is its members."""
        for number, group in enumerate(self.named):
            if group.members or group.count < 2:
                continue
            later = [n for n in range(number + 1, len(self.named)) if self.named[n].group is None]
            alone = not any(self.named[n].plural for n in later)
            if alone and len(later) == group.count and all(self.may_belong(n, group) for n in later):
                group.members = later

    def may_belong(self, number: int, group: Named) -> bool:
        person = self.named[number]
        return person.sentence > group.sentence and (group.lemma in ANYBODY or group.lemma == person.lemma)

    def is_kind_of(self, lemma: str, group: int) -> bool:
        """Whether "the girl" can be one of "three teenagers"."""
        whole = self.named[group]
        return lemma in _GENERAL and whole.gender in ("", gender(lemma)) and whole.lemma in ANYBODY | _YOUNG

    def rest(self, group: int) -> int:
        """How many of a group are not named one by one."""
        return self.named[group].count - sum(max(1, self.named[n].count) for n in self.named[group].members)

    def picked(self, chunk: Chunk) -> int | None:
        """Who is meant by "the other", "one", "the former", "the elderly one"; None if that cannot be told."""
        pick = chunk.pick
        if chunk.adjectives:
            for number in reversed(self.window()):
                if set(chunk.adjectives) & set(self.named[number].adjectives):
                    return number
        if pick in ("former", "latter"):
            pair = self.chain if len(self.chain) >= 2 else self.last_two()
            if len(pair) >= 2:
                return pair[0] if pick == "former" else pair[-1]
        group = self.open_group()
        if group is not None:
            if pick == "other" and not chunk.number and self.named[group].count:
                chunk.number = max(1, self.rest(group)) if chunk.plural else 1
            chunk.word, chunk.plural = self.named[group].lemma, chunk.number > 1
            return self.member(chunk, group)
        if pick in known.ORDINALS and len(self.chain) >= 2:
            place = known.ORDINALS[pick]
            place = place - 1 if place > 0 else place
            return self.chain[place] if -len(self.chain) <= place < len(self.chain) else None
        if pick == "other" and len(self.chain) == 2:
            latest = [n for n in self.window() if n in self.chain]
            return latest[0] if latest else None
        if pick == "one" and len(self.chain) >= 2:
            return self.chain[0]
        return None

    def last_two(self) -> list[int]:
        """The two people named last, of this sentence or the one before, in the order of their names."""
        singles = [n for n in range(len(self.named)) if not self.named[n].plural]
        return [n for n in singles[-2:] if self.named[n].sentence >= self.sentence - 1]

    def meant(self, word: str, *, use: str, subject: list[int], nearest: list[int]) -> list[int]:
        """Who is meant by a pronoun. use: "subject", "object" or "possessive"; subject, nearest: people of its clause."""
        if word in ("they", "them", "their", "themselves", "theirs"):
            return self._several(use, subject)
        wanted = _GENDERS.get(word)
        if wanted is None:
            return []
        scores: dict[int, float] = {}
        for age, number in enumerate(reversed(self.window())):
            if self.named[number].plural or not self.fits(number, wanted):
                continue
            if use == "object" and number in subject:
                continue
            score = 2.0 if self.named[number].gender == wanted else 0.0
            score += 1.5 * (number in self.subjects and use != "possessive")
            if use == "possessive":
                score += 2.5 * (number in subject) + 1.0 * (number in nearest)
            scores[number] = score - 0.1 * age - 0.5 * (self.sentence - self.named[number].sentence > 3)
        if not scores:
            return []
        best = max(scores, key=lambda number: scores[number])
        self.named[best].gender = wanted
        return [best]

    def _several(self, use: str, subject: list[int]) -> list[int]:
        if use == "possessive" and subject:
            return list(subject)
        if use == "object":
            groups = [n for n in self.window() if self.named[n].plural and n not in subject]
            return groups[-1:] or [n for n in self.chain if n not in subject]
        for who in (self.subjects, self.chain):
            if len(who) > 1 or (who and self.named[who[0]].plural):
                return self.whole(who)
        groups = [n for n in self.window() if self.named[n].plural]
        if groups:
            return self.whole(groups[-1:])
        return self.subjects[:1] or self.window()[-1:]

    def everyone(self, subject: list[int]) -> list[int]:
        """Who is meant by "both" and "each"."""
        for who in (subject, self.chain, self.subjects):
            if len(who) > 1 or (who and self.named[who[0]].plural):
                return self.whole(who)
        groups = [n for n in self.window() if self.named[n].plural]
        return self.whole(groups[-1:]) or self.window()[-2:]

    def whole(self, who: list[int]) -> list[int]:
        """The members of a group, where all of them were named one by one."""
        if len(who) == 1 and self.named[who[0]].members and self.rest(who[0]) <= 0:
            return list(self.named[who[0]].members)
        return list(who)
