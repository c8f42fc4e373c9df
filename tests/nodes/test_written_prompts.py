"""The prompts that a running workflow shows: found behind the right inputs, and nothing claimed that is not seen."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def written(pack: Callable[[str], ModuleType]) -> ModuleType:
    """`nodes/written_prompts.py`."""
    return pack("nodes.written_prompts")


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def encode(text: Any) -> dict[str, Any]:
    return node("CLIPTextEncode", clip=["clip", 0], text=text)


WORKFLOW = {
    "one": encode("one"),
    "two": encode(["held", 0]),
    "held": node("PrimitiveString", value=["multi", 0]),
    "multi": node("PrimitiveStringMultiline", value="two"),
    "graph": node("LumosXRelationGraph", prompt="three"),
    "three": encode(["graph", 1]),
    "four": encode(["joined", 0]),
    "joined": node("StringConcatenate", string_a="fo", string_b="ur"),
    "bad": encode("not wanted"),
    "both": node("ConditioningCombine", conditioning_1=["one", 0], conditioning_2=["late", 0]),
    "late": node("ConditioningSetTimestepRange", conditioning=["two", 0], start=0.5, end=1.0),
    "control": node("ControlNetApplyAdvanced", positive=["both", 0], negative=["bad", 0], strength=1.0),
    "apply": node("LumosXApply", model=["loader", 0], references=["encoded", 0]),
    "lora": node("LoraLoader", model=["apply", 0], clip=["clip", 0], strength=1.0),
    "sampler": node("SamplerCustom", model=["lora", 0], positive=["control", 0], negative=["bad", 0], cfg=6.0),
    "guider": node("BasicGuider", model=["apply", 0], conditioning=["three", 0]),
    "other": node("KSampler", model=["loader", 0], positive=["bad", 0], negative=["one", 0]),
}


@pytest.mark.parametrize(
    ("at", "texts"),
    [
        ("sampler", {"one", "two"}),
        ("guider", set()),
        ("other", {"not wanted"}),
        ("apply", set()),
        ("gone", set()),
        (None, set()),
    ],
)
def test_what_is_typed_behind_the_prompt_of_a_sampler(written: ModuleType, at: str | None, texts: set[str]) -> None:
    assert set(written.prompts_into(WORKFLOW, at)) == texts


def test_what_is_typed_for_the_samplers_of_a_model(written: ModuleType) -> None:
    assert set(written.prompts_beside(WORKFLOW, "apply")) == {"one", "two"}
    assert set(written.prompts_beside(WORKFLOW, "loader")) == {"one", "two", "not wanted"}
    assert written.prompts_beside(WORKFLOW, "sampler") == written.prompts_beside(None, "apply") == []


def test_circles_and_what_is_no_workflow_end(written: ModuleType) -> None:
    circle = {
        "a": node("ConditioningCombine", conditioning_1=["b", 0], conditioning_2=["a", 0]),
        "b": node("ConditioningCombine", conditioning_1=["a", 0], conditioning_2=["text", 0], conditioning_3=["gone", 0]),
        "text": encode(["string", 0]),
        "string": node("PrimitiveString", value=["string", 0]),
        "model": node("LumosXApply", model=["model", 0]),
        "odd": {"class_type": "SamplerCustom", "inputs": None},
        "odder": {},
    }
    assert written.prompts_into(circle, "a") == written.prompts_beside(circle, "model") == []
    assert written.prompts_into(circle, "odd") == written.prompts_into(circle, "odder") == []
