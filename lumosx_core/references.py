"""Reference pictures and what belongs to whom: one face and its attributes make a subject.

A `Sample` is a prompt and a `ReferenceSet`. On disk it is the published sample folder (method: LumosX arXiv 2603.20192;
our page method.md section 11):

    <sample>/caption.txt                     "<id>;<prompt>" or just the prompt
    <sample>/background/<phrase>.png         at most one
    <sample>/objects/<phrase>.png
    <sample>/subjects/<n>/face_<name phrase>.png
    <sample>/subjects/<n>/face_<name phrase>~2.png  ours, optional: further views of that face, from 2 on
    <sample>/subjects/<n>/<attribute phrase>.png
    <sample>/relations.json                  ours, optional: what file names cannot say

An id is the text before the first `;` when it holds no white space; a caption that starts with `;` has no id.
Phrases are escaped as `file_names.py` says. `relations.json` maps a path inside the folder to an object: for a subject's
folder `name`, `tag`, `occurrence`, `order`; for a picture `phrase`, `tag`, `occurrence`; for `objects` the `order` (file
names in the wanted order). It is written only when there is something to say, and published folders have none.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.file_names import free_stem, natural_order, unescape_phrase, views_in_order
from lumosx_core.image_files import IMAGE_SUFFIXES, open_image, rgb_on_white, save_png
from lumosx_core.relations_file import FILE_NAME, Note, note_for, read_notes, write_notes
from lumosx_core.whole_files import whole_folder

log = logging.getLogger(__name__)
FACE_PREFIX = "face_"

Item = TypeVar("Item", "Attribute", "SceneReference")
ReferenceKind = Literal["background", "object", "face", "attribute"]


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """A thing that belongs to one subject: clothing, glasses, a held thing.

    phrase: its words in the prompt; white space around them is dropped. image: any PIL mode, any size >= 1x1.
    tag: short name for `@subject.tag` in a prompt. occurrence: which match of the phrase is meant, from 1.
    """

    phrase: str
    image: Image.Image
    tag: str | None = None
    occurrence: int | None = None

    def __post_init__(self) -> None:
        _check_reference(self, "an attribute")


@dataclass(frozen=True, kw_only=True)
class SceneReference:
    """An object or the background: a picture that belongs to no subject. Fields as in `Attribute`."""

    phrase: str
    image: Image.Image
    tag: str | None = None
    occurrence: int | None = None

    def __post_init__(self) -> None:
        _check_reference(self, "an object or a background")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One person: a name phrase ("man"), a face, and what belongs to that person, in model order.

    The name may be empty only without a face; a name without a face settles who is who in the prompt but owns no
    tokens, since the model sees no picture of it. more_views: further pictures of the same face, which share its words.
    Raises InputError if there is neither a face nor an attribute, for further views without a face, and for two
    attributes with the same phrase or tag.
    """

    name: str
    face: Image.Image | None = None
    attributes: tuple[Attribute, ...] = ()
    tag: str | None = None
    occurrence: int | None = None
    more_views: tuple[Image.Image, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name.strip())
        object.__setattr__(self, "attributes", tuple(self.attributes))
        object.__setattr__(self, "more_views", tuple(self.more_views))
        what = f"subject {self.name!r}"
        if self.face is None and not self.attributes:
            raise InputError(f"{what} has neither a face nor an attribute; give it at least one picture")
        if self.face is not None:
            _check_phrase(self.name, "a subject's name")
            for picture in (self.face, *self.more_views):
                _check_image(picture, f"the face of {what}")
        elif self.more_views:
            raise InputError(f"{what} has {len(self.more_views)} further views but no face; give the first one as the face")
        _check_tag(self.tag, what)
        _check_occurrence(self.occurrence, what)
        _check_unique([item.phrase for item in self.attributes], f"the attribute phrases of {what}")
        _check_unique([item.tag.casefold() for item in self.attributes if item.tag], f"the attribute tags of {what}")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One picture of the token sequence, flattened out of a `ReferenceSet`. `subject` counts from 0."""

    kind: ReferenceKind
    subject: int | None
    phrase: str
    image: Image.Image
    tag: str | None = None
    occurrence: int | None = None


@dataclass(frozen=True, kw_only=True)
class ReferenceSet:
    """All reference pictures of one video; may be empty (text only). Raises InputError if a tag is given twice."""

    subjects: tuple[Subject, ...] = ()
    objects: tuple[SceneReference, ...] = ()
    background: SceneReference | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "subjects", tuple(self.subjects))
        object.__setattr__(self, "objects", tuple(self.objects))
        scene = (self.background,) if self.background else ()
        owners: list[Subject | SceneReference] = [*self.subjects, *self.objects, *scene]
        _check_unique([owner.tag.casefold() for owner in owners if owner.tag], "the tags of subjects, objects and scene")

    def references(self) -> tuple[Reference, ...]:
        """Every picture in model order: background, objects, then per subject the face, its other views, the attributes."""
        flat: list[Reference] = []
        if self.background is not None:
            flat.append(_flatten("background", None, self.background))
        flat += [_flatten("object", None, item) for item in self.objects]
        for number, subject in enumerate(self.subjects):
            views = () if subject.face is None else (subject.face, *subject.more_views)
            flat += [
                Reference(
                    kind="face", subject=number, phrase=subject.name, image=view, tag=subject.tag, occurrence=subject.occurrence
                )
                for view in views
            ]
            flat += [_flatten("attribute", number, item) for item in subject.attributes]
        return tuple(flat)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A prompt with its references. `sample_id` has no white space and no `;`."""

    prompt: str
    references: ReferenceSet
    sample_id: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", self.prompt.strip())
        _check_phrase(self.prompt, "the prompt")
        if self.sample_id is not None and not re.fullmatch(r"[^\s;]+", self.sample_id):
            raise InputError(f"sample id {self.sample_id!r} must be non-empty, without white space and without ';'")


