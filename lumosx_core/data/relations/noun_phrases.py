"""Noun phrases: where one begins and ends, its head, its article, its number."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from lumosx_core.data.relations import vocabulary as known
from lumosx_core.data.relations.lexicon import NounKind, guessed_verb, is_adjective, is_adverb, noun, noun_kind, verb, verb_form
from lumosx_core.data.relations.tokens import Token

ChunkKind = Literal[
    "person", "thing", "pronoun", "picker", "prep", "verb", "be", "have", "aux", "and", "but", "sub", "rel", "that", "neg",
    "side", "order", "both", "comma", "stop", "semicolon", "colon", "dash", "possessive", "other",
]  # fmt: skip
POSSESSIVES = {"his", "her", "their", "its", "my", "your", "our"}
ARTICLES = {
    "a",
    "an",
    "the",
    "this",
    "that",
    "these",
    "those",
    "no",
    "any",
    "some",
    "another",
    "other",
    "each",
    "every",
    "both",
    "all",
}
_SINGULAR = {"a", "an", "another", "each", "every", "this", "that"}
PRONOUNS = {
    "he", "she", "they", "it", "him", "them", "himself", "herself", "themselves", "itself", "hers", "theirs", "i", "you", "we",
    "me", "us", "her", "his",
}  # fmt: skip
SUBORDINATORS = {"while", "when", "whereas", "because", "although", "though", "where", "if", "until", "whilst", "so", "once"}
BE = {"is", "are", "was", "were", "be", "being", "been", "am", "'re", "'m"}
HAVE = {"has", "have", "had", "having", "'ve"}
AUX = {"do", "does", "did", "can", "will", "could", "would", "may", "might", "must", "should", "ca", "wo", "'ll", "'d"}
SIDES = {
    "left": "left", "right": "right", "middle": "middle", "center": "middle", "centre": "middle", "leftmost": "left",
    "rightmost": "right", "left-hand": "left", "right-hand": "right",
}  # fmt: skip
_GROUPS = {"pair": 2, "couple": 2, "duo": 2, "trio": 3, "quartet": 4}
_TOYS = {"toy", "teddy", "stuffed", "plush", "paper", "inflatable", "rubber"}
_LONGEST = 12  # words of one noun phrase


@dataclass(slots=True)
class Chunk:
    """Tokens first..last (last included); of a noun phrase without its article and number.

    word: of a noun phrase its head in the singular, of a verb its base form, else the words in lower case. noun: what the head
    is to a person. det: article, possessive or "'s". number: how many, 0 if not said. pick: "other", "another", an ordinal.
    form: of a verb. side: "left", "middle", "right".
    """

    kind: ChunkKind
    first: int
    last: int
    word: str
    noun: NounKind = "unknown"
    det: str = ""
    number: int = 0
    plural: bool = False
    pick: str = ""
    form: str = ""
    side: str = ""
    ordinal: int = 0
    adjectives: tuple[str, ...] = ()


class NounPhrases:
    """Finds noun phrases among the tokens of a caption; the lower part of the chunker."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens

    def word(self, at: int) -> str:
        """The word at a place; "" beyond the end and for marks."""
        return self.tokens[at].lower if 0 <= at < len(self.tokens) and self.tokens[at].is_word else ""

    def begins_noun(self, at: int) -> bool:
        """Whether the word at a place can stand inside a noun phrase."""
        word = self.word(at)
        if not word or word in known.PREPOSITIONS or word in ARTICLES | BE | HAVE | AUX | PRONOUNS | SUBORDINATORS:
            return False
        if word in known.NUMBERS and word != "one":
            return False
        if word in ("next", "close", "because", "instead", "ahead") and self.word(at + 1) in ("to", "of"):
            return False
        if word in ("and", "or", "nor", "but", "who", "whose", "which", "not", "'s"):
            return False
        return noun(word) is not None or is_adjective(word) or not (is_adverb(word) or verb(word))

    def noun_phrase(self, at: int, *, expected: bool = False) -> Chunk | None:
        """The noun phrase that begins here, with what "of" adds to it ("cup of coffee", "a group of three women")."""
        found = self.simple_noun_phrase(at, expected=expected)
        if found is None or found.kind == "picker" or self.word(found.last + 1) != "of":
            return found
        inner = self.simple_noun_phrase(found.last + 2, expected=True)
        if inner is None:
            return found
        if inner.kind == "person" and inner.plural and (found.noun == "crowd" or found.word in _GROUPS):
            number = inner.number or _GROUPS.get(found.word, 0)
            return replace(inner, number=number, det=found.det)
        if inner.kind != "thing" or inner.det:
            return found
        if found.word in ("pair", "set") and inner.noun in ("worn", "held", "ridden"):
            return replace(inner, det=found.det, number=found.number)
        if found.word in known.CONTAINERS:
            kind = "held" if found.noun in ("object", "unknown", "held", "abstract") else found.noun
            return replace(found, last=inner.last, noun=kind)
        return found

    def simple_noun_phrase(self, at: int, *, expected: bool = False) -> Chunk | None:
        det, number, pick, start = "", 0, "", at
        while at - start < _LONGEST:
            word = self.word(at)
            if word in ("a", "an", "the") and (pick or (det and det not in ("all", "both"))):
                break
            if word in ARTICLES or word in POSSESSIVES:
                det = det or word
                if word in ("other", "another"):
                    pick = pick or word
            elif word in known.NUMBERS and (word != "one" or self.counts_one(at + 1)):
                number = known.NUMBERS[word]
            elif word.isascii() and word.isdigit() and len(word) < 3:
                number = int(word)
            elif word in known.ORDINALS and (det or self.word(at - 1) == "the") and word != "left":
                pick = word
            elif word in ("own", "same", "very", "quite", "rather", "most", "more") or (
                at > start and is_adverb(word) and word.endswith("ly") and not self.graded(at)
            ):
                pass
            elif at > start and word in ("left", "right", "middle", "leftmost", "rightmost") and self.begins_noun(at + 1):
                pick = pick or word
            else:
                break
            at += 1
        acts = pick not in ("", "left", "right") and verb_form(self.word(at)) == "s"  # "the other watches"
        head = None if acts else self.head(at, det, number, expected=expected)
        if head is None:
            return self.picker(start, at, det, number, pick)
        last, adjectives = head
        word = self.word(last)
        found = noun(word)
        if found is None and det == "the" and word in known.COMPARED and last == at:
            return Chunk("picker", at, at, word, pick="one", number=1, det=det, adjectives=(word,))
        if word in ("one", "ones"):
            return self.anaphor(at, last, adjectives, det, number, pick)
        if found is None:
            plural = word.endswith("s") and not word.endswith("ss")
            kind: NounKind = "colour" if is_adjective(word) and not pick else "unknown"
            result = Chunk("thing", at, last, word, noun=kind, det=det, number=number, plural=plural)
            if kind == "unknown" and self.acts_like_a_person(last + 1, det):
                result.kind, result.noun = "person", "person"
        elif found.kind == "person" or (found.lemma == "people" and number):
            result = Chunk("person", at, last, found.lemma, noun="person", det=det, number=number, plural=found.plural)
            result.plural = found.plural or number > 1 or found.lemma in ("couple", "people")
        else:
            result = Chunk("thing", at, last, found.lemma, noun=found.kind, det=det, number=number, plural=found.plural)
        result.pick, result.adjectives = pick, tuple(adjectives)
        if word == "camera" and det == "the" and not adjectives:
            result.noun = "abstract"  # the one that films
        beside = self.word(last - 1) if last > at else ""
        if (word == "ring" and beside in ("boxing", "wrestling", "circus")) or (word == "carpet" and "red" in adjectives):
            result.noun = "place"
        elif result.noun == "body" and noun_kind(beside) in ("object", "held", "vessel"):
            result.noun = "object"  # "table leg"
        elif word in ("guard", "guards") and noun_kind(beside) == "body":
            result.kind, result.noun = "thing", "worn"  # "shin guards"
        elif (
            result.noun in ("worn", "held") and found is not None and found.lemma in known.PARTS and self.word(last + 1) == "of"
        ):
            result.noun = "part"  # "the laces of her shoes"
        elif result.noun in ("animal", "vessel", "object") and set(adjectives + [beside]) & _TOYS:
            result.noun = "held"
        result.side = SIDES.get(pick, "")
        return result

    def graded(self, at: int) -> bool:
        """Whether an adverb belongs to the participle behind it: "dimly lit", "neatly pressed"."""
        as_verb = guessed_verb(self.word(at + 1))
        return self.word(at).endswith("ly") and as_verb is not None and as_verb.form == "ed" and self.noun_follows(at + 2)

    def counts_one(self, at: int) -> bool:
        """Whether "one" before this word is a number: "one hand", against "one wears", "one watches"."""
        as_verb = guessed_verb(self.word(at))
        return self.begins_noun(at) and (as_verb is None or (as_verb.form == "base" and noun(self.word(at)) is not None))

    def picker(self, start: int, at: int, det: str, number: int, pick: str) -> Chunk | None:
        """ "the other", "the first", "one", "another", "the other two"."""
        if self.word(start) == "one" and at == start:
            return Chunk("picker", start, start, "one", pick="one", number=1)
        if pick in ("other", "another") or (pick in known.ORDINALS and det):
            place = next((k for k in range(start, at) if self.word(k) == pick), start)
            return Chunk("picker", place, place, pick, pick=pick, number=number, det=det)
        if number > 1 and det == "the":
            return Chunk("picker", at - 1, at - 1, "other", pick="other", number=number, det=det)
        return None

    def anaphor(self, at: int, last: int, adjectives: list[str], det: str, number: int, pick: str) -> Chunk:
        """A noun phrase with the head "one": "the one", "the elderly one", "the other one"; "a blue one" is a thing."""
        coloured = bool(adjectives) and all(word in known.COLOURS for word in adjectives)
        if det in ("a", "an") or coloured:
            return Chunk("thing", at, last, "one", noun="unknown", det=det, number=number)
        if pick:
            return Chunk("picker", at - 1, at - 1, pick, pick=pick, number=number or 1, det=det, side=SIDES.get(pick, ""))
        return Chunk("picker", at, last, "one", pick="one", number=1, det=det, adjectives=tuple(adjectives))

    def acts_like_a_person(self, at: int, det: str) -> bool:
        """Whether an unknown noun is followed by what only people do."""
        following = self.word(at)
        if following in ("who", "whose"):
            return True
        found = verb(following)
        return bool(det) and found is not None and found.base in ("wear", "don", "dress", "hold", "carry", "clad", "sport")

    def head(self, at: int, det: str, number: int, *, expected: bool) -> tuple[int, list[str]] | None:
        """The last token of the noun phrase whose modifiers begin here, and its adjectives; None if there is no noun."""
        last: int | None = None
        adjectives: list[str] = []
        begin = at
        person = plural = False
        while at - begin < _LONGEST:
            word = self.word(at)
            if not word:
                if last is None and self.joins_adjectives(at, begin):
                    at += 1
                    continue
                break
            found, as_verb = noun(word), guessed_verb(word)
            participle = as_verb is not None and as_verb.form in ("ing", "ed")
            if last is None:
                if word in ("and", "or") and self.joins_adjectives(at, begin):
                    at += 1
                    continue
                if word in ("one", "ones") and (det or adjectives):
                    return at, adjectives
                if not self.may_modify(at, begin, det, expected=expected):
                    break
                if found and not (is_adjective(word) and self.noun_follows(at + 1)):
                    last, person, plural = at, found.kind == "person", found.plural
                elif is_adjective(word) or is_adverb(word) or participle or self.noun_follows(at + 1):
                    adjectives.append(word)
                else:
                    last, plural = at, word.endswith("s")
            elif not self.compounds(at, person, plural, det, number):
                break
            else:
                last = at
                person, plural = bool(found and found.kind == "person"), bool(found and found.plural)
            at += 1
        if last is None and adjectives and (det or expected) and (verb(adjectives[-1]) is None or det):
            only = begin + len(adjectives) - 1
            if self.word(only) == adjectives[-1]:
                return only, adjectives[:-1]
        return None if last is None else (last, adjectives)

    def may_modify(self, at: int, begin: int, det: str, *, expected: bool) -> bool:
        """Whether a word can stand before a noun that has not come yet, or be it."""
        word = self.word(at)
        if is_adverb(word):  # "a backwards cap"
            return self.graded(at) or (det in ("a", "an") and noun_kind(self.word(at + 1)) in ("worn", "held", "person"))
        if not self.begins_noun(at) and not (guessed_verb(word) and (det or at > begin or expected)):
            return False
        as_verb = guessed_verb(word)
        if as_verb and noun(word) is None and not is_adjective(word):
            if as_verb.form == "base":  # "swim trunks"
                return expected and noun_kind(self.word(at + 1)) in ("worn", "held")
            return as_verb.form in ("ing", "ed") and self.noun_follows(at + 1)
        return True

    def noun_follows(self, at: int, depth: int = 0) -> bool:
        """Whether a noun phrase can go on at a place. depth: how many words were looked at already; few are enough."""
        word = self.word(at)
        if depth > _LONGEST or at >= len(self.tokens):
            return False
        if not word or word in ("and", "or"):
            return self.joins_adjectives(at, at - 1, depth + 1)
        as_verb = guessed_verb(word)
        participle = as_verb is not None and as_verb.form in ("ing", "ed")
        if is_adverb(word) or not (self.begins_noun(at) or participle):
            return word in ("one", "ones")
        if as_verb is None or is_adjective(word) or noun(word) is not None:
            return True
        return as_verb.form in ("ing", "ed") and self.noun_follows(at + 1, depth + 1)

    def joins_adjectives(self, at: int, begin: int, depth: int = 0) -> bool:
        """Whether "and" or a comma stands between two adjectives of one noun: "red and white striped", "long, flowing"."""
        mark = self.tokens[at].lower if at < len(self.tokens) else ""
        before, after = self.word(at - 1), self.word(at + 1)
        if mark not in ("and", "or", ",") or at <= begin or not before or not after or not is_adjective(before):
            return False
        if mark == ",":
            if not (is_adjective(after) or verb_form(after) == "ing"):
                return False
            differs = (before in known.COLOURS) != (after in known.COLOURS)
            if differs and (noun(before) is not None or before in known.COLOURS):
                return False
        return (mark == "," or is_adjective(after)) and self.noun_follows(at + 2, depth)

    def compounds(self, at: int, person: bool, plural: bool, det: str, number: int) -> bool:
        """Whether a word goes on with the noun before it: "telephone box", "polka dot apron"."""
        word = self.word(at)
        found, as_verb = noun(word), guessed_verb(word)
        if not self.begins_noun(at) or is_adverb(word) or (is_adjective(word) and found is None):
            return False
        if word in known.NUMBERS or word in known.ORDINALS:
            return False
        if as_verb and found is None:
            return False
        if found is None:
            ends_like_verb = word.endswith("s") and not word.endswith("ss")
            ends_like_verb = ends_like_verb and (bool(det) or number > 0 or person)
            return not person and not plural and not ends_like_verb and not re.search(r"\d", word)
        if found.plural and det in _SINGULAR and found.lemma not in known.PLURAL_ONLY and number < 2:
            return False  # "an orange suit races"
        if person and as_verb is not None and not (found.kind == "worn" and as_verb.form == "base"):
            return False
        if as_verb is None:
            return not (plural and found.kind == "person" and not person)
        following = self.word(at + 1)
        if (
            self.word(at - 1) == "camera"
            or found.kind in ("abstract", "body")
            or (found.kind == "object" and as_verb.form == "s")
        ):
            return False
        takes_object = following in ARTICLES | POSSESSIVES | PRONOUNS or following in known.NUMBERS
        garment = noun_kind(self.word(at - 1)) == "worn" and (found.kind != "worn" or as_verb.form == "s")
        if as_verb.form == "s":
            acts = garment and found.kind != "part" and self.is_worn_by_somebody(at)  # "the boy in the jersey skates past"
            return not (person or plural or det in _SINGULAR or takes_object or number > 1 or acts)
        if as_verb.form == "base" and (takes_object or (garment and self.is_worn_by_somebody(at))):
            return False  # "A man in a cap and a boy in a red shirt stand by ..."
        return not (plural and as_verb.form == "base") and as_verb.form != "ed"

    def is_worn_by_somebody(self, at: int) -> bool:
        """Whether the words before a place say that somebody wears what they name: "in a cap and a red shirt"."""
        for place in range(at - 1, max(-1, at - _LONGEST), -1):
            word, as_verb = self.word(place), verb(self.word(place))
            if word in ("in", "with") or (as_verb is not None and as_verb.base in known.WEAR and as_verb.form != "base"):
                return True
            if word in known.PREPOSITIONS or word in BE or (not word and self.tokens[place].lower != ","):
                return False
        return False
