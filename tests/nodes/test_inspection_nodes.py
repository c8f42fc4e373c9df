"""LumosX Inspect: masks of the graph, and recorded attention on the frames."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

from lumosx_core.drawing.masks import draw_masks
from lumosx_core.errors import InputError
from lumosx_core.model.attention_shares import AttentionRecord
from lumosx_core.model.token_layout import TokenLayout, text_levels
from lumosx_core.references import ReferenceSet, Subject
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.text_spans import bind_prompt
from lumosx_core.tokenizers import SentencePieceTokenizer

FACES = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]

pytestmark = pytest.mark.usefixtures("host_folders")


@pytest.fixture(scope="module")
def nodes(pack: Callable[[str], ModuleType]) -> ModuleType:
    return pack("nodes.inspection_nodes")


@pytest.fixture(scope="module")
def inputs(pack: Callable[[str], ModuleType], bridge: ModuleType) -> dict[str, Any]:
    tokenizer = SentencePieceTokenizer(NANO_FOLDER)
    subjects = tuple(Subject(name=name, face=face) for name, face in zip(("man", "girl"), FACES, strict=True))
    references = ReferenceSet(subjects=subjects)
    bound = bind_prompt("a man and a girl", references, tokenizer)
    encoded = bridge.EncodedReferences(
        latents=torch.zeros(2, 16, 4, 6),
        kinds=("face", "face"),
        subjects=(0, 1),
        frames=2,
        levels=text_levels(bound.references, len(bound.token_ids) + 1),
    )
    graph = pack("nodes.io_types").RelationGraph(references=references, bound=bound, tokenizer=tokenizer)
    return {"graph": graph, "references": encoded}


def record(owners: int = 2, steps: int = 3) -> AttentionRecord:
    """The left half looked at the first owner alone, more and more."""
    result = AttentionRecord()
    for step in range(steps):
        shares = torch.zeros(2, 2, 3, owners)
        shares[:, :, 0, 0] = 0.1 * (step + 1)
        result.add(1.0 - 0.2 * step, shares)
    return result


def test_masks_are_those_of_the_core(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    graph, references = inputs["graph"], inputs["references"]
    layout = TokenLayout(2, 2, 3, kinds=("face", "face"), subjects=(0, 1))
    expected = draw_masks(graph.references, graph.bound, layout, references.levels, graph.tokenizer)
    image = nodes.Inspect.execute(**inputs).args[0]
    assert image.shape == (1, expected.height, expected.width, 3)
    assert torch.equal(
        (image[0] * 255).round().byte(),
        torch.frombuffer(bytearray(expected.tobytes()), dtype=torch.uint8).view(expected.height, expected.width, 3),
    )


def test_attention_is_drawn_below_with_and_without_frames(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    masks = nodes.Inspect.execute(**inputs).args[0]
    for frames in (None, torch.full((5, 32, 48, 3), 0.5)):
        image = nodes.Inspect.execute(**inputs, attention=record(), frames=frames).args[0]
        assert image.shape[1] > masks.shape[1]
        assert torch.equal(image[:, : masks.shape[1], : masks.shape[2]], masks)


def test_masks_are_those_of_the_recorded_run(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    graph, references, attention = inputs["graph"], inputs["references"], record()
    attention.layout = TokenLayout(2, 2, 3, kinds=("face", "face"), subjects=(0, 1), causal_self_attention_mask=False)
    expected = draw_masks(graph.references, graph.bound, attention.layout, references.levels, graph.tokenizer)
    shown = nodes.Inspect.execute(**inputs, attention=attention).args[0][0, : expected.height, : expected.width]
    drawn = torch.frombuffer(bytearray(expected.tobytes()), dtype=torch.uint8).view(expected.height, expected.width, 3)
    assert torch.equal((shown * 255).round().byte(), drawn)
    published = nodes.Inspect.execute(**inputs, attention=record()).args[0][0, : expected.height, : expected.width]
    assert not torch.equal(shown, published)


def test_references_of_another_graph_are_refused(nodes: ModuleType, bridge: ModuleType, inputs: dict[str, Any]) -> None:
    other = bridge.EncodedReferences(
        latents=torch.zeros(1, 16, 4, 6), kinds=("face",), subjects=(0,), levels=torch.zeros(1, 8), frames=2
    )
    with pytest.raises(InputError, match="the graph has 2 pictures and the references 1"):
        nodes.Inspect.execute(inputs["graph"], other)


@pytest.mark.parametrize(
    ("attention", "frames", "message"),
    [
        (AttentionRecord(), None, "no attention was recorded yet"),
        (record(owners=3), None, "3 owners of references, the graph has 2"),
        (record(), torch.zeros(9, 8, 8, 3), "the video has 9 frames, attention was recorded for 5"),
    ],
)
def test_records_of_another_run_are_refused(
    nodes: ModuleType, inputs: dict[str, Any], attention: AttentionRecord, frames: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        nodes.Inspect.execute(**inputs, attention=attention, frames=frames)
