"""Does anything move? The dynamic degree of VBench: optical flow by RAFT between frames an eighth of a second apart.

A pair of frames moves if the fastest 5 % of its pixels move by more than 6 pixels in a picture whose shorter side is 256; a
video is dynamic if a quarter of its pairs do (VBench, arXiv:2311.17982: four of sixteen). Videos are taken as 16 frames per
second, which is what Wan makes.

Legend: F = frames, H, W = pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lumosx_core.errors import InputError
from lumosx_core.evaluation.metrics.metric import Figure, Metric
from lumosx_core.files.pickles import read_pickle
from lumosx_core.files.videos import spread_frames
from lumosx_core.packages import install_command

STEP = 2  # frames between the two of a pair: 8 pairs a second
MOST_PAIRS = 16  # of a video, evenly spread
FASTEST = 0.05  # share of the pixels
LEAST = 6.0 / 256  # of the shorter side: slower is stillness
DYNAMIC = 0.25  # share of the pairs
UPDATES = 20  # of RAFT
SMALLEST = 128  # pixels of a side that RAFT bears; smaller pictures are enlarged
DIGITS = 5
Flow = Callable[[np.ndarray, np.ndarray], np.ndarray]  # two pictures uint8 [H, W, 3] -> float [H, W, 2], pixels right and down


@dataclass(frozen=True)
class Motion(Metric):
    """The metric. flow: None where nothing is looked at."""

    flow: Flow | None = None

    VERSION = 1
    FAULTS = frozenset[str]()

    def score(self, video: np.ndarray, sample: Path) -> dict[str, Any]:
        """`pairs`, the first frame of each; `speed`, how far the fastest pixels of each pair move, as a share of the shorter
        side. Raises InputError without a flow, and as that does. A video of one frame has no pairs."""
        if self.flow is None:
            raise InputError("the metric motion needs RAFT; name the folder of models with --eyes")
        del sample  # whatever was asked for
        count = max(0, len(video) - STEP)
        first = spread_frames(count, MOST_PAIRS)
        speeds = [fastest(self.flow(video[f], video[f + STEP])) / min(video.shape[1:3]) for f in first]
        return {"pairs": first.tolist(), "speed": [round(speed, DIGITS) for speed in speeds]}

    def missing(self, sample: Path) -> dict[str, Any]:
        """The values of a sample that has no video: nothing moves."""
        del sample
        return {"pairs": [], "speed": [0.0]}

    def figures(self, values: dict[str, Any]) -> dict[str, Figure]:
        """Videos that are dynamic, and pairs of frames that move. Nothing is asked of a single frame."""
        moving = float(sum(speed > LEAST for speed in values["speed"]))
        pairs = float(len(values["speed"]))
        return {"dynamic": (float(pairs > 0 and moving >= DYNAMIC * pairs), float(pairs > 0)), "moving pairs": (moving, pairs)}

    def note(self, values: dict[str, Any]) -> str:
        """ "dynamic: 5 of 16 pairs of frames move, the fastest pixels by 3.1 % of the shorter side in the mean"."""
        figures = self.figures(values)
        moving, pairs = figures["moving pairs"]
        if not pairs:
            return "a single frame"
        word = "dynamic" if figures["dynamic"][0] else "still"
        return (
            f"{word}: {moving:.0f} of {pairs:.0f} pairs of frames move, the fastest pixels by "
            f"{100 * np.mean(values['speed']):.1f} % of the shorter side in the mean"
        )


def fastest(flow: np.ndarray) -> float:
    """How far the FASTEST share of the pixels of a flow [H, W, 2] move in the mean, pixels."""
    speed = np.sort(np.hypot(flow[..., 0], flow[..., 1]).ravel())
    return float(speed[-max(1, int(FASTEST * len(speed))) :].mean())


def raft_flow(weights: Path, *, device: str = "cpu") -> Flow:
    """RAFT of torchvision with weights of a file. Raises InputError where torchvision is missing or does not fit torch, and for
    a file that holds something else."""
    try:
        from torchvision.models.optical_flow import raft_large
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that does not fit torch
        raise InputError(
            f"measuring motion needs a torchvision that fits torch ({error}); run  {install_command(['torchvision'])}  and "
            "start again"
        ) from error
    network = raft_large(weights=None)
    try:
        network.load_state_dict(dict(read_pickle(weights, "the weights of RAFT")))
    except RuntimeError as error:
        fault = " ".join(str(error).split())[:200]
        raise InputError(f"{weights} does not fit RAFT ({fault}); get the official file") from error
    network = network.to(device).train(False).requires_grad_(False)

    def flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        height, width = first.shape[:2]
        enlarged = max(1.0, SMALLEST / min(height, width))
        size = (8 * round(enlarged * height / 8), 8 * round(enlarged * width / 8))  # RAFT wants whole eighths
        pictures = torch.from_numpy(np.stack([first, second])).permute(0, 3, 1, 2).float() / 127.5 - 1
        pictures = torch.nn.functional.interpolate(pictures, size, mode="bilinear", antialias=True).to(device)
        with torch.inference_mode():
            found = network(pictures[:1], pictures[1:], num_flow_updates=UPDATES)[-1][0].permute(1, 2, 0).cpu().numpy()
        return found * np.array([width / size[1], height / size[0]], dtype=np.float32)

    return flow
