"""Rules 1 to 6 on top of `lumosx_core/text_spans.py`, as simple as possible: every range of letters, token and owner is tried.

Written from the rules alone; it shares only the cleaning of text and the tokenizer with the code it is compared with.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache

from lumosx_core.references import ReferenceSet
from lumosx_core.tokenizers import Tokenizer, settled_text

HIDDEN = set("\u00ad\u200b\u200c\u200d\u2060\ufeff")
UNSPACED = "CJK|HIRAGANA|KATAKANA|BOPOMOFO|THAI|LAO|KHMER|MYANMAR|TIBETAN|HANGUL|IDEOGRAPHIC|HALFWIDTH"
Span = tuple[int, int]


@dataclass
class Owned:
    """A phrase of an owner; pictures: how many share it; part: whether it is an attribute."""

    owner: str
    words: str
    tag: str
    occurrence: int | None
    pictures: int
    part: bool = False


@cache
def letter(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNM" or char == "_"


@cache
def spaced(char: str) -> bool:
    return letter(char) and (unicodedata.category(char) == "Nd" or not re.match(UNSPACED, unicodedata.name(char, "")))


def attached(text: str, at: int) -> bool:
    """Whether the character at a place belongs to the one before it."""
    char = text[at]
    if "\U0001f1e6" <= char <= "\U0001f1ff":
        return len(re.search("[\U0001f1e6-\U0001f1ff]*$", text[:at])[0]) % 2 == 1
    joined = text[at - 1] == "\u200d" and unicodedata.category(char) == "So"
    return at > 0 and (unicodedata.category(char)[0] == "M" or char in HIDDEN or "\U0001f3fb" <= char <= "\U0001f3ff" or joined)


def border(text: str, at: int) -> bool:
    """Whether a word may begin or end at a place."""
    if at in (0, len(text)):
        return True
    if attached(text, at):
        return False
    before = at - 1
    while before > 0 and attached(text, before):
        before -= 1
    return not (spaced(text[before]) and spaced(text[at]))


@lru_cache(maxsize=50_000)
def look(text: str) -> str:
    """One spelling for what looks alike."""
    shown = ""
    for at, char in enumerate(text):
        emoji = char == "\u200d" and text[at + 1 : at + 2] and unicodedata.category(text[at + 1]) == "So"
        shown += "" if (char in HIDDEN and not emoji) or char in "\ufe0e\ufe0f" else char
    shown = unicodedata.normalize("NFKC", shown)
    for one, other in (("\u2010", "-"), ("\u2019", "'"), ("\u2018", "'"), ("\u02bc", "'")):
        shown = shown.replace(one, other)
    return re.sub(r"\s+", " ", shown)


@cache
def plurals(word: str) -> set[str]:
    if not re.search("[a-z]{3}$", word):
        return set()
    if re.search("(s|x|z|ch|sh)$", word):
        return {word + "es"}
    if re.search("[^aeiou]y$", word):
        return {word[:-1] + "ies"}
    return {word + "s", word + "es"} if word[-1] == "o" else {word + "s"}


def phrases_of(references: ReferenceSet) -> list[Owned]:
    scene = [("background", references.background)] if references.background else []
    scene += [(f"object {number}", item) for number, item in enumerate(references.objects, start=1)]
    found = [Owned(owner, settled_text(item.phrase), item.tag or "", item.occurrence, 1) for owner, item in scene]
    for number, one in enumerate(references.subjects, start=1):
        pictures = 0 if one.face is None else 1 + len(one.more_views)
        found.append(Owned(f"subject {number}", settled_text(one.name), one.tag or "", one.occurrence, pictures))
        for item in one.attributes:
            found.append(Owned(f"subject {number}", settled_text(item.phrase), item.tag or "", item.occurrence, 1, True))
    return found


def slug(words: str) -> str:
    return (
        re.sub("_+", "_", "".join(char if letter(char) else "_" for char in words if char not in HIDDEN)).strip("_").casefold()
    )


def named(name: str, phrases: list[Owned]) -> int | None:
    """Whom a tag without a dot names."""
    heads = [index for index, phrase in enumerate(phrases) if not phrase.part]
    for index in heads:
        if phrases[index].tag.casefold() == name or phrases[index].owner == f"subject {name}":
            return index
    bare = [
        i for i in heads if not phrases[i].tag and not phrases[i].owner.startswith("subject") and slug(phrases[i].words) == name
    ]
    return bare[0] if len(bare) == 1 else None


def parts_named(part: str, head: int, phrases: list[Owned]) -> list[int]:
    own = [i for i, phrase in enumerate(phrases) if phrase.part and phrase.owner == phrases[head].owner]
    by_tag = [i for i in own if phrases[i].tag.casefold() == part]
    by_phrase = [i for i in own if slug(phrases[i].words) == part]

    def ends(name: str) -> bool:
        at = len(name) - len(part)
        return at > 0 and name.endswith(part) and (name[at - 1] == "_" or border(name, at))

    return by_tag or by_phrase or [i for i in own if ends(slug(phrases[i].words))]


def name_ends(prompt: str, start: int) -> list[int]:
    """Where a name that begins at a place may end, the longest first."""
    ends = []
    for end in range(start + 1, len(prompt) + 1):
        if not letter(prompt[end - 1]) and not attached(prompt, end - 1):
            break
        if end > start and letter(prompt[start]) and border(prompt, end):
            ends.append(end)
    return ends[::-1]


def replaced(prompt: str, phrases: list[Owned]) -> tuple[str, list[tuple[int, Span]], int]:
    """The prompt with its tags replaced, (phrase, place) of the tags, and how many are unknown."""
    text, places, unknown, at = "", [], 0, 0
    while at < len(prompt):
        if prompt[at] != "@":
            text, at = text + prompt[at], at + 1
            continue
        before = at - 1
        while before > 0 and attached(prompt, before):
            before -= 1
        ends = name_ends(prompt, at + 1)
        if prompt[at : at + 2] == "@@":
            text, at = text + "@", at + 2
        elif (at > 0 and spaced(prompt[before])) or not ends:
            text, at = text + prompt[at], at + 1
        else:
            found, end = None, ends[0]
            known = [stop for stop in ends if named(prompt[at + 1 : stop].casefold(), phrases) is not None]
            if known:
                end = known[0]
                found = named(prompt[at + 1 : end].casefold(), phrases)
                behind = name_ends(prompt, end + 1) if prompt[end : end + 1] == "." else []
                if behind:
                    choices = [(stop, parts_named(prompt[end + 1 : stop].casefold(), found, phrases)) for stop in behind]
                    choices = [choice for choice in choices if choice[1]]
                    clear = bool(choices) and len(choices[0][1]) == 1
                    end, found = (choices[0][0], choices[0][1][0]) if clear else (behind[0], None)
                elif not phrases[found].words:
                    found = None
            if found is None:
                unknown += 1
                text += prompt[at:end]
            else:
                places.append((found, (len(text), len(text) + len(phrases[found].words))))
                text += phrases[found].words
            at = end
    return text, places, unknown


def bind_by_force(
    prompt: str, references: ReferenceSet, tokenizer: Tokenizer, text_len: int | None
) -> tuple[str, list[list[Span]], list[tuple[str, str]]]:
    """The prompt, the spans of every picture in model order, and the (kind, owner) of every problem and lost place."""
    phrases = phrases_of(references)
    text, tags, unknown = replaced(settled_text(prompt), phrases)
    pieces = tokenizer.pieces(text)
    problems = [("unknown_tag", "")] * unknown

    def covering(place: Span) -> Span:
        tokens = [n for n, (_, start, end) in enumerate(pieces) if start < place[1] and max(end, start + 1) > place[0]]
        if not tokens:
            return (0, 0)
        first = tokens[0]
        while first > 0 and text[pieces[first - 1][1] : pieces[first - 1][2]].isspace():
            first -= 1
        return (first, tokens[-1] + 1)

    holders: dict[int, set[int]] = {}
    spans: list[list[Span]] = [[] for _ in phrases]
    tagged = {index for index, _ in tags}

    def taken(span: Span, owner: str | None) -> set[int]:
        """Who else holds a token; an owner shares with its own untagged phrases."""
        found = {index for token in range(*span) for index in holders.get(token, ())}
        return {index for index in found if index in tagged or phrases[index].owner != owner}

    def give(index: int, span: Span) -> None:
        spans[index].append(span)
        for token in range(*span):
            holders.setdefault(token, set()).add(index)

    twice = set()
    for index in dict.fromkeys(index for index, _ in tags):
        for span in [covering(place) for other, place in tags if other == index]:
            if taken(span, None) - {index}:
                twice.add(index)
            elif span != (0, 0):
                give(index, span)
    problems += [("claimed_twice", phrases[index].owner) for index in twice]

    groups: dict[str, list[int]] = {}
    for index, phrase in enumerate(phrases):
        if index not in tagged and (phrase.words or phrase.pictures):
            groups.setdefault(look(phrase.words), []).append(index)
    stops = [at for at in range(len(text) + 1) if border(text, at)]
    for words, members in sorted(groups.items(), key=lambda item: -len(item[0])):
        given = {phrases[index].words for index in members}
        ids = [tokenizer.encode(one) for one in given]
        kinds: dict[Span, int] = {}
        for start in stops:
            for end in [stop for stop in stops if start < stop <= start + len(words) + 8]:
                seen = look(text[start:end])
                seems = seen.casefold()
                if not words or text[start] in HIDDEN or (seems != words.casefold() and seems not in plurals(words.casefold())):
                    continue
                exact, span = text[start:end] in given, covering((start, end))
                beside = text[max(0, start - 1) : start + 1]
                if span == (0, 0):
                    continue
                if seems != words.casefold():
                    kind = 4
                elif [piece[0] for piece in pieces[slice(*span)]] in ids:
                    kind = 0
                elif exact:
                    kind = 0 if any(letter(char) and not spaced(char) for char in beside) else 1
                else:
                    kind = 2 if seen == words else 3
                if kind < 2 or seen not in groups or seen == words:
                    kinds[start, end] = kind
        owners = list(dict.fromkeys(phrases[index].owner for index in members))
        alone = owners[0] if len(owners) == 1 else None
        most = max(phrases[index].occurrence or 0 for index in members)

        def free(places: list[Span], alone: str | None = alone) -> list[Span]:
            found: list[Span] = []
            for span in map(covering, places):
                if not taken(span, alone) and (alone or not found or span[0] >= found[-1][1]):
                    found.append(span)
            return found

        places: list[Span] = []
        for worst in range(5):
            places = sorted(place for place, kind in kinds.items() if kind <= worst)
            if len(free(places)) >= len(owners) and len(places) >= most:
                break
        with_picture = [index for index in members if phrases[index].pictures]
        if not places:
            problems += [("not_found", phrases[index].owner) for index in with_picture]
            continue
        got: dict[str, list[Span]] = {}
        vain = set()
        for index in members:
            number, owner = phrases[index].occurrence, phrases[index].owner
            if number is None:
                continue
            if number > len(places):
                problems.append(("no_such_occurrence", owner))
                vain.add(owner)
            elif taken(covering(places[number - 1]), owner):
                problems.append(("claimed_twice", owner))
                vain.add(owner)
            else:
                give(index, covering(places[number - 1]))
                got.setdefault(owner, [covering(places[number - 1])])
        waiting = [owner for owner in owners if owner not in got and owner not in vain]
        left = free(places)
        if alone and waiting:
            got[alone] = left
            if not left and with_picture:
                blockers = {index for place in places for index in taken(covering(place), alone)}
                problems.append(("inside_other" if blockers - tagged else "too_few", alone))
        elif waiting:
            got.update({owner: [span] for owner, span in zip(waiting, left, strict=False)})
            if len(left) < len(waiting):
                problems.append(("too_few", waiting[0]))
            elif len(left) > len(waiting) and not vain:
                problems.append(("too_many", waiting[0]))
        for index in members:
            if phrases[index].occurrence is None:
                for span in got.get(phrases[index].owner, []):
                    give(index, span)
    if text_len is not None:
        for index, own in enumerate(spans):
            kept = [span for span in own if span[1] < text_len]
            if len(kept) < len(own) and phrases[index].pictures:
                problems.append(("partly_beyond" if kept else "beyond_text_len", phrases[index].owner))
            spans[index] = kept
    per_picture = [spans[index] for index, phrase in enumerate(phrases) for _ in range(phrase.pictures)]
    return text, per_picture, sorted(problems)
