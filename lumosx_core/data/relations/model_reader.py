"""Readers that are language models, behind a server (vLLM, Ollama, llama.cpp, LM Studio) or in this process.

The model sees the frames with numbered boxes around the people, and the caption. It answers in JSON: who is named, which box
that is, and what each has. Nothing of it is believed as it stands: spans are looked for in the caption, box numbers must exist,
and an answer that is cut off, blank, repeated or of another shape is a fault. A fault is told to the model once, with another
seed and temperature; then the rule reader reads the caption, and the reading says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lumosx_core.data.relations.language_model import AnswerError, LanguageModel, Message
from lumosx_core.data.relations.model_answers import Answer, answer_schema, parse_answer
from lumosx_core.data.relations.nearest import nearest_span
from lumosx_core.data.relations.reading import Mention, PhraseKind, Reading, ReadPhrase, Span
from lumosx_core.data.relations.rules import read_rules
from lumosx_core.errors import quoted

_SHOWN = 2000  # characters of a faulty answer that the model sees again
_TASK = """You read the caption of a video and say who has what. The pictures are frames of it; people have numbered boxes.
Answer with JSON only.
"people": everybody whom the caption names, each once.
"mention": the words of the caption for that person, without article, copied letter by letter.
"count": how many people these words name.
"box": the number of that person's box; 0 if there is none, or if you are not sure.
"attributes": what this person wears, holds or rides; each with its adjectives and without article, copied letter by letter.
"objects": things of the caption that belong to nobody. "background": the words for the place.
Leave out what the caption denies, parts of bodies, and what people do. Never write words that the caption does not have."""


@dataclass(frozen=True, kw_only=True)
class ModelReading:
    """A reading, and for each of its mentions the number of the box that the model sees as this person (None: not told)."""

    reading: Reading
    boxes: tuple[int | None, ...]


class ModelReader:
    """Reads captions through a language model, from any thread if the model can be asked from any."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model

    def read(self, caption: str, pictures: Sequence[bytes] = (), boxes: int = 0) -> ModelReading:
        """One caption with its frames (JPEG, people's boxes drawn in and numbered 1 to `boxes`).

        At most two questions; after two faults the rule reader takes over, and the notes say why. If a server was away, they
        are asked again when it is back. Raises InputError only if it stays away for longer than its patience.
        """
        faults = self._ask_twice(caption, pictures, boxes)
        while isinstance(faults, list) and faults[-1].refused and self.model.wait_until_well():
            faults = self._ask_twice(caption, pictures, boxes)
        if isinstance(faults, ModelReading):
            return faults
        by_rules = read_rules(caption)
        notes = tuple(f"the model's answer was no use: {fault}" for fault in faults)
        return ModelReading(
            reading=replace(by_rules, notes=(*notes, "read by rules", *by_rules.notes)), boxes=(None,) * len(by_rules.mentions)
        )

    def read_words(self, caption: str) -> Reading:
        """The reading of a caption alone, without pictures."""
        return self.read(caption).reading

    def _ask_twice(self, caption: str, pictures: Sequence[bytes], boxes: int) -> "ModelReading | list[AnswerError]":
        """The reading, or what was wrong with both answers."""
        asked = [Message(role="system", text=_TASK), Message(role="user", text=f"Caption: {caption}", pictures=tuple(pictures))]
        repair: list[Message] = []
        faults: list[AnswerError] = []
        for attempt in range(2):
            try:
                text = self.model.ask([*asked, *repair], answer_schema(boxes), attempt)
                found = read_answer(parse_answer(text, boxes), caption, self.model.name)
            except AnswerError as fault:
                faults.append(fault)
                if fault.text:
                    told = f"That was no use: {fault}. Answer again, with JSON of the given form only."
                    repair = [Message(role="assistant", text=fault.text[:_SHOWN]), Message(role="user", text=told)]
                continue
            again = tuple(f"asked again, for the first answer was no use: {fault}" for fault in faults)
            return replace(found, reading=replace(found.reading, notes=again + found.reading.notes))
        return faults


def read_answer(answer: Answer, caption: str, reader: str) -> ModelReading:
    """What an answer says in spans of the caption. Words that are not there, nor near, are left out with a note."""
    notes: list[str] = []
    named: list[tuple[Mention, int | None, tuple[str, ...]]] = []
    taken: set[Span] = set()
    for person in answer.people:
        found = nearest_span(caption, person.mention)
        free = [place for place in found.places if place not in taken]
        if not free:
            notes.append(f"left out: {quoted(person.mention)}: {found.reason or 'it stands there less often than it is named'}")
            continue
        taken.add(free[0])
        named.append((Mention(span=free[0], count=person.count), person.box or None, person.attributes))
    named.sort(key=lambda entry: entry[0].span)
    phrases: list[ReadPhrase] = []
    for owner, (mention, _, attributes) in enumerate(named):
        ends = named[owner + 1][0].span.start if owner + 1 < len(named) else len(caption)
        for words in attributes:
            span = _place(caption, words, [p.span for p in phrases if p.owner == owner], taken, mention.span.start, ends, notes)
            if span is not None:
                taken.add(span)
                phrases.append(ReadPhrase(span=span, kind="attribute", owner=owner))
    kinds: tuple[tuple[PhraseKind, tuple[str, ...]], ...] = (("object", answer.objects), ("background", answer.background))
    for kind, things in kinds:
        for words in things:
            owned = [p.span for p in phrases]
            span = _place(caption, words, owned, taken, 0, len(caption), notes)
            if span is not None:
                taken.add(span)
                phrases.append(ReadPhrase(span=span, kind=kind))
    phrases.sort(key=lambda phrase: (phrase.span, -1 if phrase.owner is None else phrase.owner))
    boxes = _boxes([box for _, box, _ in named], notes)
    reading = Reading(
        caption=caption,
        mentions=tuple(mention for mention, _, _ in named),
        phrases=tuple(phrases),
        notes=tuple(notes),
        reader=reader,
    )
    return ModelReading(reading=reading, boxes=boxes)


def _place(caption: str, words: str, own: list[Span], taken: set[Span], begin: int, end: int, notes: list[str]) -> Span | None:
    """The place that is meant by words: a free one behind the mention and before the next, else the free one next to it, else a
    shared one. own: places that cannot be meant."""
    found = nearest_span(caption, words)
    if not found.places:
        notes.append(f"left out: {found.reason}")
        return None
    possible = [place for place in found.places if place not in own]
    if not possible:
        notes.append(f"left out: {quoted(words)} is named twice, and stands there once")
        return None
    if found.how == "near":
        notes.append(f"{quoted(words)} is taken for {quoted(possible[0].of(caption))}")
    free = [place for place in possible if place not in taken]
    inside = [place for place in free if begin <= place.start < end]
    return min(inside or free or possible, key=lambda place: abs(place.start - begin))


def _boxes(boxes: list[int | None], notes: list[str]) -> tuple[int | None, ...]:
    """Box numbers, each for one mention: one that is given twice is nobody's."""
    twice = {box for box in boxes if box is not None and boxes.count(box) > 1}
    for box in sorted(twice):
        notes.append(f"box {box} was given to several mentions; it is given to none")
    return tuple(None if box in twice else box for box in boxes)
