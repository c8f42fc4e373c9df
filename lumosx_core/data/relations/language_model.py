"""A language model that sees pictures, wherever it runs: what a reader asks of it (`server_transport.py`, `local_model.py`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

TEMPERATURES = (0.0, 0.7)  # of the first and the second attempt; at 0 the same answer would come back


class AnswerError(Exception):
    """An answer that is no use. text: what came, for the model to see again; empty where nothing is worth it. refused: the
    server did not answer at all. broken_off: the answer did not come to its end, which says nothing of the model."""

    def __init__(self, message: str, text: str = "", *, refused: bool = False, broken_off: bool = False) -> None:
        super().__init__(message)
        self.text, self.refused, self.broken_off = text, refused, broken_off


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message of a conversation. pictures: JPEG files."""

    role: str
    text: str
    pictures: tuple[bytes, ...] = ()


class LanguageModel(Protocol):
    """Answers in JSON. name: for notes."""

    @property
    def name(self) -> str: ...

    def start(self) -> str:
        """Make ready; how the model keeps to a schema, in a word. Raises InputError if it cannot be had."""
        ...

    def ask(self, messages: Sequence[Message], schema: dict[str, Any], attempt: int) -> str:
        """The model's text, wanted in the form of a JSON schema. attempt: 0, or 1 with another seed and temperature. Raises
        AnswerError for what is no use."""
        ...

    def wait_until_well(self) -> bool:
        """Come back when a model that refused to answer can be asked again; whether that took waiting. Raises InputError when
        patience ends."""
        ...
