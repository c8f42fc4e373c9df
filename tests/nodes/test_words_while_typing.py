"""The verdict on a prompt that is being typed is the run's own, and its route answers every request with a status."""

import asyncio
import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from typed_prompts import CASTS, PROMPTS, run_verdict

from lumosx_core.drawing.palette import BACKGROUND_COLOUR, OBJECT_COLOURS, SUBJECT_COLOURS
from lumosx_core.errors import InputError

Nano = tuple[Any, Any, Any]  # MODEL, CLIP, VAE

pytestmark = pytest.mark.usefixtures("host_folders")


@pytest.fixture
def typing(pack: Callable[[str], ModuleType]) -> ModuleType:
    return pack("nodes.words_while_typing")


def ask(typing: ModuleType, prompt: str, cast: dict, **more: Any) -> dict:
    return typing.answer(json.dumps({"prompt": prompt, "nano": True, **cast, **more}).encode())


@pytest.mark.parametrize("name", list(CASTS))
def test_the_verdict_is_that_of_a_run(
    pack: Callable[[str], ModuleType], typing: ModuleType, nano: Nano, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    conditioning = pack("nodes.conditioning_nodes")
    monkeypatch.setattr(conditioning, "draw_relation_graph", lambda *_: typing.DOT)  # takes longer than all the rest
    kinds = set()
    for prompt in PROMPTS[name]:
        refused, owned, missing, others = run_verdict(conditioning, nano[1], CASTS[name], prompt)
        found = ask(typing, prompt, CASTS[name])
        assert found["refused"] == refused
        assert [found["text"][start:end] for start, end, _ in found["places"]] == owned, prompt
        errors = [each for each in found["problems"] if each["error"]]
        assert [each["phrase"] for each in errors if each["kind"] == "not_found"] == missing, prompt
        assert [each["message"] for each in errors if each["kind"] != "not_found"] == others, prompt
        kinds |= {each["kind"] for each in errors} | ({"refused"} if refused else set())
    assert len(PROMPTS[name]) == 20 and len(kinds) >= 3, kinds


def test_what_is_right_raises_no_alarm(typing: ModuleType) -> None:
    for name, number in (("two_men", 0), ("two_men", 3), ("man_and_woman", 1), ("chinese", 0), ("chinese", 4)):
        found = ask(typing, PROMPTS[name][number], CASTS[name], nano=name != "chinese")  # of which nano's vocabulary has none
        assert not found["refused"] and not [each for each in found["problems"] if each["error"]], PROMPTS[name][number]


def test_words_that_are_missing_offer_the_nearest_ones_that_are_free(typing: ModuleType) -> None:
    for prompt, phrase, nearest in (
        ("A man in a red jackett waves.", "red jacket", "red jackett"),
        (
            "\u4e00\u4e2a\u7a7f\u7ea2\u8272\u5939\u514b\u7684\u4eba",
            "\u7ea2\u8272\u5916\u5957",
            "\u7ea2\u8272\u5939\u514b",
        ),
        ("Nobody is there.", "red jacket", None),
    ):
        found = ask(typing, prompt, {"objects": [{"words": phrase}]}, nano=False)
        (problem,) = [each for each in found["problems"] if each["kind"] == "not_found"]
        assert (nearest in problem["nearest"]) if nearest else not problem["nearest"], problem
    owned = {"objects": [{"words": "red hat"}, {"words": "red hats"}]}
    (problem,) = [
        each for each in ask(typing, "a red hat", {**owned, "nano": False})["problems"] if each["kind"] == "not_found"
    ]
    assert problem["nearest"] == ()  # it belongs to the other


def test_all_words_of_the_owners_are_offered_with_their_tags(typing: ModuleType) -> None:
    offered = ask(typing, "", CASTS["two_men"])["offered"]
    assert [(each["text"], each["tag"]) for each in offered] == [
        ("caf\u00e9", "@caf\u00e9"), ("red lamp", "@red_lamp"), ("man", "@1"), ("hat", "@1.hat"), ("man", "@ben"),
        ("hat", "@ben.hat"), ("bag", "@ben.bag"),
    ]  # fmt: skip
    whole = ", ".join(each["tag"] for each in offered)
    found = ask(typing, whole, CASTS["two_men"])
    assert not [each for each in found["problems"] if each["error"]] and len(found["places"]) == len(offered)
    same = {"subjects": [{"words": "man", "face": True, "attributes": [{"words": "red hat"}, {"words": "blue hat"}]}]}
    assert [each["tag"] for each in ask(typing, "x", same)["offered"]] == ["@1", "@1.red_hat", "@1.blue_hat"]
    twice = {"objects": [{"words": "ball"}, {"words": "ball"}]}
    assert [each["tag"] for each in ask(typing, "x", twice)["offered"]] == ["", ""]


def test_the_words_of_a_whole_sample_count(typing: ModuleType) -> None:
    found = ask(typing, "", {"sample": "two_people"})  # its caption
    assert not found["refused"] and len(found["places"]) == len(found["offered"]) > 3
    more = ask(typing, "A lamp.", {"sample": "two_people", "objects": [{"words": "lamp"}]})
    assert [more["text"][a:b] for a, b, _ in more["places"]] == ["lamp"]
    assert "there is no sample" in ask(typing, "A lamp.", {"sample": "../../etc"})["refused"]


def test_places_have_their_owners_colours(typing: ModuleType) -> None:
    found = ask(typing, PROMPTS["two_men"][0], CASTS["two_men"])
    first, second = SUBJECT_COLOURS[:2]
    expected = [first, first, second, second, second, OBJECT_COLOURS[0], BACKGROUND_COLOUR]
    assert [colour for _, _, colour in found["places"]] == ["#" + bytes(each).hex() for each in expected]


def test_without_a_run_whole_words_count_and_no_limit(typing: ModuleType) -> None:
    typing._latest.clear()
    beyond = PROMPTS["two_men"][17]
    assert {each["kind"] for each in ask(typing, beyond, CASTS["two_men"])["problems"] if each["error"]} == {"beyond_text_len"}
    free = ask(typing, beyond, CASTS["two_men"], nano=False)
    assert not [each for each in free["problems"] if each["error"]] and len(free["places"]) == 7
    tokenizer = typing.nano_reader().tokenizer
    kept = type(tokenizer)(tokenizer.processor.serialized_model_proto())
    typing.remember(typing.PromptTokenizer(kept, 40))  # another model's, which reads even less
    assert any(each["kind"] == "beyond_text_len" for each in ask(typing, beyond, CASTS["two_men"], nano=False)["problems"])
    del kept
    assert ask(typing, beyond, CASTS["two_men"], nano=False) == free


BROKEN = [
    b"", b"[]", b"{", b"\xff", b'{"prompt": 3}', b'{"prompt": "a", "more": 1}', b'{"prompt": NaN}', b"[" * 100_000,
    b'{"prompt": "a", "subjects": [1]}', b'{"prompt": "a", "subjects": [{"words": "a", "occurrence": "1"}]}',
    b'{"prompt": "a", "subjects": {"words": "a"}}', b'{"prompt": "a", "nano": 1}',
]  # fmt: skip


@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_question_is_refused(typing: ModuleType, body: bytes) -> None:
    with pytest.raises(InputError, match="the page asks"):
        typing.answer(body)


@pytest.mark.parametrize(
    ("prompt", "person"),
    [
        ("a man", {"words": "", "face": True}),
        ("a man", {"words": "man", "tag": "a b", "face": True}),
        ("a man", {"words": "man", "occurrence": -1, "face": True}),
        ("a man", {"words": "man", "face": True, "attributes": [{"words": " "}]}),
        ("a \ud800 man", {"words": "man", "face": True}),
        ("a man " * 20_000, {"words": "man", "face": True}),
        ("a man", {"words": "man" * 2000, "face": True}),
    ],
    ids=range(7),
)
def test_what_a_run_refuses_is_said(typing: ModuleType, prompt: str, person: dict) -> None:
    found = ask(typing, prompt, {"subjects": [person]})
    assert found["refused"] and found["text"] == prompt and not found["places"]
    json.dumps(found).encode("ascii")


def test_the_route_answers_with_a_status(pack: Callable[[str], ModuleType]) -> None:
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

    routes, limit = pack("nodes.comfy_routes"), pack("nodes.words_while_typing").LONGEST_QUESTION

    async def statuses() -> list[int]:
        app = web.Application()
        app.router.add_post(routes.WORDS, routes.words)
        question = {"prompt": "a man", "nano": True, "subjects": [{"words": "man", "face": True}]}
        async with TestClient(TestServer(app)) as client:
            good = await client.post(routes.WORDS, json=question)
            assert [place[:2] for place in (await good.json())["places"]] == [[2, 5]]
            bad = [await client.post(routes.WORDS, data=data) for data in (b"{", b" " * (limit + 1))]
            return [good.status, *(answer.status for answer in bad)]

    assert asyncio.run(statuses()) == [200, 400, 413]
