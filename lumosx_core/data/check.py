"""What would be trained on, counted per bucket; all that is left out, with its reason; and a sheet of what the model sees."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lumosx_core.data.augment import Augmentation, augmented
from lumosx_core.data.buckets import bucket_of, fit_frames
from lumosx_core.data.decoding import UndecodableError, read_clip
from lumosx_core.data.prepare import bind_clip, usable_frames, video_file
from lumosx_core.data.training_clips import Entity, Picture, TrainingClip, large_enough
from lumosx_core.drawing.lettering import draw_text, fit_text
from lumosx_core.drawing.palette import PAPER, QUIET
from lumosx_core.drawing.relation_graph import draw_relation_graph
from lumosx_core.errors import InputError
from lumosx_core.model.video_size import VideoSize
from lumosx_core.progress import Progress
from lumosx_core.references import Attribute, ReferenceSet, SceneReference, Subject, prepare_reference_image
from lumosx_core.text_spans import bind_prompt
from lumosx_core.tokenizers import load_tokenizer

SHEET_CLIPS, FRAMES_SHOWN, MARGIN, SHEET_WIDTH = 12, 6, 30, 1200


@dataclass(frozen=True, kw_only=True)
class CheckedClip:
    """A clip that can be used: its bucket, and how many tokens its caption has."""

    clip: TrainingClip
    bucket: VideoSize
    tokens: int


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """usable: what would be trained on. left_out: name -> why."""

    usable: tuple[CheckedClip, ...]
    left_out: dict[str, str]

    @property
    def share_left_out(self) -> float:
        """Of all clips, 0 to 1."""
        return len(self.left_out) / max(1, len(self.usable) + len(self.left_out))

    def table(self) -> str:
        """Per bucket: clips, frames, people, attributes, tokens; and the clips that are left out."""
        counts: dict[str, Counter[str]] = {}
        for item in self.usable:
            size = item.bucket
            row = counts.setdefault(f"{size.width}x{size.height}x{size.frames}", Counter())
            row["clips"] += 1
            row["frames"] += size.frames
            row["people"] += len(item.clip.people)
            row["attributes"] += sum(len(person.attributes) for person in item.clip.people)
            row["tokens"] = max(row["tokens"], item.tokens)
        lines = [f"{'bucket':<14} {'clips':>6} {'frames':>8} {'people':>7} {'attributes':>11} {'longest text':>13}"]
        for name, row in sorted(counts.items()):
            numbers = (row["clips"], row["frames"], row["people"], row["attributes"], row["tokens"])
            lines.append(name.ljust(14) + "".join(f" {n:>{w}}" for n, w in zip(numbers, (6, 8, 7, 11, 13), strict=True)))
        lines += [f"left out: {name}: {reason}" for name, reason in sorted(self.left_out.items())]
        return "\n".join(lines)


def check_clips(
    clips: Sequence[TrainingClip],
    faults: dict[str, str],
    model: Path,
    buckets: Sequence[VideoSize],
    *,
    text_len: int,
    fps: float,
    progress: Progress | None = None,
) -> CheckReport:
    """Read everything, train nothing: every video is decoded and counted, every picture opened, every phrase bound."""
    usable: list[CheckedClip] = []
    left_out = dict(faults)
    for number, clip in enumerate(clips, start=1):
        try:
            width, height, frames = usable_frames(clip, fps)
            bucket = bucket_of(width, height, frames, buckets)
            if bucket is None:
                raise InputError(f"its video has {frames} frames at {fps:g} per second, fewer than every bucket")
            bound = bind_clip(clip, model, text_len)
            if not clip.people and not clip.objects and clip.background is None:
                raise InputError("it has no references")
            for picture in _pictures(clip):
                large_enough(picture)
            usable.append(CheckedClip(clip=clip, bucket=bucket, tokens=len(bound.token_ids)))
        except (InputError, UndecodableError) as error:
            left_out[clip.name] = str(error)
        if progress is not None:
            progress("checking", number, len(clips))
    return CheckReport(usable=tuple(usable), left_out=left_out)


def check_sheet(report: CheckReport, model: Path, *, fps: float, ranges: Augmentation, seed: int = 0) -> Image.Image:
    """A picture of what the model will see of some clips (there must be one): frames at training speed, references as drawn and
    augmented, and the caption with everybody's words in their colour."""
    step = max(1, len(report.usable) // SHEET_CLIPS)
    chosen = report.usable[::step][:SHEET_CLIPS]
    rows = [_row(item, model, fps, ranges, np.random.default_rng((seed, n))) for n, item in enumerate(chosen)]
    width, height = max(row.width for row in rows), sum(row.height for row in rows)
    sheet = Image.new("RGB", (width, height), PAPER)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _row(item: CheckedClip, model: Path, fps: float, ranges: Augmentation, rng: np.random.Generator) -> Image.Image:
    clip, bucket = item.clip, item.bucket
    with video_file(clip) as path:
        frames = fit_frames(read_clip(path, 0.0, bucket.frames, fps)[0], bucket)
    references = drawn_references(clip, bucket, ranges, rng)
    bound = bind_prompt(clip.caption, references, load_tokenizer(model), on_problem="ignore")
    graph = draw_relation_graph(references, bound, SHEET_WIDTH)
    shown = np.linspace(0, len(frames) - 1, min(FRAMES_SHOWN, len(frames))).round().astype(int)
    side = (graph.width - 2 * MARGIN) // FRAMES_SHOWN
    row = Image.new("RGB", (graph.width, round(side * bucket.height / bucket.width) + graph.height + 60), PAPER)
    told = f"{bucket.width}x{bucket.height}, {bucket.frames} frames at {fps:g} per second, {item.tokens} tokens"
    draw_text(row, (MARGIN, 12), fit_text(f"{clip.name}: {told}", 16, graph.width - 2 * MARGIN), 16, QUIET)
    for k, number in enumerate(shown):
        picture = Image.fromarray(frames[number]).resize((side - 4, round((side - 4) * bucket.height / bucket.width)))
        row.paste(picture, (MARGIN + k * side, 40))
    row.paste(graph, (0, row.height - graph.height))
    return row


def drawn_references(clip: TrainingClip, bucket: VideoSize, ranges: Augmentation, rng: np.random.Generator) -> ReferenceSet:
    """One draw of a clip's pictures, augmented and fitted into its bucket; people with their attributes."""

    def draw(thing: Entity, *, scene: bool = False) -> Image.Image:
        picture = thing.pictures[int(rng.integers(len(thing.pictures)))].open()
        return prepare_reference_image(augmented(picture, rng, ranges, scene=scene), bucket.width, bucket.height)

    def scene(thing: Entity, *, background: bool = False) -> SceneReference:
        return SceneReference(phrase=thing.text, image=draw(thing, scene=background), occurrence=thing.occurrence)

    subjects = tuple(
        Subject(
            name=person.face.text,
            face=draw(person.face),
            occurrence=person.face.occurrence,
            attributes=tuple(Attribute(phrase=t.text, image=draw(t), occurrence=t.occurrence) for t in person.attributes),
        )
        for person in clip.people
    )
    return ReferenceSet(
        subjects=subjects,
        objects=tuple(scene(thing) for thing in clip.objects),
        background=None if clip.background is None else scene(clip.background, background=True),
    )


def _pictures(clip: TrainingClip) -> list[Picture]:
    scene = [clip.background] if clip.background is not None else []
    things = [*scene, *clip.objects, *(e for person in clip.people for e in (person.face, *person.attributes))]
    return [p for thing in things for p in thing.pictures] + [p for person in clip.people for p in person.bodies]
