"""Clips into the cache that training reads: video, text and pictures encoded once, spans bound, what cannot be used told.

Legend: F = frames, C, T, h, w = channels, frames, sides of latents, V = variants of a picture.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lumosx_core.data.augment import Augmentation
from lumosx_core.data.buckets import bucket_of, fit_frames
from lumosx_core.data.clip_cache import (
    ABOUT,
    FORMAT,
    CachedClip,
    CachedEntity,
    CachedPerson,
    CacheSettings,
    ListedClip,
    clip_path,
    read_settings,
    write_clip,
    write_list,
)
from lumosx_core.data.decoding import probe_video, read_clip, walk_frames
from lumosx_core.data.pack import read_file
from lumosx_core.data.records import digest_of
from lumosx_core.data.reference_encoder import BACKGROUND, encoded_variant, stored_picture
from lumosx_core.data.training_clips import Entity, Picture, StoredPicture, TrainingClip, large_enough
from lumosx_core.errors import InputError
from lumosx_core.files.atomic import write_bytes
from lumosx_core.files.digests import file_digest
from lumosx_core.files.json import write_json
from lumosx_core.model.pixels import to_unit_range
from lumosx_core.model.text_encoder import TextEncoder, load_text_encoder
from lumosx_core.model.vae import encode_video, load_vae
from lumosx_core.model.video_size import VideoSize
from lumosx_core.model.wan_vae import WanVae
from lumosx_core.progress import Progress
from lumosx_core.text_spans import BoundPrompt, bind_phrases
from lumosx_core.tokenizers import load_tokenizer
from lumosx_core.workers import run_in_processes, worker_count

CLIP_LIMIT_S = 1800.0


@dataclass(frozen=True, kw_only=True)
class PrepareJob:
    """A clip to prepare. model: the folder of VAE, text encoder and tokenizer."""

    clip: TrainingClip
    cache: Path
    model: Path
    settings: CacheSettings
    buckets: tuple[VideoSize, ...]
    augmentation: Augmentation


@dataclass(frozen=True, kw_only=True)
class PrepareReport:
    """clips: all, in the order of their names. prepared: how many are new."""

    clips: tuple[ListedClip, ...]
    prepared: int

    @property
    def left_out(self) -> tuple[ListedClip, ...]:
        """The clips that cannot be used."""
        return tuple(clip for clip in self.clips if clip.reason)


def model_settings(model: Path, *, text_len: int, fps: float, variants: int, seed: int, ranges: Augmentation) -> CacheSettings:
    """The settings of a cache for the models of a folder. Raises InputError for a file that is missing."""
    return CacheSettings(
        format=FORMAT,
        vae=file_digest(model / "vae.safetensors"),
        text_encoder=file_digest(model / "text_encoder.safetensors"),
        text_len=text_len,
        fps=fps,
        variants=variants,
        seed=seed,
        augmentation=asdict(ranges),
    )


def prepare_clips(
    clips: Sequence[TrainingClip],
    faults: dict[str, str],
    cache: Path,
    model: Path,
    settings: CacheSettings,
    buckets: Sequence[VideoSize],
    augmentation: Augmentation,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> PrepareReport:
    """Prepare what is not prepared yet; the list is written at the end, so that a cache with holes has none.

    faults: clips that could not even be read. Raises InputError if the cache holds clips of other settings, and when the disk
    refuses; what is wrong with single clips is told in the list.
    """
    about = cache / ABOUT
    if about.is_file():
        if read_settings(cache) != settings:
            raise InputError(
                f"{cache} was prepared with other models or settings ({about}); choose another --out, or delete it"
            )
    else:
        write_json(about, asdict(settings), "the cache's description")
    jobs = [
        PrepareJob(clip=clip, cache=cache, model=model, settings=settings, buckets=tuple(buckets), augmentation=augmentation)
        for clip in clips
    ]
    listed: dict[str, ListedClip] = {name: ListedClip(name=name, reason=reason) for name, reason in faults.items()}
    before = {path.stem for path in cache.glob("??/*.safetensors")}

    def take(result: ListedClip) -> None:
        listed[result.name] = result
        if progress is not None:
            progress("preparing", len(listed) - len(faults), len(jobs))

    run_in_processes(prepare_clip, jobs, worker_count(workers), take, lost=_lost, time_limit_s=CLIP_LIMIT_S)
    ordered = tuple(listed[name] for name in sorted(listed))
    write_list(cache, ordered)
    return PrepareReport(clips=ordered, prepared=len({clip.key for clip in ordered if clip.key} - before))


def prepare_clip(job: PrepareJob) -> ListedClip:
    """Prepare one clip, or say why it cannot be used."""
    try:
        return _prepare(job)
    except Exception as error:  # whatever libraries trip over: one bad clip does not stop the rest
        told = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        return ListedClip(name=job.clip.name, reason=told)


def usable_frames(clip: TrainingClip, fps: float) -> tuple[int, int, int]:
    """(width, height, frames at the training rate) of a clip's video, counted by decoding. Raises InputError."""
    with video_file(clip) as path:
        facts = probe_video(path)
        times = [time for time, _ in walk_frames(path, short_side=16)]
    if not times:
        raise InputError("its video has no frames")
    step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0
    return facts.width, facts.height, max(1, int((times[-1] - times[0] + step) * fps + 1e-6))


