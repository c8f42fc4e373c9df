"""Who owns which words of a prompt that is being typed: the verdict of a run, without its pictures.

The page asks for it (`comfy_routes.py`) and draws it in LumosX Relation Graph. References are made of the words that stand in
the nodes and a picture of one pixel, by the records and the binding that a run uses, so that both say the same.
"""

import weakref
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from lumosx_core.drawing.palette import RGB, colour_of
from lumosx_core.errors import InputError
from lumosx_core.files.json import parse_json, parse_record
from lumosx_core.files.safetensors import open_safetensors
from lumosx_core.model.config import TransformerConfig
from lumosx_core.owners import owned_phrases, owners
from lumosx_core.prompt_tags import tags_of
from lumosx_core.references import Attribute, ReferenceSet, Sample, SceneReference, Subject
from lumosx_core.text_spans import BoundPrompt, bind_prompt
from lumosx_core.tokenized_prompt import TokenizedPrompt
from lumosx_core.tokenizers import SentencePieceTokenizer, Tokenizer, clean_text

from .comfy_samples import sample_folder
from .comfy_tokenizer import PromptTokenizer, plain_prompt
from .file_states import state_of
from .reference_inputs import tag_of

LONGEST_QUESTION = 200_000  # bytes; many times what the longest prompt and all phrases take
SOURCE = "what the page asks"
DOT = Image.new("RGB", (1, 1))
_latest: "weakref.WeakValueDictionary[int, SentencePieceTokenizer]" = weakref.WeakValueDictionary()  # text_len -> of a run

Item = TypeVar("Item", Attribute, SceneReference)


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """The words of an attribute, an object or the background, as its node says them; occurrence 0: not said."""

    words: str
    tag: str = ""
    occurrence: int = 0


