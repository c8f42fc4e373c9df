"""Configurations: all faults at once, with ranges and the nearest known name; what is written is read back."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from lumosx_core.data.collect_config import COLLECT_PRESETS, PHOTO, PUPPETS, CollectConfig, KeepSettings
from lumosx_core.data.settings import read_config, to_toml
from lumosx_core.errors import InputError


def test_a_file_and_changes_give_the_values_they_name(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[keep]\nleast_face = 96\nfound = 1\n[models]\ndevice = "cuda"\n', "utf-8")
    config = read_config(CollectConfig, PHOTO, path, ["keep.least_face=80", "shots.hdr=drop", "keep.ahead = 0.5"])
    assert (config.keep.least_face, config.keep.found, config.keep.ahead) == (80, 1.0, 0.5)
    assert isinstance(config.keep.found, float) and config.models.device == "cuda" and config.shots.hdr == "drop"
    assert replace(config, keep=PHOTO.keep, models=PHOTO.models, shots=PHOTO.shots) == PHOTO


def test_all_faults_are_told_at_once_with_ranges_and_the_nearest_name(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[keep]\nleast_fase = 3\nfound = 2.0\nmost_people = "many"\n[kepe]\nx = 1\n', "utf-8")
    with pytest.raises(InputError) as caught:
        read_config(CollectConfig, PHOTO, path, ["shots.fps=0.5", "keep", "shots.hdr=maybe", "nothing.x=1", "keep.ahead=true"])
    told = str(caught.value)
    for part in (
        "keep.least_fase is unknown; did you mean least_face?",
        "keep.found is '2.0', expected a number from 0 to 1",
        "keep.most_people is 'many', expected a whole number from 1 to 12",
        "[kepe] is no section; did you mean keep?",
        "shots.fps is '0.5', expected a number from 1 to 120",
        "'keep' is no change; write section.name=value",
        "shots.hdr is 'maybe', expected 'tone_map' or 'drop'",
        "'nothing' is no section",
        "keep.ahead is 'true', expected a number",
    ):
        assert part in told


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    for preset in COLLECT_PRESETS.values():
        path = tmp_path / "c.toml"
        path.write_text(to_toml(preset), "utf-8")
        assert read_config(CollectConfig, CollectConfig(), path) == preset


def test_every_setting_says_what_it_means_and_has_a_range() -> None:
    for section in fields(CollectConfig):
        for field in fields(getattr(PUPPETS, section.name)):
            assert len(field.metadata["about"]) > 15, f"{section.name}.{field.name}"
            number = isinstance(field.default, (int, float)) and not isinstance(field.default, bool)
            assert not number or None not in (field.metadata["least"], field.metadata["most"]), f"{section.name}.{field.name}"


def test_bad_files_and_values_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[keep\n", "utf-8")
    with pytest.raises(InputError, match="is no TOML"):
        read_config(CollectConfig, PHOTO, path)
    with pytest.raises(InputError, match="no configuration at"):
        read_config(CollectConfig, PHOTO, tmp_path / "none.toml")
    with pytest.raises(InputError, match="found is '7', expected"):
        KeepSettings(found=7)
