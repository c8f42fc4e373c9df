"""What a language model may answer: its JSON schema, and the check of what came."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from lumosx_core.data.relations.language_model import AnswerError
from lumosx_core.errors import InputError

if TYPE_CHECKING:
    from pydantic import BaseModel

MOST_PEOPLE = 12
MOST_THINGS = 16
LONGEST_WORDS = 120  # characters of a mention or phrase
_FENCE = re.compile(r"```[a-zA-Z]*\s*(.*?)```", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class AnsweredPerson:
    """A person as the model names them. box: 1..n, or 0 for none."""

    mention: str
    count: int
    box: int
    attributes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A checked answer."""

    people: tuple[AnsweredPerson, ...]
    objects: tuple[str, ...]
    background: tuple[str, ...]


@lru_cache(maxsize=64)
def _answer_model(boxes: int) -> "type[BaseModel]":
    """The form of an answer where there are so many boxes. Every list and text has a length, box numbers are an enumeration."""
    try:
        from pydantic import BaseModel, ConfigDict, Field, create_model
    except ImportError as error:
        raise InputError("a language model needs the package pydantic; run  pip install 'lumosx[data]'") from error
    from typing import Annotated

    words = Annotated[str, Field(min_length=1, max_length=LONGEST_WORDS)]
    things = Annotated[list[words], Field(max_length=MOST_THINGS)]  # type: ignore[valid-type]
    numbers: Any = Literal[tuple(range(boxes + 1))]
    closed = ConfigDict(extra="forbid", strict=True)
    person: type[BaseModel] = create_model(
        "Person",
        __config__=closed,
        mention=(words, ...),
        count=(Annotated[int, Field(ge=1, le=100)], ...),
        box=(numbers, ...),
        attributes=(things, ...),
    )
    people = Annotated[list[person], Field(max_length=MOST_PEOPLE)]  # type: ignore[valid-type]
    return create_model("Answer", __config__=closed, people=(people, ...), objects=(things, ...), background=(things, ...))


def answer_schema(boxes: int) -> dict[str, Any]:
    """The JSON schema of an answer where people have the boxes 1 to `boxes`."""
    return _answer_model(boxes).model_json_schema()


def parse_answer(text: str, boxes: int) -> Answer:
    """The answer in a text, with or without a fence or words around it.

    Raises AnswerError, in words for the model, for blank text, text that is no JSON or repeats a key, and other shapes.
    """
    if not text.strip():
        raise AnswerError("the answer is blank")
    fenced = _FENCE.search(text)
    inner = fenced.group(1) if fenced else text
    start, end = inner.find("{"), inner.rfind("}")
    if start < 0 or end < start:
        raise AnswerError("the answer holds no JSON object", text)
    try:
        content = json.loads(inner[start : end + 1], object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise AnswerError(f"the answer is no JSON: {error}", text) from error
    from pydantic import ValidationError

    try:
        checked = _answer_model(boxes).model_validate(content).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the answer"
        raise AnswerError(f"{place}: {first['msg']}", text) from error
    return Answer(
        people=tuple(
            AnsweredPerson(mention=p["mention"], count=p["count"], box=p["box"], attributes=tuple(p["attributes"]))
            for p in checked["people"]
        ),
        objects=tuple(checked["objects"]),
        background=tuple(checked["background"]),
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return dict(pairs)
