"""Clips to train on, wherever they come from: sample folders with a video, published records, or a collected dataset.

A clip is a caption, a video, and for everybody and everything in it the words and some pictures, of which one is drawn.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

from PIL import Image

from lumosx_core.data.pack import MANIFEST, read_file, read_manifest
from lumosx_core.data.sample_views import clip_place, clips_of_views, faces_of_record
from lumosx_core.errors import InputError
from lumosx_core.files.images import decoded, open_image
from lumosx_core.files.json import parse_json
from lumosx_core.owners import OwnedPhrase
from lumosx_core.references import Attribute, Sample, SceneReference
from lumosx_core.sample_folder import read_sample

VIDEO = "video.mp4"
LEAST_SIDE = 8  # pixels of a picture: less shows nothing to learn from; ours
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StoredPicture:
    """A picture in a file, or in a file of a sample of a dataset (`place`: its row of the manifest's files)."""

    path: Path
    place: dict[str, Any] | None = field(default=None, compare=False)

    def open(self) -> Image.Image:
        """The picture. Raises InputError if it cannot be read."""
        if self.place is None:
            return open_image(self.path)
        try:
            return decoded(read_file(self.path, self.place))
        except (OSError, SyntaxError) as error:
            raise InputError(f"cannot read {self.place['name']} of {self.path} ({error}); run lumosx dataset check") from error


@dataclass(frozen=True, kw_only=True)
class SamplePicture:
    """Picture `number` of a sample folder, in model order."""

    path: Path
    number: int

    def open(self) -> Image.Image:
        """The picture. Raises InputError if the folder cannot be read."""
        return _read(self.path).references.references()[self.number].image


class Picture(Protocol):
    """A picture that is read when it is asked for. path: of its file, or of what it is taken from."""

    @property
    def path(self) -> Path: ...

    def open(self) -> Image.Image: ...


def large_enough(picture: Picture) -> Image.Image:
    """The picture. Raises InputError if it cannot be read, or has a side below LEAST_SIDE."""
    image = picture.open()
    if min(image.size) < LEAST_SIDE:
        raise InputError(
            f"a picture in {picture.path} is {image.width}x{image.height}; give one of at least {LEAST_SIDE} pixels a side"
        )
    return image


@dataclass(frozen=True, kw_only=True)
class Entity:
    """Something with words and pictures. occurrence: which match of the words in the caption is meant, from 1; None: all."""

    text: str
    pictures: tuple[Picture, ...]
    occurrence: int | None = None


@dataclass(frozen=True, kw_only=True)
class Person:
    """A person: name and faces, what belongs to them, and pictures of the whole person, if there are any."""

    face: Entity
    attributes: tuple[Entity, ...] = ()
    bodies: tuple[Picture, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrainingClip:
    """One clip. name: for messages, unique in its folder. video: a file, or a sample's row of a dataset in `video`. owners: PNG
    per selected frame with the numbers of people, at the times selected_s, where they are known. others: clips of
    which pictures are in it too. folder: that all its files are in, where it is none of a dataset."""

    name: str
    caption: str
    people: tuple[Person, ...]
    objects: tuple[Entity, ...]
    background: Entity | None
    video: StoredPicture
    owners: tuple[Picture, ...] = ()
    selected_s: tuple[float, ...] = ()
    others: tuple[str, ...] = ()
    folder: Path | None = None

    def phrases(self) -> list[OwnedPhrase]:
        """The words of every entity, each with its owner, as `bind_phrases` takes them: background, objects, people with their
        attributes."""
        found: list[OwnedPhrase] = []
        if self.background is not None:
            found.append(_owned("background", None, "background", self.background))
        found += [_owned("object", None, f"object {n}", thing) for n, thing in enumerate(self.objects, 1)]
        for n, person in enumerate(self.people):
            found.append(_owned("face", n, f"subject {n + 1}", person.face))
            found += [_owned("attribute", n, f"subject {n + 1}", thing) for thing in person.attributes]
        return found


def find_training_clips(
    folder: Path, split: Literal["train", "val", "test", "all"] = "all"
) -> tuple[list[TrainingClip], dict[str, str]]:
    """(the clips of a folder, what cannot be read: name -> why), in the order of their names.

    folder: a collected dataset, or a folder of sample folders that each hold `video.mp4`, and of published records (info.json),
    at any depth. split: the part of a
    collected dataset; sample folders have none, and all of them are for training. Raises InputError if there is neither, if
    the part is empty, and for validation and test of sample folders.
    """
    from lumosx_core.data.info_clips import info_clip  # which makes the clips of here
    from lumosx_core.data.info_format import FILE_NAME

    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give a collected dataset or a folder of sample folders with {VIDEO}")
    if (folder / MANIFEST).is_file():
        rows = read_manifest(folder)
        wanted = [row for row in rows if split in ("all", row["split"])]
        if rows and not wanted:
            raise InputError(
                f"none of the {len(rows)} samples of {folder} is in its part {split}; take all of them with "
                "--split all, or draw the parts anew with lumosx dataset split"
            )
        return [_collected(folder, row) for row in wanted], {}
    if split in ("val", "test"):
        raise InputError(
            f"{folder} is no collected dataset, and sample folders have no part {split}; leave --split out, "
            "or make a dataset of them with lumosx dataset import"
        )
    clips: list[TrainingClip] = []
    faults: dict[str, str] = {}
    for top, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if FILE_NAME in files or "caption.txt" in files:
            folders[:] = []
            path = Path(top)
            name = path.relative_to(folder).as_posix() if path != folder else path.name
            try:
                clips.append(info_clip(path / FILE_NAME, name) if FILE_NAME in files else _sample_folder(path, name))
            except InputError as error:
                faults[name] = str(error)
    if not clips and not faults:
        raise InputError(f"{folder} holds nothing to train on; expected a collected dataset, or sample folders with {VIDEO}")
    return clips, faults


def _owned(kind: str, subject: int | None, owner: str, thing: Entity) -> OwnedPhrase:
    return OwnedPhrase(kind=kind, subject=subject, owner=owner, phrase=thing.text, occurrence=thing.occurrence)  # type: ignore[arg-type]


def _collected(folder: Path, row: dict[str, Any]) -> TrainingClip:
    record = parse_json(row["record"], f"the record of {row['sample']} in {folder}")
    places = {place["name"]: place for place in row["files"]}

    def stored(views: Sequence[dict[str, Any]]) -> tuple[StoredPicture, ...]:
        return tuple(StoredPicture(path=folder, place=places[view["file"]]) for view in views)

    def entity(thing: dict[str, Any]) -> Entity:
        return Entity(text=thing["text"], pictures=stored(thing["views"]), occurrence=thing["occurrence"])

    return TrainingClip(
        name=row["sample"],
        caption=row["caption"],
        people=tuple(
            Person(
                face=Entity(text=person["text"], pictures=stored(faces_of_record(person)), occurrence=person["occurrence"]),
                attributes=tuple(map(entity, person["attributes"])),
                bodies=stored(person["bodies"]),
            )
            for person in record["people"]
        ),
        objects=tuple(map(entity, record["objects"])),
        background=None if record["background"] is None else entity(record["background"]),
        video=StoredPicture(path=folder, place=clip_place(row)),
        owners=tuple(StoredPicture(path=folder, place=places[name]) for name in record["owners"]),
        selected_s=tuple(time - row["start_s"] for time in record["selected_s"]),
        others=clips_of_views(record),
    )


def _sample_folder(path: Path, name: str) -> TrainingClip:
    """A sample folder with a video; of a face all views, of everything else its one picture."""
    video = path / VIDEO
    if not video.is_file():
        raise InputError(f"it has no {VIDEO}")
    sample = _read(path)
    references = sample.references.references()
    if any(reference.strength != 1 for reference in references):
        log.warning("%s: training shows every picture at strength 1; the strengths in relations.json are not used", path)
    pictures = [SamplePicture(path=path, number=n) for n, _ in enumerate(references)]
    waiting = iter(pictures)

    def entity(thing: Attribute | SceneReference) -> Entity:
        return Entity(text=thing.phrase, pictures=(next(waiting),), occurrence=thing.occurrence)

    # In the order of `ReferenceSet.references`.
    scene = sample.references.background
    background = None if scene is None else entity(scene)
    objects = tuple(entity(thing) for thing in sample.references.objects)
    people = []
    for subject in sample.references.subjects:
        if subject.face is None:
            raise InputError(f"subject {subject.name!r} has no face")
        views = tuple(next(waiting) for _ in range(1 + len(subject.more_views)))
        face = Entity(text=subject.name, pictures=views, occurrence=subject.occurrence)
        people.append(Person(face=face, attributes=tuple(entity(thing) for thing in subject.attributes)))
    return TrainingClip(
        name=name,
        caption=sample.prompt,
        people=tuple(people),
        objects=objects,
        background=background,
        video=StoredPicture(path=video),
        folder=path,
    )


@lru_cache(maxsize=1)
def _read(path: Path) -> Sample:
    return read_sample(path)
