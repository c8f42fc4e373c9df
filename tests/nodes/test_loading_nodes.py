"""The nano model and sample folders as nodes, and the way from a sample to a graph."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lumosx_core.errors import InputError
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.sample_folder import read_sample

Nano = tuple[Any, Any, Any]  # MODEL, CLIP, VAE
EMBEDDED = sorted(path.name for path in SAMPLES_FOLDER.iterdir())


@pytest.fixture(scope="module")
def nodes(pack: Callable[[str], ModuleType]) -> ModuleType:
    return pack("nodes.loading_nodes")


def choices(nodes: ModuleType) -> list[str]:
    return nodes.SampleFolder.define_schema().inputs[0].options


def test_nano_gives_what_the_host_calls_model_clip_and_vae(nodes: ModuleType) -> None:
    import comfy.model_patcher
    import comfy.sd

    model, clip, vae = nodes.Nano.execute().args
    assert isinstance(model, comfy.model_patcher.ModelPatcher)
    assert (type(clip), type(vae)) == (comfy.sd.CLIP, comfy.sd.VAE)


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_sample_gives_the_graph_of_its_folder(
    nodes: ModuleType, pack: Callable[[str], ModuleType], nano: Nano, host_folders: Path, name: str
) -> None:
    assert host_folders.is_dir()
    *subjects, thing, background, prompt, picture = nodes.SampleFolder.execute(name).args
    graph = (
        pack("nodes.conditioning_nodes")
        .RelationGraphNode.execute(
            nano[1], prompt, {f"subject_{n}": each for n, each in enumerate(subjects, start=1)}, {"object_1": thing}, background
        )
        .args[0]
    )
    sample = read_sample(SAMPLES_FOLDER / name)
    assert (graph.references, graph.bound.prompt) == (sample.references, sample.prompt)
    assert len(subjects) == 3
    assert picture.shape[0] == 1 and picture.shape[3] == 3


def test_own_folders_are_offered_and_read(nodes: ModuleType, host_folders: Path) -> None:
    assert choices(nodes) == EMBEDDED
    own = host_folders / "input" / "lumosx" / "mine"
    shutil.copytree(SAMPLES_FOLDER / "two_people", own)
    (host_folders / "input" / "lumosx" / "no_sample").mkdir()
    (own / "caption.txt").write_text("a person (tall) in a dress and a hat, a person in a dress and a hat", "utf-8")
    assert choices(nodes) == [*EMBEDDED, "input/lumosx/mine"]
    before = nodes.SampleFolder.fingerprint_inputs("input/lumosx/mine")
    prompt = nodes.SampleFolder.execute("input/lumosx/mine").args[5]
    assert prompt == r"a person \(tall\) in a dress and a hat, a person in a dress and a hat"
    (own / "caption.txt").write_text("a person", "utf-8")
    assert nodes.SampleFolder.fingerprint_inputs("input/lumosx/mine") != before


def test_a_sample_with_more_than_there_are_outputs_is_refused(nodes: ModuleType, host_folders: Path) -> None:
    own = host_folders / "input" / "lumosx" / "crowd"
    shutil.copytree(SAMPLES_FOLDER / "three_people", own)
    shutil.copytree(own / "subjects" / "1", own / "subjects" / "4")
    with pytest.raises(InputError, match="has 4 subjects, this node has outputs for 3"):
        nodes.SampleFolder.execute("input/lumosx/crowd")


def test_a_sample_that_is_gone_is_refused(nodes: ModuleType, host_folders: Path) -> None:
    assert host_folders.is_dir()
    for name in ("input/lumosx/gone", "../two_people"):
        with pytest.raises(InputError, match="choose one of"):
            nodes.SampleFolder.execute(name)
