"""Where words begin and end, in every script, and which spellings look alike.

A sign is what a reader sees as one: a character with the combining marks, variation selectors and invisible characters
after it, or a sequence of emoji. No sign is ever cut. Letters are the Unicode categories L (letters), N (numbers), M
(marks) and "_". Between two letters of scripts that put spaces between words (digits count as such) there is no border of
a word; between all other signs there is one: scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan;
Korean, whose particles are glued to the noun) may begin and end a word at every sign.
"""

import re
import unicodedata
from functools import lru_cache

_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u19e0-\u19ff"  # Thai, Lao, Tibetan, Burmese, Hangul, Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u303c\u3041-\u31ff\u3400-\u4dbf\u4e00-\u9fff"  # Han, kana, Bopomofo
    "\ua960-\ua97f\ua9e0-\ua9ff\uaa60-\uaa7f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U0001b000-\U0001b16f"
    "\U00020000-\U0003ffff]"
)
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_JOINER = "\u200d"
_SELECTORS = "\ufe0e\ufe0f"
_SAME_LOOK = str.maketrans({"\u2010": "-", "\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"'})

Place = tuple[int, int]


@lru_cache(maxsize=4096)
def is_letter(char: str) -> bool:
    """Whether a character is part of words: a letter, number, mark or "_"."""
    return char == "_" or unicodedata.category(char)[0] in "LNM"


@lru_cache(maxsize=4096)
def is_spaced(char: str) -> bool:
    """Whether it is a letter of a script that puts spaces between words; digits of every script are."""
    return is_letter(char) and (unicodedata.category(char) == "Nd" or not _UNSPACED.match(char))


@lru_cache(maxsize=4096)
def _extends(char: str) -> bool:
    """Whether a character belongs to the one before it: marks, selectors, invisible ones, skin tones, tags of flags."""
    return (
        char in _INVISIBLE or unicodedata.category(char)[0] == "M" or "\U0001f3fb" <= char <= "\U0001f3ff" or _is_flag_tag(char)
    )


def _is_flag_tag(char: str) -> bool:
    return "\U000e0020" <= char <= "\U000e007f"


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


class Signs:
    """A text as signs, with its borders of words and its folded spelling.

    starts: where each sign begins, and the text's length. borders: for every position 0..len(text) whether a word may
    begin or end there.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts: list[int] = []
        for at, char in enumerate(text):
            if not self.starts or not self._continues(at, char):
                self.starts.append(at)
        self.starts.append(len(text))
        self.borders = [False] * (len(text) + 1)
        spaced_before = False
        for start in self.starts[:-1]:
            spaced = is_spaced(text[start])
            self.borders[start] = not (spaced and spaced_before)
            spaced_before = spaced
        self.borders[len(text)] = True

    def _continues(self, at: int, char: str) -> bool:
        """Whether the character at a place belongs to the last sign."""
        before = self.text[at - 1]
        if _is_flag_half(char):
            return self.starts[-1] == at - 1 and _is_flag_half(before)
        return _extends(char) or (before == _JOINER and unicodedata.category(char) == "So")

    def signs(self) -> list[str]:
        """The text, sign by sign."""
        return [self.text[start:end] for start, end in zip(self.starts, self.starts[1:], strict=False)]

    def runs(self) -> list[Place]:
        """The longest stretches of letters."""
        found: list[Place] = []
        for start, end in zip(self.starts, self.starts[1:], strict=False):
            if is_letter(self.text[start]):
                follows = bool(found) and found[-1][1] == start
                found.append((found.pop()[0] if follows else start, end))
        return found

    def words(self) -> list[Place]:
        """The stretches of letters between borders."""
        found: list[Place] = []
        for start, end in zip(self.starts, self.starts[1:], strict=False):
            if is_letter(self.text[start]):
                found.append((start if self.borders[start] else found.pop()[0], end))
        return found

    def places(self, spelling: str) -> list[Place]:
        """Where a spelling (folded, in lower case) stands as whole words, in the text's order; linear in the text."""
        if not spelling:
            return []
        text, sign_of = self._lower()
        found, at = [], text.find(spelling)
        while at >= 0:
            end = at + len(spelling)
            first, last = sign_of[at], sign_of[end - 1]
            whole = (at == 0 or sign_of[at - 1] != first) and (end == len(text) or sign_of[end] != last)
            place = (self.starts[first], self.starts[last + 1])
            if whole and self.borders[place[0]] and self.borders[place[1]]:
                found.append(place)
            at = text.find(spelling, at + 1)
        return found

    def _lower(self) -> tuple[str, list[int]]:
        """The folded text in lower case, and the sign of each of its characters."""
        if not hasattr(self, "_folded"):
            pieces: list[str] = []
            sign_of: list[int] = []
            for number, sign in enumerate(self.signs()):
                piece = _fold_sign(sign).casefold()
                if piece == " " and pieces and pieces[-1] == " ":
                    continue
                if piece:
                    pieces.append(piece)
                    sign_of += [number] * len(piece)
            self._folded = ("".join(pieces), sign_of)
        return self._folded


def fold(text: str) -> str:
    """The text with one spelling for all that looks alike: hyphens, spaces, apostrophes, full width, decomposed accents;
    without what nobody sees (zero-width characters, soft hyphens, variation selectors). Case stays."""
    return re.sub(" +", " ", "".join(map(_fold_sign, Signs(text).signs())))


@lru_cache(maxsize=4096)
def _fold_sign(sign: str) -> str:
    shown = "".join(char for char, after in zip(sign, [*sign[1:], ""], strict=True) if not _is_hidden(char, after))
    return re.sub(r"\s", " ", unicodedata.normalize("NFKC", shown).translate(_SAME_LOOK))


def _is_hidden(char: str, after: str) -> bool:
    """Whether nobody sees a character; a joiner before an emoji makes another emoji."""
    joins = char == _JOINER and after != "" and unicodedata.category(after) == "So"
    return char in _INVISIBLE + _SELECTORS and not joins


def plurals(spelling: str) -> list[str]:
    """The regular English plurals of a spelling in lower case; none for other scripts and very short words."""
    found = re.search(r"[a-z]{3,}$", spelling)
    if not found:
        return []
    if spelling.endswith(("s", "x", "z", "ch", "sh")):
        return [f"{spelling}es"]
    if re.search(r"[^aeiou]y$", spelling):
        return [f"{spelling[:-1]}ies"]
    return [f"{spelling}s", f"{spelling}es"] if spelling.endswith("o") else [f"{spelling}s"]
