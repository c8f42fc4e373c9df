"""The published sample folder, read and written (method: LumosX arXiv 2603.20192; our page method.md section 11).

    <sample>/caption.txt                     "<id>;<prompt>" or just the prompt
    <sample>/background/<phrase>.png         at most one
    <sample>/objects/<phrase>.png
    <sample>/subjects/<n>/face_<name phrase>.png
    <sample>/subjects/<n>/face_<name phrase>~2.png  ours, optional: further views of that face, from 2 on
    <sample>/subjects/<n>/<attribute phrase>.png
    <sample>/relations.json                  ours, optional: what file names cannot say

An id is the text before the first `;` when it is ASCII letters, digits and `_ - .` alone; letters alone are a word of the
prompt if a space follows the `;` ("Cinematic; a man"). A caption that starts with `;` has no id.
Phrases are escaped as `files/names.py` says. `relations.json` maps a path inside the folder to an object: for a subject's
folder `name`, `tag`, `occurrence`, `order`, `strength`; for a picture `phrase`, `tag`, `occurrence`, `strength`; for `objects`
the `order` (file names in the wanted order). It is written only when there is something to say; published folders have none.
"""

import logging
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import whole_folder, write_text
from lumosx_core.files.existing import existing_file, existing_folder
from lumosx_core.files.image_formats import OTHER_SUFFIXES, READABLE_SUFFIXES, looks_like_a_picture
from lumosx_core.files.images import open_image, save_png
from lumosx_core.files.leftovers import restore
from lumosx_core.files.names import free_stem, natural_order, unescape_phrase, views_in_order
from lumosx_core.references import Attribute, ReferenceSet, Sample, SceneReference, Subject
from lumosx_core.relations_file import FILE_NAME as NOTES
from lumosx_core.relations_file import Note, Notes, write_notes

FACE_PREFIX = "face_"
PICTURE_SUFFIXES = (*READABLE_SUFFIXES, *OTHER_SUFFIXES)  # `open_image` says of the latter that it cannot read them
MAX_NAMED = 8  # pictures in one message
Item = TypeVar("Item", "Attribute", "SceneReference")
log = logging.getLogger(__name__)


def read_sample(folder: str | Path) -> Sample:
    """Reads a sample folder (layout: top of this file); pictures are loaded with their orientation applied.

    Order: the face first, attributes and objects by phrase with numbers by value, subjects by folder name likewise,
    unless `relations.json` gives an `order`. Hidden files are skipped; others that are no pictures too, with a logged
    warning. No picture is left out: one that lies elsewhere than the layout says is an error.

    Raises InputError for a missing or empty caption, two backgrounds, a subject without pictures, two faces that are
    not numbered as views of one, two pictures of one phrase, pictures in the wrong place, pictures that `open_image`
    refuses, and whatever cannot be read.
    """
    restore(Path(folder))
    folder = existing_folder(folder, "sample folder", "expected a folder with caption.txt and reference pictures")
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
    restore(folder)
    occupied = folder.is_file() or (folder.is_dir() and any(folder.iterdir()))
    if occupied and not (overwrite and (folder / "caption.txt").is_file()):
        raise InputError(f"{folder} exists and would be overwritten; choose another folder or remove it")
    with whole_folder(folder, "the sample folder") as partial:
        _write_folder(partial, sample)
    return folder


def read_subject(folder: str | Path) -> Subject:
    """One person out of a folder of their own, which is like subjects/<n> of a sample folder; its `relations.json` lies inside
    and says "." for the person.

    Raises InputError for a folder without pictures, faces that are not views of one, and whatever cannot be read.
    """
    restore(Path(folder))
    folder = existing_folder(folder, "folder of a person", "expected a folder with face_<name>.png or <attribute>.png")
    try:
        notes = Notes(folder)
        stray = [path for path in _files_below(folder) if path.parent != folder and looks_like_a_picture(path)]
        if stray:
            raise InputError(f"{_named(folder, stray)} would be left out; put pictures into the folder itself")
        subject = _read_subject(folder, notes)
        notes.all_read()
        return subject
    except (InputError, OSError) as error:
        raise InputError(f"cannot read the person in {folder}: {error}") from error


