"""Requests to an OpenAI-compatible server, with an end to everything: to the size of an answer, its time, its repeats.

What the server can (JSON by a schema, JSON, plain text) is asked once, with a schema that nobody meets by chance: servers are
known to accept a schema and not to use it. A server that is busy (429) or away (503, no connection) is waited for; if it stays
away, the run stops with an error, so that no clip is read worse because of it.
"""

import base64
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from lumosx_core.data.relations.language_model import TEMPERATURES, AnswerError, Message
from lumosx_core.errors import InputError, quoted
from lumosx_core.numbers import real_number, whole_number

if TYPE_CHECKING:
    from openai import OpenAI

log = logging.getLogger(__name__)

LARGEST = 2**20  # bytes of an answer
Answered = TypeVar("Answered")
_FIRST_WORDS = 20  # whose probabilities are told, the most that servers allow
_ANSWERED = 0.5  # the probability of yes and no together above which the answer is one of them
_RARE = "quokka-7319"  # what no model says by chance
_HOW_TO_START = (
    "start one, for example  vllm serve Qwen/Qwen2.5-VL-7B-Instruct  or  ollama serve , and give its address (for vLLM "
    "http://localhost:8000/v1), or read by rules"
)


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Where the server is and how long it may take.

    url: with /v1. model: as the server names it. key: for servers that ask for one. timeout_s: for a whole answer. max_tokens:
    of an answer. together: requests at a time. longest_wait_s: before a request is repeated. patience_s: how long a server may
    be away before the run stops.
    """

    model: str
    url: str = "http://localhost:8000/v1"
    key: str = "none"
    timeout_s: float = 120.0
    max_tokens: int = 1024
    together: int = 4
    longest_wait_s: float = 30.0
    patience_s: float = 600.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise InputError(f"the server's address is {quoted(self.url)}; expected http://HOST:PORT/v1")
        if not self.model:
            raise InputError("no model is named; give the name that the server knows it by")
        for name in ("timeout_s", "longest_wait_s", "patience_s"):
            real_number(getattr(self, name), name, above=0.0)
        whole_number(self.max_tokens, "max_tokens", least=16, most=100_000)
        whole_number(self.together, "together", least=1, most=1000)


class Transport:
    """The connection to one server; any number of threads may ask."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.mode = ""
        self._places = threading.BoundedSemaphore(settings.together)
        self._client: OpenAI | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """As the server names the model."""
        return self.settings.model

    @property
    def client(self) -> "OpenAI":
        """The client, made when it is first needed: importing openai takes a second."""
        with self._lock:
            if self._client is None:
                try:
                    from openai import OpenAI
                except ImportError as error:
                    raise InputError(
                        "asking a model behind a server needs the package openai; run  pip install 'lumosx[data]'"
                    ) from error
                self._client = OpenAI(base_url=self.settings.url, api_key=self.settings.key, max_retries=0)
            return self._client

    def start(self) -> str:
        """As `LanguageModel` says: "json_schema", "json_object" or "text". Raises InputError if no server answers, which says
        how one is started, and if it does not have the model."""
        _ = self.client  # first, since it says what to install where openai is missing
        from openai import APIConnectionError, APIStatusError, NotFoundError

        question = [Message(role="user", text="Say hello.")]
        schema = {
            "type": "object",
            "properties": {"greeting": {"type": "string", "enum": [_RARE]}},
            "required": ["greeting"],
            "additionalProperties": False,
        }
        for mode in ("json_schema", "json_object", "text"):
            try:
                said = self._request(question, schema, mode, 0)
            except APIConnectionError as error:
                raise InputError(f"no server answers at {self.settings.url} ({error}); {_HOW_TO_START}") from error
            except NotFoundError as error:
                raise InputError(
                    f"the server at {self.settings.url} does not know the model {quoted(self.settings.model)} ({error}); "
                    "name one that it has"
                ) from error
            except APIStatusError as error:
                if error.status_code in (401, 403):
                    raise InputError(f"the server at {self.settings.url} wants another key ({error}); set it") from error
                log.info("the server refuses %s: %s", mode, error)
                continue
            except AnswerError as fault:
                log.info("the server's answer to %s is no use: %s", mode, fault)
                continue
            if mode == "text" or _fits(said, mode):
                self.mode = mode
                return mode
        raise InputError(f"the server at {self.settings.url} gives no usable answer to a greeting; look at its log")

    def ask(self, messages: Sequence[Message], schema: dict[str, Any], attempt: int) -> str:
        """The model's text. attempt: 0, or 1 with another seed and temperature. Raises AnswerError for what is no use."""
        if not self.mode:
            self.start()
        return self._within_bounds(lambda: self._request(messages, schema, self.mode, attempt), attempt)

    def ask_yes(self, messages: Sequence[Message]) -> float:
        """How sure the model is of yes rather than no, 0..1, by the log-probabilities of the first word of its answer. Raises
        AnswerError for a server that tells none, and where yes and no together are not the likely answer (more than half)."""
        if not self.mode:
            self.start()
        arguments = {
            "model": self.settings.model,
            "messages": [_as_json(message) for message in messages],
            "max_tokens": 1,
            "temperature": 0.0,
            "seed": self.settings.seed,
            "logprobs": True,
            "top_logprobs": _FIRST_WORDS,
            "timeout": self.settings.timeout_s,
        }
        return self._within_bounds(lambda: _yes_of(self._body(arguments)), 0)

    def _within_bounds(self, request: Callable[[], Answered], attempt: int) -> Answered:
        """What a request gives, with the server's faults as AnswerError."""
        from openai import APIConnectionError, APIStatusError

        try:
            with self._places:
                return request()
        except APIStatusError as error:
            if error.status_code not in (408, 409, 429) and error.status_code < 500:
                raise AnswerError(f"the server refuses: {quoted(str(error), 300)}") from error
            if attempt == 0:
                time.sleep(self._wait(error.response.headers.get("retry-after")))
            raise AnswerError(f"the server is busy or broken, status {error.status_code}", refused=True) from error
        except APIConnectionError as error:
            if attempt == 0:
                time.sleep(self._wait(None))
            raise AnswerError(f"no connection, or no answer in time ({error})", refused=True) from error

    def _wait(self, asked: str | None) -> float:
        """Seconds before the next request: what the server asks for, within bounds; 1 if it asks for a date or for nothing."""
        try:
            seconds = float(asked) if asked else 1.0
        except ValueError:
            seconds = 1.0
        return min(seconds, self.settings.longest_wait_s) if seconds >= 0 else 1.0

    def wait_until_well(self) -> bool:
        """Come back when the server answers a greeting; whether that took waiting. Raises InputError when patience ends."""
        from openai import APIConnectionError, APIStatusError

        end, pause, waited = time.monotonic() + self.settings.patience_s, min(1.0, self.settings.longest_wait_s), False
        while True:
            try:
                self._request([Message(role="user", text="Say hello.")], {}, "text", 0)
                return waited
            except AnswerError:
                return waited  # it answers
            except (APIStatusError, APIConnectionError) as error:
                if time.monotonic() + pause > end:
                    raise InputError(
                        f"the server at {self.settings.url} has not answered for {self.settings.patience_s:g} s ({error}); "
                        "start it again and run the same command, which goes on where it stopped"
                    ) from error
                log.warning("the server at %s does not answer; trying again in %.1f s", self.settings.url, pause)
                time.sleep(pause)
                pause, waited = min(2 * pause, self.settings.longest_wait_s), True

    def _request(self, messages: Sequence[Message], schema: dict[str, Any], mode: str, attempt: int) -> str:
        """One request; the text of the first choice."""
        arguments: dict[str, Any] = {
            "model": self.settings.model,
            "messages": [_as_json(message) for message in messages],
            "max_tokens": self.settings.max_tokens,
            "temperature": TEMPERATURES[attempt],
            "seed": self.settings.seed + attempt,
            "timeout": self.settings.timeout_s,
        }
        if mode == "json_schema":  # nested as here: llama.cpp does not see a flat one
            form = {"name": "answer", "schema": schema, "strict": True}
            arguments["response_format"] = {"type": mode, "json_schema": form}
        elif schema:
            first, told = messages[0], f"The answer is one JSON object of this schema: {json.dumps(schema)}"
            whole = replace(first, text=f"{first.text}\n{told}")  # some chat templates bear one system message only
            arguments["messages"][0] = _as_json(whole)
            if mode == "json_object":
                arguments["response_format"] = {"type": mode}
        return _text_of(self._body(arguments))

    def _body(self, arguments: dict[str, Any]) -> bytes:
        """The body of an answer, read piece by piece: it may be endless, or never end."""
        end = time.monotonic() + self.settings.timeout_s
        body = bytearray()
        with self.client.chat.completions.with_streaming_response.create(**arguments) as response:
            try:
                for piece in response.iter_bytes():  # as they come: with a size, it would wait for so many
                    body += piece
                    if len(body) > LARGEST:
                        raise AnswerError(f"the answer is larger than {LARGEST} bytes")
                    if time.monotonic() > end:
                        raise AnswerError(f"the answer took longer than {self.settings.timeout_s:g} s", broken_off=True)
            except AnswerError:
                raise
            except Exception as error:  # the errors of whichever HTTP library the client uses
                raise AnswerError(f"the answer broke off ({type(error).__name__}: {error})", broken_off=True) from error
        return bytes(body)