def bind_clip(clip: TrainingClip, model: Path, text_len: int) -> BoundPrompt:
    """The tokens of every phrase of a clip. Raises InputError if one has none."""
    return bind_phrases(clip.caption, clip.phrases(), load_tokenizer(model), text_len=text_len)


@contextmanager
def video_file(clip: TrainingClip) -> Iterator[Path]:
    """The path of a clip's video; of one inside a dataset that of a copy, for as long as the block lasts."""
    if clip.video.place is None:
        yield clip.video.path
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_bytes(path, read_file(clip.video.path, clip.video.place), "a clip")
        yield path


def content_digest(clip: TrainingClip) -> str:
    """Of a clip's words and of the bytes of its files."""
    if clip.video.place is not None:
        return digest_of([clip.name, clip.caption, [asdict(phrase) for phrase in clip.phrases()], _shard_digest(clip)])
    folder = clip.folder or clip.video.path.parent
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return digest_of([[path.name, file_digest(path)] for path in files])


def _shard_digest(clip: TrainingClip) -> list[str]:
    pictures = [picture for entity in _entities(clip) for picture in entity.pictures]
    bodies = [picture for person in clip.people for picture in person.bodies]
    stored = [p for p in (clip.video, *pictures, *bodies) if isinstance(p, StoredPicture) and p.place is not None]
    return [hashlib.sha256(read_file(p.path, p.place)).hexdigest() for p in stored if p.place is not None]


def _entities(clip: TrainingClip) -> list[Entity]:
    scene = [clip.background] if clip.background is not None else []
    return [*scene, *clip.objects, *(e for person in clip.people for e in (person.face, *person.attributes))]


def _prepare(job: PrepareJob) -> ListedClip:
    clip, settings = job.clip, job.settings
    width, height, count = usable_frames(clip, settings.fps)
    bucket = bucket_of(width, height, count, job.buckets)
    if bucket is None:
        raise InputError(f"its video has {count} frames at {settings.fps:g} per second, fewer than every bucket")
    bound = bind_clip(clip, job.model, settings.text_len)
    key = digest_of([content_digest(clip), asdict(settings), asdict(bucket)])[:32]
    if not clip_path(job.cache, key).is_file():
        record, tensors = _encode(job, bucket, bound)
        write_clip(job.cache, key, record, tensors)
    return ListedClip(
        name=clip.name,
        key=key,
        width=bucket.width,
        height=bucket.height,
        frames=bucket.frames,
        people=len(clip.people),
        attributes=tuple(len(person.attributes) for person in clip.people),
        bodies=tuple(bool(person.bodies) for person in clip.people),
        objects=len(clip.objects),
        background=clip.background is not None,
        others=clip.others,
    )


