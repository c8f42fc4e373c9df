"""Taking clips, videos and people out of a dataset, so that nothing of them is left: shards, tables, work store, page, caches.

What looks the same goes along: other clips that repeat a removed one, or that it repeats. The videos themselves stay.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from lumosx_core.data.collect import decide_clips, known_clips, publish
from lumosx_core.data.components import make_components
from lumosx_core.data.pack import read_manifest, stored_config
from lumosx_core.data.records import PeopleRecord
from lumosx_core.data.removal import Removed, finish_removal, forget_reviewed, read_removed, write_removed
from lumosx_core.data.repack import repack
from lumosx_core.data.sample_views import clips_of_views
from lumosx_core.data.sources import known_sources
from lumosx_core.data.split import SeenSource, faces_of, same_person
from lumosx_core.data.store import has_store, open_store
from lumosx_core.errors import InputError, quoted
from lumosx_core.files.json import parse_record
from lumosx_core.progress import Progress
from lumosx_core.tokenizers import Tokenizer


@dataclass(frozen=True, kw_only=True)
class RemovalReport:
    """What went. clips: ids. repeated: how many of them were not asked for but look the same. sources: videos of which nothing
    is left. cached: files of prepared clips. samples: what the dataset still has."""

    clips: tuple[str, ...]
    repeated: int
    sources: int
    cached: int
    samples: int


def remove_samples(
    dataset: Path,
    tokenizer: Tokenizer,
    *,
    clips: Sequence[str] = (),
    sources: Sequence[str] = (),
    caches: Sequence[Path] = (),
    progress: Progress | None = None,
) -> RemovalReport:
    """Take clips (by id) and sources (by id, file name or path) out of a dataset and of caches made of it.

    Caches inside the dataset's folder are found. A removal that was interrupted is finished by the same call. Raises
    InputError, before anything is changed, for what the dataset has not, and for folders that are no caches.
    """
    from lumosx_core.data.clip_cache import ABOUT, remove_clips

    caches = [*caches, *sorted(path.parent for path in dataset.rglob(ABOUT))]
    for cache in caches:
        if not (cache / ABOUT).is_file():
            raise InputError(
                f"{cache} is no cache of prepared clips: it has no {ABOUT}; give the --out of lumosx train prepare"
            )
    if has_store(dataset):
        report = _from_collected(dataset, tokenizer, clips, sources, progress)
    else:
        report = _from_stored(dataset, clips, sources, progress)
    removed = read_removed(dataset)
    return replace(report, cached=sum(remove_clips(cache, removed.has) for cache in caches))


def people_like(dataset: Path, picture: Image.Image, least: float | None = None) -> list[tuple[str, float]]:
    """(clip, product of embeddings) of everybody in the dataset who is more alike than `least` to the face of a picture, the
    most alike first. least: None learns from people who are in one clip, as the split does. Raises InputError if the dataset
    has no work store, if the picture shows no face or several, and if the finder of faces knows no embeddings.
    """
    config = stored_config(dataset)
    faces = make_components(config.models).faces.find_faces(picture.convert("RGB"))
    if len(faces) != 1 or faces[0].embedding is None:
        shown = f"{len(faces)} faces were found" if len(faces) != 1 else "the finder of faces gives no embeddings"
        raise InputError(f"a picture of one face is wanted, {shown} in it; cut the face out and give it alone")
    with open_store(dataset) as store:
        seen = {}
        for clip in known_clips(known_sources(store), store, config):
            result = store.results(clip.clip).get("people")
            if result is not None and result.status == "done":
                people = parse_record(PeopleRecord, result.content, "the record of people")
                seen[clip.clip] = SeenSource(source=clip.source.source, faces=faces_of(people))
    least = same_person(list(seen.values())) if least is None else least
    found = []
    for name, one in seen.items():
        products = [float(np.dot(view, faces[0].embedding)) for track in one.faces for view in track]
        if products and max(products) > least:
            found.append((name, max(products)))
    return sorted(found, key=lambda item: -item[1])


def _from_collected(
    dataset: Path, tokenizer: Tokenizer, clips: Sequence[str], names: Sequence[str], progress: Progress | None
) -> RemovalReport:
    config = stored_config(dataset)
    with open_store(dataset) as store:
        removed = finish_removal(dataset, store)
        sources = known_sources(store)
        known = known_clips(sources, store, config)
        repeated = decide_clips(known, dataset, store, config, tokenizer, progress)
        whole = _named({one.source: (one.source, one.path, *one.names) for one in sources}, names, "source", removed)
        single = _named({clip.clip: (clip.clip,) for clip in known}, clips, "clip", removed)
        asked = single | {clip.clip for clip in known if clip.source.source in whole}
        gone = _with_repeated(asked, repeated)
        whole |= _emptied([(clip.clip, clip.source.source) for clip in known], gone)
        removed = removed.with_ids([*gone, *whole, *names])  # names too: the same command finishes what was killed
        write_removed(dataset, removed)
        forget_reviewed(dataset, removed)
        stay = [one for one in sources if one.source not in whole]
        left = [clip for clip in known if clip.clip not in gone]
        report = publish(dataset, store, config, tokenizer, stay, left, (), None, progress)
        store.forget(sorted(gone | whole))
    return RemovalReport(
        clips=tuple(sorted(gone)), repeated=len(gone - asked), sources=len(whole), cached=0, samples=report.samples
    )


def _from_stored(dataset: Path, clips: Sequence[str], names: Sequence[str], progress: Progress | None) -> RemovalReport:
    """The same for a dataset that is shards and a manifest alone."""
    removed = read_removed(dataset)
    rows = read_manifest(dataset)
    whole = _named({row["source"]: (row["source"], *row["names"]) for row in rows}, names, "source", removed)
    others = [name for row in rows for name in clips_of_views(json.loads(row["record"]))]
    single = _named({name: (name,) for name in (*(row["sample"] for row in rows), *others)}, clips, "clip", removed)
    gone = single | {row["sample"] for row in rows if row["source"] in whole}
    whole |= _emptied([(row["sample"], row["source"]) for row in rows], gone)
    removed = removed.with_ids([*gone, *whole, *names])
    write_removed(dataset, removed)
    left = repack(dataset, dataset, rows, progress)
    return RemovalReport(clips=tuple(sorted(gone)), repeated=0, sources=len(whole), cached=0, samples=left)


def _named(known: Mapping[str, tuple[str, ...]], wanted: Sequence[str], what: str, removed: Removed) -> set[str]:
    """The ids that are meant by what was given. Raises InputError for what is neither there nor removed already."""
    found: set[str] = set()
    for name in wanted:
        meant = {one for one, names in known.items() if name in names}
        if not meant and not removed.has(name):
            some = ", ".join(list(known)[:3]) or "none"
            raise InputError(f"the dataset has no {what} {quoted(name)}; the first are {some} (lumosx dataset show prints one)")
        found |= meant
    return found


def _with_repeated(asked: set[str], repeated: Mapping[str, str]) -> set[str]:
    """The clips with all that look the same."""
    groups: dict[str, set[str]] = {}
    for clip, first in repeated.items():
        groups.setdefault(first, {first}).add(clip)
    return asked.union(*(group for group in groups.values() if group & asked))


def _emptied(clips: Sequence[tuple[str, str]], gone: set[str]) -> set[str]:
    """The sources of these (clip, source) of which every clip goes."""
    return {source for clip, source in clips if clip in gone} - {source for clip, source in clips if clip not in gone}
