"""ComfyUI's IMAGE and BOUNDING_BOX as pictures and boxes and back, and squares around a face."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from coloured_images import BLUE, RED, box, on_white, pixels
from PIL import Image

from lumosx_core.detection.boxes import square_around
from lumosx_core.errors import InputError


@pytest.fixture
def tensors(pack: Callable[[str], ModuleType]) -> ModuleType:
    """`nodes/image_tensors.py`."""
    return pack("nodes.image_tensors")


def test_images_become_pictures_and_come_back(tensors: ModuleType) -> None:
    values = torch.arange(24, dtype=torch.float32).reshape(1, 2, 4, 3) * 10 / 255
    picture = tensors.one_picture(values)
    assert (picture.size, picture.mode) == ((4, 2), "RGB") and picture.getpixel((1, 0)) == (30, 40, 50)
    torch.testing.assert_close(tensors.image_of([picture]), values)
    assert tensors.pictures_of(torch.full((2, 1, 1, 4), 0.5))[1].getpixel((0, 0)) == (128, 128, 128, 128)
    assert tensors.one_picture(torch.tensor([[[[-0.4, 1.4, 0.5]]]])).getpixel((0, 0)) == (0, 255, 128)
    batch = tensors.image_of([Image.new("RGB", (4, 2), RED), Image.new("RGB", (2, 3), BLUE)])
    assert batch.shape == (2, 3, 4, 3)
    assert (pixels(batch[:1]) == on_white((4, 3), ((0, 0, 4, 2), RED))).all()
    assert (pixels(batch[1:]) == on_white((4, 3), ((1, 0, 3, 3), BLUE))).all()
    with pytest.raises(InputError, match=r"shape \[2, 4, 3\], expected \[pictures, height, width, 3 or 4"):
        tensors.pictures_of(values[0])
    with pytest.raises(InputError, match="batch of 2 images, expected one"):
        tensors.one_picture(values.repeat(2, 1, 1, 1))


@pytest.mark.parametrize("given", [box(1, 2, 4, 8), [box(1, 2, 4, 8)], [[box(1, 2, 4, 8)], [box(1, 2, 4, 8)]]])
def test_every_form_of_bounding_boxes_is_understood(tensors: ModuleType, given: Any) -> None:
    assert tensors.boxes_of(given, 2) == [[(1.0, 2.0, 4.0, 8.0)]] * 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, "a int, expected boxes with x, y, width, height"),
        ([[], [], []], "boxes for 3 images, there are 2"),
        ([{"x": 1, "y": 2}], "not understood, expected numbers x, y, width and height"),
        ([["face"], []], "'face' is not understood"),
    ],
)
def test_other_bounding_boxes_are_refused(tensors: ModuleType, given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tensors.boxes_of(given, 2)


@pytest.mark.parametrize(
    ("place", "margin", "square"),
    [
        ((40, 30, 60, 60), 0.0, (35, 30, 65, 60)),  # a square of the longer side, centred
        ((40, 30, 60, 60), 0.5, (20, 15, 80, 75)),  # half of 30 more on every side
        ((0, 0, 10, 20), 0.5, (0, 0, 40, 40)),  # moved in from the corner
        ((90, 70, 100, 80), 0.5, (80, 60, 100, 80)),  # and from the other one
        ((20, 10, 80, 70), 0.5, (0, 0, 100, 80)),  # larger than the picture: all of it
    ],
)
def test_squares_around_a_face(place: tuple, margin: float, square: tuple) -> None:
    assert square_around(place, Image.new("RGB", (100, 80)), margin) == square
