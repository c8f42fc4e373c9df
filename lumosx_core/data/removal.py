"""What somebody asked to be taken out of a dataset: how it is remembered without being kept, and how it goes from everywhere.

    DATASET/removed.json    a salt, and the salted sha256 of the ids of removed clips and sources

The note is written first; from then on no run brings the clips back, and every command that changes the dataset finishes a
removal that was interrupted. Ids are digests of content, so the same video comes to the same id under any name.
"""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lumosx_core.data.corrections import forget_corrections
from lumosx_core.data.store import WorkStore
from lumosx_core.errors import InputError
from lumosx_core.files.atomic import remove_file
from lumosx_core.files.json import parse_record, read_json, write_json

FILE_NAME = "removed.json"
REVIEW_PAGE = "review.html"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Removed:
    """The ids that were removed, which nobody can read out of it. Raises InputError for a newer format."""

    format: int = FORMAT
    salt: str = ""
    hashes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise InputError(f"it is of format {self.format}, this LumosX reads {FORMAT}; update LumosX")

    def has(self, name: str) -> bool:
        """Whether the clip or source of this id was removed."""
        return bool(self.hashes) and _hash(self.salt, name) in self.hashes

    def with_ids(self, names: Iterable[str]) -> "Removed":
        """These ids removed too."""
        salt = self.salt or secrets.token_hex(16)
        return replace(self, salt=salt, hashes=tuple(sorted({*self.hashes, *(_hash(salt, name) for name in names)})))


def read_removed(dataset: Path) -> Removed:
    """What was removed from a dataset. Raises InputError for a damaged note: nothing may come back because of it."""
    path = dataset / FILE_NAME
    return parse_record(Removed, read_json(path, "the note of removals"), str(path)) if path.is_file() else Removed()


def write_removed(dataset: Path, removed: Removed) -> None:
    """Keep the note."""
    write_json(dataset / FILE_NAME, asdict(removed), "the note of removals")


def finish_removal(dataset: Path, store: WorkStore) -> Removed:
    """Delete from the work store what a removal that was interrupted left there; the note."""
    removed = read_removed(dataset)
    if left := [unit for unit in store.units() if removed.has(unit)]:
        forget_reviewed(dataset, removed)
        store.forget(left)
    return removed


def forget_reviewed(dataset: Path, removed: Removed) -> None:
    """Delete what was said of removed clips, and the page of review, which shows them."""
    forget_corrections(dataset, removed.has)
    remove_file(dataset / REVIEW_PAGE)


def _hash(salt: str, name: str) -> str:
    return hashlib.sha256(f"{salt} {name}".encode()).hexdigest()
