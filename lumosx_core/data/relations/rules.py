"""The rule reader: the relations of an English caption by tables and a walk over its clauses, without any model."""

import re

from lumosx_core.data.relations.reading import Mention, Reading, Span

_PERSON = re.compile(r"\b(person|man|woman|kid|boy|girl)\b", re.IGNORECASE)


def read_rules(caption: str) -> Reading:
    """Who is named in a caption, and whose each thing is. So far: people alone."""
    people = tuple(Mention(span=Span(start=found.start(), end=found.end())) for found in _PERSON.finditer(caption))
    return Reading(caption=caption, mentions=people, notes=("only people are read so far",))
