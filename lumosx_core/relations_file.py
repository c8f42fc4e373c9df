"""`relations.json` of a sample folder: what file names cannot say (tags, occurrences, order, overlong phrases).

The file maps a path inside the folder, with `/`, to an object:

    {"subjects/1": {"tag": "anna", "order": ["red hat.png", "coat.png"]},
     "subjects/1/red hat.png": {"tag": "hat", "occurrence": 2}}

Keys: `tag` (text), `occurrence` (number from 1), `phrase` (a picture's phrase, where the file name is not it), `name` (of
a subject without a face, or with a shortened file name), `order` (file names of `objects` or of a subject's attributes),
`strength` (0 to 2, how much a picture counts, or all pictures of a subject; for a face it stands at its first view).
"""

import os
import unicodedata
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from lumosx_core.errors import InputError
from lumosx_core.files.json import parse_record, read_json, write_json

FILE_NAME = "relations.json"


@dataclass(frozen=True, kw_only=True)
class Note:
    """What `relations.json` says about one picture or folder; every field may be missing."""

    phrase: str | None = None
    name: str | None = None
    tag: str | None = None
    occurrence: int | None = None
    order: tuple[str, ...] = ()
    strength: float | None = None


class Notes:
    """The notes of a sample folder, asked for place by place: what nobody asks for is refused, not ignored. Raises InputError
    on construction as `read_notes`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._left = folder, read_notes(folder)

    def at(self, path: Path, *counting: str) -> Note:
        """The note of one path below the folder, or an empty one. Raises InputError if it says something else than the fields
        `counting`, which are all that counts there."""
        place = path.relative_to(self._folder).as_posix()
        note = self._left.pop(_key(place), Note())
        for field in fields(note):
            if field.name not in counting and _says(note, field.name):
                known = f"only {' and '.join(counting)} can be given there" if counting else "nothing can be given there"
                raise InputError(
                    f"{FILE_NAME} gives {_short(place)} {field.name}, but {known}; take it out or give it elsewhere"
                )
        return note

    def all_read(self) -> None:
        """Raises InputError if a note was never asked for."""
        for place, note in self._left.items():
            said = [field.name for field in fields(note) if _says(note, field.name)]
            if said:
                raise InputError(
                    f"{FILE_NAME} gives {_short(place)} {' and '.join(said)}, but nothing can be given there; expected a "
                    "picture, the folder of a person, or objects"
                )


def read_notes(folder: Path) -> dict[str, Note]:
    """The notes of a sample folder by path; empty if there is no file.

    Raises InputError for broken JSON, unknown keys, values of the wrong type and paths that are not in the folder.
    """
    path = folder / FILE_NAME
    if not os.path.lexists(path):
        return {}
    content = read_json(path, "the notes")
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, expected an object of path -> notes")
    notes = {_key(place): parse_record(Note, note, f"{path}: {_short(place)}") for place, note in content.items()}
    present = {".", *(_key(item.relative_to(folder).as_posix()) for item in folder.rglob("*"))}
    for place, note in notes.items():
        for missing in [place] if place not in present else [(PurePosixPath(place) / name).as_posix() for name in note.order]:
            if _key(missing) not in present:
                raise InputError(f"{path} names {_short(missing)!r}, which is not in the folder; correct it or put it there")
    return notes


def write_notes(folder: Path, notes: dict[str, Note]) -> None:
    """Writes the notes that say something; no file if none does."""
    content: dict[str, dict[str, Any]] = {}
    for place, note in notes.items():
        said = {field.name: getattr(note, field.name) for field in fields(note) if _says(note, field.name)}
        if said:
            content[place] = said
    if content:
        write_json(folder / FILE_NAME, content, "the notes")


def _says(note: Note, name: str) -> bool:
    value = getattr(note, name)
    return value is not None and value != () and value != ""


def _key(place: str) -> str:
    return unicodedata.normalize("NFC", place)  # some file systems give names back decomposed


def _short(place: str) -> str:
    return place if len(place) <= 100 else f"{place[:100]}..."
