"""Prepared clips: what training needs of each, in one file that is read at random and never whole.

    CACHE/cache.json                     what it was made with: VAE, text encoder, rate, buckets, variants
    CACHE/<ab>/<key>.safetensors         video [C, T, h, w] float16: normalised latents
                                         context [n, text_dim] float16: text states at their true length
                                         empty_context [m, text_dim] float16: of the empty prompt
                                         people int8 [T, h/2, w/2]: the person that a token shows, -1 nobody's or not known
                                         <picture> [V, C, h, w] float16: V variants of each picture, encoded; or, where they
                                         are encoded while training, uint8 [n]: the picture as PNG
        metadata `clip`: JSON of a `CachedClip`
    CACHE/clips.jsonl                    a line per clip: name, key, bucket; or why it was left out

The key is a digest of the clip's content, the models, the bucket and the settings, so nothing stale can be read. Files are
memory-mapped: what a batch does not draw is not read.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import remove_file, write_text
from lumosx_core.files.json import parse_json, parse_record, read_json
from lumosx_core.files.json_lines import read_records
from lumosx_core.files.leftovers import tidy
from lumosx_core.files.weights import write_safetensors
from lumosx_core.model.video_size import VideoSize

# Counts up when what `prepare` stores for the same clips and settings changes, how pictures are varied included: caches of
# another number are not read. 2: turned pictures keep their corners. 3: a variant is drawn by the picture's
# name and its number.
FORMAT = 3
ABOUT, LIST = "cache.json", "clips.jsonl"
Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class CacheSettings:
    """What a cache is made with. vae, text_encoder: digests of the files. variants: encoded ones of each picture; 0: they are
    encoded while training."""

    format: int
    vae: str
    text_encoder: str
    text_len: int
    fps: float
    variants: int
    seed: int
    augmentation: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class CachedEntity:
    """Something with words: the tokens that it owns, and the names of the tensors of its pictures."""

    text: str
    spans: Spans
    pictures: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CachedPerson:
    """A person with what belongs to them; bodies: tensors of whole pictures."""

    face: CachedEntity
    attributes: tuple[CachedEntity, ...] = ()
    bodies: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CachedClip:
    """The record of a prepared clip. size: its bucket."""

    name: str
    caption: str
    width: int
    height: int
    frames: int
    people: tuple[CachedPerson, ...]
    objects: tuple[CachedEntity, ...]
    background: CachedEntity | None


@dataclass(frozen=True, kw_only=True)
class ListedClip:
    """A line of the list: a clip that is there under its key, or the reason why not. others: clips of which
    pictures are in it too."""

    name: str
    key: str = ""
    width: int = 0
    height: int = 0
    frames: int = 0
    people: int = 0
    attributes: tuple[int, ...] = ()
    bodies: tuple[bool, ...] = ()
    objects: int = 0
    background: bool = False
    reason: str = ""
    others: tuple[str, ...] = ()

    @property
    def bucket(self) -> VideoSize:
        """Its size."""
        return VideoSize(width=self.width, height=self.height, frames=self.frames)


def clip_path(cache: Path, key: str) -> Path:
    """Where a prepared clip lies."""
    return cache / key[:2] / f"{key}.safetensors"


def write_clip(cache: Path, key: str, clip: CachedClip, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write a prepared clip, whole or not at all."""
    stored = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    write_safetensors(clip_path(cache, key), {k: v.contiguous() for k, v in stored.items()}, {"clip": json.dumps(asdict(clip))})


def write_list(cache: Path, clips: Sequence[ListedClip]) -> None:
    """Write the list of a cache."""
    write_text(cache / LIST, "".join(json.dumps(asdict(clip), ensure_ascii=False) + "\n" for clip in clips))


def remove_clips(cache: Path, is_removed: Callable[[str], bool]) -> int:
    """Take the clips of these names, and those with pictures of them, out of a cache of any format, list and files; how many
    files went. Files that the list does not name go too: whose pictures are in them nobody can tell."""
    listed = read_records(cache / LIST, ListedClip)
    kept = [clip for clip in listed if not any(map(is_removed, (clip.name, *clip.others)))]
    keys = {clip.key for clip in kept}
    gone = [path for path in sorted(cache.glob("??/*.safetensors")) if path.stem not in keys]
    for path in gone:
        remove_file(path)
    for folder in cache.glob("??/"):
        tidy(folder)
    if len(kept) < len(listed):
        write_list(cache, kept)
    return len(gone)


class OpenClip:
    """A prepared clip, open: its record, and tensors as they are asked for. Raises InputError if it is missing or damaged."""

    def __init__(self, cache: Path, key: str) -> None:
        from safetensors import SafetensorError, safe_open

        self.path = clip_path(cache, key)
        try:
            self._file: Any = safe_open(self.path, framework="pt")
            metadata = self._file.metadata() or {}
            self.clip = parse_record(
                CachedClip, parse_json(metadata.get("clip", ""), f"the record of {self.path}"), str(self.path)
            )
        except (OSError, SafetensorError) as error:
            raise InputError(f"the prepared clip {self.path} cannot be read ({error}); prepare again") from error

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor, as stored."""
        from safetensors import SafetensorError

        try:
            return self._file.get_tensor(name)
        except SafetensorError as error:
            raise InputError(f"the prepared clip {self.path} has no {name} ({error}); prepare again") from error

    def variant(self, name: str, number: int) -> torch.Tensor:
        """One variant [C, h, w] of a picture, alone read from the disk."""
        part = self._file.get_slice(name)
        return part[number % part.get_shape()[0]]


def read_settings(cache: Path) -> CacheSettings:
    """What a cache was made with. Raises InputError if there is none, or one of another format."""
    if not (cache / ABOUT).is_file():
        raise InputError(f"{cache} is no cache of prepared clips: it has no {ABOUT}; make one with lumosx train prepare")
    content = read_json(cache / ABOUT, "the cache's description")
    if isinstance(content, dict) and content.get("format") != FORMAT:
        raise InputError(
            f"{cache} is of format {str(content.get('format'))[:20]}, this LumosX reads {FORMAT}: pictures were varied or "
            "stored in another way; prepare the clips again into another folder, or delete this one first"
        )
    return parse_record(CacheSettings, content, str(cache / ABOUT))
