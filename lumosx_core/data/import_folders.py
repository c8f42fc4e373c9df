"""Sample folders with a video as samples of a dataset: pictures are taken as they are, nothing is looked for in the video."""

from collections.abc import Sequence
from typing import Any

from lumosx_core.data.collected import manifest_row
from lumosx_core.data.imported import even_sides, open_video, video_bytes
from lumosx_core.data.pack import PackedSample
from lumosx_core.data.records import Shot, canonical, clip_id, digest_of
from lumosx_core.data.sources import content_id
from lumosx_core.data.training_clips import Entity, Picture, TrainingClip
from lumosx_core.errors import InputError
from lumosx_core.files.images import encoded_png
from lumosx_core.text_spans import bind_phrases
from lumosx_core.tokenizers import Tokenizer

ORIGIN = "sample folder"


def folder_sample(clip: TrainingClip, tokenizer: Tokenizer, text_len: int) -> PackedSample:
    """The sample of a clip; its files are read again when it is packed. Raises InputError if it has no references, if words own
    no tokens, and for pictures and videos that cannot be read."""
    if not clip.phrases():
        raise InputError("it has no references")
    bind_phrases(clip.caption, clip.phrases(), tokenizer, text_len=text_len)
    source = content_id(clip.video.path)
    record, files = _read(clip, source)
    row = manifest_row(record, caption_origin="given", source=source, names=[clip.name], origin=ORIGIN, licence="", start_s=0.0)
    digest = digest_of([[name, digest_of(content)] for name, content in files])
    return PackedSample(sample=record["sample"], digest=digest, row=row, files=lambda: _read(clip, source)[1])


def _read(clip: TrainingClip, source: str) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    """(the content of sample.json, all files)."""
    video = open_video(clip.video.path)
    sample = clip_id(source, Shot(start_s=0.0, frames=len(video.frames), fps=video.fps))
    height, width = even_sides(video.frames).shape[1:3]
    pictures: list[tuple[str, bytes]] = []

    def views(name: str, given: Sequence[Picture]) -> list[dict[str, Any]]:
        made = []
        for k, picture in enumerate(given):
            pictures.append((f"{name}.{k}.png", encoded_png(picture.open())))
            made.append({"file": f"{name}.{k}.png", "frame": 0, "box": [0.0, 0.0, 0.0, 0.0], "score": 1.0})
        return made

    def words(one: Entity) -> dict[str, Any]:
        return {"text": one.text, "span": None, "occurrence": one.occurrence}

    def thing(name: str, one: Entity) -> dict[str, Any]:
        return {**words(one), "views": views(name, one.pictures), "evidence": None}

    record = {
        "format": 1,
        "sample": sample,
        "caption": clip.caption,
        "clip": {"file": "clip.mp4", "width": width, "height": height, "frames": len(video.frames), "fps": video.fps},
        "selected_s": [],
        "people": [
            {
                **words(person.face),
                "faces": views(f"p{n}.face", person.face.pictures),
                "bodies": [],
                "attributes": [thing(f"p{n}.a{k}", one) for k, one in enumerate(person.attributes)],
            }
            for n, person in enumerate(clip.people)
        ],
        "objects": [thing(f"o{k}", one) for k, one in enumerate(clip.objects)],
        "background": None if clip.background is None else thing("background", clip.background),
        "owners": [],
    }
    return record, [("clip.mp4", video_bytes(video)), ("sample.json", canonical(record)), *pictures]
