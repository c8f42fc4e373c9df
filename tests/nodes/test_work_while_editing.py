"""The cost that is shown while a video is planned is that of a run."""

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from lumosx_core.errors import InputError

pytestmark = pytest.mark.usefixtures("host_folders")


@pytest.fixture
def editing(pack: Callable[[str], ModuleType]) -> ModuleType:
    return pack("nodes.work_while_editing")


def ask(editing: ModuleType, size: tuple[int, int, int] = (832, 480, 81), **more: Any) -> dict:
    return editing.estimate(json.dumps({**dict(zip(("width", "height", "length"), size, strict=True)), **more}).encode())


def test_the_cost_is_that_of_a_run(editing: ModuleType) -> None:
    assert ask(editing)["work"] == {"tokens": 32_760, "pictures": 0, "step": 1, "memory": 1}
    work = ask(editing, subjects=[2, 2])["work"]  # a face and an attribute each: 1,560 tokens a picture
    assert (work["tokens"], work["pictures"], work["memory"]) == (39_000, 4, 39_000 / 32_760)
    assert work == ask(editing, background=True, objects=3)["work"] | {"step": work["step"]}
    assert 1.1 < work["step"] < 1.4
    counts = ask(editing, (96, 80, 17), sample="two_people", objects=1, background=True, subjects=[0, 3])["work"]["pictures"]
    assert counts == ask(editing, (96, 80, 17), sample="two_people")["work"]["pictures"] + 5


def test_warnings_are_those_of_a_run(editing: ModuleType) -> None:
    assert ask(editing, (96, 80, 17), nano=True)["warning"] == "" == ask(editing)["warning"]
    assert "LumosX Nano was made for 96 x 80 pixels and 17 frames, this is 832" in ask(editing, nano=True)["warning"]
    for size, said in (((850, 480, 81), "width is 850"), ((832, 480, 80), "length is 80"), ((4096, 4096, 1001), "places")):
        found = ask(editing, size)
        assert found["work"] is None and said in found["warning"]
    assert "there is no sample" in ask(editing, sample="../../etc")["warning"]


@pytest.mark.parametrize("more", [{"subjects": [-1]}, {"objects": 501}, {"subjects": [[1]]}, {"nano": 1}, {"prompt": "a"}])
def test_what_is_no_plan_is_refused(editing: ModuleType, more: dict) -> None:
    with pytest.raises(InputError, match="the page asks"):
        ask(editing, **more)


def test_nano_s_own_sizes_are_those_that_the_page_takes(pack: Callable[[str], ModuleType]) -> None:
    from lumosx_core.sampling.config import read_defaults
    from lumosx_core.sampling.pipeline import NANO_FOLDER

    made_for = read_defaults(NANO_FOLDER)
    script = (pack("nodes.comfy_routes").PACK / "web" / "js" / "owned_words.js").read_text("utf-8")
    assert f"{{ width: {made_for.width}, height: {made_for.height}, length: {made_for.frames} }}" in script
