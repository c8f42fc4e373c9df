"""Which frames of a shot are looked at: the published three, at 5, 50 and 95 percent, or sharper ones beside them.

Legend: F = frames of the shot, H, W = pixels.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

from lumosx_core.data.records import FrameRecord, FramesRecord
from lumosx_core.data.stage import ClipWork, DroppedError
from lumosx_core.files.images import encoded_png

PLACES = (0.05, 0.5, 0.95)  # of the shot; method.md section 12


def select_frames(work: ClipWork) -> FramesRecord:
    """The selected frames, stored as PNG; of a shot of few frames each one once. Drops a clip without frames."""
    frames = work.frames
    if len(frames) == 0:
        raise DroppedError("undecodable", "no frame could be read")
    settings = work.config.frames
    chosen: list[int] = []
    for place in PLACES:
        middle = round(place * (len(frames) - 1))
        reach = int(settings.around * len(frames))
        near = range(max(0, middle - reach), min(len(frames), middle + reach + 1))
        sharp = {index: sharpness(frames[index]) for index in near}
        best = max(near, key=lambda index: (sharp[index], -abs(index - middle)))
        index = best if sharp[middle] < settings.blurred * sharp[best] else middle
        if index not in chosen:
            chosen.append(index)
    records = tuple(
        FrameRecord(
            time_s=work.shot.start_s + index / work.shot.fps,
            picture=work.blobs.put(encoded_png(Image.fromarray(frames[index]))),
            looks=looks_of(frames[index]),
            sharpness=sharpness(frames[index]),
        )
        for index in sorted(chosen)
    )
    return FramesRecord(width=frames.shape[2], height=frames.shape[1], frames=records)


def sharpness(frame: np.ndarray) -> float:
    """Variance of the Laplacian of the grey picture uint8 [H, W, 3]; small for blurred ones (Pech-Pacheco 2000)."""
    grey = np.asarray(Image.fromarray(frame).convert("L"), np.float32)
    return round(float(ndimage.laplace(grey).var()), 3)


def looks_of(frame: np.ndarray) -> str:
    """Difference hash of a frame: 64 bits in hex, each whether a place is brighter than its right neighbour; pictures that
    look alike differ in few bits."""
    grey = np.asarray(Image.fromarray(frame).convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    bits = (grey[:, 1:] > grey[:, :-1]).ravel()
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def bits_apart(first: str, second: str) -> int:
    """In how many bits two hashes of `looks_of` differ, 0 to 64."""
    return (int(first, 16) ^ int(second, 16)).bit_count()
