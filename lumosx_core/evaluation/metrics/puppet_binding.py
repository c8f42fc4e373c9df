"""Is everybody who should be seen, in their own things? For videos of the puppet world, by `puppets/scorer.py`."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from lumosx_core.evaluation.metrics.metric import Figure, Matrix
from lumosx_core.puppets.samples import read_truth
from lumosx_core.puppets.scorer import AttributeScore, score_clip

VERSION = 2
FAULTS = frozenset({"swapped", "wrong", "missing", "hidden"})
OUTCOMES = ("bound", "swapped", "wrong", "missing")  # of what can be judged
DIGITS = 6  # of an error: more would be noise of the machine


def score(video: np.ndarray, sample: Path) -> dict[str, Any]:
    """What the video shows of the sample's people.

    video: uint8 frames [F, H, W, 3] of the puppet world's size. sample: a sample folder with the truth about its puppets.
    Returns `frames`, the scored ones; `people`, for each whether the `identity` is right, and per scored frame the place x, y
    (pixels of the drawing) and how badly the own head fits there; `things`, for each the subject, kind, outcome (bound,
    swapped, wrong, hidden), and the rest of `AttributeScore`, errors that are infinite as null. Raises InputError for a sample
    without truth and a video of another size.
    """
    found = score_clip(video, read_truth(sample))
    return {
        "frames": list(found.frames),
        "people": [
            {
                "identity": right,
                "places": found.places[:, n].round(DIGITS).tolist(),
                "head_errors": [_finite(error) for error in found.head_errors[:, n]],
            }
            for n, right in enumerate(found.identities)
        ],
        "things": [_thing(each) for each in found.attributes],
    }


def missing(sample: Path) -> dict[str, Any]:
    """The values of a sample that has no video: nobody is right, and everything is missing."""
    puppets = read_truth(sample)
    things = [
        {"subject": n, "kind": worn.kind, "outcome": "missing"}
        for n, puppet in enumerate(puppets)
        for worn in puppet.attributes
    ]
    return {"frames": [], "people": [{"identity": False} for _ in puppets], "things": things}


def figures(values: dict[str, Any]) -> dict[str, Figure]:
    """Things by outcome among those that can be judged, hidden ones among all, and people who are recognised."""
    outcomes = [thing["outcome"] for thing in values["things"]]
    judged = float(len(outcomes) - outcomes.count("hidden"))
    people = values["people"]
    return {
        "bound": (float(outcomes.count("bound")), judged),
        "identity": (float(sum(person["identity"] for person in people)), float(len(people))),
        **{outcome: (float(outcomes.count(outcome)), judged) for outcome in OUTCOMES[1:]},
        "hidden": (float(outcomes.count("hidden")), float(len(outcomes))),
    }


def details(values: dict[str, Any]) -> dict[str, Figure]:
    """Things bound, by kind."""
    judged = Counter(thing["kind"] for thing in values["things"] if thing["outcome"] != "hidden")
    bound = Counter(thing["kind"] for thing in values["things"] if thing["outcome"] == "bound")
    return {kind: (float(bound[kind]), float(count)) for kind, count in sorted(judged.items())}


def matrices(values: dict[str, Any]) -> dict[str, Matrix]:
    """None: its scores are not likenesses."""
    del values
    return {}


def note(values: dict[str, Any]) -> str:
    """ "3 of 4 things bound, 2 of 2 people right; hat of person 1 swapped: person 2's is seen"."""
    shares = figures(values)
    people = shares["identity"]
    told = f"{shares['bound'][0]:.0f} of {shares['bound'][1]:.0f} things bound, {people[0]:.0f} of {people[1]:.0f} people right"
    faults = []
    for thing in values["things"]:
        if thing["outcome"] != "bound":
            seen = thing.get("shown")
            whose = f": person {seen + 1}'s is seen" if seen not in (None, thing["subject"]) else ""
            faults.append(f"{thing['kind']} of person {thing['subject'] + 1} {thing['outcome']}{whose}")
    return "; ".join([told, *faults])


def _thing(found: AttributeScore) -> dict[str, Any]:
    return {
        "subject": found.subject,
        "kind": found.kind,
        "outcome": found.outcome,
        "error": _finite(found.error),
        "rival": _finite(found.rival),
        "shown": found.shown,
        "worn_by": found.worn_by,
        "frame_errors": [_finite(error) for error in found.frame_errors],
    }


def _finite(error: float) -> float | None:
    return round(float(error), DIGITS) if np.isfinite(error) else None