def _encode(job: PrepareJob, bucket: VideoSize, bound: BoundPrompt) -> tuple[CachedClip, dict[str, torch.Tensor]]:
    clip, settings = job.clip, job.settings
    vae, text = _models(job.model)
    with video_file(clip) as path:
        frames, times = read_clip(path, 0.0, bucket.frames, settings.fps)
    video = encode_video(vae, to_unit_range(fit_frames(frames, bucket)[None]))[0]
    context = text.encode([bound.prompt, ""], settings.text_len)
    tensors = {
        "video": video,
        "context": context[0, : len(bound.token_ids) + 1],
        "empty_context": context[1, :1],
        "people": torch.from_numpy(_people(clip, bucket, times, video.shape[1])),
    }
    spans = iter([reference.token_spans for reference in bound.references])  # one for each phrase, in their order

    def encoded(picture: Image.Image, name: str) -> torch.Tensor:
        size, ranges = (bucket.width, bucket.height), job.augmentation
        variants = [
            encoded_variant(vae, picture, size, ranges, seed=settings.seed, clip=clip.name, name=name, number=number)
            for number in range(settings.variants)
        ]
        return torch.stack(variants) if variants else stored_picture(picture)

    def pictures(name: str, given: Sequence[Picture]) -> tuple[str, ...]:
        names = []
        for k, picture in enumerate(given):
            tensors[f"{name}.{k}"] = encoded(large_enough(picture), f"{name}.{k}")
            names.append(f"{name}.{k}")
        return tuple(names)

    def entity(name: str, thing: Entity) -> CachedEntity:
        own = tuple((start, end) for start, end in next(spans))
        return CachedEntity(text=thing.text, spans=own, pictures=pictures(name, thing.pictures))

    background = None if clip.background is None else entity(BACKGROUND, clip.background)
    objects = tuple(entity(f"o{k}", thing) for k, thing in enumerate(clip.objects))
    people = tuple(
        CachedPerson(
            face=entity(f"p{n}.face", person.face),
            attributes=tuple(entity(f"p{n}.a{k}", thing) for k, thing in enumerate(person.attributes)),
            bodies=pictures(f"p{n}.body", person.bodies),
        )
        for n, person in enumerate(clip.people)
    )
    record = CachedClip(
        name=clip.name,
        caption=bound.prompt,
        width=bucket.width,
        height=bucket.height,
        frames=bucket.frames,
        people=people,
        objects=objects,
        background=background,
    )
    return record, tensors


def _people(clip: TrainingClip, bucket: VideoSize, times: np.ndarray, latent_frames: int) -> np.ndarray:
    """int8 [T, h/2, w/2]: the person that a token shows, in the latent frames that a selected frame belongs to; else -1."""
    owners = np.full((latent_frames, bucket.height // 16, bucket.width // 16), -1, np.int8)
    for picture, time in zip(clip.owners, clip.selected_s, strict=False):
        frame = int(np.abs(times - times[0] - time).argmin())
        numbers = np.asarray(picture.open())[None, ..., None].repeat(3, -1)
        whole = fit_frames(numbers, VideoSize(width=bucket.width, height=bucket.height, frames=1))[0, ..., 0]
        middle = whole[8::16, 8::16]
        owners[(frame + 3) // 4] = np.where(middle < len(clip.people), middle.astype(np.int16), -1)
    return owners


@lru_cache(maxsize=1)
def _models(model: Path) -> tuple[WanVae, TextEncoder]:
    """VAE and text encoder, once in every worker."""
    return load_vae(model / "vae.safetensors"), load_text_encoder(model / "text_encoder.safetensors", model)


def _lost(job: PrepareJob, why: str) -> ListedClip:
    return ListedClip(name=job.clip.name, reason=f"the process that worked on it {why}")
