"""How often a collection is wrong: puppet clips whose truth is known to the pixel, seen by the stages as mp4 files alone.

Every clip is told in words that no training has (`wordings.py`). Then the same clips again with a planted fault: one thing of a
person and one of another change their places in the caption. What counts is that true relations are kept and right, and that
exchanged ones do not get in.

Legend: H, W = pixels.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lumosx_core.data.collect import collect
from lumosx_core.data.collect_config import CollectConfig
from lumosx_core.data.collected import Clip
from lumosx_core.data.demo_clips import ENLARGE
from lumosx_core.data.engine import ProcessEngine
from lumosx_core.data.stage import read_mask
from lumosx_core.data.store import Blobs
from lumosx_core.evaluation.eyes import CENTRED, mask_iou
from lumosx_core.evaluation.statistics import rate_interval
from lumosx_core.evaluation.wordings import WordedClip, word_clip
from lumosx_core.files.atomic import write_text
from lumosx_core.files.videos import write_video
from lumosx_core.numbers import whole_number
from lumosx_core.progress import Progress
from lumosx_core.puppets.clip import FPS, ClipSpec, sample_clip
from lumosx_core.puppets.render import RenderedClip, render_clip
from lumosx_core.tokenizers import Tokenizer

VISIBLE = 12  # pixels of the drawing's frame: smaller things are not asked for
Tally = dict[str, list[tuple[float, float]]]  # name of a rate -> (hits, asked) of every clip


@dataclass(frozen=True, kw_only=True)
class CollectionReport:
    """Rates with their intervals, as text and as plain values; masks: mean intersection over union by kind. worst: the clips
    with most faults, what went wrong in each."""

    clips: int
    rates: dict[str, dict[str, float]]
    masks: dict[str, float]
    worst: tuple[tuple[str, str], ...]
    dropped: dict[str, int]
    text: str = field(repr=False)


def collection_specs(count: int, seed: int, *, exchange: bool) -> list[ClipSpec]:
    """The clips: one to three people with one to three things each, held out; for planted faults two or three people with two
    or three things, since two people with one thing each only change their names."""
    whole_number(count, "the number of clips", least=1, most=100_000)
    specs = []
    for number in range(count):
        rng = np.random.default_rng((seed, 41, int(exchange), number))
        people = 2 + number % 2 if exchange else 1 + number % 3
        things = int(rng.integers(2, 4)) if exchange else int(rng.integers(1, 4))
        specs.append(sample_clip(rng, people=people, attributes=things, described=True, held_out=True, frames=17))
    return specs


def evaluate_collection(
    folder: Path,
    config: CollectConfig,
    tokenizer: Tokenizer,
    *,
    count: int,
    seed: int = 0,
    exchange: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> CollectionReport:
    """Render, collect and compare. folder: gets videos and dataset; finished work is kept. exchange: plant faults."""
    specs = collection_specs(count, seed, exchange=exchange)
    worded: dict[str, tuple[ClipSpec, WordedClip]] = {}
    videos = folder / "videos"
    for number, spec in enumerate(specs):
        name = f"{number:05d}"
        told = word_clip(np.random.default_rng((seed, 43, number)), spec, exchange=exchange)
        worded[f"{name}.mp4"] = spec, told
        if not (videos / f"{name}.txt").is_file():
            write_video(videos / f"{name}.mp4", render_clip(spec).frames, FPS, enlarge=ENLARGE)
            write_text(videos / f"{name}.txt", told.caption + "\n")
        if progress is not None:
            progress("videos", number + 1, count)
    tally: Tally = defaultdict(list)
    masks: dict[str, list[float]] = defaultdict(list)
    faults: dict[str, list[str]] = {}

    def compare(clip: Clip, blobs: Blobs) -> None:
        name = clip.source.names[0]
        spec, told = worded[name]
        faults[name] = _compare(clip, blobs, spec, told, tally, masks, exchange=exchange)

    engine = ProcessEngine(workers=workers)
    report = collect([videos], folder / "dataset", config, tokenizer, engine=engine, on_clip=compare, progress=progress)
    return _report(count, tally, masks, faults, report.dropped)


def _compare(
    clip: Clip, blobs: Blobs, spec: ClipSpec, told: WordedClip, tally: Tally, masks: dict[str, list[float]], *, exchange: bool
) -> list[str]:
    """What is wrong with a clip; its counts go into the tally."""
    if not clip.records:
        return [f"no records: {[r.record for r in clip.results.values() if r.status != 'done'][:1]}"]
    records, rendered = clip.records, render_clip(spec)
    faults: list[str] = []
    puppets = _puppets_of_tracks(records, blobs, rendered)
    seen = records["people"].seen
    tally["people counted right"].append((sum(n == len(spec.puppets) for n in seen), len(seen)))
    _compare_people(records, blobs, rendered, puppets, tally, masks)
    reading = records["reading"]
    true = {(span.start, span.end): n for n, spans in enumerate(told.attributes) for span in spans}
    said = {(span.start, span.end): n for n, span in enumerate(told.mentions)}
    mentions = {index: said.get((m.span.start, m.span.end)) for index, m in enumerate(reading.mentions)}
    if not exchange:
        read = {(p.span.start, p.span.end): mentions[p.owner] for p in reading.phrases if p.owner is not None}
        right = sum(read.get(span) == owner for span, owner in true.items())
        tally["relations read: precision"].append((right, max(len(read), 1e-9)))
        tally["relations read: recall"].append((right, len(true)))
        if right < len(true) or len(read) > len(true):
            faults.append("read wrongly")
        tracks = records["relations"].people
        hits = sum(puppet is not None and puppets.get(tracks[index]) == puppet for index, puppet in mentions.items())
        tally["names with the right person"].append((hits, len(spec.puppets)))
        if hits < len(spec.puppets):
            faults.append("a name with another person")
    kept_right, kept, flagged_true, flagged_moved = 0, 0, 0, 0
    moved = {told.attributes[0][0], told.attributes[1][0]} if exchange else set()
    decision = clip.decision
    accepted = set() if decision is None or decision.reason else {p.phrase for p in decision.accepted}
    visible = _visible(spec, told, rendered)
    for relation in records["relations"].relations:
        if relation.track is None:
            continue
        span = reading.phrases[relation.phrase].span
        if relation.phrase in accepted:
            kept += 1
            good = true.get((span.start, span.end)) == puppets.get(relation.track)
            kept_right += good
            if not good:
                faults.append(f"accepted wrongly: {span.of(reading.caption)}")
            _compare_thing(records, blobs, spec, told, rendered, relation, masks)
    phrases_kept = {(reading.phrases[n].span.start, reading.phrases[n].span.end) for n in accepted}
    for span in true:
        if span not in visible:
            continue
        is_moved = any((m.start, m.end) == span for m in moved)
        out = span not in phrases_kept
        flagged_moved += out and is_moved
        flagged_true += out and not is_moved
    asked_moved = sum((m.start, m.end) in visible for m in moved)
    tally["accepted relations right"].append((kept_right, max(kept, 1e-9)))
    if exchange:
        # A moved word may be taken for its true owner's, where names are matched the other way round: then what stayed is the
        # fault, and what counts is whether anything wrong got in, and whether the clip is marked.
        tally["moved words doubtful or contradicted"].append((flagged_moved, max(asked_moved, 1e-9)))
        marked = len(phrases_kept & visible) < len(visible)
        tally["exchanges marked, nothing wrong in"].append((float(marked and kept_right == kept), 1))
        if not marked or kept_right < kept:
            faults.append("a planted fault got in")
    else:
        tally["true relations kept"].append((len(visible) - flagged_true, max(len(visible), 1e-9)))
        tally["samples"].append((float(bool(decision) and not decision.reason), 1))  # type: ignore[union-attr]
        if flagged_true:
            why = f" ({decision.reason})" if decision is not None and decision.reason else ""
            faults.append(f"{flagged_true} true relations left out{why}")
    return faults


def _puppets_of_tracks(records: dict[str, Any], blobs: Blobs, rendered: RenderedClip) -> dict[int, int]:
    """Track -> the puppet whose pixels it shows most."""
    result = {}
    for track, views in enumerate(records["people"].tracks):
        votes = np.zeros(rendered.face_boxes.shape[1])
        for view in views:
            owner = rendered.owner[_frame(records, view.frame)].repeat(ENLARGE, 0).repeat(ENLARGE, 1)
            inside = owner[read_mask(blobs, view.mask)]
            votes += np.bincount(inside[inside >= 0], minlength=len(votes))
        if votes.any():
            result[track] = int(votes.argmax())
    return result


def _compare_people(
    records: dict[str, Any],
    blobs: Blobs,
    rendered: RenderedClip,
    puppets: dict[int, int],
    tally: Tally,
    masks: dict[str, list[float]],
) -> None:
    centred: list[bool] = []
    for track, views in enumerate(records["people"].tracks):
        if track not in puppets:
            continue
        for view in views:
            number = _frame(records, view.frame)
            true = (rendered.owner[number] == puppets[track]).repeat(ENLARGE, 0).repeat(ENLARGE, 1)
            masks["person"].append(mask_iou(read_mask(blobs, view.mask), true))
            box = rendered.face_boxes[number, puppets[track]] * ENLARGE
            if view.face is not None and np.isfinite(box).all():
                middle = np.array([box[0] + box[2], box[1] + box[3]]) - np.array(
                    [view.face[0] + view.face[2], view.face[1] + view.face[3]]
                )
                centred.append(bool(np.abs(middle / 2).max() <= CENTRED * max(box[2] - box[0], box[3] - box[1])))
    tally["faces centred"].append((sum(centred), max(len(centred), 1e-9)))


def _compare_thing(
    records: dict[str, Any],
    blobs: Blobs,
    spec: ClipSpec,
    told: WordedClip,
    rendered: RenderedClip,
    relation: Any,
    masks: dict[str, list[float]],
) -> None:
    span = records["reading"].phrases[relation.phrase].span
    for n, spans in enumerate(told.attributes):
        for k, own in enumerate(spans):
            if (own.start, own.end) == (span.start, span.end):
                kind = spec.puppets[n].attributes[k].kind
                for candidate in records["grounding"].candidates:
                    if candidate.phrase == relation.phrase and candidate.track == relation.track:
                        true = rendered.attribute_mask(n, kind)[_frame(records, candidate.frame)]
                        if true.sum() >= VISIBLE:
                            masks[kind].append(
                                mask_iou(read_mask(blobs, candidate.mask), true.repeat(ENLARGE, 0).repeat(ENLARGE, 1))
                            )


def _visible(spec: ClipSpec, told: WordedClip, rendered: RenderedClip) -> set[tuple[int, int]]:
    """The phrases of things that can be seen in some frame."""
    return {
        (span.start, span.end)
        for n, spans in enumerate(told.attributes)
        for span, worn in zip(spans, spec.puppets[n].attributes, strict=True)
        if rendered.attribute_mask(n, worn.kind).sum((1, 2)).max() >= VISIBLE
    }


def _frame(records: dict[str, Any], selected: int) -> int:
    return round(records["frames"].frames[selected].time_s * FPS)


def _report(
    count: int, tally: Tally, masks: dict[str, list[float]], faults: dict[str, list[str]], dropped: dict[str, int]
) -> CollectionReport:
    rates = {}
    lines = [f"{count} clips"]
    for name, cases in tally.items():
        asked = [(hits, total) for hits, total in cases if total >= 1]
        if asked:
            interval = rate_interval(asked)
            rates[name] = asdict(interval)
            lines.append(f"{name:<30} {interval}   {interval.asked:g} asked")
    if {"relations read: precision", "relations read: recall"} <= rates.keys():
        precision, recall = (rates[f"relations read: {part}"]["value"] for part in ("precision", "recall"))
        rates["relations read: F1"] = {"value": 2 * precision * recall / max(precision + recall, 1e-9)}
        lines.append(f"{'relations read: F1':<30} {100 * rates['relations read: F1']['value']:.1f} %")
    means = {kind: float(np.mean(values)) for kind, values in sorted(masks.items())}
    lines += [f"IoU of {kind:<23} {value:.3f}   {len(masks[kind])} masks" for kind, value in means.items()]
    lines += [f"clips left out: {total} {reason.replace('_', ' ')}" for reason, total in sorted(dropped.items())]
    worst: Sequence[tuple[str, list[str]]] = sorted(faults.items(), key=lambda item: (-len(item[1]), item[0]))[:24]
    told = tuple((name, "; ".join(found)) for name, found in worst if found)
    return CollectionReport(clips=count, rates=rates, masks=means, worst=told, dropped=dropped, text="\n".join(lines))
