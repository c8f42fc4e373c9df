"""The network of the puppet analyser: what every pixel of a drawing shows, and who it belongs to.

A U-Net that sees a drawing of the puppet world (48 x 40 large pixels, or another size) and answers for every pixel all
questions of `FIELDS` at once; each is asked only where it makes sense (the colour of hair only on a head).

Legend: B = batch, H, W = rows and columns of the drawing, multiples of `STRIDE`.
"""

from pathlib import Path

import torch
from torch import nn

from lumosx_core.errors import InputError
from lumosx_core.files.safetensors import read_safetensors
from lumosx_core.puppets.draw import ATTRIBUTE_LABELS, LABEL_BODY, LABEL_HAIR, LABEL_HEAD
from lumosx_core.puppets.scenes import OBJECT_KINDS, OBJECT_LABEL
from lumosx_core.puppets.spec import IDENTITY_RANGES, PALETTE, PATTERNS

PARTS = (0, LABEL_BODY, LABEL_HEAD, LABEL_HAIR, *ATTRIBUTE_LABELS.values(), OBJECT_LABEL)  # label of each class of "part"
# Name of each question -> number of its answers. "way" is no choice but two numbers: how far right and down of the pixel the
# centre of its owner's head is, in units of `REACH` pixels.
FIELDS: dict[str, int] = {
    "part": len(PARTS), "way": 2, "colour": len(PALETTE), "second": len(PALETTE), "pattern": len(PATTERNS),
    "object": len(OBJECT_KINDS), **IDENTITY_RANGES,
}  # fmt: skip
REACH = 8.0
STRIDE = 8  # the network halves a drawing three times
WIDTHS = (20, 40, 72, 80)
WEIGHTS = Path(__file__).parent.parent / "assets" / "analyser.safetensors"


def _block(channels: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inside in (channels, width):
        layers += [nn.Conv2d(inside, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class AnalyserNetwork(nn.Module):
    """About 0.4 million weights. `widths`: channels at full size, a half, a quarter and an eighth of it."""

    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS) -> None:
        super().__init__()
        self.down = nn.ModuleList(_block(channels, width) for channels, width in zip((3, *widths[:-1]), widths, strict=True))
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.up = nn.ModuleList(_block(low + high, low) for low, high in reversed(pairs))
        self.answers = nn.Conv2d(widths[0], sum(FIELDS.values()), 1)

    def forward(self, rgb_BCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        """rgb float in 0..1 [B, 3, H, W] -> per field of `FIELDS` float [B, answers, H, W] (logits; "way" as it is)."""
        x = rgb_BCHW * 4 - 2
        kept = []
        for index, block in enumerate(self.down):
            x = block(x if index == 0 else nn.functional.max_pool2d(x, 2))
            kept.append(x)
        for block, beside in zip(self.up, reversed(kept[:-1]), strict=True):
            x = block(torch.cat([nn.functional.interpolate(x, scale_factor=2.0), beside], 1))
        return dict(zip(FIELDS, self.answers(x).split(list(FIELDS.values()), 1), strict=True))


def load_network(path: Path = WEIGHTS) -> AnalyserNetwork:
    """The embedded network, or the one of a file that `lumosx train analyser` wrote, ready to look, on the CPU.

    Raises InputError for a missing file and for weights of something else.
    """
    weights, _ = read_safetensors(path)
    network = AnalyserNetwork()
    try:
        network.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in weights.items()})
    except RuntimeError as error:
        raise InputError(
            f"{path} does not hold a puppet analyser ({' '.join(str(error).split())[:200]}); give a file that "
            "`lumosx train analyser` wrote"
        ) from error
    return network.train(False).requires_grad_(False)
