"""The relation graph and the encoding of references in the host: the same as in the core, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.model.token_layout import text_levels
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.references import Attribute, ReferenceSet, Sample, SceneReference, Subject, prepared_pictures
from lumosx_core.sample_folder import read_sample
from lumosx_core.sampling.generate import encode_references
from lumosx_core.sampling.pipeline import load_pipeline
from lumosx_core.text_spans import bind_prompt

Nano = tuple[Any, Any, Any]  # MODEL, CLIP, VAE
WIDTH, HEIGHT, LENGTH = 64, 48, 5
PICTURE = Image.new("RGB", (8, 8), "red")

pytestmark = pytest.mark.usefixtures("host_folders")


@pytest.fixture(scope="module")
def nodes(pack: Callable[[str], ModuleType]) -> ModuleType:
    return pack("nodes.conditioning_nodes")


def man(*, name: str = "man", attribute: str = "hat", tag: str | None = None) -> Subject:
    return Subject(name=name, face=PICTURE, attributes=(Attribute(phrase=attribute, image=PICTURE),), tag=tag)


def graph_of(nodes: ModuleType, clip: Any, sample: Sample) -> tuple:
    references = sample.references
    return nodes.RelationGraphNode.execute(
        clip,
        sample.prompt,
        {f"subject_{n}": each for n, each in enumerate(references.subjects, start=1)},
        {f"object_{n}": each for n, each in enumerate(references.objects, start=1)},
        references.background,
    ).args


@pytest.mark.parametrize("name", ["two_people_described", "one_person_in_a_room"])
def test_graph_binds_as_the_core_does(nodes: ModuleType, nano: Nano, name: str) -> None:
    sample = read_sample(SAMPLES_FOLDER / name)
    graph, prompt, picture = graph_of(nodes, nano[1], sample)
    expected = bind_prompt(sample.prompt, sample.references, load_pipeline().text_encoder.tokenizer)
    assert graph.bound == expected
    assert graph.references == sample.references
    assert prompt == expected.prompt
    assert picture.shape[2:] == ({"two_people_described": 720, "one_person_in_a_room": 600}[name], 3)
    ids = [int(token) for token, _ in nano[1].tokenize(prompt)["umt5xxl"][0]]
    assert tuple(ids[: len(expected.token_ids) + 1]) == (*expected.token_ids, 1)


def test_tags_are_replaced_and_parentheses_kept(nodes: ModuleType, nano: Nano) -> None:
    clip = nano[1]
    subjects = {"subject_1": man(tag="anna"), "subject_2": man(attribute="scarf (red)")}
    graph, prompt, _ = nodes.RelationGraphNode.execute(
        clip, r"@anna \(left\) in a @anna.hat and @2", subjects, on_problem="warn"
    ).args
    assert prompt == r"man \(left\) in a hat and man"
    assert graph.bound.prompt == "man (left) in a hat and man"
    spans = [reference.token_spans for reference in graph.bound.references]
    ids = [int(token) for token, _ in clip.tokenize(prompt)["umt5xxl"][0]]
    pieces = graph.tokenizer.pieces(graph.bound.prompt)
    assert ids[: len(pieces)] == [piece[0] for piece in pieces]
    assert spans[0] != spans[2] and spans[3] == ()  # each man his own place; the scarf is nowhere


def test_inputs_that_are_empty_are_skipped_and_the_rest_keeps_its_order(nodes: ModuleType, nano: Nano) -> None:
    subjects = {"subject_3": man(name="kid"), "subject_1": None, "subject_2": man(name="girl", attribute="scarf")}
    prompt = "a girl in a scarf and a kid in a hat"
    graph = nodes.RelationGraphNode.execute(nano[1], prompt, subjects, {"object_1": None}).args[0]
    assert [subject.name for subject in graph.references.subjects] == ["girl", "kid"]
    assert graph.references.objects == ()


def test_graph_without_any_picture_is_refused(nodes: ModuleType, nano: Nano) -> None:
    for inputs in ({}, {"subjects": {}, "objects": {}}, {"subjects": {"subject_1": None}}):
        with pytest.raises(InputError, match="neither a subject nor an object"):
            nodes.RelationGraphNode.execute(nano[1], "a room", **inputs)


def test_a_background_or_an_object_alone_is_a_graph(nodes: ModuleType, nano: Nano) -> None:
    scene = SceneReference(phrase="room", image=PICTURE)
    for kind, inputs in (("background", {"background": scene}), ("object", {"objects": {"object_1": scene}})):
        graph = nodes.RelationGraphNode.execute(nano[1], "an empty room", **inputs).args[0]
        (reference,) = graph.bound.references
        assert (reference.kind, reference.subject, graph.bound.char_spans) == (kind, None, (((9, 13),),))


def test_a_whole_sample_comes_before_what_is_connected(nodes: ModuleType, nano: Nano) -> None:
    room, park, lamp = (SceneReference(phrase=words, image=PICTURE) for words in ("room", "park", "lamp"))
    sample = Sample(prompt="a man in a hat in a room", references=ReferenceSet(subjects=(man(),), background=room))
    graph, prompt, _ = nodes.RelationGraphNode.execute(nano[1], " ", sample=sample).args
    assert (graph.references, prompt) == (sample.references, sample.prompt)
    connected = {"subjects": {"subject_1": man(name="girl", attribute="scarf")}, "objects": {"object_1": lamp}}
    typed = "a girl in a scarf, a man in a hat, a lamp, a park"
    graph, prompt, _ = nodes.RelationGraphNode.execute(nano[1], typed, **connected, background=park, sample=sample).args
    assert prompt == typed
    assert [subject.name for subject in graph.references.subjects] == ["man", "girl"]
    assert (graph.references.objects, graph.references.background) == ((lamp,), park)


def test_phrase_that_is_not_in_the_prompt_stops_or_warns(nodes: ModuleType, nano: Nano) -> None:
    arguments = (nano[1], "a man in a coat", {"subject_1": man()})
    with pytest.raises(InputError, match="'hat' .*is not in the prompt"):
        nodes.RelationGraphNode.execute(*arguments)
    graph = nodes.RelationGraphNode.execute(*arguments, on_problem="warn").args[0]
    assert [problem.kind for problem in graph.bound.problems] == ["not_found"]


def test_a_long_prompt_does_not_bury_the_reason(nodes: ModuleType, nano: Nano) -> None:
    """Whatever is wrong: the reason comes first, the prompt last and shortened."""
    long = "a tree and a house by the sea, " * 600
    for prompt, reason in (
        (long, "'man' (name of subject 1) is not in the prompt"),
        (f"{long[:3000]} a (man:1.2) in a hat", "ComfyUI reads '(man:1.2)' in the prompt as a weight"),
        (f"{long[:3000]} embedding:{'x' * 900} a man in a hat", "embeddings have no words that a subject could own"),
        (f"a @nobody, a man in a hat and {long[:3000]}", "the tag @nobody"),
        (long * 2, "prompt has"),
    ):
        with pytest.raises(InputError) as caught:
            nodes.RelationGraphNode.execute(nano[1], prompt, {"subject_1": man()})
        assert str(caught.value).startswith(reason) and len(str(caught.value)) < 1000, str(caught.value)


def test_prompt_with_weights_is_refused(nodes: ModuleType, nano: Nano) -> None:
    with pytest.raises(InputError, match="as a weight"):
        nodes.RelationGraphNode.execute(nano[1], "a (man:1.2) in a hat", {"subject_1": man()})


def test_words_beyond_what_the_model_reads_are_refused(nodes: ModuleType, nano: Nano) -> None:
    with pytest.raises(InputError, match="shorten the prompt"):
        nodes.RelationGraphNode.execute(nano[1], "a tree and " * 80 + "a man in a hat", {"subject_1": man()})


def test_encoding_gives_the_raw_latents_of_the_core(nodes: ModuleType, nano: Nano, monkeypatch: pytest.MonkeyPatch) -> None:
    import comfy.utils

    seen: list[tuple] = []
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda done, total, *_, **__: seen.append((done, total)))
    pipeline, sample = load_pipeline(), read_sample(SAMPLES_FOLDER / "one_person_in_a_room")
    graph = graph_of(nodes, nano[1], sample)[0]
    with torch.no_grad():
        encoded, latent = nodes.EncodeReferences.execute(graph, nano[2], WIDTH, HEIGHT, LENGTH).args
    mean, std = (torch.tensor(v).view(1, 16, 1, 1) for v in (pipeline.vae.config.latents_mean, pipeline.vae.config.latents_std))
    pictures = prepared_pictures(sample.references.references(), WIDTH, HEIGHT)
    expected = encode_references(pipeline, pictures)[0] * std + mean
    assert encoded.latents.shape == expected.shape == (6, 16, HEIGHT // 8, WIDTH // 8)
    assert float((encoded.latents - expected).abs().max()) <= 2e-5
    assert (encoded.kinds[:3], encoded.subjects[:3], encoded.frames) == (("background", "object", "face"), (None, None, 0), 2)
    width = encoded.levels.shape[1]
    assert torch.equal(encoded.levels, text_levels(graph.bound.references, width))
    assert latent["samples"].shape == (1, 16, 2, HEIGHT // 8, WIDTH // 8)
    assert not latent["samples"].any()
    assert seen[-1] == (6, 6)


def test_a_picture_s_latent_does_not_depend_on_the_others(nodes: ModuleType, nano: Nano) -> None:
    sample = read_sample(SAMPLES_FOLDER / "two_people")
    pictures = prepared_pictures(sample.references.references()[:3], 32, 32)
    with torch.no_grad():
        alone = nodes.encode_references(nano[2], pictures[:1])
        together = nodes.encode_references(nano[2], pictures)
    assert torch.equal(alone[0], together[0])
    assert not torch.equal(together[0], together[1])


def test_encoding_can_be_cancelled(nodes: ModuleType, nano: Nano) -> None:
    import comfy.model_management

    graph = graph_of(nodes, nano[1], read_sample(SAMPLES_FOLDER / "two_people"))[0]
    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        nodes.EncodeReferences.execute(graph, nano[2], 32, 32, 1)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((100, 48, 5), "width is 100 pixels, expected a multiple of 16, for example 96"),
        ((64, 40, 5), "height is 40 pixels, expected a multiple of 16"),
        ((64, 48, 80), r"length is 80, expected 4n \+ 1, for example 81"),
    ],
)
def test_sizes_that_wan_cannot_do_are_refused(nodes: ModuleType, nano: Nano, size: tuple[int, int, int], message: str) -> None:
    graph = nodes.RelationGraphNode.execute(nano[1], "a man in a hat", {"subject_1": man()}).args[0]
    with pytest.raises(InputError, match=message):
        nodes.EncodeReferences.execute(graph, nano[2], *size)


def test_another_vae_is_refused_by_name(nodes: ModuleType, nano: Nano) -> None:
    import comfy.ldm.wan.vae2_2

    graph = nodes.RelationGraphNode.execute(nano[1], "a man in a hat", {"subject_1": man()}).args[0]
    with torch.device("meta"):
        network = comfy.ldm.wan.vae2_2.WanVAE(dim=8, z_dim=48)
    other = SimpleNamespace(first_stage_model=network, latent_channels=48)
    with pytest.raises(InputError, match=r"this VAE is WanVAE of wan\.vae2_2 with 48 latent channels; .*wan_2\.1_vae"):
        nodes.EncodeReferences.execute(graph, other, 64, 48, 5)


def test_preview_is_written_to_the_host_s_temporary_folder(nodes: ModuleType, nano: Nano, host_folders: Path) -> None:
    out = nodes.RelationGraphNode.execute(nano[1], "a man in a hat", {"subject_1": man()})
    (shown,) = out.ui.as_dict()["images"]
    assert Image.open(host_folders / "temp" / shown["filename"]).size[0] == 480


@pytest.mark.parametrize(("size", "warned"), [((96, 80, 17), False), ((64, 48, 5), True)])
def test_encoding_tells_the_work_and_warns_where_nano_was_not_made_for_the_size(
    nodes: ModuleType,
    nano: Nano,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    size: tuple[int, int, int],
    warned: bool,
) -> None:
    import server

    shown: list[tuple[str, str]] = []
    monkeypatch.setattr(server.PromptServer, "instance", SimpleNamespace(send_progress_text=lambda *a: shown.append(a)), False)
    encode = type("EncodeReferences", (nodes.EncodeReferences,), {"hidden": SimpleNamespace(unique_id="7")})
    graph = nodes.RelationGraphNode.execute(nano[1], "a man in a hat", {"subject_1": man()}).args[0]
    with torch.no_grad():
        encode.execute(graph, nano[2], *size)
    ((text, node),) = shown
    tokens = {17: 7 * 30, 5: 4 * 12}[size[2]]  # five or two latent frames and two pictures
    assert node == "7" and f"{tokens} tokens, 2 pictures. Beside 832 x 480 and 81 frames" in text
    assert ("LumosX Nano was made for 96 x 80 pixels and 17 frames" in text) is warned
    assert ("connect its outputs width, height and length" in caplog.text) is warned


def test_the_work_of_the_published_size_is_told_as_it_is(nodes: ModuleType, nano: Nano) -> None:
    people = {"subject_1": man(), "subject_2": man(name="kid", attribute="scarf")}
    bound = nodes.RelationGraphNode.execute(nano[1], "a man in a hat and a kid in a scarf", people).args[0].bound
    assert nodes.told_work(nodes.checked_size(832, 480, 81), ()).endswith(
        "about 1 times as long, and 1 times the memory beside the weights."
    )
    text = nodes.told_work(nodes.checked_size(832, 480, 81), bound.references)
    assert text.startswith("39,000 tokens, 4 pictures.") and "1.2 times the memory" in text
