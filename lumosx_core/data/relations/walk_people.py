"""People of a caption: who a noun phrase, a pronoun or "the other" means, and what they are in the clause."""

from lumosx_core.data.relations import vocabulary as known
from lumosx_core.data.relations.lexicon import gender
from lumosx_core.data.relations.noun_phrases import POSSESSIVES, Chunk
from lumosx_core.data.relations.people import ANYBODY
from lumosx_core.data.relations.walk_things import Things

_COMES = {"enter", "come", "walk", "run", "approach", "appear", "arrive", "emerge", "step", "join", "rush", "jump", "march"}
_BESIDE = {"opponent", "partner", "companion", "friend", "colleague", "rival", "twin"}


class Subjects(Things):
    """Reads noun phrases that name people, and where they stand."""

    def on_person(self, at: int, chunk: Chunk) -> None:
        before, clause = self.kind(at - 1), self.clause
        if before == "prep" and self.chunks[at - 1].word in ("as", "like") and clause.role == "skip":
            return
        if self.is_label(at, chunk):
            return
        owners = self.owners_of(chunk)
        if not chunk.side and self.kind(at + 1) == "side" and chunk.det == "the":
            chunk.side = self.chunks[at + 1].side  # not another one on the other side
        number = self.who(at, chunk, owners)
        who = [number]
        if before == "possessive" or chunk.det in POSSESSIVES:
            self.people.touch(owners)
        self.people.touch(who)
        self.take_side(who)
        if self.kind(at + 1) == "possessive":
            self.possessor = who
            return
        if before == "prep" and self.chunks[at - 1].word == "by" and clause.of_thing and clause.thing is not None:
            for index in [clause.thing, *clause.more_things]:
                self.give(index, who)
        if before == "prep" and self.chunks[at - 1].word == "of" and at > 1:
            if self.chunks[at - 2].noun == "body":
                self.on_body(who)
            elif self.things and self.things[-1].tokens[1] == self.chunks[at - 2].last and self.chunks[at - 2].noun == "worn":
                self.things[-1].kind, self.things[-1].owners = "attribute", who  # "the veil of the bride"
        self.stand(at, who)

    def is_label(self, at: int, chunk: Chunk) -> bool:
        """Whether it only announces what comes: "Character one: a man in a hat"."""
        return (
            self.kind(at + 1) == "colon" and self.kind(at - 1) in ("", "stop", "semicolon") and not (chunk.det or chunk.plural)
        )

    def stand(self, at: int, who: list[int]) -> None:
        """Give people their place in the clause."""
        clause, before = self.clause, self.kind(at - 1)
        joined = before in ("and", "neg") or (before == "comma" and bool(clause.nearest))
        joined = joined and not (clause.finite and not self.after_verb(at))
        in_prep = before in ("prep", "possessive") or (joined and self.in_prep and before == "and")
        self.in_prep = in_prep
        chain = self.people.chain if joined and clause.nearest and not clause.relative else []
        self.people.chain = [*chain, *(n for n in who if n not in chain)]
        if in_prep and before != "possessive":
            pass
        elif not clause.subject:
            if clause.thing is None or not clause.finite:
                self.become_subject(who)
        elif joined and not clause.finite:
            clause.subject = [*clause.subject, *(n for n in who if n not in clause.subject)]
        clause.nearest, clause.role = list(who), ""
        clause.of_thing, clause.outer, clause.dressed = False, None, False
        if clause.relative and clause.relative_used:
            clause.relative = ""

    def after_verb(self, at: int) -> bool:
        return self.kind(at - 2) in ("verb", "person", "thing", "picker")

    def become_subject(self, who: list[int]) -> None:
        self.clause.subject = list(who)
        self.settle_pending(who)

    def apposition(self, at: int, chunk: Chunk) -> int | None:
        """Who is meant by a noun phrase that explains the one before it: "his opponent, a younger man"."""
        place = at - 2 - (self.kind(at - 2) == "side")
        if self.kind(at - 1) != "comma" or chunk.det not in ("a", "an") or self.kind(place) != "person":
            return None
        before = self.chunks[place]
        if before.det not in POSSESSIVES | {"the", "'s"} or before.plural != chunk.plural or len(self.clause.nearest) != 1:
            return None
        return self.clause.nearest[0]

    def copula(self, at: int, chunk: Chunk) -> int | None:
        """Who is meant by a noun phrase that says what somebody is: "the person on the left is a boy"."""
        acting = self.clause.acting
        if self.kind(at - 1) == "picker":  # "one is a man, the other a boy"
            acting = self.clause.nearest
        else:
            first = at - 2  # of the clause: "and behind her, on the floor, is a drummer" names somebody new
            while self.kind(first - 1) not in ("", "and", "semicolon", "stop", "sub", "but"):
                first -= 1
            inverted = self.kind(first) in ("prep", "side", "verb", "be")
            if (
                inverted
                or self.words[chunk.first - 2] not in ("is", "was", "'s")
                or not set(acting) <= set(self.clause.subject)
            ):
                return None
        if chunk.det not in ("a", "an") or chunk.plural or len(acting) != 1:
            return None
        person = self.people.named[acting[0]]
        if person.plural or not self.people.fits(acting[0], gender(chunk.word)):
            return None
        person.gender = person.gender or gender(chunk.word)
        person.lemma = chunk.word if person.lemma in ANYBODY else person.lemma
        return acting[0]

    def is_member(self, chunk: Chunk, group: int, owners: list[int]) -> bool:
        """Whether one of a group is named: "the older man" of two men, "one child", and "his opponent", if one is left."""
        if chunk.plural:
            return False
        if owners:
            return chunk.word in _BESIDE and bool(self.people.named[group].members) and self.people.rest(group) == 1
        told_apart = chunk.det == "the" and (chunk.side != "" or bool(set(chunk.adjectives) & known.COMPARED))
        whole = self.people.named[group]
        if whole.lemma == chunk.word or (whole.lemma, chunk.word) == ("people", "person"):
            return told_apart or self.words[chunk.first - 1] == "one"
        begun = bool(whole.members) and self.people.rest(group) > 0 and self.people.again(chunk) is None
        return begun and chunk.det == "the" and self.people.is_kind_of(chunk.word, group)

    def who(self, at: int, chunk: Chunk, owners: list[int]) -> int:
        """The number of the person that a noun phrase names: known already, a member of a group, or new."""
        people = self.people
        same = self.copula(at, chunk) if self.kind(at - 1) in ("be", "picker") else None
        group = self.listing_group
        if same is None and group is not None and not chunk.plural and people.named[group].sentence == people.sentence:
            return people.member(chunk, group)
        same = self.apposition(at, chunk) if same is None else same
        if same is not None:
            people.named[same].also.append((chunk.first, chunk.last))
            return same
        group = people.open_group()
        if group is not None and self.is_member(chunk, group, owners):
            return people.member(chunk, group)
        if owners:
            for number in people.window():
                same = people.named[number].lemma == chunk.word and number not in owners and not chunk.plural
                if same and people.named[number].sentence < people.sentence:
                    people.named[number].also.append((chunk.first, chunk.last))
                    return number
            return people.add(chunk)
        if chunk.pick in ("other", *known.ORDINALS) and not chunk.plural:
            group = people.open_group()
            if group is not None and people.named[group].lemma == chunk.word:
                return people.member(chunk, group)
            if chunk.pick == "other":
                alike = [n for n in people.window() if people.named[n].lemma == chunk.word and not people.named[n].plural]
                if len(alike) == 2:
                    return alike[0]
        found = people.again(chunk) if not chunk.pick or chunk.pick in ("left", "right") else None
        if found is not None and found in self.clause.subject and self.clause.finite and self.kind(at - 1) in ("verb", "prep"):
            found = None  # "the boxer hits the boxer"
        if found is not None:
            people.named[found].also.append((chunk.first, chunk.last))
            return found
        return people.add(chunk)

    def on_picker(self, at: int, chunk: Chunk) -> None:
        if self.is_label(at, chunk) or (chunk.pick == "other" and self.kind(at - 1) == "prep" and self.clause.one_hand):
            return
        if self.kind(at + 1) == "prep" and self.chunks[at + 1].word == "of" and self.kind(at + 2) in ("person", "pronoun"):
            self.partitive(self.chunks[at + 2])
        if self.listing_group is not None and self.people.named[self.listing_group].sentence == self.people.sentence:
            self.people.group = self.listing_group
        number = self.people.picked(chunk)
        if number is None:
            if chunk.pick == "another" and self.people.recent:
                chunk.word = self.people.named[self.people.recent[-1]].lemma
            number = self.people.add(chunk)
            self.notes.append(f"not clear who is meant by {chunk.word!r}")
        elif self.people.named[number].tokens != (chunk.first, chunk.last):
            self.people.named[number].also.append((chunk.first, chunk.last))
        self.people.touch([number])
        self.take_side([number])
        if chunk.side and not self.people.named[number].side:
            self.people.named[number].side = chunk.side
        if self.kind(at + 1) == "possessive":
            self.possessor = [number]
            return
        chain = self.people.chain
        self.stand(at, [number])
        if chunk.pick in ("former", "latter", "other", "first", "second", "one"):
            self.people.chain = chain if number in chain else self.people.chain

    def partitive(self, chunk: Chunk) -> None:
        """ "of the women" behind "one": the group it speaks of."""
        if chunk.kind == "person" and chunk.plural:
            found = self.people.again(chunk)
            self.people.group = self.people.add(chunk) if found is None else found
        elif chunk.kind == "pronoun":
            groups = [n for n in self.people.window() if self.people.named[n].plural]
            self.people.group = groups[-1] if groups else self.people.group
        chunk.kind = "other"

    def on_pronoun(self, at: int, chunk: Chunk) -> None:
        clause, before = self.clause, self.kind(at - 1)
        if chunk.word in ("it", "itself", "i", "you", "we", "me", "us"):
            if before == "prep":
                self.resume_list()
            return
        subject = not (before in ("prep", "verb") or chunk.word in ("him", "them"))
        use = "subject" if subject else "object"
        if chunk.word.endswith(("self", "selves")):
            return
        who = self.people.meant(chunk.word, use=use, subject=clause.subject, nearest=clause.nearest)
        if not who:
            if subject and chunk.word in ("he", "she", "they"):
                number = self.people.add(chunk)
                self.people.named[number].gender = {"he": "male", "she": "female"}.get(chunk.word, "")
                who = [number]
            else:
                return
        else:
            for number in who:
                self.people.named[number].also.append((chunk.first, chunk.last))
        self.take_side(who)
        if before == "prep" and self.chunks[at - 1].word in ("around", "over", "on", "about", "behind") and clause.of_thing:
            return
        if subject:
            self.people.touch(who)
            if not clause.subject:
                self.become_subject(who)
            clause.nearest, clause.role = list(who), ""

    def take_side(self, who: list[int]) -> None:
        if self.pending_side is not None:
            for number in who:
                if not self.people.named[number].side:
                    self.people.named[number].side, self.people.named[number].ordinal = self.pending_side
            self.pending_side = None

    def on_side(self, at: int, chunk: Chunk) -> None:
        clause = self.clause
        comes = next((self.chunks[place].word for place in (at - 1, at - 2) if self.kind(place) == "verb"), "")
        if self.words[chunk.first] == "from" and comes in _COMES and not chunk.ordinal:
            return  # where somebody came from, not where they are
        who = clause.nearest or (clause.subject if clause.finite else [])
        if self.words[chunk.first] == "from" and at and self.chunks[at - 1].pick in known.ORDINALS:
            place = known.ORDINALS[self.chunks[at - 1].pick]
            chunk.ordinal = -place if chunk.side == "right" else place
        if who and self.kind(at - 1) not in ("", "comma", "semicolon", "stop", "and"):
            for number in who:
                if self.people.named[number].side in ("", chunk.side):
                    self.people.named[number].side, self.people.named[number].ordinal = chunk.side, chunk.ordinal
        else:
            self.pending_side = (chunk.side, chunk.ordinal)
            clause.role = "" if not clause.finite else clause.role

    def on_both(self, _at: int, _chunk: Chunk) -> None:
        self.clause.everyone = self.people.everyone(self.clause.subject)
        if not self.clause.subject:
            self.clause.subject = list(self.clause.everyone)
        self.clause.role = ""
