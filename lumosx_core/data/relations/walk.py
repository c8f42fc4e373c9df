"""The walk over the chunks of a caption: each noun phrase gets its role from the words before it.

The layers: `walk_state.py` (what is known), `walk_things.py`, `walk_people.py`, `walk_verbs.py`, and here marks and
conjunctions, where clauses and lists end.
"""

from lumosx_core.data.relations.noun_phrases import Chunk
from lumosx_core.data.relations.walk_verbs import Actions


class Walk(Actions):
    """Reads chunks in order; the result stands in `people` and `things`, doubts in `notes`."""

    def run(self) -> None:
        """Walk over everything."""
        for at, chunk in enumerate(self.chunks):
            handler = getattr(self, f"on_{chunk.kind}", None)
            if handler is not None:
                handler(at, chunk)
        self.settle_pending([])
        self.settle_order()
        self.people.settle_groups()

    def on_order(self, _at: int, _chunk: Chunk) -> None:
        self.ordered_from = len(self.people.named)

    def settle_order(self) -> None:
        """The sides of people who were named from left to right."""
        if self.ordered_from is None:
            return
        row = [person for person in self.people.named[self.ordered_from :] if not person.plural and not person.side]
        for place, person in enumerate(row, 1):
            person.ordinal = place
            person.side = "left" if place == 1 else "right" if place == len(row) else "middle"
        self.ordered_from = None

    def on_stop(self, _at: int, _chunk: Chunk) -> None:
        self.settle_order()
        self.settle_pending([])
        self.new_clause()
        self.people.sentence += 1

    def on_semicolon(self, _at: int, _chunk: Chunk) -> None:
        self.new_clause()

    def on_sub(self, _at: int, _chunk: Chunk) -> None:
        self.new_clause()

    def on_but(self, at: int, _chunk: Chunk) -> None:
        if self.starts_clause(at + 1):
            self.new_clause()
        self.clause.negated = False
        if self.clause.role == "no":
            self.clause.role = "have"

    def on_comma(self, at: int, _chunk: Chunk) -> None:
        self.leave_thing()
        clause = self.clause
        if self.starts_clause(at + 1):
            if clause.finite:
                self.new_clause()
            elif not clause.subject and clause.role != "list":
                clause.role = ""
        if clause.relative and clause.relative_used and self.kind(at + 1) == "verb":
            clause.relative = "" if self.chunks[at + 1].form == "s" else clause.relative

    def on_and(self, at: int, chunk: Chunk) -> None:
        clause, following = self.clause, self.chunks[at + 1] if at + 1 < len(self.chunks) else None
        if following is None:
            return
        if following.kind in ("thing", "person") and following.det:
            self.leave_thing()
        if clause.finite and (clause.relative_used or not clause.relative) and self.starts_clause(at + 1):
            self.new_clause()
        elif clause.role == "no" and chunk.word == "and" and following.det in ("a", "an") and not clause.negated:
            clause.role = "with"

    def on_colon(self, at: int, _chunk: Chunk) -> None:
        clause = self.clause
        before = self.chunks[at - 1] if at else None
        if before and before.kind == "thing" and before.word in ("left", "right", "middle", "center", "centre"):
            self.new_clause()
            side = "middle" if before.word.startswith(("mid", "cent")) else before.word
            self.pending_side = (side, 0)
            return
        if self.kind(at + 1) == "thing" and clause.nearest:
            clause.role, clause.owners, clause.listing = "wear", list(clause.nearest), True
            clause.of_thing, clause.outer = False, None
            return
        if self.kind(at + 1) in ("person", "picker"):
            self.new_clause()
            groups = [n for n in self.people.window() if self.people.named[n].plural]
            self.people.group = groups[-1] if groups else None
            self.listing_group = self.people.group
            return
        self.new_clause()

    def on_dash(self, at: int, chunk: Chunk) -> None:
        clause = self.clause
        if clause.listing:
            clause.listing, clause.role = False, ""
        elif self.kind(at + 1) == "thing" and clause.nearest and not self.chunks[at + 1].det.startswith("the"):
            clause.role, clause.owners, clause.listing = "wear", list(clause.nearest), True
        else:
            self.on_comma(at, chunk)

    def on_neg(self, at: int, chunk: Chunk) -> None:
        if chunk.word in ("neither", "nor") and self.kind(at - 1) in ("prep", "have", "verb", "thing"):
            self.clause.role = "no"
        elif self.words[chunk.last + 1 : chunk.last + 2] != ["only"]:
            self.clause.negated = True
