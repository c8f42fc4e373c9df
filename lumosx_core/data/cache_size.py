"""What `train prepare` writes, told before it starts, and whether the disk has room for it."""

from collections.abc import Sequence
from pathlib import Path

from lumosx_core.data.buckets import bucket_of
from lumosx_core.data.decoding import UndecodableError, probe_video
from lumosx_core.data.prepare import video_file
from lumosx_core.data.training_clips import TrainingClip
from lumosx_core.errors import InputError
from lumosx_core.files.room import free_bytes_at, gib
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.video_size import VideoSize

LOOKED_AT = 32  # clips, spread evenly over all, whose sizes are taken for those of all
NUMBER_BYTES = 2  # float16
PICTURE_BYTES = 2  # of a picture as PNG, per pixel of the clip's size: about
TOKENS_PER_WORD = 2  # of a caption: about, and rather more
OTHER_BYTES = 4096  # record, list and header of a clip


def check_cache_room(
    clips: Sequence[TrainingClip],
    cache: Path,
    sizes: TransformerConfig,
    buckets: Sequence[VideoSize],
    fps: float,
    variants: int,
) -> tuple[int, int | None]:
    """(about how many bytes the cache of these clips takes, how many are free there; None where the disk does not tell).

    sizes: of the transformer that it is for. The headers of LOOKED_AT videos tell their buckets; the largest one counts where a
    header tells no length. Raises InputError, with the figures, if what is not there yet does not fit.
    """
    some = clips[:: max(1, -(-len(clips) // LOOKED_AT))]
    total = int(sum(_clip_bytes(clip, sizes, buckets, fps, variants) for clip in some) / max(1, len(some)) * len(clips))
    there = sum(path.stat().st_size for path in cache.glob("??/*.safetensors"))
    free = free_bytes_at(cache)
    if free is not None and free < total - there:
        already = f", of which {gib(there)} are there" if there else ""
        raise InputError(
            f"a cache of {len(clips)} clips takes about {gib(total)} GiB{already}; {gib(free)} are free where {cache} is; "
            "free some space, choose another --out, or keep fewer variants of every picture (--references)"
        )
    return total, free


def _clip_bytes(clip: TrainingClip, sizes: TransformerConfig, buckets: Sequence[VideoSize], fps: float, variants: int) -> float:
    frames, height, width = (_bucket(clip, buckets, fps)).grid
    latent = sizes.in_dim * 4 * height * width * NUMBER_BYTES  # latents are twice the grid
    picture = variants * latent if variants else PICTURE_BYTES * 256 * height * width
    things = [clip.background] if clip.background is not None else []
    things += [*clip.objects, *(thing for person in clip.people for thing in (person.face, *person.attributes))]
    pictures = sum(len(thing.pictures) for thing in things) + sum(len(person.bodies) for person in clip.people)
    tokens = min(sizes.text_len, TOKENS_PER_WORD * len(clip.caption.split()) + 1)
    text = tokens * sizes.text_dim * NUMBER_BYTES
    return latent * frames + picture * pictures + text + frames * height * width + OTHER_BYTES


def _bucket(clip: TrainingClip, buckets: Sequence[VideoSize], fps: float) -> VideoSize:
    """The one that the clip goes into by its header, else the largest."""
    largest = max(buckets, key=lambda size: size.grid[0] * size.grid[1] * size.grid[2])
    try:
        with video_file(clip) as path:
            facts = probe_video(path)
    except (InputError, UndecodableError, OSError):
        return largest  # it is told when it is prepared
    if not facts.frames or not facts.fps:
        return largest
    return bucket_of(facts.width, facts.height, int(facts.frames / facts.fps * fps), buckets) or largest