def write_subject(folder: str | Path, subject: Subject, *, overwrite: bool = False) -> Path:
    """Writes one person into a folder of their own, whole or not at all; `read_subject` gives the person back.

    Raises InputError if the folder exists and is not empty (with `overwrite`: if no person is in it), and if the disk refuses.
    """
    folder = Path(folder)
    restore(folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        if not overwrite:
            raise InputError(f"{folder} exists and would be overwritten; choose another name or remove it")
        read_subject(folder)  # refuses to replace what is something else
    with whole_folder(folder, "the folder of a person") as partial:
        notes: dict[str, Note] = {}
        _write_subject(partial, ".", subject, notes)
        write_notes(partial, notes)
    return folder


def _read_folder(folder: Path) -> Sample:
    sample_id, prompt = _parse_caption(folder / "caption.txt")
    notes = Notes(folder)
    _refuse_stray_pictures(folder)
    backgrounds = _pictures(folder / "background")
    if len(backgrounds) > 1:
        raise InputError(
            f"{folder / 'background'} holds {len(backgrounds)} pictures ({', '.join(p.name for p in backgrounds)}); "
            "a video has at most one background, remove the others"
        )
    background = _read_items(SceneReference, backgrounds, notes, notes.at(folder / "background", "order").order)
    order = notes.at(folder / "objects", "order").order
    objects = _read_items(SceneReference, _pictures(folder / "objects"), notes, order)
    subjects = [_read_subject(path, notes) for path in _visible(folder / "subjects") if path.is_dir()]
    notes.all_read()
    references = ReferenceSet(subjects=tuple(subjects), objects=objects, background=next(iter(background), None))
    return Sample(prompt=prompt, references=references, sample_id=sample_id)


def _read_subject(folder: Path, notes: Notes) -> Subject:
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
    for view in (views or [])[1:]:
        if notes.at(view, "strength").strength is not None:
            raise InputError(
                f"{NOTES} gives {view.name} a strength, but all views of a face share one; give it to {views[0].name} instead"
            )
    note = notes.at(folder, "name", "tag", "occurrence", "order", "strength")
    name = unescape_phrase(views[0].stem.removeprefix(FACE_PREFIX)) if views else ""
    return Subject(
        name=note.name or name,
        face=open_image(views[0]) if views else None,
        more_views=tuple(open_image(path) for path in views[1:]),
        attributes=_read_items(Attribute, [path for path in pictures if path not in faces], notes, note.order),
        tag=note.tag,
        occurrence=note.occurrence,
        strength=_strength(note),
        face_strength=_strength(notes.at(views[0], "strength")) if views else 1.0,
    )


def _read_items(kind: type[Item], paths: list[Path], notes: Notes, order: tuple[str, ...]) -> tuple[Item, ...]:
    """Pictures with their phrases, in the noted order, then in natural order."""
    places = {_composed(name): place for place, name in reversed(list(enumerate(order)))}
    paths = sorted(paths, key=lambda path: places.get(_composed(path.name), len(order)))
    items: list[Item] = []
    by_phrase: dict[str, Path] = {}  # of those whose file name says it
    for path in paths:
        note = notes.at(path, "phrase", "tag", "occurrence", "strength")
        phrase = note.phrase or unescape_phrase(path.stem)
        if not note.phrase:
            twin = by_phrase.setdefault(_composed(phrase.strip()), path)
            if twin is not path:
                raise InputError(f"{twin} and {path.name} have the same phrase {phrase!r}; keep one or rename one")
        picture = open_image(path)
        items.append(kind(phrase=phrase, image=picture, tag=note.tag, occurrence=note.occurrence, strength=_strength(note)))
    return tuple(items)


def _strength(note: Note) -> float:
    return 1.0 if note.strength is None else note.strength


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)  # some file systems give names back decomposed


def _refuse_stray_pictures(folder: Path) -> None:
    """No video is made without a picture that the user has put somewhere: InputError names those that would be left out."""
    stray = []
    for path in _files_below(folder):
        if not _is_placed(folder, path) and looks_like_a_picture(path):
            stray.append(path)
            if len(stray) > MAX_NAMED:
                break
    if stray:
        raise InputError(
            f"these pictures would be left out: {_named(folder, stray)}; put faces (face_<name>.png) and what somebody wears "
            "into subjects/1/, subjects/2/, ..., things into objects/, the scene into background/, all named with the ending "
            "of their format, or take them out of the folder"
        )


def _named(folder: Path, paths: list[Path]) -> str:
    names = [path.relative_to(folder).as_posix() for path in paths]
    return ", ".join(names[:MAX_NAMED]) + (", ..." if len(names) > MAX_NAMED else "")