def read_sample(folder: str | Path) -> Sample:
    """Reads a sample folder (layout: top of this file); pictures are loaded with their orientation applied.

    Order: the face first, attributes and objects by phrase with numbers by value, subjects by folder name likewise,
    unless `relations.json` gives an `order`. Hidden files are skipped; other unknown ones too, with a logged warning.

    Raises InputError for a missing or empty caption, two backgrounds, a subject without pictures, two faces that are
    not numbered as views of one, two pictures of one phrase, and pictures that `open_image` refuses.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no sample folder at {folder}; expected a folder with caption.txt and reference pictures")
    try:
        return _read_folder(folder)
    except (InputError, OSError) as error:
        raise InputError(f"cannot read the sample folder {folder}: {error}") from error


def write_sample(folder: str | Path, sample: Sample, *, overwrite: bool = False) -> Path:
    """Writes the sample folder (PNG pictures, first under a temporary name); `read_sample` gives the sample back.

    Raises InputError if the folder exists and is not empty (with `overwrite`: if it is no sample folder), and if the
    disk refuses.
    """
    folder = Path(folder)
    occupied = folder.is_file() or (folder.is_dir() and any(folder.iterdir()))
    if occupied and not (overwrite and (folder / "caption.txt").is_file()):
        raise InputError(f"{folder} exists and would be overwritten; choose another folder or remove it")
    with whole_folder(folder, "the sample folder") as partial:
        _write_folder(partial, sample)
    return folder


def prepare_reference_image(image: Image.Image, width: int, height: int) -> Image.Image:
    """The picture as the model sees it: RGB, `width` x `height` pixels, fitted and centred on white.

    Orientation is applied and alpha composited on white first; then it is scaled by min(width/w, height/h), bicubic,
    sides cut to whole pixels (at least 1), and pasted with the floor of half the slack (method.md section 7).
    """
    if width < 1 or height < 1:
        raise InputError(f"reference pictures are prepared for a video of {width}x{height} pixels; both must be >= 1")
    image = rgb_on_white(image)
    scale = min(width / image.width, height / image.height)
    size = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
    canvas = Image.new("RGB", (width, height), "white")
    canvas.paste(image.resize(size, Image.Resampling.BICUBIC), ((width - size[0]) // 2, (height - size[1]) // 2))
    return canvas


def to_unit_range(image: Image.Image) -> np.ndarray:
    """An RGB picture as float32 [3, H, W] with 0 -> -1 and 255 -> 1."""
    pixels = np.asarray(rgb_on_white(image), dtype=np.float32)
    return np.ascontiguousarray((pixels / np.float32(127.5) - np.float32(1.0)).transpose(2, 0, 1))


def _read_folder(folder: Path) -> Sample:
    sample_id, prompt = _parse_caption(folder / "caption.txt")
    notes = read_notes(folder)
    for path in _visible(folder):
        unknown = path.name not in ("caption.txt", FILE_NAME, "background", "objects", "subjects")
        if unknown and (path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES):
            log.warning("%s is not part of a sample folder and is ignored", path)
    backgrounds = _pictures(folder / "background")
    if len(backgrounds) > 1:
        raise InputError(
            f"{folder / 'background'} holds {len(backgrounds)} pictures ({', '.join(p.name for p in backgrounds)}); "
            "a video has at most one background, remove the others"
        )
    background = _read_items(SceneReference, folder, folder / "background", backgrounds, notes)
    objects = _read_items(SceneReference, folder, folder / "objects", _pictures(folder / "objects"), notes)
    subjects = [_read_subject(folder, path, notes) for path in _visible(folder / "subjects") if path.is_dir()]
    references = ReferenceSet(subjects=tuple(subjects), objects=objects, background=next(iter(background), None))
    return Sample(prompt=prompt, references=references, sample_id=sample_id)


def _read_subject(root: Path, folder: Path, notes: dict[str, Note]) -> Subject:
    pictures = _pictures(folder)
    if not pictures:
        raise InputError(f"{folder} holds no pictures; add face_<name>.png or <attribute>.png, or remove the folder")
    if bare := [path for path in pictures if path.stem in ("face", "face_")]:
        raise InputError(f"{bare[0]} does not say who it is; name it face_<name>.png, with the words of the prompt")
    faces = [path for path in pictures if path.stem.startswith(FACE_PREFIX)]
    views = views_in_order(faces)
    if views is None:
        raise InputError(
            f"{folder} holds {len(faces)} faces ({', '.join(p.name for p in faces)}); keep one, or name the "
            "others as views of it: face_<name>~2.png, face_<name>~3.png"
        )
    note = note_for(notes, root, folder)
    name = unescape_phrase(views[0].stem.removeprefix(FACE_PREFIX)) if views else ""
    return Subject(
        name=note.name or name,
        face=open_image(views[0]) if views else None,
        more_views=tuple(open_image(path) for path in views[1:]),
        attributes=_read_items(Attribute, root, folder, [path for path in pictures if path not in faces], notes),
        tag=note.tag,
        occurrence=note.occurrence,
    )


def _read_items(kind: type[Item], root: Path, folder: Path, paths: list[Path], notes: dict[str, Note]) -> tuple[Item, ...]:
    """Pictures with their phrases, in the noted order, then in natural order."""
    order = note_for(notes, root, folder).order
    paths = sorted(paths, key=lambda path: order.index(path.name) if path.name in order else len(order))
    items: dict[Path, Item] = {}
    for path in paths:
        note = note_for(notes, root, path)
        phrase = note.phrase or unescape_phrase(path.stem)
        twin = next((other for other, item in items.items() if item.phrase == phrase.strip()), None)
        if twin and not note.phrase:
            raise InputError(f"{twin} and {path.name} have the same phrase {phrase!r}; keep one or rename one")
        items[path] = kind(phrase=phrase, image=open_image(path), tag=note.tag, occurrence=note.occurrence)
    return tuple(items.values())


def _pictures(folder: Path) -> list[Path]:
    pictures = []
    for path in _visible(folder):
        if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
            pictures.append(path)
        else:
            log.warning("%s is not a PNG, JPEG or WebP picture and is ignored", path)
    return pictures


def _visible(folder: Path) -> list[Path]:
    """What is in a folder, in natural order of phrases, without hidden files; nothing if there is no such folder."""
    if not folder.is_dir():
        return []
    left_by_systems = ("thumbs.db", "desktop.ini", "__macosx")
    paths = [path for path in folder.iterdir() if path.name[0] != "." and path.name.lower() not in left_by_systems]
    return sorted(paths, key=lambda path: (natural_order(path.stem), path.name))


def _parse_caption(path: Path) -> tuple[str | None, str]:
    if not path.is_file():
        raise InputError(f"no caption.txt in {path.parent}; write the prompt into it, as '<id>;<prompt>' or alone")
    try:
        text = path.read_bytes().decode("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} as UTF-8 text ({error}); save it as UTF-8") from error
    sample_id, prompt = _split_caption(text)
    if not prompt:
        raise InputError(f"{path} holds no prompt (got {text!r}); write the prompt into it, as '<id>;<prompt>' or alone")
    return sample_id, prompt


def _split_caption(text: str) -> tuple[str | None, str]:
    head, semicolon, tail = text.partition(";")
    if semicolon and not re.search(r"\s", head):
        return head or None, tail.strip()
    return None, text


def _write_folder(folder: Path, sample: Sample) -> None:
    notes: dict[str, Note] = {}
    caption = f"{sample.sample_id};{sample.prompt}" if sample.sample_id else sample.prompt
    if _split_caption(caption) != (sample.sample_id, sample.prompt):
        caption = f";{sample.prompt}"
    (folder / "caption.txt").write_bytes(caption.encode("utf-8"))
    references = sample.references
    _write_items(folder, "background", [references.background] if references.background else [], notes)
    _write_items(folder, "objects", references.objects, notes)
    for number, subject in enumerate(references.subjects, start=1):
        place = f"subjects/{number}"
        order = _write_items(folder, place, subject.attributes, notes)
        name: str | None = subject.name
        if subject.face is not None:
            taken: set[str] = set()
            stems = [free_stem(subject.name, taken) for _ in range(1 + len(subject.more_views))]
            for stem, view in zip(stems, (subject.face, *subject.more_views), strict=True):
                save_png(view, folder / place / f"{FACE_PREFIX}{stem}.png")
            name = None if unescape_phrase(stems[0]) == subject.name else subject.name
        notes[place] = Note(name=name, tag=subject.tag, occurrence=subject.occurrence, order=order)
    write_notes(folder, notes)


def _write_items(
    folder: Path, place: str, items: Sequence[Attribute | SceneReference], notes: dict[str, Note]
) -> tuple[str, ...]:
    """Writes the pictures of one folder and notes what their names cannot say. Returns the order if it is not natural."""
    taken: set[str] = set()
    names: list[str] = []
    for item in items:
        stem = free_stem(item.phrase, taken, forbidden_prefix=FACE_PREFIX)
        names.append(f"{stem}.png")
        save_png(item.image, folder / place / names[-1])
        phrase = None if unescape_phrase(stem) == item.phrase else item.phrase
        notes[f"{place}/{names[-1]}"] = Note(phrase=phrase, tag=item.tag, occurrence=item.occurrence)
    order = tuple(names) if names != [path.name for path in _visible(folder / place)] else ()
    notes[place] = Note(order=order)
    return order


def _flatten(kind: ReferenceKind, subject: int | None, item: Attribute | SceneReference) -> Reference:
    return Reference(kind=kind, subject=subject, phrase=item.phrase, image=item.image, tag=item.tag, occurrence=item.occurrence)


def _check_reference(item: Attribute | SceneReference, what: str) -> None:
    object.__setattr__(item, "phrase", item.phrase.strip())
    _check_phrase(item.phrase, f"the phrase of {what}")
    _check_image(item.image, f"the picture of {item.phrase!r}")
    _check_tag(item.tag, repr(item.phrase))
    _check_occurrence(item.occurrence, repr(item.phrase))


def _check_phrase(phrase: str, what: str) -> None:
    if not phrase:
        raise InputError(f"{what} is empty; give the words that stand in the prompt")
    try:
        phrase.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{what}, {phrase!r}, holds characters that are not text; rename it") from error


def _check_image(image: object, what: str) -> None:
    if not isinstance(image, Image.Image):
        raise InputError(f"{what} is a {type(image).__name__}, expected a PIL image")
    if min(image.size) < 1:
        raise InputError(f"{what} has no pixels ({image.width}x{image.height})")


def _check_tag(tag: str | None, what: str) -> None:
    if tag is not None and (not re.fullmatch(r"\w+", tag) or tag.isdecimal()):
        raise InputError(
            f"tag {tag!r} of {what} must be letters, digits and underscores with at least one letter "
            "(bare numbers mean subjects: @1, @2)"
        )


def _check_occurrence(occurrence: int | None, what: str) -> None:
    if occurrence is not None and (isinstance(occurrence, bool) or not isinstance(occurrence, int) or occurrence < 1):
        raise InputError(f"occurrence {occurrence!r} of {what} must be a whole number from 1 on")


def _check_unique(names: Sequence[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name!r} stands twice among {what}; make them different")
