"""A caption as chunks: noun phrases, verbs, prepositions, pronouns and marks, told by tables and the words beside them."""

from lumosx_core.data.relations import vocabulary as known
from lumosx_core.data.relations.lexicon import (
    guessed_verb,
    is_adjective,
    is_adverb,
    noun,
    noun_kind,
    verb,
    verb_form,
)
from lumosx_core.data.relations.noun_phrases import (
    ARTICLES,
    AUX,
    BE,
    HAVE,
    POSSESSIVES,
    PRONOUNS,
    SIDES,
    SUBORDINATORS,
    Chunk,
    ChunkKind,
    NounPhrases,
)
from lumosx_core.data.relations.tokens import Token

_MARKS: dict[str, ChunkKind] = {
    ".": "stop", "!": "stop", "?": "stop", ";": "semicolon", ":": "colon", ",": "comma", "-": "dash", "\u2013": "dash",
    "\u2014": "dash", "(": "comma", ")": "comma", "\u3002": "stop",
}  # fmt: skip


def chunk(tokens: list[Token]) -> list[Chunk]:
    """All chunks of a caption; words that say nothing about relations (adverbs) are left out."""
    return _Chunker(tokens).run()


class _Chunker(NounPhrases):
    def __init__(self, tokens: list[Token]) -> None:
        super().__init__(tokens)
        self.chunks: list[Chunk] = []

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
            is_verb = is_verb or self.word(at - 1) in ("there", "here")
            return Chunk("be" if is_verb else "possessive", at, at, word)
        if word in BE:
            return Chunk("be", at, at, word)
        if word in HAVE:
            is_aux = following in ("been", "just", "already") or verb_form(following) == "ed" and not (self.noun_phrase(at + 1))
            return Chunk("aux" if is_aux else "have", at, at, word)
        if word in AUX:
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
        if word in SUBORDINATORS:
            return Chunk("sub", at, at, word)
        if word in ("both", "each", "all") and (
            following in ("with", "in") or guessed_verb(following) and verb_form(following) == "ing"
        ):
            return Chunk("both", at, at, word)
        if word in ("both", "each") and following != "other" and (following in ("of", "") or not self.noun_phrase(at)):
            skipped = 2 if following == "of" and self.word(at + 2) in ("them", "whom", "these") else 0
            return Chunk("both", at, at + skipped, word)
        if (word, following) in (("each", "other"), ("one", "another")):
            return Chunk("other", at, at + 1, word)
        acts = verb(following)
        if word in ("both", "all") and acts is not None and acts.form == "base" and acts.base in known.WEAR | known.HOLD:
            return Chunk("both", at, at, word)  # "all carry bags"
        if word in PRONOUNS and not (word in POSSESSIVES and self.noun_phrase(at) and not self.stands_before_verb(at)):
            return Chunk("pronoun", at, at, word)
        return None

    def stands_before_verb(self, at: int) -> bool:
        """Whether "her" is no possessive, since a verb and somebody new follow: "next to her stands a child"."""
        found, behind = verb(self.word(at + 1)), self.word(at + 2)
        new = behind in ("a", "an", "another", "the") or (behind in known.NUMBERS)
        return (
            self.before == "prep" and found is not None and found.base in known.INVERTED and found.form in ("s", "base") and new
        )

    def read_side(self, at: int) -> Chunk | None:
        """ "on the left", "to her right", "in the middle", "at the far right", "second from the left"."""
        if [self.word(at + k) for k in range(4)] == ["from", "left", "to", "right"]:
            return Chunk("order", at, at + 3, "left to right")
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
        side = SIDES.get(self.word(at), "")
        if not side:
            return None
        if self.word(at + 1) in ("side", "edge", "part", "third"):
            at += 1
        elif (self.word(at + 1), self.word(at + 2)) == ("hand", "side"):
            at += 2
        if self.word(at + 1) == "of":
            place = self.noun_phrase(at + 2, expected=True)
            if place and place.word in ("frame", "image", "picture", "video", "screen", "scene", "shot", "photo"):
                at = place.last
            elif side == "middle":
                return None
        elif noun_kind(self.word(at + 1)) == "body" or (noun(self.word(at + 1)) and not verb(self.word(at + 1))):
            return None  # "on the left shoulder"
        if ordinal and side == "right":
            ordinal = -ordinal
        return Chunk("side", start, at, side, side=side, ordinal=ordinal)

    def read_preposition(self, at: int) -> Chunk | None:
        if self.word(at + 1) in ("by", "to", "in") and self.word(at) == self.word(at + 2) != "":
            return Chunk("other", at, at + 2, "side by side")
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
            modifies = expects_noun and self.begins_noun(at + 1) and following not in ARTICLES | POSSESSIVES
            if modifies and before in ("comma", "and", "but", "colon", "dash", "neg"):
                owned = found.base in known.WEAR | known.HOLD
                modifies = not owned and noun_kind(following) in ("worn", "held", "ridden", "person")
            elif modifies and before == "verb":
                modifies = self.chunks[-1].form != "base" or self.chunks[-1].word in known.WEAR | known.HOLD
            elif modifies and before == "prep":
                modifies = found.base not in known.WEAR and (found.form == "ed" or found.base not in known.HOLD)
            at_start = before in ("", "stop", "semicolon", "sub") and found.form == "ed" and self.begins_noun(at + 1)
            return None if modifies or (at_start and following not in ARTICLES) else chunk
        names_a_thing = noun_kind(following) in ("worn", "held") and not verb(following)
        if as_noun is None and found.form == "base" and expects_noun and names_a_thing and self.chunks[-1].word != "to":
            return None  # "swim trunks"
        if as_noun is None:
            return None if is_adjective(word) and self.begins_noun(at + 1) and before != "person" else chunk
        # A word that is both ("watches", "waves", "dress").
        if before == "rel" and self.chunks[-1].word == "whose":
            return None
        if before in ("pronoun", "rel", "that", "aux", "picker", "side", "both"):
            return chunk
        if (before == "be" and found.form == "ed") or (
            before == "verb" and self.chunks[-1].form == "ed" and found.form == "base"
        ):
            return chunk  # "is set in a park", "a nurse masked and gloved stand ..."
        if before == "neg":
            return chunk if self.chunks[-1].word != "no" and found.form == "base" else None
        if before == "prep":
            infinitive = self.chunks[-1].word == "to" and found.form == "base" and following in ARTICLES | POSSESSIVES
            return chunk if infinitive else None
        if before in ("person", "thing") and found.form != "ing":
            return chunk
        if found.form == "ing":
            return chunk if following in ARTICLES | POSSESSIVES else None
        if before in ("and", "comma", "dash"):
            if as_noun.kind == "abstract" or (as_noun.kind == "object" and self.read_preposition(at + 1)):
                return chunk
            takes_object = following in ARTICLES | POSSESSIVES | PRONOUNS | {"at", "to"}
            return chunk if takes_object and found.form == "s" else None
        return None

    def read_noun_phrase(self, at: int) -> Chunk | None:
        found = self.noun_phrase(at, expected=self.before in ("prep", "verb", "have", "possessive", "comma", "and"))
        if found and self.before == "possessive":
            found.det = "'s"
        if found and found.kind == "person" and noun(self.word(found.last)) is None and self.before == "verb":
            held = self.chunks[-1].word in known.HOLD and verb_form(self.word(found.last + 1)) == "s"
            found.kind, found.noun = ("thing", "held") if held else ("person", "person")  # "who pushes the sidecar wears ..."
        if found and self.splits_ordinal(found):
            return self.picker(at, found.first, found.det, 0, found.pick)
        if found and found.kind == "person" and found.word in known.WORN | known.HELD and self.expects_clothes(found):
            found.kind, found.noun = "thing", "worn"  # "in white trainers"
        bare = found is not None and found.noun == "unknown" and found.first == found.last == at
        if bare and self.before in ("person", "thing", "picker", "pronoun", "rel", "side", "aux"):
            return Chunk("verb", at, at, self.word(at), form="s" if self.word(at).endswith("s") else "base")
        return found

    def splits_ordinal(self, found: Chunk) -> bool:
        """Whether "the third black tights" is two phrases: the third one, and what they wear."""
        after = self.before in ("", "comma", "and", "semicolon", "stop", "sub", "but")
        return after and found.pick in known.ORDINALS and found.det == "the" and found.plural and found.noun in ("worn", "held")

    def expects_clothes(self, found: Chunk) -> bool:
        """Whether a noun that can be a person or a garment stands where garments stand."""
        before = self.chunks[-1] if self.chunks else None
        if before is None or found.det not in ("", "a", "an", "his", "her"):
            return False
        wears = before.kind == "verb" and before.word in known.WEAR
        return wears or (before.kind == "prep" and before.word == "in") or (before.kind in ("and", "comma") and not found.det)

    def read_rest(self, at: int, word: str) -> Chunk | None:
        """A word that nothing explained: an adverb or a lone article is left out, other words are kept as what they are."""
        if is_adverb(word) or is_adjective(word) or word in ARTICLES or word in known.ORDINALS:
            return None
        found = guessed_verb(word)
        if found:
            return Chunk("verb", at, at, found.base, form=found.form)
        return Chunk("other", at, at, word)