@dataclass(frozen=True, kw_only=True)
class Person(Phrase):
    """The words of a LumosX Subject. face: whether one is connected. attributes: `Phrase` records."""

    face: bool = False
    attributes: tuple[dict, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Question:
    """A relation graph as far as its words go: `Phrase` records, and `Person` records for subjects.

    sample: the choice of a LumosX Sample Folder that is connected as a whole, "" for none. nano: whether the graph's CLIP is
    the embedded model's. Else the tokenizer of the latest run with another CLIP counts, and before there was one, single
    characters do.
    """

    prompt: str
    nano: bool = False
    background: dict | None = None
    objects: tuple[dict, ...] = ()
    subjects: tuple[dict, ...] = ()
    sample: str = ""


@dataclass(frozen=True, kw_only=True)
class OfferedWords:
    """What may be put into the prompt for one owner's phrase. tag: with its @, "" if there is none. colour: "#rrggbb"."""

    text: str
    tag: str
    colour: str


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A problem of the binding, as `SpanProblem` tells it. error: whether a run stops for it. nearest: for words that are not
    in the prompt, up to three places in it that nobody owns and that are spelled most like them."""

    kind: str
    owner: str
    phrase: str
    message: str
    error: bool
    nearest: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a run would say. text: the prompt as the model reads it. places: (start, end, colour "#rrggbb") in order, none
    overlapping. offered: the phrases of all owners in model order. refused: why there is no binding at all; then the text is
    the one that was typed."""

    text: str
    places: tuple[tuple[int, int, str], ...] = ()
    problems: tuple[Trouble, ...] = field(default=())
    offered: tuple[OfferedWords, ...] = ()
    refused: str = ""


class CharacterTokenizer:
    """One token for every character: finds whole words as every tokenizer does, and knows no limit."""

    def encode(self, text: str) -> list[int]:
        """The code points of the cleaned text."""
        return [ord(letter) for letter in clean_text(text)]

    def pieces(self, text: str) -> list[tuple[int, int, int]]:
        """(code point, start, end)."""
        return [(token, place, place + 1) for place, token in enumerate(self.encode(text))]


def remember(reader: PromptTokenizer) -> None:
    """Keeps the tokenizer of a run, for as long as something else holds it."""
    if reader.text_len != nano_reader().text_len:
        _latest.clear()
        _latest[reader.text_len] = reader.tokenizer


@lru_cache(maxsize=1)
def nano_reader() -> PromptTokenizer:
    """The vocabulary of the embedded model."""
    from lumosx_core.sampling.pipeline import NANO_FOLDER

    _, metadata = open_safetensors(NANO_FOLDER / "transformer.safetensors")
    config = TransformerConfig.from_json(metadata["config"])
    return PromptTokenizer(SentencePieceTokenizer(NANO_FOLDER), config.text_len)


def answer(body: bytes) -> dict[str, Any]:
    """The verdict on a question in JSON, as plain data. Raises InputError for what is no question."""
    question = parse_record(Question, parse_json(body, SOURCE), SOURCE)
    people = [parse_record(Person, each, SOURCE) for each in question.subjects]
    return asdict(verdict(question, people))


def verdict(question: Question, people: list[Person]) -> Verdict:
    """What a run of the graph says about these words; `people` are the question's subjects. An empty prompt owns nothing."""
    offered: tuple[OfferedWords, ...] = ()
    try:
        _check_text(question.prompt)
        sample = chosen_sample(question.sample)
        references = _references(question, people, sample)
        offered = _offered(references)
        prompt = sample.prompt if sample and not question.prompt.strip() else plain_prompt(question.prompt)
        if not prompt.strip():
            return Verdict(text="", offered=offered)
        tokenizer, text_len = _reader(nano=question.nano)
        bound = bind_prompt(prompt, references, tokenizer, text_len=text_len, on_problem="ignore")
    except InputError as error:
        return Verdict(text=question.prompt, refused=str(error), offered=offered)
    return Verdict(text=bound.prompt, places=_places(references, bound), problems=_troubles(bound, tokenizer), offered=offered)


def _troubles(bound: BoundPrompt, tokenizer: Tokenizer) -> tuple[Trouble, ...]:
    read = TokenizedPrompt(bound.prompt, tokenizer)
    return tuple(
        Trouble(
            kind=each.kind,
            owner=each.owner,
            phrase=each.phrase,
            message=each.message,
            error=each.is_error,
            nearest=_nearest(read, each.phrase, bound) if each.kind == "not_found" else (),
        )
        for each in bound.problems
    )


def _nearest(read: TokenizedPrompt, phrase: str, bound: BoundPrompt) -> tuple[str, ...]:
    owned = [place for spans in bound.char_spans for place in spans]

    def is_free(words: str) -> bool:
        start = read.text.find(words)
        return not any(start < end and first < start + len(words) for first, end in owned)

    return tuple(filter(is_free, read.nearest(phrase)))


def _offered(references: ReferenceSet) -> tuple[OfferedWords, ...]:
    phrases = owned_phrases(references)
    colours = {str(owner): _hexadecimal(colour_of(owner)) for owner in owners(references)}
    return tuple(
        OfferedWords(text=each.phrase, tag=tag, colour=colours[each.owner])
        for each, tag in zip(phrases, tags_of(phrases), strict=True)
        if each.phrase
    )


def chosen_sample(choice: str) -> Sample | None:
    """The choice of a LumosX Sample Folder, its pictures shrunk; None for "". Raises InputError if it is gone."""
    if not choice:
        return None
    folder = sample_folder(choice)
    return _read_sample(folder, state_of(folder))


@lru_cache(maxsize=1)
def _read_sample(folder: Path, state: str) -> Sample:  # noqa: ARG001
    """The sample as it is in that state; its pictures are shrunk to nothing, since only its words are asked for."""
    from lumosx_core.sample_folder import read_sample

    return _without_pictures(read_sample(folder))


def _without_pictures(sample: Sample) -> Sample:
    whole = sample.references
    subjects = (
        replace(
            each,
            face=DOT if each.face else None,
            more_views=(DOT,) * len(each.more_views),
            attributes=tuple(replace(item, image=DOT) for item in each.attributes),
        )
        for each in whole.subjects
    )
    objects = tuple(replace(each, image=DOT) for each in whole.objects)
    background = whole.background and replace(whole.background, image=DOT)
    return replace(sample, references=ReferenceSet(subjects=tuple(subjects), objects=objects, background=background))


def _reader(*, nano: bool) -> tuple[Tokenizer, int | None]:
    if nano:
        return nano_reader().tokenizer, nano_reader().text_len
    for text_len, tokenizer in list(_latest.items()):
        return tokenizer, text_len
    return CharacterTokenizer(), None


def _references(question: Question, people: list[Person], sample: Sample | None) -> ReferenceSet:
    whole = sample.references if sample else ReferenceSet()
    background = question.background
    subjects = (
        Subject(
            name=person.words,
            face=DOT if person.face else None,
            attributes=tuple(_made(Attribute, each) for each in person.attributes),
            tag=tag_of(person.tag),
            occurrence=person.occurrence or None,
        )
        for person in people
    )
    return ReferenceSet(
        subjects=(*whole.subjects, *subjects),
        objects=(*whole.objects, *(_made(SceneReference, each) for each in question.objects)),
        background=whole.background if background is None else _made(SceneReference, background),
    )


def _made(kind: Callable[..., Item], said: dict) -> Item:
    phrase = parse_record(Phrase, said, SOURCE)
    return kind(phrase=phrase.words, image=DOT, tag=tag_of(phrase.tag), occurrence=phrase.occurrence or None)


def _places(references: ReferenceSet, bound: BoundPrompt) -> tuple[tuple[int, int, str], ...]:
    colours = {index: _hexadecimal(colour_of(owner)) for owner in owners(references) for index in owner.members}
    owned = {(start, end, colours[index]) for index, spans in enumerate(bound.char_spans) for start, end in spans}
    places: list[tuple[int, int, str]] = []
    for start, end, colour in sorted(owned):
        free = max(start, places[-1][1] if places else 0)  # an owner's own phrases may share words
        if free < end:
            places.append((free, end, colour))
    return tuple(places)


def _hexadecimal(colour: RGB) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in colour)


def _check_text(prompt: str) -> None:
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError("the prompt holds characters that are not text; type it anew") from error
