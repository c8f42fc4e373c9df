"""The metric `judge` against a real HTTP server with recorded and with broken answers, and how far it agrees with `binding`."""

import argparse
import importlib.metadata
import json
import math
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumosx_core import packages
from lumosx_core.cli.evaluate_runs import add_run_commands
from lumosx_core.cli.main import main
from lumosx_core.data.relations.server_transport import ServerSettings
from lumosx_core.errors import InputError
from lumosx_core.evaluation.generate_run import take_videos
from lumosx_core.evaluation.metrics.judge import Judge
from lumosx_core.evaluation.report import agreement
from lumosx_core.evaluation.scoring import Score, lacking_of
from lumosx_core.evaluation.server_judge import ServerJudge
from lumosx_core.evaluation.statistics import kappa
from lumosx_core.files.videos import write_video
from lumosx_core.references import Attribute, ReferenceSet, Sample, Subject
from lumosx_core.sample_folder import write_sample

pytest.importorskip("openai")


def first_words(**shares: float) -> dict:
    """A recorded answer: these probabilities of its first word, "_" for a space before it."""
    words = [{"token": word.replace("_", " "), "logprob": math.log(share)} for word, share in shares.items()]
    choice = {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "?"}}
    return {"choices": [{**choice, "logprobs": {"content": [{"token": "?", "logprob": -1.0, "top_logprobs": words}]}}]}


BREAKS_OFF = b'{"choices": [{"logp'


class Server:
    """Answers one thing after the other, and greets."""

    def __init__(self) -> None:
        self.answers: list[object] = []
        self.asked: list[dict] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if "Say hello." in json.dumps(asked["messages"]):
                    answer: object = {
                        "choices": [{"message": {"content": '{"greeting": "quokka-7319"}'}, "finish_reason": "stop"}]
                    }
                else:
                    server.asked.append(asked)
                    answer = server.answers[min(len(server.asked), len(server.answers)) - 1]
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(answer if isinstance(answer, int) else 200)
                self.send_header("Content-Type", "application/json")
                if answer is BREAKS_OFF:
                    self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def judge(self) -> ServerJudge:
        return ServerJudge(ServerSettings(model="m", url=self.url, timeout_s=20, longest_wait_s=0.01))


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    pictures = [Image.new("RGB", (900, 300), (n * 60, 20, 20)) for n in range(3)]
    things = (Attribute(phrase="red hat", image=pictures[1]), Attribute(phrase="bag", image=pictures[2]))
    subjects = (Subject(name="man", face=pictures[0], attributes=things),)
    write_sample(tmp_path / "case" / "sample", Sample(prompt="a man", references=ReferenceSet(subjects=subjects)))
    return tmp_path / "case" / "sample"


VIDEO = np.full((17, 40, 48, 3), 99, np.uint8)


def test_recorded_answers_become_probabilities(server: Server, sample: Path) -> None:
    server.answers = [first_words(Yes=0.5, _yes=0.1, no=0.2, maybe=0.1), first_words(No=0.9, NO=0.05, yes=0.05)]
    metric = Judge(server.judge())
    values = metric.score(VIDEO, sample)
    assert [thing["yes"] for thing in values["things"]] == [0.75, 0.05]
    assert metric.figures(values) == {"yes": (1, 2), "answered": (2, 2), "sureness of yes": (pytest.approx(0.8), 2)}
    assert metric.note(values) == "red hat of person 1: yes (0.75); bag of person 1: no (0.05)"
    content = server.asked[0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url"] * 5 + ["text"]  # face, thing, three frames
    assert "a thing (red hat); the last 3 pictures are frames of a video" in content[-1]["text"]
    assert (server.asked[0]["logprobs"], server.asked[0]["top_logprobs"], server.asked[0]["max_tokens"]) == (True, 20, 1)
    assert metric.figures(metric.missing(sample)) == {"yes": (0, 2), "answered": (2, 2), "sureness of yes": (0, 2)}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (first_words(maybe=0.9, perhaps=0.1), "neither yes nor no"),
        (first_words(The=0.9999, yes=7e-5, no=1e-5), "neither yes nor no"),
        (first_words(The=0.55, yes=0.4, no=0.05), "neither yes nor no"),
        ({"choices": [{"message": {"content": "Yes"}, "finish_reason": "stop"}]}, "tells no log-probabilities"),
        ({"choices": [{"logprobs": {"content": [{"top_logprobs": [{"token": "yes", "logprob": "x"}]}]}}]}, "tells no log-prob"),
        (
            b'{"choices": [{"logprobs": {"content": [{"top_logprobs": [{"token": "yes", "logprob": NaN}]}]}}]}',
            "tells no log-prob",
        ),
        ({"choices": []}, "tells no log-probabilities"),
        (b"<html>", "tells no log-probabilities"),
        (400, "the server refuses"),
    ],
)
def test_broken_answers_are_recorded_and_counted(server: Server, sample: Path, answer: object, why: str) -> None:
    server.answers = [answer, first_words(yes=1.0)]
    metric = Judge(server.judge())
    values = metric.score(VIDEO, sample)
    assert values["things"][0]["yes"] is None and why in values["things"][0]["why"]
    assert metric.figures(values) == {"yes": (1, 1), "answered": (1, 2), "sureness of yes": (1, 1)}
    assert f"red hat of person 1: no answer ({values['things'][0]['why']})" in metric.note(values)


