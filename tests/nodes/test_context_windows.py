"""The host's context windows around a model with references: every window is a video of its own with all of them."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

from lumosx_core.errors import InputError
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.sample_folder import read_sample
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.text_spans import bind_prompt
from lumosx_core.tokenizers import SentencePieceTokenizer

WIDTH, HEIGHT, SHORT, LONG = 64, 48, 9, 21  # 3 and 6 latent frames
STEPS, CFG, SHIFT, SEED = 2, 1.5, 3.0, 7

pytestmark = pytest.mark.usefixtures("host_folders")


@pytest.fixture(scope="module")
def inputs(pack: Callable[[str], ModuleType], nano: tuple[Any, Any, Any]) -> dict[str, Any]:
    """What goes into the sampler for a video of six latent frames."""
    conditioning, types = pack("nodes.conditioning_nodes"), pack("nodes.io_types")
    model, clip, vae = nano
    sample, tokenizer = read_sample(SAMPLES_FOLDER / "two_people"), SentencePieceTokenizer(NANO_FOLDER)
    bound = bind_prompt(sample.prompt, sample.references, tokenizer)
    graph = types.RelationGraph(references=sample.references, bound=bound, tokenizer=tokenizer)
    with torch.no_grad():
        references, latent = conditioning.EncodeReferences.execute(graph, vae, WIDTH, HEIGHT, LONG).args
        positive, negative = (clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in (bound.prompt, ""))
    texts = {"positive": positive, "negative": negative}
    numbers = {"seed": SEED, "steps": STEPS, "cfg": CFG, "shift": SHIFT, "solver": "dpmpp_2m"}
    return {"model": model, "references": references, "latent": latent, **texts, **numbers}


@pytest.fixture(scope="module")
def nodes(pack: Callable[[str], ModuleType]) -> ModuleType:
    return pack("nodes.sampling_nodes")


def windowed(model: Any, length: int, overlap: int) -> Any:
    """The MODEL that the host's node for Wan gives out. length, overlap: frames of the video."""
    host = importlib.import_module("comfy_extras.nodes_context_windows")
    return host.WanContextWindowsManualNode.execute(model, length, overlap, "standard_static", 1, False, "flat", False).args[0]


def sampled(nodes: ModuleType, inputs: dict[str, Any], model: Any, noise: torch.Tensor, **switches: Any) -> torch.Tensor:
    """The host's own sampling of this noise by a MODEL that gets the references."""
    return sampled_by(nodes, inputs, nodes.Apply.execute(model, inputs["references"], **switches).args[0], noise)


def sampled_by(nodes: ModuleType, inputs: dict[str, Any], patched: Any, noise: torch.Tensor) -> torch.Tensor:
    """The same by a MODEL that has them."""
    import comfy.sample

    solver, sigmas = nodes.Solver.execute("dpmpp_2m").args[0], nodes.Scheduler.execute(STEPS, SHIFT).args[0]
    texts = (inputs["positive"], inputs["negative"])
    empty = torch.zeros_like(noise)
    return comfy.sample.sample_custom(patched, noise, CFG, solver, sigmas, *texts, empty, seed=SEED, disable_pbar=True)


@pytest.mark.parametrize("refresh", [1, 2])
def test_a_window_is_the_video_of_its_frames_alone(nodes: ModuleType, inputs: dict[str, Any], refresh: int) -> None:
    noise = torch.randn(inputs["latent"]["samples"].shape, generator=torch.Generator().manual_seed(1))
    assert noise.shape[2] == 6
    out = sampled(nodes, inputs, windowed(inputs["model"], SHORT, 0), noise, reference_refresh=refresh)
    alone = sampled(nodes, inputs, inputs["model"], noise[:, :, :3], reference_refresh=refresh)
    whole = sampled(nodes, inputs, inputs["model"], noise, reference_refresh=refresh)
    assert out.shape == noise.shape
    assert float((out[:, :, :3] - alone).abs().max()) <= 1e-4
    assert float((out[:, :, :3] - whole[:, :, :3]).abs().max()) > 1e-2  # the frames of a whole video see each other


def test_a_video_within_one_window_is_sampled_as_without(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    plain = nodes.Sampler.execute(**inputs).args[0]["samples"]
    unused = {"model": windowed(inputs["model"], LONG, 2 * LONG), "record_attention": True}  # and nothing else of it matters
    assert torch.equal(plain, nodes.Sampler.execute(**{**inputs, **unused}).args[0]["samples"])


def test_windows_after_the_references_are_told(
    nodes: ModuleType, inputs: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The host then reserves memory for the frames of a window alone."""
    noise = torch.randn(inputs["latent"]["samples"].shape, generator=torch.Generator().manual_seed(1))
    before = nodes.Apply.execute(windowed(inputs["model"], SHORT, 0), inputs["references"]).args[0]
    after = windowed(nodes.Apply.execute(inputs["model"], inputs["references"]).args[0], SHORT, 0)
    videos, told = [], []
    for model in (before, after):
        caplog.clear()
        videos.append(sampled_by(nodes, inputs, model, noise))
        told.append("connect Wan Context Windows before LumosX Apply" in caplog.text)
    assert torch.equal(*videos) and told == [False, True]


@pytest.mark.parametrize(
    ("length", "overlap", "changes", "told"),
    [
        (1, 0, {}, "a context window holds 1 frame"),
        (9, 12, {}, "overlap by 12 frames and are only 9 long; set context_overlap"),
        (9, 4, {"record_attention": True}, "switch record_attention off"),
    ],
)
def test_windows_that_cannot_work_are_told(
    nodes: ModuleType, inputs: dict[str, Any], length: int, overlap: int, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        nodes.Sampler.execute(**{**inputs, **changes, "model": windowed(inputs["model"], length, overlap)})


def test_windows_along_another_dimension_are_told(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    model = windowed(inputs["model"], SHORT, 4)
    model.model_options["context_handler"].dim = 0
    with pytest.raises(InputError, match="dimension 0 of the latent, expected 2"):
        nodes.Sampler.execute(**{**inputs, "model": model})
