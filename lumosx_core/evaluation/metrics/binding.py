"""Does everyone wear their own things? People by their faces, things by the nouns of their phrases, looks by an embedder.

In 8 frames faces are matched with people one-to-one; in the box of each person the things are looked for, cut out on white, and
compared with the references of everybody and of other cases (`binding_sight.py`). What that says is in `evaluation/binding.py`.
"""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.evaluation.binding import (
    OUTCOMES,
    confusion,
    drift,
    frame_verdicts,
    interference,
    judge,
    leaked_frames,
    pairs,
    recognised,
)
from lumosx_core.evaluation.metrics.asked import asked_things
from lumosx_core.evaluation.metrics.binding_sight import Sight, face_views, measure
from lumosx_core.evaluation.metrics.faces import FRAMES
from lumosx_core.evaluation.metrics.metric import Figure, Matrix, Metric
from lumosx_core.files.videos import spread_frames
from lumosx_core.references import prepare_reference_image
from lumosx_core.sample_folder import read_sample

DIGITS = 4  # of a similarity


@dataclass(frozen=True)
class Binding(Metric):
    """The metric. sight: None where nothing is looked at."""

    sight: Sight | None = None

    VERSION = 2
    FAULTS = frozenset(
        {"swapped", "wrong", "missing", "hidden", "face drift", "thing drift", "face mixing", "thing mixing", "exchanged",
         "dominance", "blending", "leaks", "extra faces", "copy gap"}
    )  # fmt: skip

    def score(self, video: np.ndarray, sample: Path) -> dict[str, Any]:
        """What the frames show of the sample's people and their things.

        Returns `frames`, the numbers of the scored ones; `length` of the video; `faces` in each scored frame; `people`: name,
        whether the references show a face (`seen`), in how many frames it is `found` and `recognised`, and the `identity`,
        which is right if more than half of the frames say so; `things`: subject, phrase, kind, outcome (bound, swapped, wrong,
        missing, hidden), whose is shown, who else wears it, and what each frame says; `likeness`: the raw similarities, as of
        `Measured`, null for NaN; `confusion` of identities and of things; `pairs`; `leaked`, numbers of frames; `copy_gap` of
        each person whose first view and a further one show a face. Raises InputError without models, and as those do.
        """
        return self._values(video, sample)

    def _values(self, video: np.ndarray, sample: Path) -> dict[str, Any]:
        """As `score`; of a video without frames nothing is alike, and nothing leaks."""
        sight = self._looking()
        asked_of = read_sample(sample)
        subjects = asked_of.references.subjects
        things = asked_things(asked_of, sight.others.noun_of)
        chosen = spread_frames(len(video), FRAMES)
        frames = [Image.fromarray(video[frame]) for frame in chosen]
        views = [face_views(sight, subject) for subject in subjects]
        case = sample.parent.name
        measured, counts, gaps = measure(sight, case, frames, views, things)
        verdicts = judge(measured)
        in_frames = frame_verdicts(measured)
        known, found = recognised(measured), np.isfinite(measured.faces[:, range(len(views)), range(len(views))])
        canvases = [
            np.asarray(prepare_reference_image(reference.image, video.shape[2], video.shape[1]))
            for reference in asked_of.references.references()
            if reference.kind != "background" and len(video)
        ]
        of_faces, of_things = confusion(measured)
        return {
            "frames": chosen.tolist(),
            "length": len(video),
            "faces": counts,
            "people": [
                {
                    "name": subject.name,
                    "seen": any(view is not None for view in views[n]),
                    "found": int(found[:, n].sum()),
                    "recognised": int(known[:, n].sum()),
                    "identity": bool(2 * known[:, n].sum() > len(frames)),
                }
                for n, subject in enumerate(subjects)
            ],
            "things": [
                {
                    "subject": thing.owner,
                    "phrase": thing.phrase,
                    "kind": thing.noun.kind if thing.noun else "",
                    **asdict(verdicts[t]),
                    "in_frames": [row[t].outcome for row in in_frames],
                }
                for t, thing in enumerate(things)
            ],
            "likeness": {name: _plain(getattr(measured, name)) for name in ("faces", "things", "among_faces", "among_things")},
            "confusion": {"faces": _plain(of_faces), "things": _plain(of_things)} if len(video) else {},
            "pairs": asdict(pairs(measured, verdicts)),
            "leaked": np.flatnonzero(leaked_frames(video, canvases)).tolist() if len(video) else [],
            "copy_gap": [round(gap, DIGITS) for gap in gaps],
        }

    def missing(self, sample: Path) -> dict[str, Any]:
        """The values of a sample that has no video: everybody and everything that a video would be judged by is missing. What
        is hidden in a video is hidden here too."""
        return self._values(np.zeros((0, 1, 1, 3), np.uint8), sample)

    def figures(self, values: dict[str, Any]) -> dict[str, Figure]:
        """Things by outcome among those that can be judged (missing ones count against bound, and are left out of *bound of
        found*), people who are recognised, frames in which they are found; drift, mixing and pairs of what was found. A copy
        gap below 0, more like a further view, counts as 0."""
        outcomes = [thing["outcome"] for thing in values["things"]]
        judged = float(len(outcomes) - outcomes.count("hidden"))
        bound, missing = float(outcomes.count("bound")), float(outcomes.count("missing"))
        people = [person for person in values["people"] if person["seen"]]
        frames = len(values["frames"]) or FRAMES
        faces = float(sum(values["faces"]))
        matched = float(sum(person["found"] for person in people))
        of_pairs = values["pairs"]
        return {
            "bound": (bound, judged),
            "identity": (float(sum(person["identity"] for person in people)), float(len(people))),
            **{outcome: (float(outcomes.count(outcome)), judged) for outcome in OUTCOMES[1:]},
            "hidden": (float(outcomes.count("hidden")), float(len(outcomes))),
            "found": (matched, float(frames * len(people))),
            "bound of found": (bound, judged - missing),
            **{f"{what[:-1]} drift": _share(drift, values, what) for what in ("faces", "things")},
            **{f"{what[:-1]} mixing": _share(interference, values, what) for what in ("faces", "things")},
            **{name: (float(of_pairs[name]), float(of_pairs["asked"])) for name in ("exchanged", "dominance", "blending")},
            "leaks": (float(len(values["leaked"])), float(values["length"])),
            "extra faces": (faces - matched, faces),
            "copy gap": (float(sum(np.clip(values["copy_gap"], 0, 1))), float(len(values["copy_gap"]))),
        }

    def details(self, values: dict[str, Any]) -> dict[str, Figure]:
        """Things bound, by kind."""
        judged = Counter(thing["kind"] for thing in values["things"] if thing["outcome"] != "hidden")
        bound = Counter(thing["kind"] for thing in values["things"] if thing["outcome"] == "bound")
        return {kind: (float(bound[kind]), float(count)) for kind, count in sorted(judged.items())}

    def matrices(self, values: dict[str, Any]) -> dict[str, Matrix]:
        """The confusion of identities, and of things."""
        names = {"faces": "whose face is like whose", "things": "whose things are like whose"}
        return {names[what]: matrix for what, matrix in values["confusion"].items()}

    def note(self, values: dict[str, Any]) -> str:
        """ "3 of 4 things bound, 2 of 2 people recognised; "red hat" of person 1 swapped in 5 of 8 frames: person 2's is
        seen"."""
        shares = self.figures(values)
        told = [
            f"{shares['bound'][0]:.0f} of {shares['bound'][1]:.0f} things bound, {shares['identity'][0]:.0f} of "
            f"{shares['identity'][1]:.0f} people recognised"
        ]
        for thing in values["things"]:
            if thing["outcome"] != "bound":
                told.append(f'"{thing["phrase"]}" of person {thing["subject"] + 1} {_why(thing)}')
        for n, person in enumerate(values["people"], 1):
            if not person["seen"]:
                told.append(f"no face in the reference of person {n}")
        if values["leaked"]:
            told.append(f"{len(values['leaked'])} of {values['length']} frames show paper or a reference")
        return "; ".join(told)

    def _looking(self) -> Sight:
        if self.sight is None:
            raise InputError("the metric binding needs eyes and an embedder; name their folder with --eyes")
        return self.sight


