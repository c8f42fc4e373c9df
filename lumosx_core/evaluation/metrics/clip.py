"""How well do frames fit the prompt, and things their references? CLIP-T, CLIP-I and DINO-I.

CLIP-T: cosine of frames and prompt. CLIP-I, DINO-I: cosine of a reference and of what is found in a frame by its noun, cut out
on white. What one noun finds is matched with the references of that noun one-to-one: these figures say whether everything is
there, not who wears it (`binding.py` does). A thing that is not found counts as 0 and is told apart.

Legend: F = frames, T = things, K = what a noun finds in a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.detection.boxes import cut_by_mask
from lumosx_core.detection.embedders import FolderEmbedder
from lumosx_core.detection.things import ThingEyes
from lumosx_core.errors import InputError
from lumosx_core.evaluation.binding import match_one_to_one
from lumosx_core.evaluation.metrics.asked import NOBODYS, AskedThing, NounOf, asked_objects, asked_things
from lumosx_core.evaluation.metrics.binding_sight import MARGIN, framed
from lumosx_core.evaluation.metrics.faces import FRAMES
from lumosx_core.evaluation.metrics.metric import Figure, Metric
from lumosx_core.eyes import Embedder
from lumosx_core.files.videos import spread_frames
from lumosx_core.references import Sample
from lumosx_core.sample_folder import read_sample

MOST_FOUND = 6  # places in a frame by one noun, the surest ones
DIGITS = 5


@dataclass(frozen=True, kw_only=True)
class ClipSight:
    """What is looked with: finders of things, CLIP, DINO, and the noun of a phrase."""

    eyes: ThingEyes
    clip: FolderEmbedder
    dino: Embedder
    noun_of: NounOf


@dataclass(frozen=True)
class Clip(Metric):
    """The metric. sight: None where nothing is looked at."""

    sight: ClipSight | None = None

    VERSION = 2
    FAULTS = frozenset[str]()

    def score(self, video: np.ndarray, sample: Path) -> dict[str, Any]:
        """`frames`, the numbers of the scored ones; `prompt`, the cosine of each with the prompt; `things`: phrase, kind
        (attribute or object), and of each frame the cosines `clip` and `dino`, null where it is not found. Things whose phrase
        has no noun are not asked. Raises InputError without models, and as those do."""
        if self.sight is None:
            raise InputError("the metric clip needs CLIP, DINO and finders of things; name their folder with --eyes")
        asked_of = read_sample(sample)
        chosen = spread_frames(len(video), FRAMES)
        frames = [Image.fromarray(video[frame]) for frame in chosen]
        words = self.sight.clip.embed_words([asked_of.prompt])[0]
        things = _everything(self.sight, asked_of)
        looks = [embedder.embed([framed(thing.picture) for thing in things]) for embedder in (self.sight.clip, self.sight.dino)]
        rows = [_likeness(self.sight, frame, things, looks) for frame in frames]
        return {
            "frames": chosen.tolist(),
            "prompt": [round(float(row @ words), DIGITS) for row in self.sight.clip.embed(frames)],
            "things": [
                {
                    "phrase": thing.phrase,
                    "kind": _kind(thing),
                    "clip": [row[t][0] for row in rows],
                    "dino": [row[t][1] for row in rows],
                }
                for t, thing in enumerate(things)
                if thing.noun is not None
            ],
        }

    def missing(self, sample: Path) -> dict[str, Any]:
        """The values of a sample that has no video: nothing fits, nothing is found."""
        if self.sight is None:
            raise InputError("the metric clip needs CLIP, DINO and finders of things; name their folder with --eyes")
        nothing = [None] * FRAMES
        things = [
            {"phrase": t.phrase, "kind": _kind(t), "clip": nothing, "dino": nothing}
            for t in _everything(self.sight, read_sample(sample))
            if t.noun is not None
        ]
        return {"frames": [], "prompt": [0.0] * FRAMES, "things": things}

    def figures(self, values: dict[str, Any]) -> dict[str, Figure]:
        """Means over frames and things; cosines below 0 count as 0."""
        prompt = [min(1.0, max(0.0, value)) for value in values["prompt"]]
        clip, dino = (_total(values["things"], name) for name in ("clip", "dino"))
        found = float(sum(value is not None for thing in values["things"] for value in thing["clip"]))
        asked = float(sum(len(thing["clip"]) for thing in values["things"]))
        return {
            "CLIP-T": (float(sum(prompt)), float(len(prompt))),
            "CLIP-I": (clip, asked),
            "DINO-I": (dino, asked),
            "found": (found, asked),
            "CLIP-I of found": (clip, found),
            "DINO-I of found": (dino, found),
        }

    def details(self, values: dict[str, Any]) -> dict[str, Figure]:
        """CLIP-T has no kinds, so DINO-I of attributes and of objects."""
        rows = {
            kind: [thing for thing in values["things"] if thing["kind"] == kind]
            for kind in sorted({thing["kind"] for thing in values["things"]})
        }
        return {
            f"DINO-I, {kind}": (_total(things, "dino"), float(sum(len(t["dino"]) for t in things)))
            for kind, things in rows.items()
        }

    def note(self, values: dict[str, Any]) -> str:
        """ "CLIP-T 0.31; red hat: DINO-I 0.52, found in 7 of 8 frames; ..."."""
        told = [f"CLIP-T {np.mean(values['prompt']):.2f}"]
        for thing in values["things"]:
            known = [value for value in thing["dino"] if value is not None]
            mean = f"DINO-I {np.mean(known):.2f}, " if known else ""
            told.append(f"{thing['phrase']}: {mean}found in {len(known)} of {len(thing['dino'])} frames")
        return "; ".join(told)


def _everything(sight: ClipSight, sample: Sample) -> list[AskedThing]:
    return [*asked_things(sample, sight.noun_of), *asked_objects(sample, sight.noun_of)]


def _kind(thing: AskedThing) -> str:
    return "object" if thing.owner == NOBODYS else "attribute"


def _likeness(
    sight: ClipSight, frame: Image.Image, things: Sequence[AskedThing], looks: Sequence[np.ndarray]
) -> list[tuple[float | None, float | None]]:
    """(CLIP-I, DINO-I) of every thing in a frame."""
    rows: list[tuple[float | None, float | None]] = [(None, None)] * len(things)
    for words in dict.fromkeys(thing.noun.words for thing in things if thing.noun):
        wanted = [t for t, thing in enumerate(things) if thing.noun and thing.noun.words == words]
        cuts = []
        for found in list(sight.eyes.phrases.find_phrase(frame, words))[:MOST_FOUND]:
            mask = np.asarray(sight.eyes.masks.segment(frame, found), dtype=bool)
            if mask.any():
                cuts.append(framed(cut_by_mask(frame, mask, MARGIN)))
        if not cuts:
            continue
        clip, dino = (
            embedder.embed(cuts) @ own[wanted].T for embedder, own in zip((sight.clip, sight.dino), looks, strict=True)
        )
        for column, k in enumerate(match_one_to_one(dino)):
            if k is not None:
                rows[wanted[column]] = (round(float(clip[k, column]), DIGITS), round(float(dino[k, column]), DIGITS))
    return rows


def _total(things: Sequence[dict[str, Any]], name: str) -> float:
    known = [value for thing in things for value in thing[name] if value is not None]
    return float(sum(min(1.0, max(0.0, value)) for value in known))
