"""How often the collection is wrong on photo clips of known truth, with real weights: `python -m tests.core.real.measure`.

The same clips twice: told truly without a word for places ("a person in a red shirt and a person in a blue shirt": only colours
say who is who), and with the shirts of two people exchanged, places told truly.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lumosx_core.data.collect import collect
from lumosx_core.data.collect_config import PHOTO, CollectConfig
from lumosx_core.data.collected import Clip, CollectReport
from lumosx_core.data.engine import ProcessEngine
from lumosx_core.data.stage import read_mask
from lumosx_core.data.store import Blobs
from lumosx_core.evaluation.eyes import mask_iou
from lumosx_core.evaluation.statistics import rate_interval
from lumosx_core.files.atomic import write_text
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.tokenizers import load_tokenizer
from tests.core.real.photo_clips import FPS, PhotoClip, PhotoFrame, render_frame, sixty_clips, write_clip

Tally = dict[str, list[tuple[float, float]]]
# all numbers are those of the preset for photographs
KIT_CONFIG = replace(PHOTO, models=replace(PHOTO.models, eyes="tests.core.real.eyes:kit_components"))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """rates: name -> (hits, asked) of every clip. masks: name -> intersection over union of every mask. faults: in words."""

    rates: Tally
    masks: dict[str, list[float]]
    faults: tuple[str, ...]
    report: CollectReport

    def rate(self, name: str) -> float:
        """0 to 1."""
        return sum(hits for hits, _ in self.rates[name]) / sum(asked for _, asked in self.rates[name])

    def text(self) -> str:
        """As a table."""
        lines = [
            f"{name:<36} {rate_interval(cases)}   {sum(a for _, a in cases):g} asked" for name, cases in self.rates.items()
        ]
        lines += [f"IoU of {name:<29} {np.mean(v):.3f}   worst {min(v):.3f}, {len(v)} masks" for name, v in self.masks.items()]
        lines += [f"clips left out: {count} {reason}" for reason, count in sorted(self.report.dropped.items())]
        return "\n".join([*lines, *self.faults])


def measure(
    clips: Sequence[PhotoClip], folder: Path, *, exchanged: bool, config: CollectConfig = KIT_CONFIG, workers: int = 1
) -> Measured:
    """Write what is not there, collect, compare. A second measurement in the same folder looks at the same people again without
    running a model for it."""
    names = {}
    for number, clip in enumerate(clips):
        path = folder / "videos" / f"{number:03d}.mp4"
        names[path.name] = clip
        caption = clip.caption(exchanged=exchanged)
        if not path.is_file():
            write_clip(clip, path, caption)
        write_text(path.with_suffix(".txt"), caption + "\n")
    rates: Tally = defaultdict(list)
    masks: dict[str, list[float]] = defaultdict(list)
    faults: list[str] = []

    def compare(found: Clip, blobs: Blobs) -> None:
        clip = names[found.source.names[0]]
        if not found.records:
            faults.append(f"{found.source.names[0]}: {[r.record[:600] for r in found.results.values() if r.status != 'done']}")
            return
        told = _compare(found, blobs, clip, rates, masks, exchanged=exchanged)
        faults.extend(f"{found.source.names[0]}: {fault}" for fault in told)

    tokenizer = load_tokenizer(NANO_FOLDER / "spiece.model")
    report = collect(
        [folder / "videos"], folder / "dataset", config, tokenizer, engine=ProcessEngine(workers=workers), on_clip=compare
    )
    return Measured(rates=rates, masks=masks, faults=tuple(faults), report=report)


def _compare(
    found: Clip, blobs: Blobs, clip: PhotoClip, rates: Tally, masks: dict[str, list[float]], *, exchanged: bool
) -> list[str]:
    records, faults = found.records, []
    frames = {number: render_frame(clip, _number(records, number)) for number in range(len(records["frames"].frames))}
    owners = _owners(records, blobs, frames)
    if not exchanged:
        faults += _compare_people(records, blobs, clip, frames, owners, rates, masks)
    people = len(clip.walks)
    decision = found.decision
    assert decision is not None
    reading = records["reading"]
    accepted = set() if decision.reason else {phrase.phrase for phrase in decision.accepted}
    right = kept = 0
    colours = {index: walk.colour for index, walk in enumerate(clip.walks)}
    for phrase in decision.phrases:
        track = phrase.track
        walk = owners.get(track, {None}) if track is not None else {None}
        good = {colours.get(w) for w in walk if w is not None} == {phrase.text.split()[0]}
        kept += phrase.phrase in accepted
        right += phrase.phrase in accepted and good
        if phrase.phrase in accepted and not good:
            faults.append(f"accepted wrongly: {phrase.text}")
        if not exchanged and phrase.phrase not in accepted:
            faults.append(f"left out: {phrase.text}: {'; '.join(phrase.reasons)} {decision.reason}")
    if not exchanged and decision.reason:
        faults.append(f"no sample: {decision.reason} {decision.detail}")
    if exchanged:
        marked = sum(1 for phrase in decision.phrases if phrase.phrase not in accepted)
        rates["exchanges marked, nothing wrong in"].append((float((marked > 0 or bool(decision.reason)) and right == kept), 1))
        moved = _moved(clip)
        flagged = sum(colour not in {p.text.split()[0] for p in decision.phrases if p.phrase in accepted} for colour in moved)
        rates["exchanged shirts marked"].append((flagged, len(moved)))
        if flagged < len(moved):
            faults.append(f"exchanged, yet accepted: {found.records['caption'].text}")
        return faults
    rates["relations read"].append((sum(p.kind == "attribute" for p in reading.phrases), people))
    rates["true relations kept"].append((right, people))
    if kept:
        rates["accepted relations right"].append((right, kept))
    return faults


def _compare_people(
    records: dict[str, Any],
    blobs: Blobs,
    clip: PhotoClip,
    frames: dict[int, PhotoFrame],
    owners: dict[int, set[int]],
    rates: Tally,
    masks: dict[str, list[float]],
) -> list[str]:
    faults: list[str] = []
    people, found, seen = len(clip.walks), 0, 0
    tracks = records["people"].tracks
    for number, frame in frames.items():
        views = [(track, view) for track, own in enumerate(tracks) for view in own if view.frame == number]
        for walk in range(people):
            overlaps = [mask_iou(read_mask(blobs, view.mask), frame.owner == walk) for _, view in views]
            best = max(overlaps, default=0.0)
            found += best >= 0.5
            if best >= 0.5:
                masks["person"].append(best)
            box = frame.faces[walk]
            inside = [v.face for _, v in views if v.face is not None and _holds(box, v.face)]
            seen += len(inside) == 1
    asked = people * len(frames)
    rates["people found"].append((found, asked))
    rates["faces found, each with one person"].append((seen, asked))
    rates["people counted right"].append((sum(count == people for count in records["people"].seen), len(frames)))
    whole = sum(len(own) == len(frames) and len(owners.get(track, ())) == 1 for track, own in enumerate(tracks))
    rates["tracks right"].append((min(whole, people), people))
    if whole < people:
        faults.append(f"tracks: {owners}, likeness {records['people'].likeness}")
    for candidate in records["grounding"].candidates:
        frame = frames[candidate.frame]
        own = owners.get(candidate.track, set())
        if len(own) == 1:
            masks["shirt"].append(mask_iou(read_mask(blobs, candidate.mask), frame.shirt & (frame.owner == next(iter(own)))))
    return faults


def _owners(records: dict[str, Any], blobs: Blobs, frames: dict[int, PhotoFrame]) -> dict[int, set[int]]:
    """Track -> the walks whose pixels its views show most."""
    result: dict[int, set[int]] = defaultdict(set)
    for track, views in enumerate(records["people"].tracks):
        for view in views:
            inside = frames[view.frame].owner[read_mask(blobs, view.mask)]
            if (inside >= 0).any():
                result[track].add(int(np.bincount(inside[inside >= 0]).argmax()))
    return result


def _moved(clip: PhotoClip) -> set[str]:
    """The colours that the exchanged caption gives to somebody else, by comparing places."""
    places = sorted(range(len(clip.walks)), key=lambda n: clip.walks[n].middle[0])
    told = [words.split()[-1] for words in clip.caption(exchanged=True).split(" shirt")[: len(places)]]
    return {colour for colour, walk in zip(told, places, strict=True) if clip.walks[walk].colour != colour}


def _number(records: dict[str, Any], selected: int) -> int:
    return round(records["frames"].frames[selected].time_s * FPS)


def _holds(outer: Sequence[float], inner: Sequence[float]) -> bool:
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]


def main(arguments: Sequence[str], tell: Callable[[str], Any] = print) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/photo_clips"))
    options = parser.parse_args(arguments)
    clips = sixty_clips(options.clips, options.seed)
    for exchanged in (False, True):
        tell(f"\n{options.clips} photo clips, {'two shirts exchanged' if exchanged else 'told truly'}")
        tell(measure(clips, options.out, exchanged=exchanged, workers=options.workers).text())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
