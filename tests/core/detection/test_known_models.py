"""The table of models: what is there is found, what is missing is told with source, licence and folder."""

from pathlib import Path

import pytest

from lumosx_core.detection.known_models import METRIC_ROLES, MODELS, ROLES, available_models, missing_files, model_folder
from lumosx_core.detection.opencv_faces import SFACE, YUNET
from lumosx_core.detection.real_eyes import real_eyes
from lumosx_core.errors import InputError


def test_every_role_has_a_model_and_every_model_a_role() -> None:
    assert {known.role for known in MODELS.values()} == {*ROLES, *METRIC_ROLES}
    assert MODELS["yunet_sface"].needed == (YUNET, SFACE)
    assert all(known.source and known.terms and known.needed for known in MODELS.values())


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    (tmp_path / "owlv2").mkdir()
    (tmp_path / "owlv2" / "config.json").write_text("{}")
    assert missing_files(tmp_path, "owlv2") == ["preprocessor_config.json", "tokenizer_config.json"]
    with pytest.raises(InputError, match=r"has no preprocessor_config.json and no tokenizer_config.json; get google/owlv2"):
        model_folder(tmp_path, "owlv2")
    assert available_models(tmp_path, "phrases") == []
    for name in missing_files(tmp_path, "owlv2"):
        (tmp_path / "owlv2" / name).write_text("{}")
    assert available_models(tmp_path, "phrases") == ["owlv2"] and model_folder(tmp_path, "owlv2") == tmp_path / "owlv2"
    with pytest.raises(InputError, match="nothing finds people; put .*non-commercial research only") as told:
        real_eyes(tmp_path)
    assert "finds things by words" not in str(told.value)


def test_the_best_model_that_is_there_is_taken(tmp_path: Path) -> None:
    for name in ("d_fine", "insightface", "grounding_dino", "sam", "sam2"):
        for file in MODELS[name].needed:
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / file).touch()
    eyes = real_eyes(tmp_path)
    assert eyes.people.folder == tmp_path / "d_fine" and eyes.phrases.folder == tmp_path / "grounding_dino"  # type: ignore[attr-defined]
    assert eyes.masks.folder == tmp_path / "sam2" and eyes.faces.root == tmp_path / "insightface"  # type: ignore[attr-defined]
