"""Published records (info.json, method.md section 12) as clips to train on, as they lie there: pictures are cut out of the
selected frames when they are asked for, as a collection cuts them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from lumosx_core.data.collect_config import PictureSettings
from lumosx_core.data.decoding import probe_video, walk_frames
from lumosx_core.data.info_format import Info, InfoPerson, InfoThing, read_info
from lumosx_core.data.relations.nearest import nearest_span
from lumosx_core.data.sample_files import NOBODYS, face_picture
from lumosx_core.data.training_clips import Entity, Person, Picture, StoredPicture, TrainingClip
from lumosx_core.detection.cut_outs import CutOutOptions, cut_out
from lumosx_core.errors import InputError, quoted
from lumosx_core.eyes import Box
from lumosx_core.files.images import open_image

SETTINGS = PictureSettings()


@dataclass(frozen=True, kw_only=True)
class FramePicture:
    """What a mask (a file) shows of frame `frame` of a video, from 0; with a box, the face in it. selected: all frames of which
    pictures are taken, which are decoded together."""

    path: Path
    frame: int
    mask: Path
    selected: tuple[int, ...]
    box: Box | None = None

    def open(self) -> Image.Image:
        """The picture, RGBA. Raises InputError if the video is shorter, or has another size than the mask."""
        picture, mask = _frames(self.path, self.selected)[self.frame], read_mask_file(self.mask)
        if mask.shape[::-1] != picture.size:
            raise InputError(
                f"the mask {self.mask} is {mask.shape[1]}x{mask.shape[0]}, its video {picture.width}x{picture.height}; give "
                "masks of the video's size"
            )
        if self.box is not None:
            return face_picture(picture, mask, self.box, SETTINGS)
        return cut_out(picture, mask, CutOutOptions(edge=SETTINGS.edge))


@dataclass(frozen=True, kw_only=True)
class OwnersPicture:
    """Whose pixels are whose in a selected frame. path: of the record; masks: of the people, None where one is not seen."""

    path: Path
    masks: tuple[Path | None, ...]

    def open(self) -> Image.Image:
        """The numbers of the people, from 0, as a grey picture; NOBODYS elsewhere."""
        read = [None if path is None else read_mask_file(path) for path in self.masks]
        shape = next(mask.shape for mask in read if mask is not None)
        owners = np.full(shape, NOBODYS, np.uint8)
        for number, mask in enumerate(read):
            if mask is not None:
                if mask.shape != shape:
                    raise InputError(f"the masks of {self.path} have sizes that differ; give masks of the video's size")
                owners[mask] = number
        return Image.fromarray(owners)


def info_clip(path: Path, name: str) -> TrainingClip:
    """The clip of an info.json. name: for messages. Raises InputError for a record that is not as published, a person without
    a face or mask, and words that are not in the caption. Things without a mask in a selected frame are left out."""
    info = read_info(path)
    facts = probe_video(info.video)

    def views(thing: InfoThing) -> dict[int, Path]:
        """Masks that show something, by their frame."""
        shown = {frame: thing.files[frame] for frame in info.selected if frame in thing.files}
        return {frame: mask for frame, mask in shown.items() if read_mask_file(mask).any()}

    def pictures(masks: Mapping[int, Path]) -> tuple[Picture, ...]:
        return tuple(FramePicture(path=info.video, frame=n, mask=masks[n], selected=info.selected) for n in masks)

    def things(given: tuple[InfoThing, ...]) -> tuple[Entity, ...]:
        seen = [(thing, views(thing)) for thing in given]
        return tuple(Entity(text=_words(info.caption, thing.text), pictures=pictures(masks)) for thing, masks in seen if masks)

    people = [views(person.person) for person in info.people]
    background = None
    if info.background is not None:
        files = info.background.files
        own: tuple[Picture, ...] = tuple(StoredPicture(path=files[n]) for n in info.selected if n in files)
        if not own:
            raise InputError(f"{path}: the background {quoted(info.background.text)} has no picture of a selected frame")
        background = Entity(text=_words(info.caption, info.background.text), pictures=own)
    shown = [n for n in info.selected if any(n in masks for masks in people)]
    return TrainingClip(
        name=name,
        caption=info.caption,
        people=tuple(
            Person(
                face=Entity(text=_words(info.caption, person.person.text), pictures=_faces(path, info, person, masks)),
                attributes=things(person.attributes),
                bodies=pictures(masks),
            )
            for person, masks in zip(info.people, people, strict=True)
        ),
        objects=things(info.objects),
        background=background,
        video=StoredPicture(path=info.video),
        owners=tuple(OwnersPicture(path=path, masks=tuple(masks.get(n) for masks in people)) for n in shown),
        selected_s=tuple(n / (facts.fps or 1.0) for n in shown),
        folder=path.parent,
    )


def _faces(path: Path, info: Info, person: InfoPerson, masks: Mapping[int, Path]) -> tuple[Picture, ...]:
    faces: tuple[Picture, ...] = tuple(
        FramePicture(path=info.video, frame=n, mask=masks[n], selected=info.selected, box=person.faces[n])
        for n in masks
        if n in person.faces
    )
    if not faces:
        raise InputError(f"{path}: {quoted(person.person.text)} has no face with a mask in a selected frame")
    return faces


def _words(caption: str, text: str) -> str:
    """The words as they stand in the caption."""
    found = nearest_span(caption, text)
    if not found.places:
        raise InputError(f"{quoted(text)} is not in the caption ({found.reason})")
    return caption[found.places[0].start : found.places[0].end]


def read_mask_file(path: Path) -> np.ndarray:
    """bool [H, W]: where a mask is white."""
    return np.asarray(open_image(path).convert("L")) > 127


@lru_cache(maxsize=2)
def _frames(video: Path, selected: tuple[int, ...]) -> dict[int, Image.Image]:
    found = {}
    for number, (_, frame) in enumerate(walk_frames(video)):
        if number in selected:
            found[number] = Image.fromarray(frame)
        if len(found) == len(selected):
            return found
    raise InputError(f"frame {max(selected)} of {video} is selected, but it has {number + 1} frames (from 0)")
