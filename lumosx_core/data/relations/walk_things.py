"""Things of a caption: what each is by the words before it, and whose."""

from lumosx_core.data.relations import vocabulary as known
from lumosx_core.data.relations.noun_phrases import POSSESSIVES, Chunk
from lumosx_core.data.relations.walk_state import PENDING, State, Thing

_GENERIC = {"outfit", "attire", "clothes", "clothing", "ensemble", "costume", "garment"}
_DECORATION = {"flower", "rose", "ribbon", "bow", "chain", "star", "heart", "badge", "pin", "belt-loop"}
_WRAPS = {"blanket", "towel", "sheet", "quilt", "duvet", "bedsheet"}  # "a baby in a blanket"
_MINE = ("worn", "held", "ridden", "animal", "unknown")


class Things(State):
    """Reads noun phrases that name things."""

    def on_thing(self, at: int, chunk: Chunk) -> None:
        clause, before = self.clause, self.kind(at - 1)
        possessive = chunk.det in POSSESSIVES or chunk.det == "'s"
        owners = self.owners_of(chunk)
        if chunk.noun == "body":
            clause.one_hand = clause.one_hand or chunk.number == 1
            if clause.role in ("with", "have", "wear") and not possessive:
                clause.list_role, clause.list_owners = clause.role, list(clause.owners)
            self.on_body(owners or ([PENDING] if possessive and not clause.subject and clause.thing is None else []))
            return
        if chunk.noun in ("abstract", "part", "colour", "crowd") and not (chunk.noun == "part" and clause.role == "hold"):
            if chunk.noun == "crowd" and chunk.word != "people":
                self.notes.append(f"a {chunk.word} is no person")
            return
        if clause.role == "no" and before == "comma" and self.words[chunk.first - 2] in ("only", "just", "merely"):
            clause.role = "with"  # "no gloves, only a thin coat"
        if chunk.det == "no" or clause.role == "no":
            self.notes.append(f"left out, for it is denied: {self.text(chunk)}")
            if chunk.det == "no":
                clause.role = "no"
            return
        if not possessive and (clause.role == "skip" or (clause.of_thing and clause.role in ("wear", "have"))):
            return
        if possessive and chunk.noun in _MINE:
            if chunk.word in _GENERIC and self.kind(at + 1) == "colon":
                clause.nearest = owners or clause.nearest
                return
            fallback = [PENDING] if not clause.subject and clause.thing is None else clause.subject
            index = self.add(chunk, "attribute", owners or ([] if chunk.det == "its" else fallback))
            if before in ("", "stop", "semicolon", "sub", "and", "comma", "possessive") and not clause.finite:
                self.thing_subject(at, index)
            return
        if self.is_listed(at, chunk):
            clause.role, clause.owners = "wear", list(clause.nearest)
        role = self.role_of(at, chunk)
        if role == "attribute":
            gapped = clause.role == ""
            self.add(chunk, role, clause.nearest if gapped else self.shared(chunk))
            if clause.relative == "whose" and not clause.relative_used and before == "rel":
                return
            self.last_role = "attribute"
            if not gapped and clause.role != "decor":
                clause.list_role, clause.list_owners = clause.role, list(clause.owners)
            if gapped:
                clause.role, clause.owners = "wear", list(clause.nearest)
            return
        if role == "skip":
            return
        if chunk.noun == "unknown" and not chunk.det and not chunk.plural and not chunk.adjectives:
            return  # "in line", "at attention", names
        if (
            before == "prep"
            and not chunk.det
            and not chunk.plural
            and chunk.noun in ("held", "object")
            and not chunk.adjectives
        ):
            return
        index = self.add(chunk, role, [])
        if clause.thing is not None and not clause.finite and before in ("and", "comma") and clause.role == "":
            clause.more_things.append(index)
        if clause.role in ("", "object") and not clause.subject and clause.thing is None and before != "prep":
            if clause.body_of:
                self.give(index, clause.body_of)
            self.thing_subject(at, index)

    def is_listed(self, at: int, chunk: Chunk) -> bool:
        """Whether a comma alone gives a thing to the person before it: "woman, red dress", "a man, hat in hand, waits"."""
        behind = self.kind(at - 1) == "comma" and self.kind(at - 2) == "person" and not self.clause.finite
        bare = not chunk.det and chunk.noun in ("worn", "held")
        return behind and (bare or chunk.noun == "worn") and not self.starts_clause(at)

    def thing_subject(self, at: int, index: int) -> None:
        if not self.clause.subject and self.kind(at - 1) != "prep":
            self.clause.thing = index

    def shared(self, chunk: Chunk) -> list[int]:
        """The owners of the current role; "matching" things are everybody's."""
        chain = self.people.chain
        if len(chain) > 1 and set(chunk.adjectives) & {"matching", "identical", "similar"}:
            return list(chain) if set(self.clause.owners) <= set(chain) else self.clause.owners
        return self.clause.owners

    def is_gapped(self, at: int) -> bool:
        """Whether the verb is left out: "the other a yellow umbrella"."""
        place = at - 1 - (self.kind(at - 1) == "side")
        return self.kind(place) in ("person", "picker") and self.kind(place - 1) in (
            "",
            "comma",
            "and",
            "semicolon",
            "sub",
            "but",
        )

    def role_of(self, at: int, chunk: Chunk) -> str:
        """What a thing is by the words before it: "attribute", "object", "background" or "skip"."""
        clause, noun = self.clause, chunk.noun
        role = clause.role
        wearable = noun in ("worn", "held", "ridden", "animal")
        if noun == "place":
            return "background"
        elif role in ("wear", "have", "hold", "with"):
            return "attribute"
        elif role == "hold?":
            return "attribute" if wearable else "object"
        elif role in ("beside", "layer"):
            return "attribute" if noun in ("worn", "held", "ridden") else "object"
        elif role == "decor":
            return "attribute" if noun in ("worn", "held") and chunk.word not in _DECORATION else "skip"
        elif role == "worn?":
            return "attribute" if noun == "worn" else "object"
        elif role == "in":
            wrapped = chunk.word in _WRAPS and self.kind(at - 2) in ("person", "picker", "pronoun")
            if noun == "worn" or wrapped or chunk.word == "wheelchair":
                return "attribute"
            if noun == "vessel":
                return "background"
            coloured = set(chunk.adjectives) & (known.COLOURS | {"matching", "traditional"})
            if noun == "unknown" and clause.nearest and (coloured or self.kind(at - 2) in ("person", "picker") or chunk.plural):
                return "attribute"
            return "object"
        if (
            role == ""
            and (wearable or noun == "unknown")
            and clause.nearest
            and self.last_role == "attribute"
            and self.is_gapped(at)
        ):
            return "attribute"
        return "object"

    def on_body(self, owners: list[int]) -> None:
        """A part of somebody's body: what hangs there is theirs."""
        clause = self.clause
        if not clause.of_thing:
            self.resume_list()
        if not owners:
            return
        if not clause.nearest and owners != [PENDING]:
            clause.nearest = list(owners)  # "close-up of a woman's face, with ..."
        if clause.thing is not None:
            for index in [clause.thing, *clause.more_things]:
                self.give(index, owners)
        if not clause.subject:
            clause.body_of = owners

    def add(self, chunk: Chunk, kind: str, owners: list[int]) -> int:
        """Note a thing, or find it where it was named before; its place in `things`."""
        if kind == "attribute" and not owners:
            kind = "object"
        named_again = chunk.det in ("the", "this", "that", "these", "those", "'s") or chunk.det in POSSESSIVES
        if named_again:
            for owner in owners:
                if (chunk.word, owner) in self.seen:
                    return self.seen[chunk.word, owner]
            if kind != "attribute" and (chunk.word, None) in self.seen:
                return self.seen[chunk.word, None]
        self.things.append(Thing((chunk.first, chunk.last), kind, chunk.word, list(owners)))
        index = len(self.things) - 1
        if owners == [PENDING]:
            self.pending.append(index)
        for owner in owners:
            self.seen.setdefault((chunk.word, owner), index)
        self.seen.setdefault((chunk.word, None), index)
        return index
