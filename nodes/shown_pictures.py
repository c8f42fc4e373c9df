"""What a node shows of its work, with the picture that it worked on, so that places can be drawn on it in the node."""

from typing import Any

import torch
from comfy_api.latest import ui

from .image_tensors import image_of, pictures_of

LONGEST = 2048  # pixels; larger pictures are shrunk before they are shown


class ShownPictures(ui.PreviewImage):
    """A preview of `shown` [B, H, W, C], and beside it under `lumosx_source` the first picture of `source`, with the size that
    it has itself (web/js/draw_places.js)."""

    def __init__(self, shown: torch.Tensor, source: torch.Tensor, cls: Any) -> None:
        super().__init__(shown, cls=cls)
        (picture,) = pictures_of(source[:1])
        self.size = picture.size
        picture.thumbnail((LONGEST, LONGEST))
        self.source = ui.PreviewImage(image_of([picture]), cls=cls)

    def as_dict(self) -> dict[str, Any]:
        """For the page."""
        (file,) = self.source.as_dict()["images"]
        width, height = self.size
        return {**super().as_dict(), "lumosx_source": [{**file, "width": width, "height": height}]}
