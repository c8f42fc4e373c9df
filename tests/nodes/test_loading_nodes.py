"""The nano model and sample folders as nodes, and the way from a sample to a graph."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
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

    model, clip, vae, *numbers = nodes.Nano.execute().args
    assert isinstance(model, comfy.model_patcher.ModelPatcher)
    assert (type(clip), type(vae)) == (comfy.sd.CLIP, comfy.sd.VAE)
    assert numbers == [96, 80, 17, 16, 3.0, 3.0]
    assert [type(number) for number in numbers] == [int] * 4 + [float] * 2


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_sample_gives_the_graph_of_its_folder(
    nodes: ModuleType, pack: Callable[[str], ModuleType], nano: Nano, host_folders: Path, name: str
) -> None:
    assert host_folders.is_dir()
    *subjects, thing, background, prompt, picture, second, third, whole = nodes.SampleFolder.execute(name).args
    relate = pack("nodes.conditioning_nodes").RelationGraphNode.execute
    people = {f"subject_{n}": each for n, each in enumerate(subjects, start=1)}
    things = {"object_1": thing, "object_2": second, "object_3": third}
    sample = read_sample(SAMPLES_FOLDER / name)
    for graph in (relate(nano[1], prompt, people, things, background).args[0], relate(nano[1], "", sample=whole).args[0]):
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
    with pytest.raises(InputError, match="has 4 subjects, this node has single outputs for 3"):
        nodes.SampleFolder.execute("input/lumosx/crowd")


def test_a_whole_sample_may_have_more_than_there_are_single_outputs(nodes: ModuleType, host_folders: Path) -> None:
    own = host_folders / "input" / "lumosx" / "things"
    shutil.copytree(SAMPLES_FOLDER / "one_person_in_a_room", own)
    (plant,) = (own / "objects").iterdir()
    for words in ("lamp", "table"):
        shutil.copyfile(plant, own / "objects" / f"{words}.png")
    (own / "caption.txt").write_text((own / "caption.txt").read_text("utf-8").strip() + " A lamp, a table, a chair.", "utf-8")
    parts = nodes.SampleFolder.execute("input/lumosx/things").args
    assert [parts[output].phrase for output in (3, 7, 8)] == ["black plant", "lamp", "table"]
    shutil.copyfile(plant, own / "objects" / "chair.png")
    for user, output, refused in (("sample", 9, False), ("objects.object_1", 3, True), ("prompt", 5, False)):
        workflow = {"1": {"class_type": "LumosXSampleFolder"}, "2": {"inputs": {user: ["1", output]}}}
        loader = type(
            "SampleFolder",
            (nodes.SampleFolder,),
            {"hidden": SimpleNamespace(prompt=workflow, unique_id="1", extra_pnginfo=None)},
        )
        if refused:
            with pytest.raises(InputError, match="has 4 objects, .*connect its output sample"):
                loader.execute("input/lumosx/things")
        else:
            assert len(loader.execute("input/lumosx/things").args[9].references.objects) == 4


def test_a_sample_that_is_gone_is_refused(nodes: ModuleType, host_folders: Path) -> None:
    assert host_folders.is_dir()
    for name in ("input/lumosx/gone", "../two_people"):
        with pytest.raises(InputError, match="choose one of"):
            nodes.SampleFolder.execute(name)
