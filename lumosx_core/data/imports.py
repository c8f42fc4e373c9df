"""Datasets out of what others made: folders with info.json, OpenS2V's JSON, sample folders with a video.

    info       every folder below that holds an info.json (`info_format.py`)
    opens2v    JSON files of OpenS2V-5M and the videos that they name; they do not say whose each thing is, so it is found out
               as in a collection, from the caption and the masks
    samples    every sample folder below that holds video.mp4

The first two become records of the stages and go the way of a collection from there: decided, bound to tokens, packed. A
dataset that was imported has no work store: it can be split, copied in part, exported, trained on, and clips can be removed.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lumosx_core.data.collect_config import CollectConfig, KeepSettings
from lumosx_core.data.collected import Clip, packed_sample
from lumosx_core.data.decide import decide
from lumosx_core.data.decoding import UndecodableError
from lumosx_core.data.import_folders import folder_sample
from lumosx_core.data.import_info import info_clips
from lumosx_core.data.import_opens2v import opens2v_clips
from lumosx_core.data.imported import ImportedClip
from lumosx_core.data.jobs import ClipJob
from lumosx_core.data.pack import MANIFEST, PackedSample, pack_samples, parquet
from lumosx_core.data.records import clip_id
from lumosx_core.data.sources import Source, content_id
from lumosx_core.data.split import SeenSource, SplitRule, seen_source, split_sources, write_rule
from lumosx_core.data.store import Blobs
from lumosx_core.data.training_clips import find_training_clips
from lumosx_core.errors import InputError
from lumosx_core.files.atomic import writable_folder
from lumosx_core.progress import Progress
from lumosx_core.tokenizers import Tokenizer

# What a file says is believed: only the binding to tokens can refuse it.
BELIEVED = KeepSettings(
    most_people=12,
    most_attributes=12,
    least_person=0.0,
    most_person=1.0,
    least_box=1,
    least_face=1,
    face_score=0.0,
    least_thing=0.0,
    found=0.0,
    ahead=0.0,
    inside=0.0,
    colour=200.0,
    margin=0.0,
    likeness=0.0,
    sharpness=0.0,
    invented=1.0,
)


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """samples: how many came in. left_out: what did not, with the reason."""

    samples: int
    left_out: tuple[tuple[str, str], ...]


def import_dataset(
    given: Path, out: Path, kind: str, tokenizer: Tokenizer, *, text_len: int = 512, progress: Progress | None = None
) -> ImportReport:
    """Make a dataset in `out` of what lies in the folder or file `given`, which is one of `KINDS`.

    text_len: tokens of a caption, with its end. Raises InputError if there is nothing of that kind, if nothing of it can be
    taken, if `out` holds a dataset already, and when the disk refuses; what is wrong with single clips is told in the report.
    """
    parquet()
    if not given.exists():
        raise InputError(f"there is no file or folder {given}; give what is to be imported")
    if (out / MANIFEST).exists():
        raise InputError(f"{out} holds a dataset already; choose another --out")
    with tempfile.TemporaryDirectory() as folder:
        samples, seen, dropped = KINDS[kind](given, Blobs(Path(folder)), tokenizer, text_len, progress)
        if not samples:
            first = f"; the first: {dropped[0]['names']}: {dropped[0]['detail']}" if dropped else ""
            raise InputError(f"nothing of {given} could be taken as {kind}{first}")
        rule = split_sources(seen, SplitRule())
        packed = [replace(one, row={**one.row, "split": rule.sources[one.row["source"]]}) for one in samples]
        writable_folder(out)
        write_rule(out, rule)
        counts = {"origin": f"imported ({kind})", "samples": len(packed)}
        pack_samples(out, packed, dropped, None, counts, progress)
    return ImportReport(samples=len(packed), left_out=tuple((row["names"], row["detail"]) for row in dropped))


Taken = tuple[list[PackedSample], list[SeenSource], list[dict[str, str]]]
Make = Callable[[Blobs], ImportedClip]


def _info(given: Path, blobs: Blobs, tokenizer: Tokenizer, text_len: int, progress: Progress | None) -> Taken:
    config = CollectConfig(keep=replace(BELIEVED, text_len=text_len))
    return _by_records(info_clips(given), config, blobs, tokenizer, progress)


def _opens2v(given: Path, blobs: Blobs, tokenizer: Tokenizer, text_len: int, progress: Progress | None) -> Taken:
    config = CollectConfig(keep=KeepSettings(text_len=text_len))
    return _by_records(opens2v_clips(given, config), config, blobs, tokenizer, progress)


def _samples(given: Path, _blobs: Blobs, tokenizer: Tokenizer, text_len: int, progress: Progress | None) -> Taken:
    samples: dict[str, PackedSample] = {}
    dropped: list[dict[str, str]] = []
    clips, faults = find_training_clips(given)
    dropped += [_dropped(name, why) for name, why in faults.items()]
    for number, clip in enumerate(clips, start=1):
        try:
            sample = folder_sample(clip, tokenizer, text_len)
            samples[sample.sample] = sample
        except (InputError, UndecodableError) as error:
            dropped.append(_dropped(clip.name, str(error)))
        if progress is not None:
            progress("importing", number, len(clips))
    return list(samples.values()), [SeenSource(source=one.row["source"]) for one in samples.values()], dropped


def _by_records(
    clips: Sequence[tuple[str, Make]], config: CollectConfig, blobs: Blobs, tokenizer: Tokenizer, progress: Progress | None
) -> Taken:
    """Clips that were told as records, decided and made ready to pack."""
    samples: dict[str, PackedSample] = {}
    seen: list[SeenSource] = []
    dropped: list[dict[str, str]] = []
    for number, (name, make) in enumerate(clips, start=1):
        try:
            imported = make(blobs)
            clip = _clip(imported, config, blobs)
            clip.decision = decide(clip.records, config.keep, tokenizer)
            if clip.decision.reason:
                raise InputError(f"{clip.decision.reason.replace('_', ' ')}: {clip.decision.detail}")
            if clip.clip in samples:
                raise InputError("the same video is there under another name")
            rule = SplitRule(sources={clip.source.source: "train"})  # of all together it is drawn at the end
            samples[clip.clip] = packed_sample(clip, blobs, config, rule)
            seen.append(seen_source(clip.source.source, clip.records["frames"], clip.records["people"]))
        except (InputError, UndecodableError) as error:
            dropped.append(_dropped(name, str(error)))
        if progress is not None:
            progress("importing", number, len(clips))
    return list(samples.values()), seen, dropped


def _clip(imported: ImportedClip, config: CollectConfig, blobs: Blobs) -> Clip:
    source = Source(
        source=content_id(imported.video),
        path=str(imported.video),
        names=(imported.name,),
        caption=imported.records["reading"].caption,
        origin=imported.origin,
        licence="",
    )
    name = clip_id(source.source, imported.shot)
    job = ClipJob(unit=name, path=imported.video, config=config, blobs=blobs.folder, shot=imported.shot)
    return Clip(clip=name, source=source, job=job, results={}, records=imported.records)


def _dropped(name: str, why: str) -> dict[str, str]:
    return {
        "clip": "",
        "source": "",
        "names": name,
        "stage": "import",
        "status": "dropped",
        "reason": "not_imported",
        "detail": why,
    }


KINDS: dict[str, Callable[[Path, Blobs, Tokenizer, int, Progress | None], Taken]] = {
    "info": _info,
    "opens2v": _opens2v,
    "samples": _samples,
}
