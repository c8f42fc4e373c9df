"""A phrase that does not stand in the caption word for word, as language models give it: the nearest words that do.

Tried in this order: the phrase itself as whole words; without regard to case and look-alike characters; without an article
before it; in the other number ("hats" for "hat"); with the distance below. What is farther than the bound is not guessed.

The distance of a phrase to neighbouring words of the caption is the share of words that have no partner on the other side, of
the words of both: "red shirt" to "red striped shirt" is 1/5, "blue shirt" to "red shirt" 2/4. Two words are partners if they
are equal, singular and plural of each other, or differ by typing errors (one letter from 5 letters on, two from 9 on), each
counted as a fifth of a word. The last words, which say what the thing is, must be partners. So a colour or a noun is never
exchanged for another one.
"""

import re
from dataclasses import dataclass
from typing import Literal

from lumosx_core.data.relations.reading import Span
from lumosx_core.errors import quoted
from lumosx_core.word_borders import Signs, fold, plurals

BOUND = 0.25  # distance: one of five words may be left over, not one of three
LONGEST = 200  # characters of a phrase; longer ones are sentences
_TYPO = 0.2  # of a word
_ARTICLE = re.compile(r"^(?:the|an?|his|her|their|its|some|one)\s+(?=\S)", re.IGNORECASE)

How = Literal["verbatim", "case", "article", "number", "near", ""]


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """Where a phrase stands. places: every place that is as near, in the caption's order; empty if there is none. how: which
    change it took. distance: 0..1. reason: why there is no place; "" if there is one."""

    places: tuple[Span, ...] = ()
    how: How = ""
    distance: float = 0.0
    reason: str = ""

    @property
    def span(self) -> Span | None:
        """The first place, or None."""
        return self.places[0] if self.places else None


def nearest_span(caption: str, phrase: str, *, bound: float = BOUND) -> Nearest:
    """The places of the caption that are nearest to a phrase. bound: the largest distance that is still taken, 0..1."""
    phrase = phrase.strip()
    if not phrase:
        return Nearest(reason="the phrase is empty")
    if len(phrase) > LONGEST:
        return Nearest(reason=f"{len(phrase)} characters are no phrase; expected at most {LONGEST}: {quoted(phrase)}")
    signs = Signs(caption)
    spelled = fold(phrase).casefold()
    bare = _ARTICLE.sub("", spelled)
    if places := _exact(caption, signs, phrase):
        return Nearest(places=places, how="verbatim")
    ways: tuple[tuple[How, list[str]], ...] = (
        ("case", [spelled]),
        ("article", [bare]),
        ("number", [*plurals(bare), *_singulars(bare)]),
    )
    for how, spellings in ways:
        for spelling in spellings:
            if places := tuple(Span(start=start, end=end) for start, end in signs.places(spelling) if start < end):
                return Nearest(places=places, how=how)
    return _near(caption, signs, phrase, bare.split(), bound)


def _exact(caption: str, signs: Signs, phrase: str) -> tuple[Span, ...]:
    spans = [Span(start=start, end=end) for start, end in signs.places(fold(phrase).casefold()) if start < end]
    return tuple(span for span in spans if span.of(caption) == phrase)


def _singulars(spelling: str) -> list[str]:
    found = re.search(r"[^\W\d_]{4,}$", spelling)
    if not found or not spelling.endswith("s") or spelling.endswith("ss"):
        return []
    candidates = [spelling[:-1], spelling[:-2], f"{spelling[:-3]}y"]
    return [word for word in candidates if spelling in plurals(word)]


def _near(caption: str, signs: Signs, phrase: str, wanted: list[str], bound: float) -> Nearest:
    words = [(start, end, fold(caption[start:end]).casefold()) for start, end in signs.words()]
    best, places = bound + 1e-9, []
    for last, (_, end, head) in enumerate(words):
        if not wanted or _difference(wanted[-1], head) is None:
            continue
        for first in range(max(0, last - len(wanted) - 1), last + 1):
            start = words[first][0]
            if re.search(r"[.;:!?]", caption[start:end]):
                continue  # not across sentences
            distance = _distance(wanted, [word for _, _, word in words[first : last + 1]])
            if distance < best - 1e-9:
                best, places = distance, [Span(start=start, end=end)]
            elif places and abs(distance - best) < 1e-9:
                places.append(Span(start=start, end=end))
    if not places:
        return Nearest(reason=f"{quoted(phrase)} does not stand in the caption, nor anything as near as {bound:g}")
    texts = {fold(span.of(caption)).casefold() for span in places}
    if len(texts) > 1:
        told = " and ".join(map(repr, sorted(texts)[:3]))
        return Nearest(distance=best, reason=f"{quoted(phrase)} does not stand in the caption, and is as near to {told}")
    return Nearest(places=tuple(places), how="near", distance=best)


def _distance(wanted: list[str], there: list[str]) -> float:
    """The share of words without a partner, typing errors added."""
    left, lost = list(there), 0.0
    for word in wanted:
        partners = [(difference, other) for other in left if (difference := _difference(word, other)) is not None]
        if partners:
            difference, other = min(partners)
            left.remove(other)
            lost += difference
        else:
            lost += 1
    return (lost + len(left)) / (len(wanted) + len(there))


def _difference(word: str, other: str) -> float | None:
    """How much two words differ, in words; None if they are different words."""
    if word == other or other in plurals(word) or word in plurals(other):
        return 0.0
    allowed = 0 if min(len(word), len(other)) < 5 else 1 if min(len(word), len(other)) < 9 else 2
    if abs(len(word) - len(other)) > allowed:
        return None
    edits = _edits(word, other)
    return edits * _TYPO if edits <= allowed else None


def _edits(word: str, other: str) -> int:
    """Letters to change, add or leave out (Levenshtein, 1966)."""
    row = list(range(len(other) + 1))
    for i, letter in enumerate(word, 1):
        before, row[0] = row[0], i
        for j, wanted in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (letter != wanted))
    return row[-1]
