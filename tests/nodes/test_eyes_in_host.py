"""Loaded eyes are in the host's memory manager: kept between runs, gone when it unloads models, then loaded again."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from lumosx_core.detection.people import PeopleDetector
from lumosx_core.detection.segment_folders import FolderSegmenter
from tests.core import tiny_eyes

PICTURE = Image.new("RGB", (64, 64), (200, 40, 40))


@pytest.fixture
def eyes(pack: Callable[[str], ModuleType]) -> ModuleType:
    """`nodes/comfy_eyes.py`."""
    return pack("nodes.comfy_eyes")


@pytest.fixture
def management(comfyui: Path) -> Any:
    """The host's memory manager, with nothing loaded."""
    assert comfyui.is_dir()
    import comfy.model_management

    comfy.model_management.unload_all_models()
    return comfy.model_management


def seen(finder: PeopleDetector) -> list[tuple[Any, float]]:
    """Boxes and scores of everything that the detector takes for people."""
    return [(found.box, found.score) for found in finder.find_people(PICTURE, 0.0)]


def held(management: Any) -> list[Any]:
    """The networks that the host's manager holds."""
    return [model.model.model[0] for model in management.current_loaded_models]


def test_the_host_unloads_a_detector_and_the_next_use_loads_it_again(eyes: ModuleType, management: Any, tmp_path: Path) -> None:
    folder = tiny_eyes.write_people_detector(tmp_path / "rtdetr")
    expected = seen(PeopleDetector(folder))
    assert len(expected) > 1
    finder = eyes.kept_finder(PeopleDetector(folder))
    assert seen(finder) == expected
    (network,) = held(management)
    assert eyes.kept_finder(PeopleDetector(folder)) is finder  # the next run's
    assert seen(finder) == expected
    assert held(management) == [network]  # loaded once
    gone = weakref.ref(network)
    del network
    management.unload_all_models()
    gc.collect()
    assert gone() is None and management.current_loaded_models == []
    assert seen(finder) == expected
    assert len(held(management)) == 1


def test_a_part_of_the_memory_takes_the_whole_network(eyes: ModuleType, management: Any, tmp_path: Path) -> None:
    finder = eyes.kept_finder(FolderSegmenter(tiny_eyes.write_sam2(tmp_path / "sam2")))
    loaded = finder.loaded()
    assert held(management) == [loaded.model]
    patcher = management.current_loaded_models[0].model
    assert patcher.partially_unload(patcher.offload_device, 1) == 0
    gone = weakref.ref(loaded.model)
    del loaded, patcher
    management.free_memory(1e30, management.get_torch_device())
    gc.collect()
    assert gone() is None and management.current_loaded_models == []
    assert finder.loaded().model is held(management)[0]


def test_other_files_are_other_eyes(eyes: ModuleType, management: Any, tmp_path: Path) -> None:
    folder = tiny_eyes.write_people_detector(tmp_path / "rtdetr")
    finder = eyes.kept_finder(PeopleDetector(folder))
    finder.find_people(PICTURE)
    (folder / "note.txt").write_text("other files")
    other = eyes.kept_finder(PeopleDetector(folder))
    assert other is not finder and held(management) == []
    other.find_people(PICTURE)
    management.unload_all_models()
    (folder / "note.txt").write_text("other files once more")
    assert eyes.kept_finder(PeopleDetector(folder)) is not other  # of one that the host has unloaded before
