"""Clips with info.json as records of the stages: what it says is believed, places of words in the caption are looked up."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from lumosx_core.data.imported import (
    ImportedClip,
    OpenVideo,
    candidate,
    frames_record,
    open_video,
    person_view,
    video_record,
)
from lumosx_core.data.info_format import FILE_NAME, Info, InfoThing, read_info
from lumosx_core.data.records import (
    BackgroundRecord,
    Candidate,
    CaptionRecord,
    Evidence,
    GroundingRecord,
    PeopleRecord,
    PersonView,
    Relation,
    RelationsRecord,
    Shot,
)
from lumosx_core.data.relations.nearest import nearest_span
from lumosx_core.data.relations.reading import Mention, PhraseKind, Reading, ReadPhrase, Span
from lumosx_core.data.store import Blobs
from lumosx_core.errors import InputError, quoted
from lumosx_core.files.images import encoded_png, open_image

READER = "info.json"
SURE = Evidence(own=1.0, others=0.0, inside=1.0, colour=None, readers=(READER,))


def info_clips(given: Path) -> list[tuple[str, Callable[[Blobs], ImportedClip]]]:
    """(name, what makes its records) of every info.json: the file itself, or all below a folder, sorted. Raises InputError if
    there is none."""
    files = [given] if given.is_file() else sorted(given.rglob(FILE_NAME))
    if not files:
        raise InputError(f"there is no {FILE_NAME} below {given}; expected the published layout (docs/collecting.md)")
    root = given.parent if given.is_file() else given
    return [(path.relative_to(root).parent.as_posix(), partial(_imported, path)) for path in files]


def _imported(path: Path, blobs: Blobs) -> ImportedClip:
    info = read_info(path)
    video = open_video(info.video)
    frames = frames_record(video, info.selected, blobs)
    reading = _Reading(info.caption)
    people = [_views(info, video, person.person, person.faces, blobs) for person in info.people]
    for person in info.people:
        reading.add_person(person.person.text)
    candidates: list[Candidate] = []
    for number, person in enumerate(info.people):
        owners = _masks(info, video, person.person)
        for thing in person.attributes:
            phrase = reading.add_thing(thing.text, "attribute", number)
            for frame, mask in _masks(info, video, thing).items():
                candidates.append(candidate(phrase, number, frame, mask, owners.get(frame), 1.0, blobs))
    for thing in info.objects:
        phrase = reading.add_thing(thing.text, "object", None)
        for frame, mask in _masks(info, video, thing).items():
            candidates.append(candidate(phrase, None, frame, mask, None, 1.0, blobs))
    background = BackgroundRecord()
    if info.background is not None:
        reading.add_thing(info.background.text, "background", None)
        background = _background(info, info.background, blobs)
    read = reading.reading()
    things = [number for number, phrase in enumerate(read.phrases) if phrase.kind != "background"]
    relations = tuple(
        Relation(phrase=number, track=read.phrases[number].owner, evidence=SURE)
        for number in things
        if any(one.phrase == number for one in candidates)
    )
    seen = Counter(view.frame for track in people for view in track)
    return ImportedClip(
        name=info.video.name,
        video=info.video,
        shot=Shot(start_s=0.0, frames=len(video.frames), fps=video.fps),
        origin=READER,
        records={
            "frames": frames,
            "people": PeopleRecord(
                tracks=tuple(people), seen=tuple(seen[n] for n in range(len(info.selected))), likeness=(1.0,) * len(people)
            ),
            "caption": CaptionRecord(text=info.caption, origin="given"),
            "reading": read,
            "grounding": GroundingRecord(candidates=tuple(candidates)),
            "relations": RelationsRecord(people=tuple(range(len(people))), margin=1.0, relations=relations),
            "background": background,
            "video": video_record(video, blobs),
        },
    )


class _Reading:
    """A reading that grows: words of equal spelling take the places in the caption one after the other."""

    def __init__(self, caption: str) -> None:
        self.caption = caption
        self.used: Counter[str] = Counter()
        self.mentions: list[Mention] = []
        self.phrases: list[ReadPhrase] = []

    def add_person(self, text: str) -> None:
        self.mentions.append(Mention(span=self._place(text)))

    def add_thing(self, text: str, kind: PhraseKind, owner: int | None) -> int:
        """Its number."""
        self.phrases.append(ReadPhrase(span=self._place(text), kind=kind, owner=owner))
        return len(self.phrases) - 1

    def reading(self) -> Reading:
        return Reading(caption=self.caption, mentions=tuple(self.mentions), phrases=tuple(self.phrases), reader=READER)

    def _place(self, text: str) -> Span:
        found = nearest_span(self.caption, text)
        if not found.places:
            raise InputError(f"{quoted(text)} is not in the caption ({found.reason})")
        number = min(self.used[text], len(found.places) - 1)
        self.used[text] += 1
        return found.places[number]


def _views(
    info: Info, video: OpenVideo, person: InfoThing, faces: dict[int, tuple[float, float, float, float]], blobs: Blobs
) -> tuple[PersonView, ...]:
    masks = _masks(info, video, person)
    if not masks:
        raise InputError(f"{quoted(person.text)} has no mask in the selected frames")
    return tuple(person_view(n, mask, faces.get(info.selected[n]), blobs) for n, mask in sorted(masks.items()))


def _masks(info: Info, video: OpenVideo, thing: InfoThing) -> dict[int, np.ndarray]:
    """Masks bool [H, W] by the place of their frame among the selected ones; empty ones are left out."""
    masks = {}
    height, width = video.frames.shape[1:3]
    for place, number in enumerate(info.selected):
        if (path := thing.files.get(number)) is not None:
            mask = np.asarray(open_image(path).convert("L")) > 127
            if mask.shape != (height, width):
                raise InputError(f"the mask {path.name} is {mask.shape[1]}x{mask.shape[0]}, the video {width}x{height}")
            if mask.any():
                masks[place] = mask
    return masks


def _background(info: Info, thing: InfoThing, blobs: Blobs) -> BackgroundRecord:
    for place, number in enumerate(info.selected):
        if (path := thing.files.get(number)) is not None:
            return BackgroundRecord(picture=blobs.put(encoded_png(open_image(path).convert("RGB"))), frame=place)
    raise InputError(f"the background {quoted(thing.text)} has no picture of a selected frame")
