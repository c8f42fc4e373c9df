"""What a reader found in a caption: who is named, what is named, and whose each thing is. All places are characters.

A *mention* is a span that names one person, or a group of people ("two women" has the count 2). It is the noun with its
adjectives, without article and number: "young woman". People who are named again ("he", "the man") stay one mention, the
first one; where a group is told apart ("two men ... one ... the other"), its members are the mentions.
A *phrase* is a thing in the caption's words, the noun with its adjectives and without article ("red and white striped
shirt", "cup of coffee"): an attribute is worn or held by somebody, an object belongs to nobody, a background is a place.
A thing that two mentions share is a phrase of each of them, with the same span. Things that are denied ("without a hat"),
parts of bodies and what people do are no phrases. A thing that is named again is one phrase, the first one.
"""

from dataclasses import dataclass
from typing import Literal

from lumosx_core.errors import InputError, quoted

PhraseKind = Literal["attribute", "object", "background"]
Side = Literal["left", "middle", "right", ""]


@dataclass(frozen=True, kw_only=True, order=True)
class Span:
    """Characters of the caption: caption[start:end]; end exclusive, never empty."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise InputError(f"a span of a caption is {self.start} to {self.end}; expected 0 <= start < end")

    def of(self, caption: str) -> str:
        """The words themselves."""
        return caption[self.start : self.end]


@dataclass(frozen=True, kw_only=True)
class Mention:
    """One person, or `count` people, and what the caption says about where they stand.

    side: "left", "middle", "right" or "" (not said), as the viewer sees it. ordinal: 2 for "second from the left", -1 for
    "first from the right", 0 where nothing is said. also: further spans that name the same person ("he", "the man").
    """

    span: Span
    count: int = 1
    side: Side = ""
    ordinal: int = 0
    also: tuple[Span, ...] = ()

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"a mention names {self.count} people; expected at least 1")


@dataclass(frozen=True, kw_only=True)
class ReadPhrase:
    """A thing of the caption. owner: index of the mention whose attribute it is; None for objects and backgrounds."""

    span: Span
    kind: PhraseKind
    owner: int | None = None

    def __post_init__(self) -> None:
        if (self.kind == "attribute") != (self.owner is not None):
            raise InputError(f"a phrase of kind {self.kind} has the owner {self.owner}; attributes have one, others have none")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """All of a caption, in its order. notes: what the reader was not sure of or left out. reader: "rules", or its name.
    boxes: of a reader that saw the people with numbers, the number of each mention (None: not told); else empty.

    Raises InputError where a span leaves the caption or an owner is no mention.
    """

    caption: str
    mentions: tuple[Mention, ...] = ()
    phrases: tuple[ReadPhrase, ...] = ()
    notes: tuple[str, ...] = ()
    reader: str = "rules"
    boxes: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        for span in [mention.span for mention in self.mentions] + [phrase.span for phrase in self.phrases]:
            if span.end > len(self.caption):
                raise InputError(
                    f"a span ends at {span.end}, behind the {len(self.caption)} characters of {quoted(self.caption)}"
                )
        for phrase in self.phrases:
            if phrase.owner is not None and not 0 <= phrase.owner < len(self.mentions):
                raise InputError(f"a phrase belongs to mention {phrase.owner}; there are {len(self.mentions)}")

    def attributes_of(self, mention: int) -> tuple[str, ...]:
        """The words of what one mention wears and holds."""
        return tuple(phrase.span.of(self.caption) for phrase in self.phrases if phrase.owner == mention)

    def words(self, kind: PhraseKind) -> tuple[str, ...]:
        """The words of all phrases of a kind."""
        return tuple(phrase.span.of(self.caption) for phrase in self.phrases if phrase.kind == kind)

    @property
    def people(self) -> int:
        """How many people the caption names."""
        return sum(mention.count for mention in self.mentions)
