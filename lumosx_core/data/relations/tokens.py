"""A caption as words and marks with their places."""

import re
from dataclasses import dataclass

_WORD = re.compile(
    r"(?P<contracted>[^\W\d_]+?)(?P<rest>n['\u2019]t)(?![^\W_])"  # isn't, doesn't
    r"|(?P<base>[^\W_]+(?:-[^\W_]+)*)(?P<tail>['\u2019](?:s|re|ve|d|ll|m))?(?![^\W_])"  # the tourist's, she's, T-shirt
    r"|(?P<word>[^\W_]+)|(?P<mark>\S)"
)


@dataclass(frozen=True)
class Token:
    """A word or a mark: its spelling in lower case with plain apostrophes, and its characters in the caption."""

    lower: str
    start: int
    end: int
    is_word: bool
    capital: bool = False


def tokenize(caption: str) -> list[Token]:
    """The words and marks of a caption, in its order. "'s" and "n't" are words of their own; hyphens stay inside words."""
    found: list[Token] = []
    for match in _WORD.finditer(caption):
        for group in ("contracted", "rest", "base", "tail", "word", "mark"):
            start, end = match.span(group)
            if start >= 0:
                text = caption[start:end]
                lower = text.lower().replace("\u2019", "'")
                found.append(Token(lower, start, end, group != "mark", text[0].isupper()))
    return found
