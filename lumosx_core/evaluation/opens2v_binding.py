"""One case of OpenS2V-Eval: pictures whose words were found in the prompt become a sample that is bound to just these words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from lumosx_core.errors import InputError, quoted
from lumosx_core.evaluation.opens2v_words import Words
from lumosx_core.prompt_tags import slug
from lumosx_core.references import Attribute, ReferenceKind, ReferenceSet, Sample, SceneReference, Subject
from lumosx_core.text_spans import bind_prompt
from lumosx_core.tokenized_prompt import Span
from lumosx_core.tokenizers import Tokenizer, settled_text
from lumosx_core.word_borders import fold


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A reference before it is bound: which kind it is going to be, and of which subject (from 0)."""

    path: str
    label: str
    kind: ReferenceKind
    person: bool
    image: Image.Image
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class BoundLabel:
    """What became of one picture. owner: "background", "object 1", "subject 1". words: what stands in the prompt for it, so
    often as `places`; how: as `opens2v_words.py` finds them, or added: the prompt did not say it. tag: where one was needed.
    note: what else is worth knowing."""

    picture: str
    label: str
    kind: ReferenceKind
    owner: str
    words: str
    places: int
    how: str
    doubtful: bool
    tag: str = ""
    note: str = ""


class CaseBinder:
    """Makes the sample of one case: plain phrases first, tags where those would get other words, additions where the prompt
    has none."""

    def __init__(self, prompt: str, pictures: Sequence[Picture], words: Sequence[Words], tokenizer: Tokenizer) -> None:
        self.prompt, self.pictures, self.words, self.tokenizer = prompt, list(pictures), list(words), tokenizer
        self.tagged: set[int] = set()
        self.added: list[int] = []
        for number, found in enumerate(self.words):
            if not found.places:
                self.add(number)
        worn: set[str] = set()
        for number in self.of_kind("attribute"):
            if fold(self.phrase(number)) in worn:  # a subject's attributes have words of their own
                self.pictures[number] = replace(
                    self.pictures[number], kind="object", note="the same words as another attribute"
                )
            worn.add(fold(self.phrase(number)))

    def add(self, number: int) -> None:
        """Say the label at the end of the prompt."""
        label = settled_text(self.pictures[number].label).strip()
        text = self.prompt + ("" if self.prompt[-1] in ".!?" else ".") + " "
        self.words[number] = Words(places=((len(text), len(text) + len(label)),))
        self.prompt = f"{text}{label}."
        self.added.append(number)
        self.tagged.add(number)

    def settle(self) -> None:
        """Until everybody has the words that were found. Raises InputError if that cannot be."""
        for _ in range(2 * len(self.pictures) + 1):
            self.sample = self.assembled()
            wrong = self.without_their_words()
            if not wrong:
                return
            for number in wrong:
                if number not in self.tagged:
                    self.tagged.add(number)
                elif number not in self.added:
                    self.add(number)
        raise InputError(f"the label {quoted(self.pictures[wrong[0]].label)} gets no words, not even those added to the prompt")

    def without_their_words(self) -> list[int]:
        bound = bind_prompt(self.sample.prompt, self.sample.references, self.tokenizer, on_problem="ignore")
        if bound.prompt != self.prompt:  # a tag was not read as one
            doubted = [number for number in sorted(self.tagged) if number not in self.added]
            if not doubted:
                raise InputError(f"the prompt changes its meaning as text with tags: {quoted(self.prompt)}")
            return doubted
        wrong = []
        for number, spans in zip(self.order(), bound.char_spans, strict=True):
            if not all(any(_inside(place, span) for span in spans) for place in self.words[number].places):
                wrong.append(number)
        return wrong

    def of_kind(self, kind: ReferenceKind) -> list[int]:
        return [number for number, picture in enumerate(self.pictures) if picture.kind == kind]

    def order(self) -> list[int]:
        """The pictures as `ReferenceSet.references()` has them; attributes are of the only person."""
        return [*self.of_kind("background"), *self.of_kind("object"), *self.of_kind("face"), *self.of_kind("attribute")]

    def phrase(self, number: int) -> str:
        return self.prompt[slice(*self.words[number].places[0])]

    def tag(self, number: int) -> str | None:
        return f"{slug(self.pictures[number].label) or 'picture'}_{number + 1}" if number in self.tagged else None

    def in_prompt(self, number: int) -> str:
        """The tag as it stands in the prompt."""
        owner = "1." if self.pictures[number].kind == "attribute" else ""
        return f"@{owner}{self.tag(number)}"

    def assembled(self) -> Sample:
        def scene(number: int) -> SceneReference:
            return SceneReference(phrase=self.phrase(number), image=self.pictures[number].image, tag=self.tag(number))

        attributes = tuple(
            Attribute(phrase=self.phrase(number), image=self.pictures[number].image, tag=self.tag(number))
            for number in self.of_kind("attribute")
        )
        subjects = [
            Subject(name=self.phrase(number), face=self.pictures[number].image, tag=self.tag(number), attributes=attributes)
            for number in self.of_kind("face")
        ]
        if attributes and not subjects:
            subjects = [Subject(name="", attributes=attributes)]
        references = ReferenceSet(
            background=next(map(scene, self.of_kind("background")), None),
            objects=tuple(map(scene, self.of_kind("object"))),
            subjects=tuple(subjects),
        )
        places = sorted((place, number) for number in self.tagged for place in self.words[number].places)
        parts, last = [], 0
        for (start, end), number in places:
            parts += [self.prompt[last:start].replace("@", "@@"), self.in_prompt(number)]
            last = end
        return Sample(prompt="".join([*parts, self.prompt[last:].replace("@", "@@")]), references=references)

    def told(self) -> Iterator[BoundLabel]:
        """What became of every picture."""
        numbers = {number: place for kind in ("object", "face") for place, number in enumerate(self.of_kind(kind), start=1)}
        for number, (picture, found) in enumerate(zip(self.pictures, self.words, strict=True)):
            owner = {
                "background": "background",
                "object": f"object {numbers.get(number)}",
                "face": f"subject {numbers.get(number)}",
            }.get(picture.kind, "subject 1")
            yield BoundLabel(
                picture=picture.path,
                label=picture.label,
                kind=picture.kind,
                owner=owner,
                words=self.phrase(number),
                places=len(found.places),
                how="added" if number in self.added else found.how,
                doubtful=found.doubtful,
                tag=self.in_prompt(number) if number in self.tagged else "",
                note=picture.note,
            )


def _inside(place: Span, span: Span) -> bool:
    return span[0] <= place[0] and place[1] <= span[1]
