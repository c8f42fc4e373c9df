"""A caption as chunks: noun phrases, verbs, prepositions, pronouns and marks, told by tables and the words beside them."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from lumosx_core.data.relations import vocabulary as known
from lumosx_core.data.relations.lexicon import NounKind, guessed_verb, is_adjective, is_adverb, noun, verb
from lumosx_core.data.relations.tokens import Token

ChunkKind = Literal[
    "person", "thing", "pronoun", "picker", "prep", "verb", "be", "have", "aux", "and", "but", "sub", "rel", "that", "neg",
    "side", "both", "comma", "stop", "semicolon", "colon", "dash", "possessive", "other",
]  # fmt: skip
NOUN_PHRASES = ("person", "thing", "picker", "pronoun")
POSSESSIVES = {"his", "her", "their", "its", "my", "your", "our"}
_ARTICLES = {
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
_PRONOUNS = {
    "he", "she", "they", "it", "him", "them", "himself", "herself", "themselves", "itself", "hers", "theirs", "i", "you", "we",
    "me", "us", "her", "his",
}  # fmt: skip
_SUBORDINATORS = {"while", "when", "whereas", "because", "although", "though", "where", "if", "until", "whilst", "so", "once"}
_MARKS: dict[str, ChunkKind] = {
    ".": "stop", "!": "stop", "?": "stop", ";": "semicolon", ":": "colon", ",": "comma", "-": "dash", "\u2013": "dash",
    "\u2014": "dash", "(": "comma", ")": "comma", "\u3002": "stop",
}  # fmt: skip
_BE = {"is", "are", "was", "were", "be", "being", "been", "am", "'re", "'m"}
_HAVE = {"has", "have", "had", "having", "'ve"}
_AUX = {"do", "does", "did", "can", "will", "could", "would", "may", "might", "must", "should", "ca", "wo", "'ll", "'d"}
_SIDES = {
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


def chunk(tokens: list[Token]) -> list[Chunk]:
    """All chunks of a caption; words that say nothing about relations (adverbs) are left out."""
    return _Chunker(tokens).run()


class _Chunker:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.chunks: list[Chunk] = []

    def word(self, at: int) -> str:
        """The word at a place; "" beyond the end and for marks."""
        return self.tokens[at].lower if 0 <= at < len(self.tokens) and self.tokens[at].is_word else ""

    @property
    def before(self) -> str:
        """The kind of the last chunk."""
        return self.chunks[-1].kind if self.chunks else ""

    def run(self) -> list[Chunk]:
        at = 0
        while at < len(self.tokens):
            found = self.read(at)
            if found is None:
                at += 1
                continue
            self.chunks.append(found)
            at = max(at, found.last) + 1
        return self.chunks

    def read(self, at: int) -> Chunk | None:
        """The chunk that begins at a token, or None for a word that is left out."""
        token = self.tokens[at]
        word = token.lower
        if not token.is_word:
            if word == "-" and not self.is_free(at):
                return None
            return Chunk(_MARKS[word], at, at, word) if word in _MARKS else None
        return (
            self.read_function_word(at, word)
            or self.read_side(at)
            or self.read_preposition(at)
            or self.read_verb(at)
            or self.read_noun_phrase(at)
            or self.read_rest(at, word)
        )

    def is_free(self, at: int) -> bool:
        """Whether a hyphen stands between spaces."""
        inside = 0 < at < len(self.tokens) - 1
        return inside and self.tokens[at - 1].end < self.tokens[at].start and self.tokens[at].end < self.tokens[at + 1].start

    def read_function_word(self, at: int, word: str) -> Chunk | None:
        following = self.word(at + 1)
        if word == "'s":
            is_verb = self.before in ("pronoun", "rel", "that", "picker", "other", "")
            return Chunk("be" if is_verb else "possessive", at, at, word)
        if word in _BE:
            return Chunk("be", at, at, word)
        if word in _HAVE:
            is_aux = (
                following in ("been", "just", "already")
                or (verb(following) or _NO_VERB).form == "ed"
                and not (self.noun_phrase(at + 1))
            )
            return Chunk("aux" if is_aux else "have", at, at, word)
        if word in _AUX:
            return Chunk("aux", at, at, word)
        if word in ("not", "n't", "never", "neither", "nor", "hardly", "cannot"):
            return Chunk("neg", at, at, word)
        if word in ("and", "or", "plus"):
            return Chunk("and", at, at, word)
        if word in ("but", "yet"):
            return Chunk("but", at, at, word)
        if word in ("who", "whom", "whose", "which"):
            return Chunk("rel", at, at, word)
        if word == "that" and self.before in ("person", "thing", "side") and not self.noun_phrase(at):
            return Chunk("that", at, at, word)
        if word in _SUBORDINATORS:
            return Chunk("sub", at, at, word)
        if word in ("both", "each") and following != "other" and (following in ("of", "") or not self.noun_phrase(at)):
            skipped = 2 if following == "of" and self.word(at + 2) in ("them", "whom", "these") else 0
            return Chunk("both", at, at + skipped, word)
        if (word, following) in (("each", "other"), ("one", "another")):
            return Chunk("other", at, at + 1, word)
        if word in _PRONOUNS and not (word in POSSESSIVES and self.noun_phrase(at)):
            return Chunk("pronoun", at, at, word)
        return None

    def read_side(self, at: int) -> Chunk | None:
        """ "on the left", "to her right", "in the middle", "at the far right", "second from the left"."""
        start, ordinal = at, 0
        while self.word(at) in ("further", "just", "all", "over"):
            at += 1
        if self.word(at) in known.ORDINALS and self.word(at + 1) == "from":
            ordinal, at = known.ORDINALS[self.word(at)], at + 1
        if self.word(at) not in ("on", "to", "at", "in", "from", "towards"):
            return None
        at += 1
        if self.word(at) in ("the", "his", "her", "their", "its"):
            at += 1
        elif self.word(at + 1) == "'s":
            at += 2
        while self.word(at) in ("far", "extreme", "very", "immediate"):
            at += 1
        side = _SIDES.get(self.word(at), "")
        if not side:
            return None
        if self.word(at + 1) in ("side", "hand", "edge", "part", "third"):
            at += 1
            at += self.word(at + 1) == "side"
        if self.word(at + 1) == "of":
            place = self.noun_phrase(at + 2, expected=True)
            if place and place.word in ("frame", "image", "picture", "video", "screen", "scene", "shot", "photo"):
                at = place.last
            elif side == "middle":
                return None
        elif self.noun_phrase(at + 1) and self.word(at + 1) not in _ARTICLES | POSSESSIVES and noun(self.word(at + 1)):
            if not verb(self.word(at + 1)):
                return None  # "on the left shoulder"
        if ordinal and side == "right":
            ordinal = -ordinal
        return Chunk("side", start, at, side, side=side, ordinal=ordinal)

    def read_preposition(self, at: int) -> Chunk | None:
        for words in known.PLURAL_PREPOSITIONS:
            if self.word(at) == words[0] and all(self.word(at + k) == word for k, word in enumerate(words)):
                return Chunk("prep", at, at + len(words) - 1, " ".join(words))
        if self.word(at) in ("at", "of") and self.word(at + 1) in ("first", "last", "least", "once", "all", "course"):
            return None
        if self.word(at) in known.PREPOSITIONS:
            return Chunk("prep", at, at, self.word(at))
        return None

    def read_verb(self, at: int) -> Chunk | None:
        word = self.word(at)
        found = guessed_verb(word)
        if found is None or word in known.PLURAL_ONLY:
            return None
        before, following = self.before, self.word(at + 1)
        as_noun = noun(word)
        chunk = Chunk("verb", at, at, found.base, form=found.form)
        expects_noun = before in ("prep", "have", "possessive", "comma", "and", "colon", "dash", "but", "neg") or (
            before == "verb" and self.chunks[-1].last == at - 1
        )
        if found.form in ("ing", "ed") and as_noun is None:
            modifies = expects_noun and self.begins_noun(at + 1) and following not in _ARTICLES | POSSESSIVES
            if modifies and before in ("comma", "and", "but", "colon", "dash", "neg"):
                owned = found.base in known.WEAR | known.HOLD
                modifies = not owned and (noun(following) or _NO_NOUN).kind in ("worn", "held", "ridden", "person")
            elif modifies and before == "verb":
                modifies = self.chunks[-1].form != "base" or self.chunks[-1].word in known.WEAR | known.HOLD
            elif modifies and before == "prep":
                modifies = found.base not in known.WEAR and (found.form == "ed" or found.base not in known.HOLD)
            at_start = before in ("", "stop", "semicolon", "sub") and found.form == "ed" and self.begins_noun(at + 1)
            return None if modifies or (at_start and following not in _ARTICLES) else chunk
        if as_noun is None:
            return None if is_adjective(word) and self.begins_noun(at + 1) and before != "person" else chunk
        # A word that is both ("watches", "waves", "dress").
        if before in ("pronoun", "rel", "that", "aux", "picker", "side", "both"):
            return chunk
        if before == "neg":
            return chunk if self.chunks[-1].word != "no" and found.form == "base" else None
        if before == "prep":
            infinitive = self.chunks[-1].word == "to" and found.form == "base" and following in _ARTICLES | POSSESSIVES
            return chunk if infinitive else None
        if before in ("person", "thing") and found.form != "ing":
            return chunk
        if found.form == "ing":
            return chunk if following in _ARTICLES | POSSESSIVES else None
        if before in ("and", "comma", "dash"):
            if as_noun.kind == "abstract" or (as_noun.kind == "object" and following in known.PREPOSITIONS):
                return chunk
            takes_object = following in _ARTICLES | POSSESSIVES | {"at", "to"}
            return chunk if takes_object and found.form == "s" else None
        return None

    def begins_noun(self, at: int) -> bool:
        """Whether the word at a place can stand inside a noun phrase."""
        word = self.word(at)
        if not word or word in known.PREPOSITIONS or word in _ARTICLES | _BE | _HAVE | _AUX | _PRONOUNS | _SUBORDINATORS:
            return False
        if word in ("and", "or", "nor", "but", "who", "whose", "which", "not", "'s"):
            return False
        return noun(word) is not None or is_adjective(word) or not (is_adverb(word) or verb(word))

    def read_noun_phrase(self, at: int) -> Chunk | None:
        found = self.noun_phrase(at, expected=self.before in ("prep", "verb", "have", "possessive", "comma", "and"))
        if found and self.before == "possessive":
            found.det = "'s"
        return found

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
        while True:
            word = self.word(at)
            following = self.word(at + 1)
            if word in ("a", "an", "the") and (pick or (det and det not in ("all", "both"))):
                break
            if word in _ARTICLES or word in POSSESSIVES:
                det = det or word
                if word in ("other", "another"):
                    pick = pick or word
            elif word in known.NUMBERS and (word != "one" or (self.begins_noun(at + 1) and not guessed_verb(following))):
                number = known.NUMBERS[word]
            elif word.isdigit() and len(word) < 3:
                number = int(word)
            elif word in known.ORDINALS and (det or self.word(at - 1) == "the") and word != "left":
                pick = word
            elif word in ("own", "same", "very", "quite", "rather", "most", "more") or (
                at > start and is_adverb(word) and word.endswith("ly")
            ):
                pass
            elif at > start and word in ("left", "right", "middle", "leftmost", "rightmost") and self.begins_noun(at + 1):
                pick = pick or word
            else:
                break
            at += 1
        head = self.head(at, det, number, expected=expected)
        if head is None:
            return self.picker(start, at, det, number, pick)
        last, adjectives = head
        word = self.word(last)
        found = noun(word)
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
        beside = self.word(last - 1) if last > at else ""
        if beside in ("boxing", "wrestling", "circus") and word == "ring":
            result.noun = "place"
        elif result.noun in ("animal", "vessel", "object") and set(adjectives + [beside]) & _TOYS:
            result.noun = "held"
        result.side = _SIDES.get(pick, "")
        if self.word(last + 1) == "from" and pick in known.ORDINALS:
            result.ordinal = known.ORDINALS[pick]
        return result

    def picker(self, start: int, at: int, det: str, number: int, pick: str) -> Chunk | None:
        """ "the other", "the first", "one", "another", "the other two"."""
        if self.word(start) == "one" and at == start:
            return Chunk("picker", start, start, "one", pick="one", number=1)
        if pick in ("other", "another") or (pick in known.ORDINALS and det):
            place = next((k for k in range(start, at) if self.word(k) == pick), start)
            return Chunk("picker", place, at - 1, pick, pick=pick, number=number, det=det)
        if number > 1 and det == "the":
            return Chunk("picker", at - 1, at - 1, "other", pick="other", number=number, det=det)
        return None

    def anaphor(self, at: int, last: int, adjectives: list[str], det: str, number: int, pick: str) -> Chunk:
        """A noun phrase with the head "one": "the one", "the elderly one", "the other one"; "a blue one" is a thing."""
        coloured = bool(adjectives) and all(word in known.COLOURS for word in adjectives)
        if det in ("a", "an") or coloured:
            return Chunk("thing", at, last, "one", noun="unknown", det=det, number=number)
        if pick:
            return Chunk("picker", at - 1, at - 1, pick, pick=pick, number=number or 1, det=det, side=_SIDES.get(pick, ""))
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
                elif is_adjective(word) or (as_verb and as_verb.form in ("ing", "ed")):
                    adjectives.append(word)
                elif self.noun_follows(at + 1) or is_adverb(word):
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
        if not self.begins_noun(at) and not (guessed_verb(word) and (det or at > begin or expected)):
            return False
        as_verb = guessed_verb(word)
        if as_verb and noun(word) is None and not is_adjective(word):
            return as_verb.form in ("ing", "ed") and self.noun_follows(at + 1)
        return True

    def noun_follows(self, at: int) -> bool:
        """Whether a noun phrase can go on at a place."""
        word = self.word(at)
        if not word:
            return self.tokens[at].lower == "," and self.joins_adjectives(at, at - 1) if at < len(self.tokens) else False
        if word in ("and", "or"):
            return self.joins_adjectives(at, at - 1)
        if not self.begins_noun(at) or is_adverb(word):
            return word in ("one", "ones")
        as_verb = guessed_verb(word)
        if as_verb is None or is_adjective(word):
            return True
        if noun(word) is None:
            return as_verb.form in ("ing", "ed") and self.noun_follows(at + 1)
        return True

    def joins_adjectives(self, at: int, begin: int) -> bool:
        """Whether "and" or a comma stands between two adjectives of one noun: "red and white striped", "long, flowing"."""
        mark = self.tokens[at].lower if at < len(self.tokens) else ""
        before, after = self.word(at - 1), self.word(at + 1)
        if mark not in ("and", "or", ",") or at <= begin or not before or not after:
            return False
        is_pair = is_adjective(before) and (is_adjective(after) or (mark == "," and (verb(after) or _NO_VERB).form == "ing"))
        if mark == "," and (before in known.COLOURS) != (after in known.COLOURS):
            return is_pair and self.noun_follows(at + 2) and noun(before) is None and before not in known.COLOURS
        return is_pair and self.noun_follows(at + 2)

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
            return not person and not plural and not ends_like_verb and not re.search(r"\d", word)
        if as_verb is None:
            return not (plural and found.kind == "person" and not person)
        following = self.word(at + 1)
        if found.kind in ("abstract", "body") or (found.kind == "object" and as_verb.form == "s"):
            return False
        if as_verb.form == "s":
            takes_object = following in _ARTICLES | POSSESSIVES | _PRONOUNS
            return not (person or det in _SINGULAR or takes_object or number > 1)
        return not (plural and as_verb.form == "base") and as_verb.form != "ed"

    def read_rest(self, at: int, word: str) -> Chunk | None:
        """A word that nothing explained: an adverb or a lone article is left out, other words are kept as what they are."""
        if is_adverb(word) or word in _ARTICLES or word in known.ORDINALS:
            return None
        found = guessed_verb(word)
        if found:
            return Chunk("verb", at, at, found.base, form=found.form)
        return Chunk("other", at, at, word)


class _None:
    """What a word is that is no verb and no noun."""

    form = base = kind = ""


_NO_VERB = _NO_NOUN = _None()
