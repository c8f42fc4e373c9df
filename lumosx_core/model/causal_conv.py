"""Convolutions over time that see no later frame, of videos that come piece by piece.

Legend: B = batch, C = channels, T = frames of a piece, H, W = sides.
"""

import torch
import torch.nn.functional as F
from torch import nn

KEPT = 2  # frames: a convolution over time reaches two frames back
NARROW = 64  # channels: up to so many, torch's 3D convolution on CPUs takes twice the time of its 2D ones


class Memory:
    """What the convolutions over time of an encoder or a decoder saw last, in the order in which they run."""

    def __init__(self) -> None:
        self.kept: list[torch.Tensor] = []
        self.place = 0

    def restart(self) -> None:
        """The next piece begins at the first convolution."""
        self.place = 0

    def last(self) -> torch.Tensor | None:
        """The frames before this piece at the convolution that runs next; None for the first piece."""
        return self.kept[self.place] if self.place < len(self.kept) else None

    def keep(self, frames_BCTHW: torch.Tensor) -> None:
        """Keep these for the next piece, and go on to the next convolution."""
        self.kept[self.place : self.place + 1] = [frames_BCTHW]
        self.place += 1


class CausalConv3d(nn.Conv3d):
    """A convolution whose zeros in time lie before the video only."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int, int],
        stride: int | tuple[int, int, int] = 1,
        padding: int | tuple[int, int, int] = 0,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, padding)
        time, height, width = (int(side) for side in self.padding)
        self.before, self.around = 2 * time, (width, width, height, height)
        self.padding = (0, 0, 0)

    def forward(self, x: torch.Tensor, previous: torch.Tensor | None = None) -> torch.Tensor:
        """[B, C, T, H, W] after the frames `previous` -> [B, C', T', H', W']."""
        if self._by_pictures(x, previous):
            return self._summed(x, previous)
        before = self.before
        if previous is not None and before > 0:
            x = torch.cat([previous, x], 2)
            before -= previous.shape[2]
        if before or any(self.around):
            x = F.pad(x, (*self.around, before, 0))
        return super().forward(x)

    def _by_pictures(self, x: torch.Tensor, previous: torch.Tensor | None) -> bool:
        """Whether a CPU computes it sooner as convolutions of pictures, within rounding: the first frame of a video, where two
        of three meet zeros, and few channels. Not for tensors without content, which stand for those of a card."""
        fewer = (previous is None and x.shape[2] == 1) or self.in_channels <= NARROW
        alike = self.kernel_size[0] == 3 and self.stride == (1, 1, 1) and x.dtype == torch.float32
        return fewer and alike and x.device.type == "cpu" and type(x) is torch.Tensor and not torch.is_grad_enabled()

    def _summed(self, x: torch.Tensor, previous: torch.Tensor | None) -> torch.Tensor:
        """Every frame is the sum of three convolutions of pictures; those of the zeros before a video are left out."""
        pictures = [picture.contiguous() for part in (previous, x) if part is not None for picture in part.unbind(2)]
        shown: list[torch.Tensor | None] = [None] * (x.shape[2] + 2 - len(pictures))
        shown += pictures
        kernels = [kernel.contiguous() for kernel in self.weight.unbind(2)]
        batch, _, frames, height, width = x.shape
        made = x.new_empty(batch, self.out_channels, frames, height, width)
        for frame in range(frames):
            total, bias = None, self.bias
            for picture, kernel in zip(shown[frame : frame + 3], kernels, strict=True):
                if picture is not None:
                    part = F.conv2d(picture, kernel, bias, padding=(self.around[2], self.around[0]))
                    total, bias = part if total is None else total.add_(part), None
            assert total is not None  # its own frame is there
            made[:, :, frame] = total
        return made

    def piece(self, x: torch.Tensor, memory: Memory) -> torch.Tensor:
        """The same for the next piece of a video."""
        previous = memory.last()
        kept = x[:, :, -KEPT:].clone()
        if kept.shape[2] < KEPT and previous is not None:
            kept = torch.cat([previous[:, :, -1:], kept], 2)
        x = self(x, previous)
        memory.keep(kept)
        return x
