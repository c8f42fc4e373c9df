"""A dataset in the formats of others: sample folders, the published info.json, and what three trainers of videos read.

    samples          OUT/<sample>/: a sample folder (method.md section 11) with video.mp4, as `lumosx train` reads it
    info             OUT/<sample>/: info.json (method.md section 12), video.mp4, masks in the size of the frame
    musubi           musubi-tuner: videos/, metadata.jsonl, dataset.toml (its docs/dataset_config.md)
    diffusion-pipe   videos/ with texts beside, masks/, dataset.toml (its examples/dataset.toml)
    diffsynth        videos/, references/, metadata.csv (video, prompt, vace_reference_image: its Wan examples)

Clips for trainers have 4n + 1 frames at 16 per second, as Wan wants them: clips at that rate are copied, others are made so by
nearest times. Paths are relative to OUT, with "/". An export is written whole or not at all.

Legend: F = frames, H, W = pixels.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.data.dataset import RelationalDataset, Split, stored_picture
from lumosx_core.data.info_format import write_info
from lumosx_core.data.pack import read_file
from lumosx_core.data.sample_files import NOBODYS
from lumosx_core.data.sample_views import clip_place, faces_of_record
from lumosx_core.errors import InputError
from lumosx_core.files.atomic import remove_file, whole_folder, write_bytes, write_text
from lumosx_core.files.images import save_png
from lumosx_core.files.videos import read_video, write_video
from lumosx_core.progress import Progress
from lumosx_core.references import Attribute, ReferenceSet, Sample, SceneReference, Subject, prepare_reference_image
from lumosx_core.sample_folder import write_sample

RATE = 16.0  # frames per second; Wan2.1's
LEAST_FRAMES = 5  # shorter clips are pictures to the trainers, which leave them out
PICTURES_IN_ROW = 3


@dataclass(frozen=True, kw_only=True)
class ExportedClip:
    """A clip that lies in the export. path: relative to its folder."""

    sample: str
    path: str
    caption: str
    width: int
    height: int
    frames: int


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """written: how many samples. left_out: (sample, why) of the others."""

    written: int
    left_out: tuple[tuple[str, str], ...]


def export_dataset(
    dataset: Path, out: Path, kind: str, *, split: Split = "all", progress: Progress | None = None
) -> ExportReport:
    """Write the samples of a dataset, or of one split, into the folder `out` as one of `FORMATS`.

    Raises InputError if there is no dataset, if none of its samples can be written, if `out` is not empty, and when the disk
    refuses.
    """
    data = RelationalDataset(dataset, split=split)
    if not len(data.rows):
        raise InputError(f"{dataset} has no samples{'' if split == 'all' else f' in {split}'}; see lumosx dataset stats")
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise InputError(f"{out} exists and would be overwritten; choose another folder")
    one, index = FORMATS[kind]
    clips: list[ExportedClip] = []
    left_out: list[tuple[str, str]] = []
    with whole_folder(out, "the export") as partial:
        for number, row in enumerate(data.rows, start=1):
            try:
                clips.append(one(data.folder, row, partial))
            except InputError as error:
                left_out.append((row["sample"], str(error)))
            if progress is not None:
                progress("exporting", number, len(data.rows))
        if not clips:
            raise InputError(f"none of the {len(left_out)} samples can be written; the first: {left_out[0][1]}")
        index(partial, clips)
    return ExportReport(written=len(clips), left_out=tuple(left_out))


def stored_sample(folder: Path, row: dict[str, Any]) -> Sample:
    """A sample as one sample folder can hold it: all views of the faces, of everything else the surest view."""
    record = json.loads(row["record"])

    def best(thing: dict[str, Any]) -> Image.Image:
        return stored_picture(folder, row, max(thing["views"], key=lambda view: view["score"])["file"])

    def scene(thing: dict[str, Any]) -> SceneReference:
        return SceneReference(phrase=thing["text"], image=best(thing), occurrence=thing["occurrence"])

    subjects = []
    for person in record["people"]:
        faces = [stored_picture(folder, row, view["file"]) for view in faces_of_record(person)]
        attributes = tuple(
            Attribute(phrase=thing["text"], image=best(thing), occurrence=thing["occurrence"]) for thing in person["attributes"]
        )
        subjects.append(
            Subject(
                name=person["text"],
                face=faces[0],
                more_views=tuple(faces[1:]),
                attributes=attributes,
                occurrence=person["occurrence"],
            )
        )
    references = ReferenceSet(
        subjects=tuple(subjects),
        objects=tuple(map(scene, record["objects"])),
        background=None if record["background"] is None else scene(record["background"]),
    )
    return Sample(prompt=row["caption"], references=references, sample_id=row["sample"])


def frames_at(frames: np.ndarray, fps: float) -> np.ndarray:
    """Frames [F, H, W, 3] of a clip at `fps`, as 4n + 1 frames at `RATE`, each the nearest in time. Raises InputError where
    there are too few."""
    count = int(len(frames) / fps * RATE + 1e-6)
    count -= (count - 1) % 4
    if count < LEAST_FRAMES:
        raise InputError(f"it has {len(frames)} frames at {fps:g} per second, at {RATE:g} fewer than {LEAST_FRAMES}")
    chosen = np.minimum(np.round(np.arange(count) * fps / RATE).astype(int), len(frames) - 1)
    return frames[chosen]


def _samples(folder: Path, row: dict[str, Any], out: Path) -> ExportedClip:
    write_sample(out / row["sample"], stored_sample(folder, row))
    write_bytes(out / row["sample"] / "video.mp4", _clip(folder, row), "a clip")
    return _exported(row, f"{row['sample']}/video.mp4", row["frames"])


def _info(folder: Path, row: dict[str, Any], out: Path) -> ExportedClip:
    write_info(folder, row, out / row["sample"])
    return _exported(row, f"{row['sample']}/video.mp4", row["frames"])


def _musubi(folder: Path, row: dict[str, Any], out: Path) -> ExportedClip:
    return _trainer_clip(folder, row, out)


def _diffusion_pipe(folder: Path, row: dict[str, Any], out: Path) -> ExportedClip:
    clip = _trainer_clip(folder, row, out)
    write_text(out / "videos" / f"{row['sample']}.txt", _line(row["caption"]))
    names = json.loads(row["record"])["owners"]
    if names:
        shown = np.any([np.asarray(stored_picture(folder, row, name)) != NOBODYS for name in names], axis=0)
        (out / "masks").mkdir(exist_ok=True)
        save_png(Image.fromarray(shown).convert("L"), out / "masks" / f"{row['sample']}.png")
    return clip


def _diffsynth(folder: Path, row: dict[str, Any], out: Path) -> ExportedClip:
    clip = _trainer_clip(folder, row, out)
    sheet = reference_sheet(stored_sample(folder, row).references, clip.width, clip.height)
    (out / "references").mkdir(exist_ok=True)
    save_png(sheet, out / "references" / f"{row['sample']}.png")
    return clip


def reference_sheet(references: ReferenceSet, width: int, height: int) -> Image.Image:
    """One picture of all references but the scene, of each the first view, side by side on white: for models with one reference
    picture."""
    pictures = [*(thing.image for thing in references.objects)]
    for subject in references.subjects:
        pictures += [*([subject.face] if subject.face is not None else []), *(thing.image for thing in subject.attributes)]
    sheet = Image.new("RGB", (width, height), "white")
    columns = min(PICTURES_IN_ROW, max(1, len(pictures)))
    cell = (width // columns, height // max(1, -(-len(pictures) // columns)))
    for number, picture in enumerate(pictures):
        place = (number % columns * cell[0], number // columns * cell[1])
        sheet.paste(prepare_reference_image(picture, *cell), place)
    return sheet


def _trainer_clip(folder: Path, row: dict[str, Any], out: Path) -> ExportedClip:
    """A clip as trainers want it, in OUT/videos."""
    name = f"videos/{row['sample']}.mp4"
    if row["fps"] == RATE and row["frames"] % 4 == 1 and row["frames"] >= LEAST_FRAMES:
        write_bytes(out / name, _clip(folder, row), "a clip")
        return _exported(row, name, row["frames"])
    write_bytes(out / name, _clip(folder, row), "a clip")
    try:
        frames = frames_at(*read_video(out / name))
    except InputError:
        remove_file(out / name)
        raise
    write_video(out / name, frames, RATE)
    return _exported(row, name, len(frames))


def _exported(row: dict[str, Any], path: str, frames: int) -> ExportedClip:
    return ExportedClip(
        sample=row["sample"], path=path, caption=row["caption"], width=row["width"], height=row["height"], frames=frames
    )


def _clip(folder: Path, row: dict[str, Any]) -> bytes:
    return read_file(folder, clip_place(row))


def _line(caption: str) -> str:
    return " ".join(caption.split())


def _no_index(_out: Path, _clips: Sequence[ExportedClip]) -> None:
    """The folders of the samples say everything."""


def _musubi_index(out: Path, clips: Sequence[ExportedClip]) -> None:
    lines = [json.dumps({"video_path": clip.path, "caption": _line(clip.caption)}, ensure_ascii=False) for clip in clips]
    write_text(out / "metadata.jsonl", "".join(f"{line}\n" for line in lines))
    width, height = _size(clips)
    longest = max(clip.frames for clip in clips)
    write_text(
        out / "dataset.toml",
        "# For musubi-tuner. Start it in this folder: paths are relative to it.\n"
        '# Clips have 4n + 1 frames at 16 per second; "full" takes every one whole, so none is left out as too short.\n'
        "[general]\n"
        f"resolution = [{width}, {height}]\n"
        "batch_size = 1\nenable_bucket = true\nbucket_no_upscale = true\n\n"
        "[[datasets]]\n"
        'video_jsonl_file = "metadata.jsonl"\ncache_directory = "cache"\n'
        f'frame_extraction = "full"\nmax_frames = {longest}\n',
    )


def _diffusion_pipe_index(out: Path, clips: Sequence[ExportedClip]) -> None:
    width, height = _size(clips)
    buckets = sorted({1, *(clip.frames for clip in clips)})
    masks = (
        '# White: people. Take the # away to train on them alone.\n# mask_path = "masks"\n' if (out / "masks").is_dir() else ""
    )
    write_text(
        out / "dataset.toml",
        "# For diffusion-pipe. Start it in this folder: paths are relative to it.\n"
        "# Clips have 4n + 1 frames at 16 per second; every length has its bucket, so none is left out as too short.\n"
        f"resolutions = [[{width}, {height}]]\nenable_ar_bucket = true\nmin_ar = 0.5\nmax_ar = 2.0\nnum_ar_buckets = 7\n"
        f"frame_buckets = {buckets}\n\n"
        f'[[directory]]\npath = "videos"\n{masks}num_repeats = 1\n',
    )


def _diffsynth_index(out: Path, clips: Sequence[ExportedClip]) -> None:
    text = io.StringIO()
    table = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    table.writerow(("video", "prompt", "vace_reference_image"))
    table.writerows((clip.path, _line(clip.caption), f"references/{clip.sample}.png") for clip in clips)
    write_text(out / "metadata.csv", text.getvalue())


def _size(clips: Sequence[ExportedClip]) -> tuple[int, int]:
    """The commonest size, in multiples of 16 pixels."""
    (width, height), _ = Counter((clip.width, clip.height) for clip in clips).most_common(1)[0]
    return max(16, width // 16 * 16), max(16, height // 16 * 16)


One = Callable[[Path, dict[str, Any], Path], ExportedClip]
Index = Callable[[Path, Sequence[ExportedClip]], None]
FORMATS: dict[str, tuple[One, Index]] = {
    "samples": (_samples, _no_index),
    "info": (_info, _no_index),
    "musubi": (_musubi, _musubi_index),
    "diffusion-pipe": (_diffusion_pipe, _diffusion_pipe_index),
    "diffsynth": (_diffsynth, _diffsynth_index),
}
