"""The reader behind a server, against a real HTTP server on this machine with every fault that servers are known for."""

import io
import json
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lumosx_core.cli.main import main
from lumosx_core.data.relations.boxed_pictures import COLOURS, boxed_picture
from lumosx_core.data.relations.language_model import AnswerError, Message
from lumosx_core.data.relations.model_answers import Answer, AnsweredPerson, answer_schema
from lumosx_core.data.relations.model_reader import ModelReader, ModelReading, read_answer
from lumosx_core.data.relations.rules import read_rules
from lumosx_core.data.relations.server_transport import LARGEST, ServerSettings, Transport
from lumosx_core.errors import InputError
from lumosx_core.files.json import read_json

pytest.importorskip("openai")

CAPTION = "A man in a red hat and a woman with a blue bag and a scarf walk past a lamp in a park."
RIGHT: dict = {
    "people": [
        {"mention": "woman", "count": 1, "box": 1, "attributes": ["blue bag", "scarf"]},
        {"mention": "man", "count": 1, "box": 2, "attributes": ["red hat"]},
    ],
    "objects": ["lamp"],
    "background": ["park"],
}
TRUTH = [("man", ("red hat",)), ("woman", ("blue bag", "scarf"))]
Send = Callable[[BaseHTTPRequestHandler], None]


def completion(text: str, finish: str = "stop") -> bytes:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    return json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}).encode()


def body(content: bytes, status: int = 200, **headers: str) -> Send:
    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return send


def says(text: str, finish: str = "stop") -> Send:
    return body(completion(text, finish))


def changed(**changes: object) -> str:
    return json.dumps(RIGHT | changes)


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then, for ever."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def break_off(handler: BaseHTTPRequestHandler) -> None:
    """Half of an answer, then nothing."""
    content = completion(json.dumps(RIGHT))
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])
    handler.close_connection = True


@dataclass
class Fake:
    """A server that greets as told and then answers from a list, the last one over and over."""

    answers: list[Send]
    greeting: str = json.dumps({"greeting": "quokka-7319"})
    requests: list[dict] = field(default_factory=list)
    greetings: int = 0
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        if str(asked["messages"][-1]["content"]).startswith("Say hello."):
            self.greetings += 1
            return says(self.greeting)(handler)
        self.requests.append(asked)
        return self.answers[min(len(self.requests), len(self.answers)) - 1](handler)


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[Fake, ModelReader]]]:
    started: list[ThreadingHTTPServer] = []

    def start(*answers: Send, greeting: str | None = None, **settings: float) -> tuple[Fake, ModelReader]:
        fake = Fake(list(answers))
        fake.greeting = fake.greeting if greeting is None else greeting

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                try:
                    fake.answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        started.append(server)
        fake.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        bounds: dict[str, Any] = {"longest_wait_s": 0.1, "timeout_s": 5.0, **settings}
        return fake, ModelReader(Transport(ServerSettings(model="m", url=fake.url, **bounds)))

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def owned(read: ModelReading) -> list[tuple[str, tuple[str, ...]]]:
    reading = read.reading
    return [(mention.span.of(CAPTION), reading.attributes_of(n)) for n, mention in enumerate(reading.mentions)]


def test_a_right_answer_becomes_spans_and_boxes(serve) -> None:
    fake, reader = serve(says(json.dumps(RIGHT)))
    read = reader.read(CAPTION, [b"jpeg"], boxes=2)
    assert owned(read) == TRUTH and read.boxes == (2, 1)
    assert read.reading.words("object") == ("lamp",) and read.reading.words("background") == ("park",)
    assert (read.reading.reader, read.reading.notes, len(fake.requests)) == ("m", (), 1)
    asked = fake.requests[0]
    assert asked["response_format"]["json_schema"]["schema"] == answer_schema(2) and asked["max_tokens"] == 1024
    assert asked["messages"][1]["content"][0]["image_url"]["url"] == "data:image/jpeg;base64,anBlZw=="


