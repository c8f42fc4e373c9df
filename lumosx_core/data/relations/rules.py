"""The rule reader: the relations of an English caption by tables and a walk over its clauses, without any model.

`tokens.py` cuts the caption into words, `chunks.py` joins them to noun phrases, verbs and prepositions with the words of
`vocabulary.py`, `walk.py` goes through these from left to right and gives each thing its owner, with `people.py` for who is
meant by "he", "the other" or "both". The time is linear in the caption's length.
"""

from lumosx_core.data.relations.chunks import chunk
from lumosx_core.data.relations.people import Named
from lumosx_core.data.relations.reading import Mention, Reading, ReadPhrase, Span
from lumosx_core.data.relations.tokens import Token, tokenize
from lumosx_core.data.relations.walk import Walk


def read_rules(caption: str) -> Reading:
    """Who is named in an English caption, and whose each thing is.

    Never raises: of a text that is no caption nothing is read. Every span is one of the caption's own words.
    """
    tokens = tokenize(caption)
    walk = Walk(chunk(tokens), [token.lower for token in tokens])
    walk.run()
    named = walk.people.named
    # A group whose members are all named one by one is no mention of its own; what it wears is theirs.
    dissolved = {
        number for number, person in enumerate(named) if person.members and (not person.count or walk.people.rest(number) <= 0)
    }
    shown = sorted((n for n in range(len(named)) if n not in dissolved), key=lambda n: named[n].tokens)
    place = {number: index for index, number in enumerate(shown)}
    phrases = []
    for thing in sorted(walk.things, key=lambda thing: thing.tokens):
        owners = [m for n in thing.owners for m in (named[n].members if n in dissolved else [n]) if m in place]
        span = _span(tokens, thing.tokens)
        if thing.kind == "attribute":
            phrases += [ReadPhrase(span=span, kind="attribute", owner=place[n]) for n in dict.fromkeys(owners)]
        else:
            phrases.append(ReadPhrase(span=span, kind="background" if thing.kind == "background" else "object"))
    mentions = tuple(_mention(tokens, named[n], max(1, walk.people.rest(n)), walk) for n in shown)
    return Reading(caption=caption, mentions=mentions, phrases=tuple(phrases), notes=tuple(dict.fromkeys(walk.notes)))


def _span(tokens: list[Token], places: tuple[int, int]) -> Span:
    return Span(start=tokens[places[0]].start, end=tokens[places[1]].end)


def _mention(tokens: list[Token], person: Named, rest: int, walk: Walk) -> Mention:
    count = rest if person.count else 2
    if not person.count:
        words = " ".join(token.lower for token in tokens[person.tokens[0] : person.tokens[1] + 1])
        walk.notes.append(f"the caption does not say how many: {words}; 2 are taken")
    return Mention(
        span=_span(tokens, person.tokens),
        count=count if person.plural else 1,
        side=person.side,  # type: ignore[arg-type]
        ordinal=person.ordinal,
        also=tuple(dict.fromkeys(_span(tokens, places) for places in person.also)),
    )
