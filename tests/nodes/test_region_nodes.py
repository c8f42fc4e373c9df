"""LumosX Regions: what comes out of masks and sides, that it steers the sampling, and what is told of wrong masks."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

from lumosx_core.errors import InputError

pytestmark = pytest.mark.usefixtures("host_folders")
LEFT = torch.zeros(1, 80, 96)
LEFT[:, :, :48] = 1


@pytest.fixture
def node(pack: Callable[[str], ModuleType]) -> Any:
    return pack("nodes.region_nodes").Regions


@pytest.fixture
def references(pack: Callable[[str], ModuleType]) -> Any:
    """Two people with two pictures each, and an object, for a video of 96 x 80 pixels."""
    return pack("nodes.io_types").EncodedReferences(
        latents=torch.zeros(5, 16, 10, 12),
        kinds=("object", "face", "attribute", "face", "attribute"),
        subjects=(None, 0, 0, 1, 1),
        levels=torch.zeros(5, 8),
        frames=5,
    )


def test_masks_and_orders_become_regions_of_the_references(node: Any, references: Any) -> None:
    left, right = bytes([1, 1, 1, 0, 0, 0] * 5), bytes([0, 0, 0, 1, 1, 1] * 5)
    alone = node.execute(references, "masks", region_2=LEFT).args
    assert alone[0].regions == (b"", b"", b"", left, left)
    assert torch.equal(alone[1], torch.cat([torch.ones(1, 80, 96), LEFT]))
    assert node.execute(references, "left to right").args[0].regions == (b"", left, left, right, right)
    assert node.execute(references, "right to left").args[0].regions == (b"", right, right, left, left)
    assert node.execute(references, "masks").args[0] == references  # nothing said, nothing changed


@pytest.mark.parametrize(
    ("places", "masks", "message"),
    [
        ("masks", {"region_1": torch.ones(1, 64, 64)}, "region_1 is 64 x 64 pixels, the video 96 x 80"),
        ("masks", {"region_1": torch.zeros(1, 80, 96)}, "region_1 is empty"),
        ("masks", {"region_3": LEFT}, "region_3 is connected, but there are 2 subjects"),
        ("masks", {"region_1": LEFT.repeat(2, 1, 1)}, "region_1 is a batch of 2 masks"),
        ("left to right", {"region_1": LEFT}, "masks are connected"),
    ],
    ids=["size", "empty", "nobody", "batch", "both"],
)
def test_wrong_masks_are_told(node: Any, references: Any, places: str, masks: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        node.execute(references, places, **masks)
