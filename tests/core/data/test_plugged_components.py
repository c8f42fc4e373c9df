"""Finders of another package: named in the configuration as package.module:function."""

from dataclasses import replace
from pathlib import Path

import pytest

from lumosx_core.data.collect_config import ModelSettings
from lumosx_core.data.components import Components, components_digest, is_function, make_components
from lumosx_core.errors import InputError
from lumosx_core.puppets.analyser import PuppetAnalyser


def own_components(settings: ModelSettings) -> Components:
    eyes = PuppetAnalyser()
    return Components(people=eyes, faces=eyes, phrases=eyes, masks=eyes, captioner=None, digest=f"own on {settings.device}")


def no_components(settings: ModelSettings) -> str:
    return settings.eyes


def test_the_named_function_gives_the_finders() -> None:
    settings = ModelSettings(eyes=f"{__name__}:own_components")
    assert isinstance(make_components(settings).people, PuppetAnalyser)
    assert components_digest(settings) == "own on cpu"


@pytest.mark.parametrize("name, told", [("nothing_here", "there is no such function"), ("no_components", "gave str")])
def test_another_name_is_told(name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        make_components(ModelSettings(eyes=f"{__name__}:{name}"))


def test_everything_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    settings = ModelSettings(eyes=str(tmp_path / "eyes"), filler=str(tmp_path / "lama.onnx"))
    with pytest.raises(InputError, match=r"eyes(.|\n)*lama\.onnx"):
        make_components(settings)
    with pytest.raises(InputError, match=r"lama\.onnx"):
        make_components(replace(settings, eyes="puppets"))


def test_folders_are_no_functions() -> None:
    assert is_function("package.module:eyes")
    assert not any(map(is_function, ("models/eyes", "C:\\models", "C:models", "D:/eyes", "puppets", "a:b/c")))
