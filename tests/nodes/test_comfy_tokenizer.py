"""Tokens of the graph are the tokens that the host's CLIP Text Encode makes of the same prompt."""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lumosx_core.errors import InputError
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.tokenizers import clean_text

Nano = tuple[Any, Any, Any]  # MODEL, CLIP, VAE
END = 1
PROMPTS = [
    "A girl wearing a red hat next to a kid in a dress waving in the park.",
    'Na\u00efve "caf\u00e9" people, 2nd of 3; \ufb01ne\u2026',
    r"a man \(tall\) and a woman \(in red\)",
    "a :) man",
    "",
]


@pytest.fixture(scope="module")
def tokenizer(pack: Callable[[str], ModuleType]) -> ModuleType:
    return pack("nodes.comfy_tokenizer")


@pytest.fixture(scope="module", params=["nano", "wan"])
def clip(request: pytest.FixtureRequest, nano: Nano) -> Any:
    """The nano CLIP, and the host's own class for UMT5-XXL with the nano vocabulary in it."""
    if request.param == "nano":
        return nano[1]
    from comfy.text_encoders.wan import WanT5Tokenizer

    vocabulary = (NANO_FOLDER / "spiece.model").read_bytes()
    wan = WanT5Tokenizer(tokenizer_data={"spiece_model": vocabulary})
    return SimpleNamespace(tokenizer=wan, tokenize=wan.tokenize_with_weights)


def ids_of_host(clip: Any, prompt: str) -> list[int]:
    """What CLIP Text Encode would encode, up to its end token; all weights must be 1."""
    (pairs,) = clip.tokenize(prompt)["umt5xxl"]
    assert all(weight == 1.0 for _, weight in pairs)
    ids = [int(token) for token, _ in pairs]
    return ids[: ids.index(END)]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_ids_are_those_of_clip_text_encode(tokenizer: ModuleType, clip: Any, prompt: str) -> None:
    plain = tokenizer.plain_prompt(prompt)
    reader = tokenizer.prompt_tokenizer(clip).tokenizer
    cleaned = clean_text(plain)
    assert reader.encode(plain) == ids_of_host(clip, tokenizer.host_prompt(cleaned))
    assert [piece[0] for piece in reader.pieces(plain)] == reader.encode(plain)
    covered = "".join(cleaned[start:end] for _, start, end in reader.pieces(plain))
    assert covered.replace(" ", "") == cleaned.replace(" ", "")


def test_text_len_is_what_the_host_pads_to(tokenizer: ModuleType, clip: Any) -> None:
    assert tokenizer.prompt_tokenizer(clip).text_len == len(clip.tokenize("a man")["umt5xxl"][0])


def test_parentheses_go_in_and_out(tokenizer: ModuleType) -> None:
    assert tokenizer.plain_prompt(r"a \(tall\) man") == "a (tall) man"
    for text in ("a (tall) man", "plain", "f(x) (y)", ":)"):
        assert tokenizer.plain_prompt(tokenizer.host_prompt(text)) == text


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("a (man:1.2) in a hat", r"\(man:1\.2\)"),
        ("a (man) in a hat", r"\(man\)"),
        ("a man (in a hat", r"'\('"),
        ("((a man))", r"\(\(a man\)"),
    ],
)
def test_weights_are_refused_with_the_way_out(tokenizer: ModuleType, prompt: str, named: str) -> None:
    with pytest.raises(InputError, match=rf"(?s){named}.*as a weight.*write the word without weight"):
        tokenizer.plain_prompt(prompt)


def test_embeddings_are_refused(tokenizer: ModuleType) -> None:
    with pytest.raises(InputError, match="embedding:smile"):
        tokenizer.plain_prompt("a man embedding:smile in a hat")
    assert tokenizer.plain_prompt("preembedding:smile") == "preembedding:smile"


def test_another_clip_is_refused_by_name(tokenizer: ModuleType) -> None:
    from comfy.sd1_clip import SD1ClipModel, SD1Tokenizer

    other = SimpleNamespace(tokenizer=SD1Tokenizer(), cond_stage_model=SD1ClipModel.__new__(SD1ClipModel))
    with pytest.raises(InputError, match="this CLIP is SD1ClipModel; .*umt5_xxl"):
        tokenizer.prompt_tokenizer(other)
