"""Where the things of a caption are: every attribute is looked for on every person, one phrase at a time; objects elsewhere.

Looking for it on everybody, and not only on the person who should have it, is what tells later whether the words were right.

Legend: H, W = pixels.
"""

import numpy as np
from PIL import Image

from lumosx_core.data.records import Candidate, GroundingRecord, PersonView
from lumosx_core.data.relations.colours import main_colours
from lumosx_core.data.stage import ClipWork
from lumosx_core.detection.boxes import mask_box
from lumosx_core.detection.cut_outs import CutOutOptions, clean_mask
from lumosx_core.eyes import Box, Found

APART = 0.5  # of an object's mask may lie on people, at most
CLEAN = CutOutOptions()


def ground_phrases(work: ClipWork) -> GroundingRecord:
    """The surest place of every phrase, on every person in every selected frame."""
    reading, people = work.records["reading"], work.records["people"]
    found: list[Candidate] = []
    for frame, picture in enumerate(work.pictures):
        views = {track: view for track, track_views in enumerate(people.tracks) for view in track_views if view.frame == frame}
        masks = {track: work.mask(view.mask) for track, view in views.items()}
        everybody = np.any(list(masks.values()), axis=0) if masks else np.zeros((picture.height, picture.width), bool)
        seen: dict[tuple[str, int | None], Candidate | None] = {}  # people share words
        for number, phrase in enumerate(reading.phrases):
            words = phrase.span.of(reading.caption)
            if phrase.kind == "background":
                continue
            owners: list[int | None] = [None] if phrase.kind == "object" else list(views)
            for track in owners:
                if (words, track) not in seen:
                    if track is None:
                        seen[words, track] = _elsewhere(work, picture, frame, words, everybody)
                    else:
                        seen[words, track] = _on_person(work, picture, frame, words, track, views[track], masks[track])
                candidate = seen[words, track]
                if candidate is not None:
                    found.append(Candidate(**{**vars(candidate), "phrase": number}))
    return GroundingRecord(candidates=tuple(found))


def _on_person(
    work: ClipWork, picture: Image.Image, frame: int, words: str, track: int, view: PersonView, own: np.ndarray
) -> Candidate | None:
    within = _with_margin(view.box, work.config.grounding.margin, picture)
    places = work.components.phrases.find_phrase(picture, words, within)
    if not places:
        return None
    mask = work.components.masks.segment(picture, places[0])
    inside = float((mask & own).sum() / mask.sum()) if mask.any() else 0.0
    return _candidate(work, picture, frame, track, places[0], mask & own, inside)


def _elsewhere(work: ClipWork, picture: Image.Image, frame: int, words: str, everybody: np.ndarray) -> Candidate | None:
    for place in work.components.phrases.find_phrase(picture, words):
        mask = work.components.masks.segment(picture, place)
        if mask.any() and (mask & everybody).sum() <= APART * mask.sum():
            return _candidate(work, picture, frame, None, place, mask & ~everybody, 1.0)
    return None


def _candidate(
    work: ClipWork, picture: Image.Image, frame: int, track: int | None, place: Found, mask: np.ndarray, inside: float
) -> Candidate | None:
    if not mask.any():
        return None
    mask = clean_mask(mask, CLEAN)
    edges = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    return Candidate(
        phrase=0,
        track=track,
        frame=frame,
        box=tuple(float(v) for v in mask_box(mask)),  # type: ignore[arg-type]
        score=round(float(place.score), 4),
        mask=work.keep_mask(mask),
        pixels=int(mask.sum()),
        inside=round(inside, 4),
        border=any(bool(edge.any()) for edge in edges),
        lab=main_colours(np.asarray(picture), mask),
    )


def _with_margin(box: Box, margin: float, picture: Image.Image) -> Box:
    x, y = margin * (box[2] - box[0]), margin * (box[3] - box[1])
    return max(0.0, box[0] - x), max(0.0, box[1] - y), min(picture.width, box[2] + x), min(picture.height, box[3] + y)
