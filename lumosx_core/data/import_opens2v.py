"""Clips of OpenS2V-5M (its data_process/README.md and demo_result/step5) as records of the stages.

A JSON file maps a clip's name to `metadata` (path, cut and face_cut in frames, crop as x0, x1, y0, y1, caption), `word_tags`
(subject, object, background) and `annotation`: boxes and masks (COCO's compressed runs) of one frame by class name. It does not
say whose a thing is: masks of the subject classes are people, "human head" their faces, and the rest is matched with the words
of the caption and their owners as in a collection, by what lies on whom.

Frame numbers are counted from the beginning of the cut. Legend: H, W = pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from lumosx_core.data.collect_config import CollectConfig
from lumosx_core.data.decoding import probe_video, read_clip
from lumosx_core.data.imported import (
    MOST_FRAMES,
    ImportedClip,
    OpenVideo,
    candidate,
    frames_record,
    person_view,
    video_record,
)
from lumosx_core.data.records import (
    BackgroundRecord,
    Candidate,
    CaptionRecord,
    GroundingRecord,
    PeopleRecord,
    Shot,
)
from lumosx_core.data.relations.rules import read_rules
from lumosx_core.data.stage import stored_work
from lumosx_core.data.stages.relations import match_relations
from lumosx_core.data.store import Blobs
from lumosx_core.errors import InputError, quoted
from lumosx_core.eyes import Box
from lumosx_core.files.json import read_json

CAPTIONS = ("face_cap_qwen", "cap")  # the better one first
HEAD, PERSON = "human head", "person"
SAME_PERSON = 0.8  # masks that overlap more are one person (published: IoU > 0.8)
ON_PERSON = 0.5  # so much of a thing's mask lies on somebody who may own it; ours
UNKNOWN_SCORE = 0.5  # of annotations without one; ours


@dataclass(frozen=True, kw_only=True, eq=False)
class _Annotation:
    name: str
    box: Box
    mask: np.ndarray
    score: float


def opens2v_clips(given: Path, config: CollectConfig) -> list[tuple[str, Callable[[Blobs], ImportedClip]]]:
    """(name, what makes its records) of every clip of a JSON file, or of all below a folder, sorted. Videos are looked for
    beside the JSON file and below its folder. Raises InputError if there is none."""
    files = [given] if given.is_file() else sorted(given.rglob("*.json"))
    clips: list[tuple[str, Callable[[Blobs], ImportedClip]]] = []
    for path in files:
        content = read_json(path, "the OpenS2V file")
        if isinstance(content, dict) and any(isinstance(one, dict) and "annotation" in one for one in content.values()):
            clips += [(name, partial(_imported, name, one, path, config)) for name, one in sorted(content.items())]
    if not clips:
        raise InputError(f"no JSON file of {given} has clips with annotations; expected OpenS2V's layout (docs/collecting.md)")
    return clips


def _imported(name: str, content: Any, path: Path, config: CollectConfig, blobs: Blobs) -> ImportedClip:
    metadata, tags = _part(content, "metadata"), _part(content, "word_tags")
    annotation = _part(content, "annotation")
    file = _video_of(metadata, path)
    video, start_s = _cut(file, metadata)
    reading = read_rules(_caption(metadata))
    frame = _part(annotation, "ann_frame_data").get("ann_frame_idx", 0)
    if type(frame) is not int or frame < 0:
        raise InputError(f"ann_frame_idx is {quoted(str(frame))}, expected the number of a frame")
    frames = frames_record(video, [frame], blobs)
    found = _annotations(annotation, frame, video.frames.shape[1:3])
    subjects = {word.casefold() for word in tags.get("subject") or [] if isinstance(word, str)} | {PERSON}
    bodies = _people([one for one in found if one.name in subjects])
    faces = _faces(bodies, [one for one in found if one.name == HEAD])
    views = tuple((person_view(0, body.mask, faces.get(n), blobs),) for n, body in enumerate(bodies))
    things = [one for one in found if one.name not in subjects | {HEAD}]
    candidates: list[Candidate] = []
    for number, phrase in enumerate(reading.phrases):
        words = phrase.span.of(reading.caption).casefold()
        own = [one for one in things if one.name in words or words in one.name]
        if phrase.kind == "attribute":
            for track, body in enumerate(bodies):
                worn = [one for one in own if (one.mask & body.mask).sum() >= ON_PERSON * one.mask.sum()]
                if worn:
                    best = max(worn, key=lambda one: one.score)
                    candidates.append(candidate(number, track, 0, best.mask, body.mask, best.score, blobs))
        elif phrase.kind == "object" and own:
            best = max(own, key=lambda one: one.score)
            candidates.append(candidate(number, None, 0, best.mask, None, best.score, blobs))
    shot = Shot(start_s=start_s, frames=len(video.frames), fps=video.fps)
    records: dict[str, Any] = {
        "frames": frames,
        "people": PeopleRecord(tracks=views, seen=(len(bodies),), likeness=(1.0,) * max(1, len(bodies))),
        "caption": CaptionRecord(text=reading.caption, origin="given"),
        "reading": reading,
        "grounding": GroundingRecord(candidates=tuple(candidates)),
        "background": BackgroundRecord(),
        "video": video_record(video, blobs),
    }
    records["relations"] = match_relations(stored_work(file, shot, config, blobs, records))
    return ImportedClip(name=name, video=file, shot=shot, records=records, origin="OpenS2V")


def _cut(file: Path, metadata: dict[str, Any]) -> tuple[OpenVideo, float]:
    """The frames of the cut, cropped, and where it begins in seconds."""
    facts = probe_video(file)
    first, last = _whole_numbers(metadata.get("face_cut") or metadata.get("cut") or [0, facts.frames or 1], 2, "cut")
    if not 0 <= first < last or last - first > MOST_FRAMES:
        raise InputError(f"the cut is {first} to {last}; expected two frame numbers, at most {MOST_FRAMES} apart")
    frames, _ = read_clip(file, first / facts.fps, last - first, facts.fps)
    height, width = frames.shape[1:3]
    x0, x1, y0, y1 = _whole_numbers(metadata.get("crop") or [0, width, 0, height], 4, "crop")
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise InputError(f"the crop is {[x0, x1, y0, y1]}, the video {width}x{height} pixels")
    return OpenVideo(path=file, frames=frames[:, y0:y1, x0:x1], fps=facts.fps, plain=False), first / facts.fps


def _annotations(annotation: dict[str, Any], frame: int, size: tuple[int, int]) -> list[_Annotation]:
    """Class, box and mask of everything in the annotated frame; masks that are empty are left out."""
    boxes = _part(annotation, "ann_frame_data").get("annotations")
    masks = _part(_part(annotation, "mask_annotation"), str(frame))
    if not isinstance(boxes, list):
        raise InputError("ann_frame_data has no list of annotations")
    found = []
    for number, one in enumerate(boxes, start=1):
        runs = masks.get(str(number))
        if not isinstance(one, dict) or not isinstance(one.get("class_name"), str) or not isinstance(runs, dict):
            continue  # a box without a mask
        mask = decode_runs(runs, f"mask {number}")
        if mask.shape != size:
            raise InputError(f"mask {number} is {mask.shape[1]}x{mask.shape[0]}, the clip {size[1]}x{size[0]}")
        box = one.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or not all(type(v) in (int, float) for v in box):
            raise InputError(f"annotation {number} has the bbox {quoted(str(box))}, expected [x0, y0, x1, y1]")
        score = one.get("gme_score")
        if mask.any():
            found.append(
                _Annotation(
                    name=one["class_name"].casefold(),
                    box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                    mask=mask,
                    score=float(score) if isinstance(score, (int, float)) else UNKNOWN_SCORE,
                )
            )
    return found


def _people(found: list[_Annotation]) -> list[_Annotation]:
    """Everybody once, from left to right: of masks that overlap the one with the better score."""
    kept: list[_Annotation] = []
    for one in sorted(found, key=lambda one: -one.score):
        if all((one.mask & other.mask).sum() <= SAME_PERSON * (one.mask | other.mask).sum() for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: one.box[0] + one.box[2])


def _faces(bodies: list[_Annotation], heads: list[_Annotation]) -> dict[int, Box]:
    """The head of each person, one to one, by how much of it lies on whom (Hungarian method)."""
    if not bodies or not heads:
        return {}
    share = np.array([[(head.mask & body.mask).sum() / head.mask.sum() for head in heads] for body in bodies])
    pairs = zip(*linear_sum_assignment(-share), strict=True)
    return {int(row): heads[column].box for row, column in pairs if share[row, column] >= ON_PERSON}


def decode_runs(runs: dict[str, Any], what: str) -> np.ndarray:
    """The mask bool [H, W] of COCO's compressed run lengths: `size` [H, W], `counts` a text. Runs of outside, inside, outside,
    ... go down the columns; each is a signed number in groups of five bits, lowest first, from the fourth on as a difference to
    the one two before (the COCO API). Raises InputError for runs that do not fill the size."""
    size, text = runs.get("size"), runs.get("counts")
    if not isinstance(text, str) or not isinstance(size, list) or len(size) != 2 or not all(type(n) is int for n in size):
        raise InputError(f"{what} is no mask with size [height, width] and counts as a text")
    lengths: list[int] = []
    value = shift = 0
    for sign in text:
        group = ord(sign) - 48
        value |= (group & 31) << shift
        shift += 5
        if not group & 32:
            if group & 16:
                value -= 1 << shift
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    if shift or min(lengths, default=0) < 0 or sum(lengths) != size[0] * size[1]:
        raise InputError(f"{what} has runs of {sum(lengths)} pixels, its size is {size[0]}x{size[1]}")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(size[1], size[0]).T


def _video_of(metadata: dict[str, Any], path: Path) -> Path:
    named = metadata.get("path")
    if not isinstance(named, str) or not named:
        raise InputError("its metadata has no path of the video")
    name = Path(named.replace("\\", "/"))
    for file in (path.parent / name, *sorted(path.parent.rglob(name.name))):
        if file.is_file():
            return file
    raise InputError(f"the video {quoted(named)} is not below {path.parent}")


def _caption(metadata: dict[str, Any]) -> str:
    for field in CAPTIONS:
        text = metadata.get(field)
        text = text[0] if isinstance(text, list) and text else text
        if isinstance(text, str) and text.strip():
            return " ".join(text.split())
    raise InputError(f"its metadata has no caption; expected {' or '.join(CAPTIONS)}")


def _part(content: Any, name: str) -> dict[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get(name), dict):
        raise InputError(f"it has no {name}; expected OpenS2V's layout")
    return content[name]


def _whole_numbers(value: Any, count: int, what: str) -> list[int]:
    if not isinstance(value, list) or len(value) != count or not all(type(n) is int for n in value):
        raise InputError(f"{what} is {quoted(str(value))}, expected {count} whole numbers")
    return value
