"""Transparent pictures as Load Image gives them: RGB that is black where the file is transparent, and a mask that is white
there; 64x64 zeros for a file without transparency."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from coloured_images import RED, image, mask, on_white, pixels

from lumosx_core.errors import InputError

SHOWN = image((10, 8), ((2, 3, 6, 5), RED), colour=(0, 0, 0))
TRANSPARENT = 1 - mask((10, 8), (2, 3, 6, 5))
ATTRIBUTE = {"phrase": "hat", "cut_out": "mask", "box": "", "points": "", "sam": "none", "margin": 0.0}


@pytest.fixture
def nodes(pack: Callable[[str], ModuleType], host_folders: object) -> ModuleType:
    """`nodes/reference_nodes.py`."""
    assert host_folders
    return pack("nodes.reference_nodes")


def attribute_node(nodes: ModuleType, picture: torch.Tensor, **more: Any) -> Any:
    return nodes.AttributeReferenceNode.execute(picture, **{**ATTRIBUTE, **more})


def test_a_transparent_picture_of_load_image_lands_on_white(nodes: ModuleType) -> None:
    """Load Image gives RGB, black where the file is transparent, and a mask that is white there."""
    shown = image((10, 8), ((2, 3, 6, 5), RED), colour=(0, 0, 0))
    transparent = 1 - mask((10, 8), (2, 3, 6, 5))
    attribute = attribute_node(nodes, shown, cut_out="already cut out", mask=transparent).args[0]
    assert (pixels(attribute.image) == on_white((4, 2), ((0, 0, 4, 2), RED))).all()
    flipped = attribute_node(nodes, shown, cut_out="already cut out", mask=1 - transparent, invert_mask=True).args[0]
    assert (pixels(flipped.image) == pixels(attribute.image)).all()
    scene = nodes.SceneReferenceNode.execute(shown, "lamp", 0.0, transparency=transparent).args[0]
    assert (pixels(scene.image) == pixels(attribute.image)).all()


@pytest.mark.parametrize("size", [(5, 3), (64, 64)])
def test_load_images_mask_of_a_file_without_transparency_changes_nothing(nodes: ModuleType, size: tuple[int, int]) -> None:
    opaque = torch.zeros(1, 64, 64)
    picture = image(size, colour=RED)
    attribute = attribute_node(nodes, picture, cut_out="already cut out", mask=opaque, margin=0.5).args[0]
    scene = nodes.SceneReferenceNode.execute(picture, "wall", 0.5, transparency=opaque).args[0]
    for got in (attribute.image, scene.image):
        assert got.size == size and (pixels(got) == RED).all()


def test_black_silhouettes_are_noticed(nodes: ModuleType) -> None:
    shown = image((10, 8), ((2, 3, 6, 5), RED), colour=(0, 0, 0))
    transparent = 1 - mask((10, 8), (2, 3, 6, 5))
    with pytest.raises(InputError, match="stands on black, not on white.*connect its mask output"):
        attribute_node(nodes, shown, cut_out="already cut out")
    with pytest.raises(InputError, match="keeps only black.*wrong way round"):
        attribute_node(nodes, shown, mask=transparent)
    with pytest.raises(InputError, match="keeps only black.*wrong way round"):
        nodes.SceneReferenceNode.execute(shown, "lamp", 0.0, mask=transparent)
    with pytest.raises(InputError, match="mask and transparency are both connected"):
        nodes.SceneReferenceNode.execute(shown, "lamp", 0.0, mask=1 - transparent, transparency=transparent)
    dark = image((6, 4), ((1, 1, 5, 3), (0, 0, 0)))  # a black thing on white is no silhouette
    assert attribute_node(nodes, dark, cut_out="already cut out").args[0].image.size == (6, 4)