FAULTS: dict[str, tuple[Send, str]] = {
    "cut off": (says(json.dumps(RIGHT)[:50], "length"), "cut off"),
    "blank": (says(""), "blank"),
    "endless whitespace": (says("\n" * 50_000), "blank"),
    "whitespace until the limit": (says('{"people": [' + " \n" * 20_000, "length"), "cut off"),
    "wrong box": (says(changed(people=[{"mention": "man", "count": 1, "box": 7, "attributes": []}])), "people.0.box"),
    "schema ignored": (says(json.dumps({"man": "red hat"})), "Field required"),
    "prose": (says("The man wears a red hat."), "no JSON object"),
    "a repeated key": (says('{"people": [], "people": [], "objects": [], "background": []}'), "there twice"),
    "a list without end": (says(changed(objects=["lamp"] * 500)), "at most 16"),
    "429": (body(b"{}", 429, Retry_After="0.05"), "status 429"),
    "503": (body(b"{}", 503), "status 503"),
    "refused": (body(b'{"error": "no pictures"}', 400), "refuses"),
    "slow drip": (drip, "took longer"),
    "closed in the middle": (break_off, "broke off"),
    "10 MB of text": (says("x" * 10_000_000), "larger than"),
    "no completion": (body(b"<html>hello</html>"), "no chat completion"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_after_one_fault_the_second_answer_counts(serve, fault: str) -> None:
    answer, words = FAULTS[fault]
    fake, reader = serve(answer, says(json.dumps(RIGHT)), timeout_s=0.4 if fault == "slow drip" else 5.0)
    read = reader.read(CAPTION, boxes=2)
    assert owned(read) == TRUTH and read.reading.reader == "m"
    assert len(fake.requests) == 2 and words in read.reading.notes[0], read.reading.notes
    first, second = fake.requests
    assert (first["temperature"], second["temperature"]) == (0.0, 0.7) and first["seed"] != second["seed"]


@pytest.mark.parametrize("fault", FAULTS)
def test_after_two_faults_the_rules_read_and_the_notes_say_so(serve, fault: str) -> None:
    answer, words = FAULTS[fault]
    fake, reader = serve(answer, timeout_s=0.3 if fault == "slow drip" else 5.0)
    read = reader.read(CAPTION, boxes=2)
    rules = read_rules(CAPTION)
    assert read.reading.phrases == rules.phrases and read.reading.mentions == rules.mentions and read.boxes == (None, None)
    assert read.reading.reader == "rules" and "read by rules" in read.reading.notes
    assert words in read.reading.notes[0] and len(fake.requests) == 2


def test_the_model_is_told_what_was_wrong(serve) -> None:
    fake, reader = serve(says("a red hat"), says(json.dumps(RIGHT)))
    reader.read(CAPTION, boxes=2)
    assert [m["role"] for m in fake.requests[1]["messages"]] == ["system", "user", "assistant", "user"]
    assert "holds no JSON object" in fake.requests[1]["messages"][3]["content"]


@pytest.mark.parametrize("text", ["```json\n{}\n```", "Here it is:\n```\n{}\n```", "Sure! {} Is that right?", "{}"])
def test_fences_and_words_around_are_taken_off(serve, text: str) -> None:
    fake, reader = serve(says(text.replace("{}", json.dumps(RIGHT))))
    assert owned(reader.read(CAPTION, boxes=2)) == TRUTH and len(fake.requests) == 1


def test_invented_and_inexact_words_never_pass_silently(serve) -> None:
    people = [
        {"mention": "the man", "count": 1, "box": 1, "attributes": ["golden crown", "hat"]},
        {"mention": "dragon", "count": 1, "box": 2, "attributes": ["scarf"]},
        {"mention": "Woman", "count": 1, "box": 1, "attributes": ["big blue bag", "scarf", "scarf"]},
    ]
    _, reader = serve(says(changed(people=people, objects=[])))
    read = reader.read(CAPTION, boxes=2)
    assert owned(read) == [("man", ("hat",)), ("woman", ("blue bag", "scarf"))] and read.boxes == (None, None)
    told = "\n".join(read.reading.notes)
    for words in ("golden crown", "dragon", "'big blue bag' is taken for 'blue bag'", "'scarf' is named twice", "box 1"):
        assert words in told, told


@pytest.mark.parametrize(
    ("greeting", "mode"),
    [('{"greeting": "quokka-7319"}', "json_schema"), ('{"greeting": "hello"}', "json_object"), ("Hello!", "text")],
)
def test_what_the_server_can_is_asked_once(serve, greeting: str, mode: str) -> None:
    fake, reader = serve(says(json.dumps(RIGHT)), greeting=greeting)
    assert reader.model.start() == mode
    greetings = fake.greetings
    for _ in range(3):
        assert owned(reader.read(CAPTION, boxes=2)) == TRUTH
    assert fake.greetings == greetings and fake.requests[0].get("response_format", {"type": "text"})["type"] == mode
    assert (
        mode == "json_schema" or "AnsweredPerson" in (said := fake.requests[0]["messages"][0]["content"]) or "mention" in said
    )


def test_memory_stays_bounded(serve) -> None:
    """Three times as much is sent as an answer may have; the client stops at one MiB. It alone is measured: the server's thread
    sends what was made before."""
    fake, reader = serve(says("x" * 3 * LARGEST))
    reader.model.start()
    with pytest.raises(AnswerError):  # what is loaded at the first answer
        reader.model.ask([Message(role="user", text="?")], {}, 1)
    tracemalloc.start()
    with pytest.raises(AnswerError, match="larger than"):
        reader.model.ask([Message(role="user", text="?")], {}, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * LARGEST and len(fake.requests) == 2


def test_a_server_that_is_not_there_stops_before_the_work() -> None:
    reader = ModelReader(Transport(ServerSettings(model="m", url="http://127.0.0.1:9/v1")))
    with pytest.raises(InputError, match="no server answers at http://127.0.0.1:9/v1.*vllm serve"):
        reader.model.start()


def test_a_server_that_goes_away_is_waited_for_and_then_given_up(serve) -> None:
    fake, reader = serve(body(b"{}", 503), body(b"{}", 503), says(json.dumps(RIGHT)), patience_s=5.0)
    reader.model.start()
    hello, fake.greeting = fake.greeting, ""
    answered = fake.answer

    def away(handler: BaseHTTPRequestHandler) -> None:
        fake.greetings += 1
        if fake.greetings > 3:
            fake.greeting, fake.answer = hello, answered  # type: ignore[method-assign]
            return answered(handler)
        return body(b"{}", 503)(handler)

    fake.answer = away  # type: ignore[method-assign]
    assert owned(reader.read(CAPTION, boxes=2))  # back after a while
    fake.answer = lambda handler: body(b"{}", 503)(handler)  # type: ignore[method-assign]
    reader.model.settings = ServerSettings(model="m", url=fake.url, patience_s=0.3, longest_wait_s=0.1)
    with pytest.raises(InputError, match="has not answered for 0.3 s.*run the same command"):
        reader.read(CAPTION, boxes=2)


def test_many_threads_read_together_within_the_bound(serve) -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1
        says(json.dumps(RIGHT))(handler)

    _, reader = serve(slow, together=3)
    reader.model.start()
    results: list[ModelReading] = []
    threads = [threading.Thread(target=lambda: results.append(reader.read(CAPTION, boxes=2))) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [owned(read) for read in results] == [TRUTH] * 9 and 1 < most <= 3


def test_the_same_words_of_two_people_get_their_own_places() -> None:
    caption = "A man in a red hat and a man in a red hat, both with one dog."
    person = AnsweredPerson(mention="man", count=1, box=0, attributes=("red hat", "dog"))
    read = read_answer(Answer(people=(person, person), objects=(), background=()), caption, "m").reading
    assert [mention.span.start for mention in read.mentions] == [2, 25]
    assert [(p.span.start, p.owner) for p in read.phrases] == [(11, 0), (34, 1), (57, 0), (57, 1)]


def test_the_command_measures_a_served_model(serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people = [person | {"box": 0} for person in RIGHT["people"]]
    fake, _ = serve(says(changed(people=people, objects=[])))
    spans = {words: (CAPTION.index(words), CAPTION.index(words) + len(words)) for words in ("man", "woman", "red hat", "lamp")}
    line = {
        "caption": CAPTION,
        "constructions": ["several"],
        "mentions": [{"words": w, "start": spans[w][0], "end": spans[w][1]} for w in ("man", "woman")],
        "phrases": [
            {"words": w, "start": spans[w][0], "end": spans[w][1], "kind": k, "owner": o}
            for w, k, o in (("red hat", "attribute", 0), ("lamp", "object", None))
        ],
    }
    path = tmp_path / "captions.jsonl"
    path.write_text(json.dumps(line))
    arguments = ["evaluate", "reader", "--captions", str(path), "--server", fake.url, "--served", "m", "--out", str(tmp_path)]
    assert main(arguments) == 0
    report = read_json(tmp_path / "reader.json")["captions.jsonl"]
    assert (report["relations"]["right"], report["relations"]["found"], report["relations"]["expected"]) == (1, 3, 1)
    assert report["things"]["recall"] == 0.0 and "keeps to: json_schema" in capsys.readouterr().out


def test_settings_are_checked() -> None:
    with pytest.raises(InputError, match="expected http://"):
        ServerSettings(model="m", url="localhost:8000")
    with pytest.raises(InputError, match="no model"):
        ServerSettings(model="")


def test_pictures_show_numbered_boxes() -> None:
    frame = Image.new("RGB", (1536, 800), (128, 128, 128))
    picture = Image.open(io.BytesIO(boxed_picture(frame, {1: (200, 100, 600, 700), 2: (800, 100, 1200, 700)})))
    assert picture.size == (768, 400) and picture.format == "JPEG"
    for number, left in ((1, 100), (2, 400)):
        near = max(abs(a - b) for a, b in zip(picture.getpixel((left + 1, 300)), COLOURS[number - 1], strict=True))
        assert near < 40 and picture.getpixel((left + 100, 200)) == (128, 128, 128)
