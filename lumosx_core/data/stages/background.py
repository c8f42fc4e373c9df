"""The scene without people and things: their places filled from other frames where the camera stands still, the rest invented
by a model, or smeared over from around them.

Legend: F = frames, H, W = pixels.
"""

from collections.abc import Iterator
from itertools import chain

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
    others = [(pictures[n], taken[n]) for n in range(len(pictures)) if n != chosen]
    is_still = [_same_scene(picture, scene, hidden | taken[chosen], settings.still) for picture, hidden in others]
    looked_at = chain(others, _more_frames(work, scene.shape[:2], grow) if any(is_still) else ())
    for picture, hidden in looked_at:
        free = open_places & ~hidden
        if free.any() and _same_scene(picture, pictures[chosen], hidden | taken[chosen], settings.still):
            scene[free] = picture[free]
            open_places &= ~free
        if not open_places.any():
            break
    filler = work.components.filler
    invented = float(open_places.mean())
    if open_places.any():
        scene = _invent(scene, open_places) if filler is None else filler.fill(scene, open_places)
    filled = Image.fromarray(scene)
    return BackgroundRecord(
        picture=work.blobs.put(encoded_png(filled)),
        invented=round(invented, 4),
        frame=chosen,
        left=len(work.components.people.find_people(filled)),
        painted=filler is not None and invented > 0,
    )


def _more_frames(work: ClipWork, size: tuple[int, int], grow: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(picture uint8 [H, W, 3], bool [H, W] where people and things may be) of frames between the selected ones, looked at only
    when they are asked for. Things of nobody were looked for in the selected frames alone, and are taken to stay there."""
    count = work.config.background.looked_at
    things = np.zeros(size, bool)
    for candidate in work.records["grounding"].candidates:
        if candidate.track is None:
            things |= work.mask(candidate.mask)
    things = ndimage.binary_dilation(things, iterations=grow)
    for number in np.unique(np.linspace(0, len(work.frames) - 1, count + 2)[1:-1].round().astype(int)):
        picture = work.frames[number]
        hidden = np.zeros(picture.shape[:2], bool)
        image = Image.fromarray(picture)
        for person in work.components.people.find_people(image):
            hidden |= person.mask if person.mask is not None else work.components.masks.segment(image, person)
        yield picture, ndimage.binary_dilation(hidden, iterations=2 * grow) | things  # what they hold is beside them


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
