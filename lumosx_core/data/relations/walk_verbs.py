"""Verbs and prepositions of a caption: they say what the next thing is to whom."""

from lumosx_core.data.relations import vocabulary as known
from lumosx_core.data.relations.noun_phrases import Chunk
from lumosx_core.data.relations.walk_people import Subjects
from lumosx_core.data.relations.walk_state import PENDING

_DRESSED = {
    "dress", "clothe", "clad", "attire", "deck", "outfit", "garb", "drape", "wrap", "bundle", "shroud", "adorn", "equip",
    "cover",
}  # fmt: skip
_TALKS_WITH = {
    "play", "talk", "speak", "chat", "dance", "fight", "work", "argue", "share", "discuss", "debate", "start", "fill",
    "struggle",
}  # fmt: skip
_ADJUSTS = {"adjust", "straighten", "tie", "zip", "button", "fasten", "remove", "buckle", "tug", "untie"}
_PLAYS_A_PART = {
    "dress",
    "disguise",
    "pose",
    "work",
    "serve",
    "act",
    "appear",
    "depict",
    "portray",
    "cosplay",
    "clothe",
    "costume",
}
_USES = {"from": ("sip", "drink", "eat"), "through": ("flip", "leaf", "page", "thumb", "browse", "look")}
_ADDS = {"as well as", "along with", "together with", "in addition to"}
_LISTS = {"wear", "with", "have", "in", "hold", "hold?", "layer"}
_LAYERS = {"over", "under", "underneath", "beneath", "atop", "on top of"}
_BEFORE_SUBJECTS = {"there", "here", "then", "first", "next", "finally", "lastly"}  # "then comes a woman"


