"""Whose pictures a sample has, by its record (`sample.json`): its own views, and further ones from other clips of its video."""

import json
from collections.abc import Callable
from typing import Any

from lumosx_core.data.records import canonical, digest_of
from lumosx_core.errors import InputError

CLIP_FILE = "clip.mp4"


def faces_of_record(person: dict[str, Any]) -> list[dict[str, Any]]:
    """All views of a person's face, those of the clip first; records of older datasets have these alone."""
    return [*person["faces"], *person.get("further", ())]


def clips_of_views(record: dict[str, Any]) -> tuple[str, ...]:
    """The other clips of which pictures are in a sample, sorted."""
    return tuple(sorted({view["clip"] for person in record["people"] for view in person.get("further", ())}))


def clip_place(row: dict[str, Any]) -> dict[str, Any]:
    """Where the clip of a sample lies: of its row's files. Raises InputError for a sample that was collected without frames."""
    for place in row["files"]:
        if place["name"] == CLIP_FILE:
            return place
    raise InputError(
        f"sample {row['sample']} has no clip, only cut-outs: it was collected with privacy.frames = none; where its work "
        "store is,  lumosx dataset filter DATASET --set privacy.frames=kept  brings it back"
    )


def without_views_of(row: dict[str, Any], is_removed: Callable[[str], bool]) -> dict[str, Any]:
    """A row of a manifest without the further views of removed clips: record, files and digest."""
    record = json.loads(row["record"])
    people = [
        {**person, "further": [view for view in person.get("further", ()) if not is_removed(view["clip"])]}
        for person in record["people"]
    ]
    shown = {view["file"] for person in people for view in person["further"]}
    gone = {view["file"] for person in record["people"] for view in person.get("further", ())} - shown
    if not gone:
        return row
    return {
        **row,
        "record": canonical({**record, "people": people}).decode(),
        "digest": digest_of([row["digest"], sorted(gone)]),
        "files": [place for place in row["files"] if place["name"] not in gone],
    }
