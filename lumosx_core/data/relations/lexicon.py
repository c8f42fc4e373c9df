"""What a single English word can be: noun of which kind, verb in which form, adjective, adverb."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from lumosx_core.data.relations import vocabulary as known

NounKind = Literal[
    "person", "crowd", "worn", "held", "ridden", "body", "part", "abstract", "place", "vessel", "animal", "object", "colour",
    "unknown",
]  # fmt: skip
VerbForm = Literal["base", "s", "ing", "ed"]
# Where a word is of several kinds, the first one counts.
_NOUN_TABLES: tuple[tuple[NounKind, frozenset[str]], ...] = (
    ("person", known.MALE | known.FEMALE | known.PEOPLE),
    ("crowd", known.CROWDS),
    ("worn", known.WORN),
    ("ridden", known.RIDDEN),
    ("held", known.HELD),
    ("body", known.BODY),
    ("animal", known.ANIMALS),
    ("part", known.PARTS),
    ("abstract", known.ABSTRACT),
    ("place", known.PLACES),
    ("vessel", known.VESSELS),
    ("object", known.OBJECTS | known.CONTAINERS),
)
_PERSON_ENDING = re.compile(r".{3,}(?:ist|ician|woman|man|person|girl|boy)$")
_ADJECTIVE_ENDING = re.compile(r".{2,}(?:ful|ous|ish|less|able|ible|-looking|-style|-sized|-themed|y-colored|-clad)$")


@dataclass(frozen=True)
class Noun:
    """One noun: its singular, what it is to a person, and whether the form is a plural."""

    lemma: str
    kind: NounKind
    plural: bool


@dataclass(frozen=True)
class Verb:
    """One verb: its base form, and which form stands there."""

    base: str
    form: VerbForm


@lru_cache(maxsize=1)
def _nouns() -> dict[str, NounKind]:
    table: dict[str, NounKind] = {}
    for kind, words in _NOUN_TABLES:
        for word in sorted(words):
            table.setdefault(word, kind)
    return table


@lru_cache(maxsize=1)
def _verbs() -> dict[str, Verb]:
    table: dict[str, Verb] = {}
    for base in sorted(known.WEAR | known.HOLD | known.HOLD_IF_KNOWN | known.OTHER_VERBS):
        table.setdefault(base, Verb(base, "base"))
        stem = base[:-1] if base.endswith("e") and not base.endswith("ee") else base
        doubled = base + base[-1] if re.search(r"[^aeiou][aeiou][^aeiouwxy]$", base) else stem
        if base.endswith("ie"):
            stem = doubled = base[:-2] + "y"
        y = re.search(r"[^aeiou]y$", base) is not None
        sibilant = base.endswith(("s", "x", "z", "ch", "sh", "o"))
        table[f"{base[:-1]}ies" if y else f"{base}es" if sibilant else f"{base}s"] = Verb(base, "s")
        past = [f"{base[:-1]}ied"] if y else [f"{stem}ed", f"{doubled}ed"]
        if base.endswith("ie"):
            past = [f"{base}d"]
        for form in past:
            table.setdefault(form, Verb(base, "ed"))
        for form in (f"{stem}ing", f"{doubled}ing"):
            table.setdefault(form, Verb(base, "ing"))
    for form, base in known.IRREGULAR.items():
        table[form] = Verb(base, "ing" if form.endswith("ying") else "ed")
    return table


def _singulars(word: str) -> list[str]:
    """What a word may be the plural of."""
    if word in known.IRREGULAR_NOUNS:
        return [known.IRREGULAR_NOUNS[word]]
    if not word.endswith("s") or word.endswith("ss") or len(word) < 4:
        return []
    forms = [word[:-1]]
    if word.endswith("ies"):
        forms.append(f"{word[:-3]}y")
    if word.endswith("es"):
        forms.append(word[:-2])
    return forms


@lru_cache(maxsize=8192)
def noun(word: str) -> Noun | None:
    """A known noun, or one that is told by its ending or its last part ("snow-boots"); None for other words."""
    table = _nouns()
    if word in known.PLURAL_ONLY and word in table:
        return Noun(word, table[word], True)
    for single in _singulars(word):
        if single in table:
            return Noun(single, table[single], True)
    if word in table:
        return Noun(word, table[word], False)
    if "-" in word.strip("-") and word not in known.ADJECTIVES:
        last = noun(word.rpartition("-")[2])
        return last and Noun(word, last.kind, last.plural)
    for single in [word, *_singulars(word)]:
        if _PERSON_ENDING.match(single) and verb(word) is None:
            return Noun(single, "person", single != word)
    if word.endswith("men") and len(word) > 5:
        return Noun(f"{word[:-2]}an", "person", True)
    return None


@lru_cache(maxsize=8192)
def verb(word: str) -> Verb | None:
    """A known verb in any of its forms; None for other words."""
    return _verbs().get(word)


def verb_form(word: str) -> str:
    """The form of a known verb; "" for other words."""
    found = verb(word)
    return found.form if found else ""


def noun_kind(word: str) -> str:
    """The kind of a known noun; "" for other words."""
    found = noun(word)
    return found.kind if found else ""


@lru_cache(maxsize=8192)
def guessed_verb(word: str) -> Verb | None:
    """A known verb, or what ends like a participle."""
    found = verb(word)
    if found or not word.isalpha() or len(word) < 6:
        return found
    if word.endswith("ing"):
        return Verb(word[:-3], "ing")
    return Verb(word[:-2], "ed") if word.endswith("ed") else None


@lru_cache(maxsize=8192)
def is_adjective(word: str) -> bool:
    """Whether it is known as one, or ends like one ("dark-haired", "colourless")."""
    if word in known.COLOURS or word in known.ADJECTIVES or _ADJECTIVE_ENDING.match(word):
        return True
    if "-" in word:
        last = word.rpartition("-")[2]
        return last in known.COLOURS or last in known.ADJECTIVES or (last.endswith("ed") and noun(last) is None)
    return False


@lru_cache(maxsize=8192)
def is_adverb(word: str) -> bool:
    """Whether it is known as one, or ends in -ly and is nothing else."""
    return word in known.ADVERBS or (word.endswith("ly") and len(word) > 4 and not is_adjective(word) and noun(word) is None)


def gender(lemma: str) -> str:
    """ "male", "female", or "" where the noun does not tell."""
    last = lemma.rpartition("-")[2]
    if lemma in known.MALE or (last.endswith(("man", "boy")) and not last.endswith("woman") and last != "human"):
        return "male"
    return "female" if lemma in known.FEMALE or last.endswith(("woman", "girl", "lady")) else ""
