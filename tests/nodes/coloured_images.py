"""ComfyUI's IMAGE, MASK and BOUNDING_BOX made of coloured boxes, for tests of pixels."""

import numpy as np
import torch
from PIL import Image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
Square = tuple[tuple[int, int, int, int], tuple[int, ...]]


def image(size: tuple[int, int], *squares: Square, colour: tuple[int, ...] = GREEN) -> torch.Tensor:
    """An IMAGE of one picture of width x height with coloured boxes (left, top, right, bottom) on it."""
    picture = Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour)
    for box, fill in squares:
        picture.paste(fill, box)
    return torch.from_numpy(np.array(picture, dtype=np.float32) / 255)[None]


def mask(size: tuple[int, int], *boxes: tuple[int, int, int, int], value: float = 1.0) -> torch.Tensor:
    """A MASK [1, H, W] with value inside the boxes."""
    values = torch.zeros(1, size[1], size[0])
    for left, top, right, bottom in boxes:
        values[0, top:bottom, left:right] = value
    return values


def pixels(picture: Image.Image | torch.Tensor) -> np.ndarray:
    """uint8 [H, W, 3] of a picture or of an IMAGE of one."""
    return np.asarray(picture if isinstance(picture, Image.Image) else (picture[0] * 255).round().to(torch.uint8))


def on_white(size: tuple[int, int], *squares: Square) -> np.ndarray:
    return pixels(image(size, *squares, colour=WHITE))


def box(left: int, top: int, right: int, bottom: int) -> dict[str, int]:
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}
