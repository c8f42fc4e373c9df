"""Captions whose relations were written down by hand, and rubbish made out of them.

One caption per line of a JSON Lines file: `caption`, `constructions` (what makes it hard), `mentions` (words, start, end,
count, side) and `phrases` (words, start, end, kind, owner), as `data/relations/reading.py` explains them.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lumosx_core.data.relations.reading import Mention, PhraseKind, Reading, ReadPhrase, Side, Span
from lumosx_core.errors import InputError
from lumosx_core.files.existing import existing_file
from lumosx_core.files.json import parse_json, parse_record

FOLDER = Path(__file__).parent.parent / "assets" / "captions"
_MARKS = (
    " ", " ", " ", " ", ", ", ". ", " and ", "'s ", "\u2019s ", "; ", ": ", " - ", "\n", "\u00e9", "\U0001f469\u200d", "(",
    "n't ", "-", " no ", " one ", " the other ", " who ", " her ", " in ", " with ", " \u4e00 ", "\x00", " <b>", "\u0301",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CaptionCase:
    """A caption, its constructions ("pronoun", "list"), and how it is to be read."""

    constructions: tuple[str, ...]
    truth: Reading


@dataclass(frozen=True, kw_only=True)
class _Line:
    caption: str
    constructions: tuple[str, ...]
    mentions: list
    phrases: list


@dataclass(frozen=True, kw_only=True)
class _Mention:
    words: str
    start: int
    end: int
    count: int = 1
    side: Side = ""


@dataclass(frozen=True, kw_only=True)
class _Phrase:
    words: str
    start: int
    end: int
    kind: PhraseKind
    owner: int | None = None


def read_cases(path: Path) -> list[CaptionCase]:
    """The captions of one file. Raises InputError, naming file and line, for what is no such record and for words that do not
    stand where they are said to."""
    path = existing_file(path, "file of captions", "give a JSON Lines file of captions and relations")
    cases = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if line.strip():
            cases.append(_case(parse_record(_Line, parse_json(line, f"line {number} of {path}"), f"line {number} of {path}")))
    if not cases:
        raise InputError(f"{path} holds no captions; expected one JSON object per line")
    return cases


def _case(line: _Line) -> CaptionCase:
    mentions = [parse_record(_Mention, item, f"a mention of {line.caption!r}") for item in line.mentions]
    phrases = [parse_record(_Phrase, item, f"a phrase of {line.caption!r}") for item in line.phrases]
    named: list[_Mention | _Phrase] = [*mentions, *phrases]
    for item in named:
        if line.caption[item.start : item.end] != item.words:
            raise InputError(f"{item.words!r} is not at {item.start} to {item.end} of {line.caption!r}; correct the places")
    return CaptionCase(
        constructions=line.constructions,
        truth=Reading(
            caption=line.caption,
            mentions=tuple(Mention(span=Span(start=m.start, end=m.end), count=m.count, side=m.side) for m in mentions),
            phrases=tuple(ReadPhrase(span=Span(start=p.start, end=p.end), kind=p.kind, owner=p.owner) for p in phrases),
            reader="hand",
        ),
    )


def fuzzed_captions(captions: list[str], count: int, seed: int) -> Iterator[str]:
    """`count` texts that no one would write: words of the captions in any order, cut, repeated, with strange marks between."""
    rng = random.Random(seed)
    words = " ".join(captions).split()
    for _ in range(count):
        shape = rng.random()
        if shape < 0.2:  # a caption with one place broken
            text = rng.choice(captions)
            place, length = rng.randrange(len(text)), rng.randrange(8)
            yield text[:place] + rng.choice(_MARKS) + text[place + length :]
        elif shape < 0.25:  # one word over and over
            yield (rng.choice(words) + rng.choice(_MARKS)) * rng.randrange(1, 80)
        elif shape < 0.3:  # no words at all
            yield "".join(chr(rng.choice((rng.randrange(32, 127), rng.randrange(0xD800), 0x1F600))) for _ in range(40))
        else:
            yield "".join(rng.choice(words) + rng.choice(_MARKS) for _ in range(rng.randrange(1, 60)))