def _share(measure: Any, values: dict[str, Any], what: str) -> Figure:
    """A measure of a confusion matrix as the case's part of a figure; nothing where it does not hold."""
    matrix = values["confusion"].get(what)
    value = measure(np.array(matrix, dtype=float).reshape(len(matrix), -1)) if matrix else np.nan
    return (float(value), 1.0) if np.isfinite(value) else (0.0, 0.0)


def _why(thing: dict[str, Any]) -> str:
    """The outcome of a thing that is not bound, in words."""
    if thing["outcome"] == "hidden":
        return "hidden: no noun, no face, or a twin" if thing["kind"] else "hidden: its phrase has no noun"
    frames = thing["in_frames"]
    often = f" in {frames.count(thing['outcome'])} of {len(frames)} frames" if frames else ""
    if thing["worn_by"] is not None:
        return f"{thing['outcome']}{often}: person {thing['worn_by'] + 1} wears it"
    if thing["shown"] not in (None, thing["subject"]):
        return f"{thing['outcome']}{often}: person {thing['shown'] + 1}'s is seen"
    return f"{thing['outcome']}{often}"


def _plain(values: np.ndarray) -> list[Any]:
    """Nested lists with rounded numbers, None for NaN."""
    return [
        _plain(row) if isinstance(row, np.ndarray) else (round(float(row), DIGITS) if np.isfinite(row) else None)
        for row in values
    ]
