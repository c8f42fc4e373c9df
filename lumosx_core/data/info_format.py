"""The published record of a clip, info.json (method.md section 12), written and read.

    CLIP/info.json     {"video", "caption", "selected_frames": [frame numbers], "word_tags_path": {
                          "person": [{"subject": {<name>: [masks of the person], "face": {<frame>: [x0, y0, x1, y1]}},
                                      "attributes": [{<phrase>: [masks]}]}],
                          "other_subjects": [{<phrase>: [masks]}],
                          "background": {<phrase>: [pictures]}}}
    CLIP/video.mp4
    CLIP/masks/<what>_frame<N>.png    as large as the frame, white where the thing is
    CLIP/background/<phrase>_frame<N>.png

Paths are relative to the folder of the info.json, with "/"; N is the number of the frame in the video, from 0. The caption is
not among the published fields; a text beside the video is read where it is missing.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.data.dataset import stored_picture
from lumosx_core.data.pack import read_file
from lumosx_core.data.sample_views import clip_place
from lumosx_core.errors import InputError, quoted
from lumosx_core.eyes import Box
from lumosx_core.files.atomic import whole_folder, write_bytes
from lumosx_core.files.images import save_png
from lumosx_core.files.json import read_json, write_json
from lumosx_core.files.names import free_stem

FILE_NAME = "info.json"
FRAME_OF = re.compile(r"_frame(\d+)\.[A-Za-z0-9]+$")


@dataclass(frozen=True, kw_only=True)
class InfoThing:
    """Words and the files that show them, by the number of the frame."""

    text: str
    files: dict[int, Path]


@dataclass(frozen=True, kw_only=True)
class InfoPerson:
    """A person: name with masks, faces by frame, and what belongs to them."""

    person: InfoThing
    faces: dict[int, Box]
    attributes: tuple[InfoThing, ...]


@dataclass(frozen=True, kw_only=True)
class Info:
    """A clip as an info.json tells it."""

    video: Path
    caption: str
    selected: tuple[int, ...]
    people: tuple[InfoPerson, ...]
    objects: tuple[InfoThing, ...]
    background: InfoThing | None


def write_info(dataset: Path, row: dict[str, Any], folder: Path) -> Path:
    """Write a sample of a dataset as a folder with info.json. Raises InputError for samples without masks or owners, and when
    the disk refuses."""
    record = json.loads(row["record"])
    if not record["owners"]:
        raise InputError("nothing says which pixels are whose (it came from a sample folder); info.json needs masks")
    numbers = [round((time - row["start_s"]) * row["fps"]) for time in record["selected_s"]]
    taken: dict[str, set[str]] = {}

    with whole_folder(folder, "the folder of an info.json") as partial:

        def files(room: str, text: str, pictures: dict[int, Image.Image]) -> list[str]:
            """Save the pictures of one thing, and their paths."""
            stem = free_stem(text, taken.setdefault(room, set()))
            (partial / room).mkdir(exist_ok=True)
            names = [f"{room}/{stem}_frame{numbers[frame]}.png" for frame in pictures]
            for name, picture in zip(names, pictures.values(), strict=True):
                save_png(picture, partial / name)
            return names

        def thing(one: dict[str, Any]) -> dict[str, list[str]]:
            masks = {view["frame"]: stored_picture(dataset, row, view["mask"]) for view in one["views"] if "mask" in view}
            if not masks:
                raise InputError("its things have no masks (it is older than they are, or imported); collect it again")
            return {one["text"]: files("masks", one["text"], masks)}

        owners = [np.asarray(stored_picture(dataset, row, name)) for name in record["owners"]]
        people = []
        for number, person in enumerate(record["people"]):
            shown = {n: Image.fromarray(owner == number) for n, owner in enumerate(owners) if (owner == number).any()}
            faces = {str(numbers[view["frame"]]): view["box"] for view in person["faces"]}
            people.append(
                {
                    "subject": {person["text"]: files("masks", person["text"], shown), "face": faces},
                    "attributes": [thing(one) for one in person["attributes"]],
                }
            )
        scene: dict[str, list[str]] = {}
        if (background := record["background"]) is not None:
            shown = {view["frame"]: stored_picture(dataset, row, view["file"]) for view in background["views"]}
            scene = {background["text"]: files("background", background["text"], shown)}
        content = {
            "video": "video.mp4",
            "caption": row["caption"],
            "selected_frames": numbers,
            "word_tags_path": {
                "person": people,
                "other_subjects": [thing(one) for one in record["objects"]],
                "background": scene,
            },
        }
        write_bytes(partial / "video.mp4", read_file(dataset, clip_place(row)), "a clip")
        write_json(partial / FILE_NAME, content, "the info.json")
    return folder


def read_info(path: Path) -> Info:
    """The content of an info.json, checked. Raises InputError that says which field is not as expected."""
    content = read_json(path, "the info.json")
    tags = _field(content, "word_tags_path", dict, str(path))
    video = path.parent / _path(_field(content, "video", str, str(path)))
    if not video.is_file():
        raise InputError(f"{path} names the video {quoted(content['video'])}, which is not beside it")
    caption = content.get("caption") or _text_beside(video)
    if not isinstance(caption, str) or not caption.strip():
        raise InputError(
            f"{path} has no caption, and no text lies beside its video; add the field caption, or {video.stem}.txt"
        )
    selected = tuple(_field(content, "selected_frames", list, str(path)))
    if not selected or any(type(n) is not int or n < 0 for n in selected) or len(set(selected)) != len(selected):
        raise InputError(f"{path}: selected_frames is {selected!r}, expected different numbers of frames from 0")
    backgrounds = [_thing(path, one, "background") for one in _split(tags.get("background") or {})]
    if len(backgrounds) > 1:
        raise InputError(f"{path} has {len(backgrounds)} backgrounds; a clip has at most one")
    return Info(
        video=video,
        caption=caption,
        selected=selected,
        people=tuple(_person(path, one) for one in _field(tags, "person", list, str(path))),
        objects=tuple(_thing(path, one, "other_subjects") for one in tags.get("other_subjects") or []),
        background=backgrounds[0] if backgrounds else None,
    )


def _person(path: Path, content: Any) -> InfoPerson:
    subject = dict(_field(content, "subject", dict, f"{path}: person"))
    boxes = subject.pop("face", {})
    faces: dict[int, Box] = {}
    for frame, box in boxes.items() if isinstance(boxes, dict) else ():
        right = isinstance(box, list) and len(box) == 4 and all(type(v) in (int, float) for v in box)
        if not frame.isdecimal() or not right or not (box[0] < box[2] and box[1] < box[3]):
            raise InputError(f"{path}: the face of frame {quoted(frame)} is {quoted(str(box))}, expected [x0, y0, x1, y1]")
        faces[int(frame)] = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    attributes = tuple(_thing(path, one, "attributes") for one in content.get("attributes") or [])
    return InfoPerson(person=_thing(path, subject, "subject"), faces=faces, attributes=attributes)


def _thing(path: Path, content: Any, what: str) -> InfoThing:
    if not isinstance(content, dict) or len(content) != 1:
        raise InputError(f"{path}: an entry of {what} is {quoted(str(content))}, expected one phrase with its files")
    ((text, names),) = content.items()
    files: dict[int, Path] = {}
    for name in names if isinstance(names, list) else [names]:
        match = FRAME_OF.search(name) if isinstance(name, str) else None
        if match is None:
            raise InputError(f"{path}: {quoted(str(name))} of {quoted(text)} does not end in _frame<N>.png")
        file = path.parent / _path(name)
        if not file.is_file():
            raise InputError(f"{path} names {quoted(name)}, which is not there")
        files[int(match[1])] = file
    return InfoThing(text=text.strip(), files=files)


def _split(content: Any) -> list[dict[str, Any]]:
    """The entries of a field that is one object or a list of objects, each alone."""
    parts = content if isinstance(content, list) else [content]
    return [{text: files} for part in parts if isinstance(part, dict) for text, files in part.items()]


def _field(content: Any, name: str, kind: type[Any], source: str) -> Any:
    if not isinstance(content, dict) or not isinstance(content.get(name), kind):
        names: dict[Any, str] = {dict: "an object", list: "a list", str: "a text"}
        raise InputError(f"{source} has no field {name} with {names[kind]}; expected the published layout (docs/collecting.md)")
    return content[name]


def _path(name: str) -> Path:
    return Path(name.replace("\\", "/"))


def _text_beside(video: Path) -> str:
    beside = video.with_suffix(".txt")
    return beside.read_text("utf-8-sig", "replace").strip() if beside.is_file() else ""