@pytest.mark.parametrize(
    ("fault", "told"), [(429, "status 429"), (408, "status 408"), (503, "status 503"), (BREAKS_OFF, "the answer broke off")]
)
def test_a_busy_server_is_asked_again_and_what_it_never_answers_is_not_kept(
    server: Server, sample: Path, fault: int | bytes, told: str
) -> None:
    server.answers = [fault, fault, first_words(yes=0.9, no=0.1), fault, first_words(no=1.0)]
    assert [thing["yes"] for thing in Judge(server.judge()).score(VIDEO, sample)["things"]] == [0.9, 0.0]
    server.answers, server.asked = [fault], []
    with pytest.raises(InputError, match=f"did not answer one question 3 times .*{told}.*goes on where it stopped"):
        Judge(server.judge()).score(VIDEO, sample)
    assert len(server.asked) == 3


def test_a_judge_without_openai_says_what_to_install(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(InputError, match="a model behind a server needs the package openai; run  pip install"):
        Judge(ServerJudge(ServerSettings(model="m"))).score(VIDEO, sample)
    monkeypatch.setattr(packages.importlib.metadata, "version", missing_distribution)
    assert "named with --judge; openai, run  " in lacking_of("judge", Path("models"))


def missing_distribution(name: str) -> str:
    raise importlib.metadata.PackageNotFoundError(name)


def test_a_judge_that_is_not_there_is_told(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="no server answers at http://127.0.0.1:9/v1"):
        Judge(ServerJudge(ServerSettings(model="m", url="http://127.0.0.1:9/v1", timeout_s=5))).score(VIDEO, sample)
    with pytest.raises(InputError, match="needs a server with a model; name them with --judge and --judge-url") as told:
        Judge().score(VIDEO, sample)
    parser = argparse.ArgumentParser()
    add_run_commands(parser.add_subparsers())
    named = re.findall(r"--[\w-]+", str(told.value))
    assert vars(parser.parse_args(["score", "run", *(word for name in named for word in (name, "x"))]))["judge_url"] == "x"
    write_sample(tmp_path / "samples" / "one", Sample(prompt="nobody", references=ReferenceSet()))
    assert main(["evaluate", "suite", "--samples", str(tmp_path / "samples"), "--out", str(tmp_path / "suite")]) == 0
    write_video(tmp_path / "videos" / "one.mp4", VIDEO, 8)
    run = take_videos(tmp_path / "suite", tmp_path / "videos", tmp_path / "run")
    assert main(["evaluate", "score", str(run.folder), "--metrics", "judge"]) == 2
    assert "name it with --judge, and its server with --judge-url" in capsys.readouterr().err
    for option in (["--judge", "m"], ["--judge-url", "http://127.0.0.1:9/v1"]):
        assert main(["evaluate", "score", str(run.folder), "--metrics", "motion", *option]) == 2
        assert "--judge and --judge-url are of the metric judge; add it to --metrics" in capsys.readouterr().err
    for device in ("gpu", "cuda:99"):
        assert main(["evaluate", "score", str(run.folder), "--metrics", "motion", "--device", device]) == 2
        assert f"device '{device}' cannot be used" in capsys.readouterr().err


def test_agreement_beyond_chance() -> None:
    yes, no = (True, True), (False, False)
    assert kappa([yes, no, yes, no]) == 1 and kappa([(True, False), (False, True)]) == -1
    assert kappa([yes] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [no] * 15) == pytest.approx(0.4)  # Cohen's own form
    assert kappa([]) is None and kappa([yes] * 3) is None
    outcomes, said = ("bound", "swapped", "hidden", "bound"), (0.9, 0.6, 0.9, None)
    one = {"a": Score(case="a", metric="binding", values={"things": [{"outcome": outcome} for outcome in outcomes]})}
    other = {"a": Score(case="a", metric="judge", values={"things": [{"yes": yes} for yes in said]})}
    assert agreement(one, other) == {"things": 2, "agree": 0.5, "kappa": 0.0}
    assert agreement(one, {}) is None
    missing = {"things": [{"outcome": "missing"}]}
    gaps = {"b": Score(case="b", metric="binding", values=missing, gap="no video")}
    never = {"b": Score(case="b", metric="judge", values={"things": [{"yes": 0.0}]}, gap="no video")}
    assert agreement(gaps, never) is None and agreement(one | gaps, other | never) == agreement(one, other)
