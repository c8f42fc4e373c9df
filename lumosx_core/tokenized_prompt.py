"""A prompt with its tokens and signs: where a phrase stands in it, which tokens cover a place, and how to show it."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lumosx_core.tokenizers import Tokenizer
from lumosx_core.word_borders import Place, Signs, fold, is_letter, is_spaced, plurals

Span = tuple[int, int]
Spelling = Literal["as_given", "other_tokens", "look_alike", "other_case", "plural"]
SPELLINGS: tuple[Spelling, ...] = ("as_given", "other_tokens", "look_alike", "other_case", "plural")  # best first
_SHOWN_LETTERS = 300  # of a prompt in a message
_SHOWN_PLACES = 9
_SEARCHED_WORDS = 300  # for words that are spelled nearly alike


@dataclass(frozen=True, kw_only=True)
class Match:
    """A place where a phrase stands: its characters, the tokens that cover them, and how it is spelled there."""

    place: Place
    span: Span
    spelling: Spelling


class TokenizedPrompt:
    """A cleaned prompt (`tokenizers.settled_text`) and its tokens. token_ids: without end token."""

    def __init__(self, text: str, tokenizer: Tokenizer) -> None:
        self.text, self.tokenizer, self.signs = text, tokenizer, Signs(text)
        self.pieces = tokenizer.pieces(text)
        self.token_ids = [piece[0] for piece in self.pieces]
        self._first_token: list[int | None] = [None] * len(text)
        self._last_token: list[int | None] = [None] * len(text)
        for number, (_, start, end) in enumerate(self.pieces):
            # The first bytes of a character that the vocabulary lacks are pieces without any length before it.
            for char in range(start, min(max(end, start + 1), len(text))):
                if self._first_token[char] is None:
                    self._first_token[char] = number
                self._last_token[char] = number

    def matches(self, phrases: Sequence[str]) -> list[Match]:
        """Every place where the phrase stands as whole words, in prompt order.

        phrases: spellings of one phrase that look alike. "as_given" is a place with the phrase's own token ids (the
        published rule), or spelled exactly so beside letters of a script without spaces, where no space can be expected
        before the phrase and its ids therefore differ.
        """
        ids = {tuple(self.tokenizer.encode(phrase)) for phrase in phrases}
        spelling = fold(phrases[0])
        lower = spelling.casefold()
        found: list[Match] = []
        for place in self.signs.places(lower):
            span = self.token_range(place)
            found.append(Match(place=place, span=span, spelling=self._spelling(place, span, phrases, ids)))
        for plural in plurals(lower):
            places = self.signs.places(plural)
            found += [Match(place=place, span=self.token_range(place), spelling="plural") for place in places]
        return sorted((match for match in found if match.span != (0, 0)), key=lambda match: match.place)

    def _spelling(self, place: Place, span: Span, phrases: Sequence[str], ids: set[tuple[int, ...]]) -> Spelling:
        words = self.text[slice(*place)]
        unspaced = any(is_letter(char) and not is_spaced(char) for char in self.text[max(0, place[0] - 1) : place[0] + 1])
        if tuple(self.token_ids[slice(*span)]) in ids or (words in phrases and unspaced):
            return "as_given"
        if words in phrases:
            return "other_tokens"
        return "look_alike" if fold(words) == fold(phrases[0]) else "other_case"

    def token_range(self, place: Place) -> Span:
        """The tokens that cover a character range, and a token that is only the space before it, as in a match by ids."""
        firsts = [token for token in self._first_token[slice(*place)] if token is not None]
        lasts = [token for token in self._last_token[slice(*place)] if token is not None]
        if not firsts:
            return (0, 0)
        first = min(firsts)
        while first > 0 and self._is_space(first - 1):
            first -= 1
        return (first, max(lasts) + 1)

    def _is_space(self, token: int) -> bool:
        """Whether a token is nothing but white space; one without characters belongs to what follows it."""
        start, end = self.pieces[token][1:]
        return end > start and self.text[start:end].isspace()

    def char_range(self, span: Span) -> Place:
        """The characters of a token range, without white space around them."""
        if span[0] == span[1]:
            return (0, 0)
        start, end = self.pieces[span[0]][1], self.pieces[span[1] - 1][2]
        words = self.text[start:end]
        return (start + len(words) - len(words.lstrip()), start + len(words.rstrip()))

    def mark(self, spans: Iterable[Span]) -> str:
        """The prompt with numbered places: "a [1: man] and a [2: man]"; long prompts show the letters around them."""
        places = [self.char_range(span) for span in spans]
        around = len(self.text) if len(self.text) <= _SHOWN_LETTERS else 30
        shown, at = "", 0
        for number, (start, end) in enumerate(places[:_SHOWN_PLACES], start=1):
            start = max(start, at)
            shown += ("..." + self.text[start - around : start]) if start - at > around else self.text[at:start]
            at = max(end, start)
            shown += f"[{number}: {shortened(self.text[start:at], 60)}]"
        shown += shortened(self.text[at:], around)
        more = f" and {len(places) - _SHOWN_PLACES} more" if len(places) > _SHOWN_PLACES else ""
        return f'"{shown}"{more}'

    def nearest(self, phrase: str) -> list[str]:
        """Up to three runs of the prompt's first words that are spelled most like the phrase."""
        if len(phrase) > 60:
            return []
        words = self.signs.words()[:_SEARCHED_WORDS]
        ends = [end for _, end in words]
        count = len(Signs(phrase).words())
        runs: dict[str, None] = {}
        for first, (start, _) in enumerate(words):
            for last in range(first + max(1, count - 1) - 1, min(first + count + 1, len(words))):
                if ends[last] - start <= 2 * len(phrase) + 10:
                    runs[self.text[start : ends[last]]] = None
        lower = {run.casefold(): run for run in reversed(runs)}
        return [lower[run] for run in difflib.get_close_matches(phrase.casefold(), lower, n=3, cutoff=0.5)]


def shortened(text: str, length: int = _SHOWN_LETTERS) -> str:
    """The text, or its beginning with "..."."""
    return text if len(text) <= length else f"{text[:length]}..."
