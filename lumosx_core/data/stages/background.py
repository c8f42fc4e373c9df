"""The scene without people and things: their places filled from other frames where the camera stands still, the rest invented.

Legend: F = frames, H, W = pixels.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

from lumosx_core.data.records import BackgroundRecord
from lumosx_core.data.stage import ClipWork
from lumosx_core.errors import InputError
from lumosx_core.files.images import encoded_png
from lumosx_core.packages import install_command


def fill_background(work: ClipWork) -> BackgroundRecord:
    """The background of the middle frame; an empty record where the caption names no place."""
    reading = work.records["reading"]
    if not any(phrase.kind == "background" for phrase in reading.phrases):
        return BackgroundRecord()
    settings = work.config.background
    pictures = [np.asarray(picture) for picture in work.pictures]
    taken = [_taken(work, number, picture.shape[:2]) for number, picture in enumerate(pictures)]
    grow = max(1, round(settings.grow * min(pictures[0].shape[:2])))
    taken = [ndimage.binary_dilation(mask, iterations=grow) for mask in taken]
    chosen = min(range(len(pictures)), key=lambda n: (taken[n].sum(), abs(n - len(pictures) // 2)))
    scene, open_places = pictures[chosen].copy(), taken[chosen].copy()
    for number, picture in enumerate(pictures):
        free = open_places & ~taken[number]
        if (
            number != chosen
            and free.any()
            and _same_scene(picture, pictures[chosen], taken[number] | taken[chosen], settings.still)
        ):
            scene[free] = picture[free]
            open_places &= ~free
    invented = float(open_places.mean())
    if open_places.any():
        scene = _invent(scene, open_places)
    filled = Image.fromarray(scene)
    return BackgroundRecord(
        picture=work.blobs.put(encoded_png(filled)),
        invented=round(invented, 4),
        frame=chosen,
        left=len(work.components.people.find_people(filled)),
    )


def _invent(scene: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The picture uint8 [H, W, 3] with these places bool [H, W] inpainted from around them (Telea 2004)."""
    try:
        import cv2
    except ImportError as error:
        raise InputError(
            f"filling backgrounds needs opencv-python-headless; run  {install_command(['opencv-python-headless'])}"
        ) from error
    return cv2.inpaint(np.ascontiguousarray(scene), places.astype(np.uint8), 3, cv2.INPAINT_TELEA)


def _taken(work: ClipWork, frame: int, size: tuple[int, int]) -> np.ndarray:
    """bool [H, W]: where people and found things are in a frame."""
    mask = np.zeros(size, bool)
    for track in work.records["people"].tracks:
        for view in track:
            if view.frame == frame:
                mask |= work.mask(view.mask)
    for candidate in work.records["grounding"].candidates:
        if candidate.frame == frame:
            mask |= work.mask(candidate.mask)
    return mask


def _same_scene(first: np.ndarray, second: np.ndarray, taken: np.ndarray, still: float) -> bool:
    """Whether what is free in both frames is the same: the camera stands still."""
    free = ~taken
    if free.mean() < 0.05:
        return False
    return float(np.abs(first[free].astype(np.int16) - second[free].astype(np.int16)).mean()) < still
