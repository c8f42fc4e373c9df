"""What the walk over a caption knows at a place: the clause, the people, and the things found so far."""

from dataclasses import dataclass, field

from lumosx_core.data.relations.noun_phrases import POSSESSIVES, Chunk
from lumosx_core.data.relations.people import People

PENDING = -1  # an owner who is named later: "Wearing a hat, the man ..."


@dataclass(slots=True)
class Thing:
    """A thing that was found: its tokens, its kind, and its owners (empty for objects and backgrounds)."""

    tokens: tuple[int, int]
    kind: str
    lemma: str
    owners: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Clause:
    """What the walk knows inside one clause."""

    subject: list[int] = field(default_factory=list)
    thing: int | None = None  # the thing that is the subject
    more_things: list[int] = field(default_factory=list)  # joined to it by "and"
    nearest: list[int] = field(default_factory=list)
    acting: list[int] = field(default_factory=list)  # whose verb came last
    finite: bool = False
    told_apart: bool = False  # the subject by a participle before its verb: "A man, wearing a suit, stands"
    negated: bool = False
    role: str = ""
    owners: list[int] = field(default_factory=list)
    outer: tuple[str, list[int]] | None = None  # role and owners around "decorated with", "that has"
    of_thing: bool = False  # what follows is said of a thing
    dressed: bool = False
    relative: str = ""  # "person", "whose" or "thing" inside a relative clause
    relative_owners: list[int] = field(default_factory=list)
    relative_used: bool = False
    everyone: list[int] = field(default_factory=list)  # after "both" and "each"
    body_of: list[int] = field(default_factory=list)
    list_role: str = ""  # of the last attribute; "and" goes on with it behind "in his mouth"
    list_owners: list[int] = field(default_factory=list)
    one_hand: bool = False  # after "in one hand", "the other" is a hand too
    listing: bool = False  # after a colon or a dash


class State:
    """The chunks, and what was made of those before; the lower part of `Walk`."""

    def __init__(self, chunks: list[Chunk], words: list[str]) -> None:
        self.chunks, self.words = chunks, words
        self.people = People()
        self.things: list[Thing] = []
        self.notes: list[str] = []
        self.clause = Clause()
        self.last_role = ""
        self.pending: list[int] = []  # things that wait for their owner
        self.pending_side: tuple[str, int] | None = None
        self.possessor: list[int] = []
        self.listing_group: int | None = None  # whose members stand behind a colon
        self.ordered_from: int | None = None  # the first of the people named from left to right
        self.in_prep = False  # the last person stands behind a preposition
        self.seen: dict[tuple[str, int | None], int] = {}

    def kind(self, at: int) -> str:
        return self.chunks[at].kind if 0 <= at < len(self.chunks) else ""

    def starts_clause(self, at: int) -> bool:
        """Whether the noun phrase at a place is the subject of a verb that follows."""
        if self.kind(at) not in ("person", "thing", "picker", "pronoun"):
            return False
        described = False  # by a preposition or a participle
        for place in range(at + 1, min(at + 14, len(self.chunks))):
            chunk, before = self.chunks[place], self.kind(place - 1)
            if chunk.kind in ("be", "have", "aux") or (chunk.kind == "verb" and chunk.form in ("s", "base")):
                return before not in ("and", "comma")
            described = described or chunk.kind == "prep" or (chunk.kind == "verb" and self.kind(at) == "person")
            goes_on = chunk.kind in ("and", "comma") and described and self.kind(place + 1) == "thing"
            if chunk.kind not in ("prep", "person", "thing", "side", "possessive", "pronoun", "verb") and not goes_on:
                return False
            if chunk.kind == "verb" and not described:
                return False
            if chunk.kind in ("person", "thing", "pronoun") and before not in ("prep", "possessive", "verb", "and", "comma"):
                return False
        return False

    def text(self, chunk: Chunk) -> str:
        return " ".join(self.words[chunk.first : chunk.last + 1])

    def new_clause(self) -> None:
        if self.clause.subject:
            self.people.subjects = list(self.clause.subject)
        self.clause = Clause()

    def leave_thing(self) -> None:
        """End what is said of a thing ("decorated with feathers"); the list around it goes on."""
        clause = self.clause
        if clause.outer is not None:
            clause.role, clause.owners = clause.outer
        clause.outer, clause.of_thing = None, False
        if clause.relative == "thing":
            clause.relative = ""

    def enter_thing(self) -> None:
        if self.clause.outer is None:
            self.clause.outer = (self.clause.role, list(self.clause.owners))
        self.clause.of_thing = True

    def resume_list(self) -> None:
        """Go on with the list of attributes behind what was said of its last one: "a shirt with a dinosaur on it and ..."."""
        if self.clause.list_role:
            self.clause.role, self.clause.owners = self.clause.list_role, list(self.clause.list_owners)

    def owners_of(self, chunk: Chunk) -> list[int]:
        """Whose a noun phrase with a possessive is."""
        if chunk.det == "'s":
            owners, self.possessor = self.possessor, []
            return owners
        if chunk.det in POSSESSIVES:
            subject = self.clause.relative_owners if self.clause.relative == "person" else self.clause.subject
            return self.people.meant(chunk.det, use="possessive", subject=subject, nearest=self.clause.nearest)
        return []

    def settle_pending(self, who: list[int]) -> None:
        """Give what waited for an owner to whoever came; without anybody it belongs to nobody."""
        for index in self.pending:
            self.give(index, who)
        self.pending = []

    def give(self, index: int, owners: list[int]) -> None:
        """Make a thing that belongs to nobody yet an attribute."""
        thing = self.things[index]
        if thing.owners == [PENDING] or (not thing.owners and thing.kind == "object"):
            thing.kind, thing.owners = ("attribute", list(owners)) if owners else ("object", [])
        if thing.owners == [PENDING] and index not in self.pending:
            self.pending.append(index)
