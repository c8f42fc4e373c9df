"""A collection whose captions are read by a model behind a real HTTP server, with the frames before its eyes."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_collection import run_collect

from lumosx_core.data.collect_config import PUPPETS, CollectConfig
from lumosx_core.data.demo_clips import ENLARGE
from lumosx_core.data.pack import read_manifest
from lumosx_core.errors import InputError
from lumosx_core.files.atomic import write_text
from lumosx_core.files.videos import write_video
from lumosx_core.puppets.clip import ClipSpec, sample_clip
from lumosx_core.puppets.render import render_clip


@dataclass
class Server:
    """Answers what it is told for each caption, and greets so often; else it is away (503)."""

    url: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    seen: list[dict] = field(default_factory=list)
    greetings: int = 1000


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = json.dumps(asked["messages"])
            answer = next((a for caption, a in state.answers.items() if json.dumps(caption)[1:-1] in text), None)
            if "Say hello." in text:
                state.greetings -= 1
                answer = json.dumps({"greeting": "quokka-7319"}) if state.greetings >= 0 else None
            else:
                state.seen.append(asked)
            content = json.dumps({"choices": [{"message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}]})
            self.send_response(200 if answer is not None else 503)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    state.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    yield state
    http.shutdown()
    http.server_close()


def plain_clip(folder: Path) -> ClipSpec:
    """Two people in the same words, so that only who sees them can tell who is meant."""
    spec = sample_clip(np.random.default_rng(8), people=2, attributes=2, described=False, held_out=True, frames=9)
    write_video(folder / "clip.mp4", render_clip(spec).frames, 8, enlarge=ENLARGE)
    write_text(folder / "clip.txt", spec.caption.text)
    return spec


def config(server: Server) -> CollectConfig:
    return replace(
        PUPPETS, reading=replace(PUPPETS.reading, reader="server", server=server.url, served="m", patience_s=0.5, timeout_s=5.0)
    )


def test_a_reader_that_sees_tells_people_of_the_same_words_apart(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="NO OPENAI: pip install openai")
    spec = plain_clip(tmp_path / "videos")
    assert run_collect(tmp_path / "videos", tmp_path / "rules").dropped == {"ambiguous_names": 1}
    people = [
        {"mention": puppet.name, "count": 1, "box": 2 - n, "attributes": list(phrases)}
        for n, (puppet, phrases) in enumerate(zip(spec.puppets, spec.caption.attribute_phrases, strict=True))
    ]
    server.answers[spec.caption.text] = json.dumps({"people": people, "objects": [], "background": []})
    assert run_collect(tmp_path / "videos", tmp_path / "out", config(server)).samples == 1
    (row,) = read_manifest(tmp_path / "out")
    record = json.loads(row["record"])
    middles = [np.mean([view["box"][0] + view["box"][2] for view in person["bodies"]]) for person in record["people"]]
    assert middles[0] > middles[1]  # the first mention is the person with box 2, on the right, as the server said
    assert len({(person["text"], person["occurrence"]) for person in record["people"]}) == 2
    (asked,) = server.seen
    pictures = [part for part in asked["messages"][-1]["content"] if part["type"] == "image_url"]
    assert len(pictures) == 3
    shown = Image.open(io.BytesIO(base64.b64decode(pictures[0]["image_url"]["url"].split(",")[1])))
    assert shown.size == (384, 320)


def test_a_server_that_is_away_stops_the_run_and_nothing_is_noted(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="NO OPENAI: pip install openai")
    spec = plain_clip(tmp_path / "videos")
    server.greetings = 1  # it goes away before the first clip
    with pytest.raises(InputError, match="the same command goes on where it stopped, also with --set reading.reader=rules"):
        run_collect(tmp_path / "videos", tmp_path / "out", config(server))
    assert not (tmp_path / "out" / "manifest.parquet").exists()
    server.greetings, server.answers[spec.caption.text] = 1000, "no JSON"
    report = run_collect(tmp_path / "videos", tmp_path / "out", config(server))  # two faults: the rules read
    assert report.dropped == {"ambiguous_names": 1} and not report.failed
    gone = replace(config(server), reading=replace(config(server).reading, server="http://127.0.0.1:9/v1"))
    with pytest.raises(InputError, match="127.0.0.1:9"):
        run_collect(tmp_path / "videos", tmp_path / "other", gone)
    assert not (tmp_path / "other").exists()
