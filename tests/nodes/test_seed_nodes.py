"""LumosX Seeds: rows that are the videos of LumosX Sampler, and what is refused."""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lumosx_core.drawing.seed_sheet import seed_sheet
from lumosx_core.errors import InputError
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.sample_folder import read_sample

Nano = tuple[Any, Any, Any]  # MODEL, CLIP, VAE
SAMPLING = {"steps": 2, "cfg": 1.0, "shift": 3.0, "solver": "euler"}

pytestmark = pytest.mark.usefixtures("host_folders")


@pytest.fixture(scope="module")
def nodes(pack: Callable[[str], ModuleType]) -> ModuleType:
    return pack("nodes.seed_nodes")


@pytest.fixture(scope="module")
def inputs(pack: Callable[[str], ModuleType], nano: Nano) -> dict[str, Any]:
    conditioning, (model, clip, vae) = pack("nodes.conditioning_nodes"), nano
    sample = read_sample(SAMPLES_FOLDER / "two_people")
    bound = conditioning.bind_prompt(sample.prompt, sample.references, conditioning.prompt_tokenizer(clip).tokenizer)
    graph = pack("nodes.io_types").RelationGraph(
        references=sample.references, bound=bound, tokenizer=conditioning.prompt_tokenizer(clip).tokenizer
    )
    with torch.no_grad():
        references, latent = conditioning.EncodeReferences.execute(graph, vae, 64, 48, 5).args
        positive, negative = (clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in (bound.prompt, ""))
    return {
        "model": model,
        "references": references,
        "positive": positive,
        "negative": negative,
        "latent": latent,
        "graph": graph,
        "vae": vae,
    }


def test_every_row_is_the_video_of_the_sampler(
    nodes: ModuleType, pack: Callable[[str], ModuleType], inputs: dict[str, Any]
) -> None:
    """Also past the largest seed, where counting begins again; and with the switches of the method."""
    switches = {"relational_positions": False, "negative_references": "blank"}
    with torch.no_grad():
        made = nodes.Seeds.execute(**inputs, seed=nodes.LARGEST_SEED, seeds=2, **SAMPLING, **switches)
        picture, both = made.args
        alone = {key: value for key, value in inputs.items() if key not in ("graph", "vae")}
        sampler = pack("nodes.sampling_nodes").Sampler
        singles = [
            sampler.execute(**alone, seed=seed, **SAMPLING, **switches).args[0]["samples"] for seed in (nodes.LARGEST_SEED, 0)
        ]
        frames = [inputs["vae"].decode(single).reshape(-1, 48, 64, 3) for single in singles]
    assert torch.equal(both["samples"], torch.cat(singles))
    assert not torch.equal(*singles)
    videos = [
        (seed, np.stack([np.asarray(each) for each in nodes.pictures_of(video)]))
        for seed, video in zip((nodes.LARGEST_SEED, 0), frames, strict=True)
    ]
    graph = inputs["graph"]
    expected = np.asarray(seed_sheet(graph.references, videos, prompt=graph.bound.prompt))
    np.testing.assert_array_equal((picture[0] * 255).round().byte().numpy(), expected)


def test_what_does_not_fit_is_refused_before_sampling(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    samples = inputs["latent"]["samples"]
    other = SimpleNamespace(first_stage_model=torch.nn.Linear(1, 1), latent_channels=4)
    for changes, message in (
        ({"latent": {"samples": samples.repeat(3, 1, 1, 1, 1)}}, "the latent is a batch of 3, expected one video"),
        ({"seeds": 17}, "seeds is 17"),
        ({"seeds": 0}, "seeds is 0"),
        ({"vae": other}, "LumosX works with Wan2.1's"),
        ({"references": None}, "references is empty, expected LUMOSX_REFERENCES"),
    ):
        with pytest.raises(InputError, match=message):
            nodes.Seeds.execute(**{**inputs, "seed": 1, "seeds": 2, **SAMPLING, **changes})
    fewer = read_sample(SAMPLES_FOLDER / "one_person_in_a_room")
    graph = type(inputs["graph"])(
        references=fewer.references,
        bound=SimpleNamespace(references=(), prompt=""),  # type: ignore[arg-type]
        tokenizer=inputs["graph"].tokenizer,
    )
    with pytest.raises(InputError, match="the references are not of this graph"):
        nodes.Seeds.execute(**{**inputs, "graph": graph, "seed": 1, "seeds": 2, **SAMPLING})