class Actions(Subjects):
    """Reads verbs, relative pronouns and prepositions."""

    def finite(self, at: int) -> list[int]:
        """Whose a finite verb is; [] where a thing is the subject."""
        clause = self.clause
        if clause.relative and not clause.relative_used:
            clause.relative_used = True
            if clause.relative != "person":
                self.enter_thing()
                return []
            return clause.relative_owners
        if clause.relative == "person" and self.kind(at - 1) == "and":
            return clause.relative_owners
        clause.relative = ""
        clause.outer, clause.of_thing = None, False
        clause.finite = True
        if clause.everyone:
            return list(clause.everyone)
        if not clause.subject and clause.thing is not None:
            clause.of_thing = True
            return []
        return list(clause.subject)

    def begin_inverted(self, at: int, verb: str) -> None:
        """Begin a new clause where somebody new stands behind their verb: "and there is a man", "on the right sits a woman".

        Else what follows would be said of the subject of the clause before.
        """
        new_person = self.kind(at + 1) == "person" and self.clause.finite and bool(self.clause.subject)
        new_thing = self.kind(at + 1) == "thing" and self.clause.thing is not None and bool(self.clause.body_of)
        if verb not in known.INVERTED or not (new_person or new_thing):
            return
        first = at  # of the words that stand before the verb in its clause
        ends = ("", "and", "semicolon", "stop", "sub", "but")
        while self.kind(first - 1) not in (*ends, "comma") or (first == at and verb == "be" and self.kind(at - 1) == "comma"):
            first -= 1
        if first == at:
            inverted = self.words[self.chunks[at].first - 1] in _BEFORE_SUBJECTS
        else:
            inverted = self.kind(first) in ("prep", "side") and not any(
                self.kind(place) in ("person", "pronoun", "picker") and self.kind(place - 1) not in ("prep", "possessive")
                for place in range(first, at)
            )
        if inverted:
            body_of = self.clause.body_of if new_thing else []
            self.new_clause()
            self.clause.body_of = body_of  # "... and on his head is a cap"

    def act(self, owners: list[int]) -> None:
        self.clause.acting = owners
        if owners and owners != [PENDING]:
            self.clause.nearest = list(owners)

    def on_be(self, at: int, _chunk: Chunk) -> None:
        self.begin_inverted(at, "be")
        if self.kind(at - 1) not in ("be", "aux", "have"):
            self.act(self.finite(at))
        self.set_role("object", [])

    def on_aux(self, at: int, _chunk: Chunk) -> None:
        self.act(self.finite(at))
        self.set_role("", [])

    def on_have(self, at: int, chunk: Chunk) -> None:
        if chunk.word == "having":
            self.act(self.participle_owners(at))
        elif self.kind(at - 1) not in ("aux", "neg") or not self.clause.acting:
            self.act(self.finite(at))
        if self.clause.of_thing:
            self.clause.role, self.clause.owners = "skip", []
        else:
            self.set_role("have", self.clause.acting)

    def set_role(self, role: str, owners: list[int]) -> None:
        self.clause.role = "no" if self.clause.negated and role not in ("object", "") else role
        self.clause.owners = list(owners)
        self.clause.dressed = False

    def on_verb(self, at: int, chunk: Chunk) -> None:
        if chunk.form != "ing":
            self.begin_inverted(at, chunk.word)
        clause, before = self.clause, self.before_verb(at)
        if chunk.form == "ed":
            if self.on_participle(at, chunk, before):
                return
        elif chunk.form == "ing":
            if self.kind(at - 1) == "thing" and self.chunks[at - 1].noun == "animal":
                self.enter_thing()
                clause.role = "object"
                return
            self.act(self.participle_owners(at))
        elif before not in ("aux", "to") and not (before == "neg" and clause.acting):
            self.act(self.finite(at))
        owners = clause.acting
        if chunk.word in _DRESSED and chunk.form == "ed":
            self.set_role("", owners)
            clause.dressed = True
        elif not owners:
            self.set_role("object", [])
        elif self.puts_on(chunk) or (chunk.word in known.WEAR and chunk.word not in _DRESSED):
            self.set_role("wear", owners)
        elif chunk.word in ("pick", "hold") and self.words[chunk.last + 1 : chunk.last + 2] == ["up"]:
            self.set_role("hold", owners)
        elif chunk.word in known.HOLD:
            self.set_role("hold?" if chunk.word in known.HOLD_IF_KNOWN else "hold", owners)
        else:
            self.set_role("worn?" if chunk.word in _ADJUSTS else "object", owners)
        clause.everyone = []

    def puts_on(self, chunk: Chunk) -> bool:
        return chunk.word in ("put", "try", "pull") and self.words[chunk.last + 1 : chunk.last + 2] == ["on"]

    def before_verb(self, at: int) -> str:
        place = at - 1
        while self.kind(place) == "neg":
            place -= 1
        if self.kind(place) == "prep" and self.chunks[place].word == "to":
            return "to"
        return self.kind(place) if place == at - 1 or self.kind(place) in ("aux", "be") else "neg"

    def participle_owners(self, at: int) -> list[int]:
        """Whose a verb in -ing is."""
        clause, before = self.clause, self.before_verb(at)
        if before == "be":
            return clause.acting
        if clause.everyone:
            return list(clause.everyone)
        if before == "and" and clause.acting:
            return clause.acting
        if before == "comma" and clause.finite and clause.subject:
            # "A man, wearing a suit, stands beside a boy, wearing ...": who was told so already is not meant again.
            return list(clause.nearest if clause.told_apart and self.kind(at - 2) == "person" else clause.subject)
        clause.told_apart = clause.told_apart or before == "comma"
        return clause.nearest or clause.subject or ([] if clause.thing is not None else [PENDING])

    def on_participle(self, at: int, chunk: Chunk, before: str) -> bool:
        """A verb in -ed. True if it says something of a thing, so that nobody holds what follows."""
        clause = self.clause
        if before in ("be", "have", "aux"):
            if clause.of_thing or not clause.acting:
                clause.role, clause.owners = "skip", []
                return True
            return False
        dressed = chunk.word in _DRESSED
        if before in ("thing", "possessive") and not (dressed and chunk.word in ("dress", "clad", "clothe", "attire", "equip")):
            self.enter_thing()
            worn = self.chunks[at - 1].noun not in ("place", "object", "vessel")
            clause.role, clause.owners = ("skip" if worn else "object"), []
            return True
        if before in ("person", "picker", "pronoun") and not dressed and not clause.finite:
            self.act(self.finite(at))
            return False
        self.act(self.participle_owners(at))
        return False

    def on_rel(self, _at: int, chunk: Chunk) -> None:
        clause = self.clause
        self.leave_thing()
        if chunk.word == "which":
            clause.relative, clause.relative_used = "thing", False
            return
        clause.relative_owners = list(clause.nearest or clause.subject)
        clause.relative = "whose" if chunk.word == "whose" else "person"
        clause.relative_used = False
        self.set_role("wear" if chunk.word == "whose" else "", clause.relative_owners)

    def on_that(self, at: int, chunk: Chunk) -> None:
        if self.kind(at - 1) == "thing":
            self.clause.relative, self.clause.relative_used = "thing", False
        else:
            self.on_rel(at, chunk)

    def on_prep(self, at: int, chunk: Chunk) -> None:
        clause, word = self.clause, chunk.word
        before = self.chunks[at - 1] if at else None
        owners = self.holders()
        if (
            before is not None
            and before.kind == "verb"
            and before.word != "blow"
            and word in ("up", "out")
            and self.kind(at + 1) == "thing"
        ):
            return  # "picks up a spoon"
        if word in ("on", "off") and self.kind(at + 1) not in ("thing", "person", "picker", "pronoun"):
            return  # "has a hat on"
        if word in _ADDS and before is not None and before.kind == "thing" and clause.role in _LISTS:
            return
        if word == "of" and before is not None and before.kind in ("side", "thing"):
            clause.role = "object" if before.kind == "side" else "skip"
            return
        plays_a_part = before is not None and before.kind == "verb" and before.word in _PLAYS_A_PART
        if word == "as" and not plays_a_part and (self.kind(at + 1) == "person" or self.starts_clause(at + 1)):
            self.new_clause()
            return
        if word in ("as", "like", "such as", "for", "despite", "during", "except"):
            clause.role = "skip"
        elif word == "without":
            clause.role, clause.owners = "no", owners
        elif word == "to" and self.kind(at + 1) == "verb":
            return
        elif clause.of_thing and word in ("in", "with", "by", "into"):
            scene = clause.thing is not None and self.things[clause.thing].kind == "background"
            clause.role = "object" if scene or clause.role == "object" else "skip"
        elif clause.dressed and word in ("in", "with"):
            clause.role, clause.owners = ("no" if clause.negated else "wear"), owners
        elif word in ("with", "along with", "together with", "including"):
            self.on_with(before, owners)
        elif word in ("in", "inside"):
            clause.role, clause.owners = "in", owners
        elif (
            word == "on"
            and self.kind(at + 1) == "thing"
            and self.chunks[at + 1].noun == "ridden"
            and self.kind(at - 1) != "verb"
        ):
            clause.role, clause.owners = "hold", owners
        elif before is not None and before.kind == "verb" and before.word in _USES.get(word, ()):
            clause.role, clause.owners = "hold?", clause.acting
        elif word in _LAYERS and clause.role in ("wear", "in", "with", "have", "layer"):
            clause.role = "layer"
        elif word != "on" or before is None or not self.puts_on(before):
            clause.role = "object"
        clause.everyone = []

    def holders(self) -> list[int]:
        """Who has what follows a preposition."""
        clause = self.clause
        if clause.everyone:
            return list(clause.everyone)
        if clause.dressed and clause.acting:
            return list(clause.acting)
        return list(clause.nearest or clause.subject or ([PENDING] if clause.thing is None else []))

    def on_with(self, before: Chunk | None, owners: list[int]) -> None:
        clause = self.clause
        if before is not None and before.kind == "verb" and before.word in _TALKS_WITH:
            clause.role = "object"
        elif before is not None and before.kind == "thing" and before.noun in ("place", "vessel", "object", "unknown"):
            clause.role = "beside" if clause.subject or clause.nearest else "object"
            clause.owners = owners
        elif (
            before is not None
            and before.kind == "thing"
            and clause.role
            in (
                "wear",
                "in",
                "with",
                "have",
                "layer",
                "decor",
                "hold",
                "hold?",
            )
        ):
            clause.role, clause.owners = "decor", clause.owners or owners
        else:
            clause.role, clause.owners = "with", owners
