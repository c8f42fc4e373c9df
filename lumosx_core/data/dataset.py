"""A collected dataset as training reads it: sample i as a prompt with references, and its frames.

Which picture of everybody and everything is taken is decided here, from (seed, epoch, sample) alone, as the model is trained
(method.md section 9): with probability `grouped` people come as a face with its attributes, else as one picture of the whole
person that belongs to nobody, like an object; of every entity one random view. So there is no state of a loader to keep.

Legend: F = frames, H, W = pixels.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from lumosx_core.data.draws import GROUPED, comes_whole
from lumosx_core.data.manifest_rows import open_rows
from lumosx_core.data.pack import MANIFEST, manifest_of, read_dropped, read_file, read_manifest
from lumosx_core.data.removal import read_removed
from lumosx_core.data.sample_views import clip_place, clips_of_views, faces_of_record
from lumosx_core.errors import InputError
from lumosx_core.files.images import decoded
from lumosx_core.numbers import real_number, seed_number
from lumosx_core.references import Attribute, ReferenceSet, Sample, SceneReference, Subject

Split = Literal["train", "val", "test", "all"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipSample:
    """A sample of a dataset. sample: prompt and references as drawn. grouped: whether people came with their attributes.
    owners: uint8 [S, H, W], for each of the selected frames at the times selected_s [S] seconds the number of the subject that
    a pixel shows, 255 nobody's (S = 0 where that is not known). row: the sample's row of the manifest."""

    sample: Sample
    grouped: bool
    owners: np.ndarray
    selected_s: tuple[float, ...]
    row: dict[str, Any]
    folder: Path

    def video(self) -> bytes:
        """The clip as the bytes of an mp4 file. Raises InputError where the dataset keeps no frames."""
        return read_file(self.folder, clip_place(self.row))

    def frames(self) -> np.ndarray:
        """The frames of the clip, uint8 [F, H, W, 3]. Raises InputError if the file is damaged, or not kept."""
        import av

        try:
            with av.open(io.BytesIO(self.video()), mode="r") as container:
                return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        except (av.error.FFmpegError, ValueError) as error:
            raise InputError(
                f"the clip of sample {self.row['sample']} cannot be decoded ({error}); run lumosx dataset check"
            ) from error


class RelationalDataset:
    """The samples of a dataset folder, or of one split. `dataset[i]` is a `ClipSample`, drawn for the present epoch. However
    many there are, opening loads none of them (`manifest_rows.py`).

    split: "train", "val", "test" or "all". rank, ranks: take every ranks-th sample from number rank on, for one of several
    processes. Raises InputError if there is no dataset, and for numbers out of range.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        split: Split = "all",
        seed: int = 0,
        grouped: float = GROUPED,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.folder = Path(folder)
        self.seed = seed_number(seed)
        self.grouped = real_number(grouped, "the share of grouped people", least=0, most=1)
        self.epoch = 0
        if not 0 <= rank < ranks:
            raise InputError(f"rank {rank} of {ranks}; expected 0 <= rank < ranks")
        rows = open_rows(manifest_of(self.folder))
        self.rows = (rows if split == "all" else rows.where("split", split))[rank::ranks]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> ClipSample:
        row = self.rows[index]
        number = int(row["sample"], 16)
        rng = np.random.default_rng((self.seed, self.epoch, number))
        record = json.loads(row["record"])
        grouped = bool(rng.random() < self.grouped)
        return ClipSample(
            sample=draw_sample(self.folder, row, record, rng, grouped=grouped),
            grouped=grouped,
            owners=self._owners(row, record),
            selected_s=tuple(record["selected_s"]),
            row=row,
            folder=self.folder,
        )

    def _owners(self, row: dict[str, Any], record: dict[str, Any]) -> np.ndarray:
        maps = [np.asarray(stored_picture(self.folder, row, name)) for name in record["owners"]]
        return np.stack(maps) if maps else np.zeros((0, row["height"], row["width"]), np.uint8)


def draw_sample(
    folder: Path, row: dict[str, Any], record: dict[str, Any], rng: np.random.Generator, *, grouped: bool
) -> Sample:
    """Prompt and references of a sample, of every entity one view. grouped: people as faces with attributes, else whole."""

    def draw(views: Sequence[dict[str, Any]]) -> Image.Image:
        return stored_picture(folder, row, views[int(rng.integers(len(views)))]["file"])

    subjects: list[Subject] = []
    objects = [_scene(thing, draw(thing["views"])) for thing in record["objects"]]
    for person in record["people"]:
        if not comes_whole(grouped=grouped, bodies=bool(person["bodies"])):
            attributes = tuple(
                Attribute(phrase=thing["text"], image=draw(thing["views"]), occurrence=thing["occurrence"])
                for thing in person["attributes"]
            )
            subjects.append(
                Subject(
                    name=person["text"],
                    face=draw(faces_of_record(person)),
                    attributes=attributes,
                    occurrence=person["occurrence"],
                )
            )
        else:
            objects.append(_scene(person, draw(person["bodies"])))
    background = record["background"]
    references = ReferenceSet(
        subjects=tuple(subjects),
        objects=tuple(objects),
        background=None if background is None else _scene(background, draw(background["views"])),
    )
    return Sample(prompt=row["caption"], references=references, sample_id=row["sample"])


def check_dataset(folder: Path) -> list[str]:
    """What is wrong with a dataset, one line each: files that are missing, cut off or changed places, pictures that cannot be
    read, samples that were removed; none if all is well. Raises InputError if there is no dataset at all."""
    removed, rows = read_removed(folder), read_manifest(folder)
    there = [name for row in rows for name in (row["sample"], row["source"], *clips_of_views(json.loads(row["record"])))]
    there += [name for row in read_dropped(folder) for name in (row["clip"], row["source"])]
    faults = [
        f"{one} was removed and is still there; run the removal again" for one in dict.fromkeys(there) if removed.has(one)
    ]
    for row in rows:
        for place in row["files"]:
            try:
                content = read_file(folder, place)
                header = read_file(folder, {**place, "offset": place["offset"] - 512, "size": 512})
                named = header[:100].rstrip(b"\0").decode("ascii", "replace")
                if named != f"{row['sample']}.{place['name']}":
                    raise InputError(f"{place['shard']} has {named!r} where {place['name']} should be")
                if place["name"].endswith(".png"):
                    decoded(content)
                if place["name"] == "sample.json" and content.decode("utf-8") != row["record"]:
                    raise InputError(f"sample.json in {place['shard']} is not what {MANIFEST} says")
            except (InputError, OSError, ValueError, SyntaxError) as error:
                faults.append(f"{row['sample']} {place['name']}: {error}")
    return faults


def _scene(thing: dict[str, Any], picture: Image.Image) -> SceneReference:
    return SceneReference(phrase=thing["text"], image=picture, occurrence=thing["occurrence"])


def stored_picture(folder: Path, row: dict[str, Any], name: str) -> Image.Image:
    """A picture of a sample by its name. row: of the manifest. Raises InputError if there is none."""
    return decoded(read_file(folder, _place(row, name)))


def _place(row: dict[str, Any], name: str) -> dict[str, Any]:
    place = next((place for place in row["files"] if place["name"] == name), None)
    if place is None:
        raise InputError(f"sample {row['sample']} has no file {name}; run lumosx dataset check")
    return place