def _as_json(message: Message) -> dict[str, Any]:
    """A message as the server wants it."""
    if not message.pictures:
        return {"role": message.role, "content": message.text}
    shown = [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{base64.b64encode(picture).decode('ascii')}"}}
        for picture in message.pictures
    ]
    return {"role": message.role, "content": [*shown, {"type": "text", "text": message.text}]}


def _text_of(body: bytes) -> str:
    """The text of a chat completion. Raises AnswerError where there is none, or it was cut off."""
    try:
        choice = json.loads(body)["choices"][0]
        text, reason = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise AnswerError("the server's answer is no chat completion") from error
    if not isinstance(text, str) or not text.strip():
        raise AnswerError("the answer is blank")
    if reason == "length":
        raise AnswerError("the answer is too long and was cut off")  # not shown again: it may be a loop
    return text


def _yes_of(body: bytes) -> float:
    """How likely the first word of a chat completion is yes, of yes and no in any spelling."""
    sums = {"yes": 0.0, "no": 0.0}
    try:
        for word in json.loads(body)["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
            spelled = word["token"].strip().strip(".,!").lower()
            if spelled in sums:
                sums[spelled] += _probability(float(word["logprob"]))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise AnswerError("the server's answer tells no log-probabilities") from error
    total = sums["yes"] + sums["no"]
    if not total > _ANSWERED:
        raise AnswerError("the answer is neither yes nor no")
    return sums["yes"] / total


def _probability(logarithm: float) -> float:
    if math.isnan(logarithm):
        raise ValueError("a log-probability is no number")
    return math.exp(min(0.0, logarithm))


def _fits(said: str, mode: str) -> bool:
    """Whether the answer to the greeting is what only a server says that keeps to the schema, or to JSON."""
    try:
        content = json.loads(said)
    except (ValueError, RecursionError):
        return False
    return content == {"greeting": _RARE} if mode == "json_schema" else isinstance(content, dict)
