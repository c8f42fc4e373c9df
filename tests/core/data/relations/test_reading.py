"""What a reader returns is checked when it is made."""

import pytest

from lumosx_core.data.relations.reading import Mention, Reading, ReadPhrase, Span
from lumosx_core.errors import InputError

CAPTION = "A man in a red hat and two women near a lamp."


def span(words: str) -> Span:
    start = CAPTION.index(words)
    return Span(start=start, end=start + len(words))


def test_a_reading_gives_the_words_of_its_spans() -> None:
    reading = Reading(
        caption=CAPTION,
        mentions=(Mention(span=span("man")), Mention(span=span("women"), count=2)),
        phrases=(ReadPhrase(span=span("red hat"), kind="attribute", owner=0), ReadPhrase(span=span("lamp"), kind="object")),
    )
    assert reading.attributes_of(0) == ("red hat",) and reading.attributes_of(1) == ()
    assert reading.words("object") == ("lamp",) and reading.people == 3


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="expected 0 <= start < end"):
        Span(start=3, end=3)
    with pytest.raises(InputError, match="at least 1"):
        Mention(span=span("man"), count=0)
    with pytest.raises(InputError, match="attributes have one"):
        ReadPhrase(span=span("lamp"), kind="object", owner=0)
    with pytest.raises(InputError, match="behind the 45 characters"):
        Reading(caption=CAPTION, mentions=(Mention(span=Span(start=40, end=46)),))
    with pytest.raises(InputError, match="there are 0"):
        Reading(caption=CAPTION, phrases=(ReadPhrase(span=span("lamp"), kind="attribute", owner=0),))