def _files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder that are not hidden. Raises InputError for folders that cannot be listed."""
    waiting = [folder]
    while waiting:
        for path in _visible(waiting.pop()):
            if path.is_dir() and not path.is_symlink():
                waiting.append(path)
            elif path.is_file():
                yield path


def _is_placed(folder: Path, path: Path) -> bool:
    """Is it where `_read_folder` looks for pictures, and named as one?"""
    room, *rest = path.relative_to(folder).parts
    wanted = {"background": 1, "objects": 1, "subjects": 2}
    if room not in wanted and room.lower() in wanted and (folder / room.lower()).is_dir():
        # "Subjects" on a disk where case does not count
        room = room.lower() if (folder / room).samefile(folder / room.lower()) else room
    return len(rest) == wanted.get(room) and path.suffix.lower() in PICTURE_SUFFIXES


def _pictures(folder: Path) -> list[Path]:
    pictures = []
    for path in _visible(folder):
        if path.is_file() and path.suffix.lower() in PICTURE_SUFFIXES:
            pictures.append(path)
        elif path.name != NOTES:  # of a person alone
            log.warning("%s is no picture and is ignored", path)
    return pictures


def _visible(folder: Path) -> list[Path]:
    """What is in a folder, in natural order of phrases, without hidden files; nothing if there is no such folder.

    Raises InputError for a folder that cannot be read.
    """
    if not os.path.lexists(folder):
        return []
    folder = existing_folder(folder, "folder", "expected a folder of pictures")
    left_by_systems = ("thumbs.db", "desktop.ini", "__macosx")
    paths = [path for path in folder.iterdir() if path.name[0] != "." and path.name.lower() not in left_by_systems]
    return sorted(paths, key=lambda path: (natural_order(path.stem), path.name))


def _parse_caption(path: Path) -> tuple[str | None, str]:
    if not os.path.lexists(path):
        raise InputError(f"no caption.txt in {path.parent}; write the prompt into it, as '<id>;<prompt>' or alone")
    existing_file(path, "caption", "write the prompt into a file of that name")
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
    is_word = head.isalpha() and tail.startswith(" ")
    if semicolon and re.fullmatch(r"[A-Za-z0-9_.-]*", head) and not is_word:
        return head or None, tail.strip()
    return None, text


def _write_folder(folder: Path, sample: Sample) -> None:
    notes: dict[str, Note] = {}
    caption = f"{sample.sample_id};{sample.prompt}" if sample.sample_id else sample.prompt
    if _split_caption(caption) != (sample.sample_id, sample.prompt):
        caption = f";{sample.prompt}"
    write_text(folder / "caption.txt", caption)
    references = sample.references
    _write_items(folder, "background", [references.background] if references.background else [], notes)
    _write_items(folder, "objects", references.objects, notes)
    for number, subject in enumerate(references.subjects, start=1):
        _write_subject(folder, f"subjects/{number}", subject, notes)
    write_notes(folder, notes)


def _write_subject(folder: Path, place: str, subject: Subject, notes: dict[str, Note]) -> None:
    """Writes the pictures of one person into `place` and notes what their names cannot say."""
    order = _write_items(folder, place, subject.attributes, notes)
    name: str | None = subject.name
    if subject.face is not None:
        taken: set[str] = set()
        stems = [free_stem(subject.name, taken) for _ in range(1 + len(subject.more_views))]
        for stem, view in zip(stems, (subject.face, *subject.more_views), strict=True):
            save_png(view, folder / place / f"{FACE_PREFIX}{stem}.png")
        name = None if unescape_phrase(stems[0]) == subject.name else subject.name
        face = (PurePosixPath(place) / f"{FACE_PREFIX}{stems[0]}.png").as_posix()
        notes[face] = Note(strength=_told(subject.face_strength))
    notes[place] = Note(
        name=name, tag=subject.tag, occurrence=subject.occurrence, order=order, strength=_told(subject.strength)
    )


def _told(strength: float) -> float | None:
    return None if strength == 1 else strength


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
        notes[(PurePosixPath(place) / names[-1]).as_posix()] = Note(
            phrase=phrase, tag=item.tag, occurrence=item.occurrence, strength=_told(item.strength)
        )
    order = tuple(names) if names != [path.name for path in _visible(folder / place)] else ()
    notes[place] = Note(order=order)
    return order
