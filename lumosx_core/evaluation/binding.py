"""Does everyone wear their own things? What similarities say of it: pure functions, whatever finds and compares.

A person is where their face is; what is found there by a thing's noun is compared with that thing, with the things of its kind
of every other person, and with distractors, which are things of other cases. In a frame a thing is

- *bound* if its owner is recognised and what is found on them is most like the thing itself;
- *swapped* if it is most like another person's thing of that kind, or if the owner does not show it but somebody does who
  should wear nothing of that kind;
- *wrong* if it is most like a distractor, or if the owner is not recognised;
- *missing* if the owner's face or anything of the kind is not found.

Of a video it is bound if more than half of the frames say so, else the fault that most of them say. It is *hidden*, nobody's
merit or fault, where nobody could tell: the owner has no face among the references, or a twin. Things and faces that are as
good as the same as the own one are no rivals: two like jackets are no swap.

Legend: F = frames, N = people, T = things that are asked for, R = distractors, K = faces in a frame. Similarities are cosines;
NaN where nothing was found.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lumosx_core.errors import InputError

OUTCOMES = ("bound", "swapped", "wrong", "missing")  # of what can be judged
# From the likeness of random others (0) to the same (1): with so much two references are as good as the same.
SAME = 0.9
BLEND = 0.25  # so near to the middle between two things lies a blend of both
WHITE = 250  # of 255 in every channel: paper
PAPER = 0.9  # share of white pixels of an empty canvas
CANVAS_SIDE = 32  # pixels of the small pictures that frames and canvases are compared as
CANVAS = 0.04  # mean difference (of colours 0..1) at which a frame is a reference on its canvas


@dataclass(frozen=True, kw_only=True)
class Thing:
    """What is asked for: whose it is (from 0), and its kind: things of one kind are worn in one place. hidden: it cannot be
    judged, such as a phrase without a noun."""

    owner: int
    kind: str
    hidden: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """The similarities of one video.

    faces [F, N, N + R]: of the face that was matched with a person to everybody's face, then to the distractors'. things [F, N,
    T, T + R]: of what was found on a person by a thing's noun to every thing, then to the thing's distractors. among_faces
    [N, N + R] and among_things [T, T + R]: the same of the references themselves; NaN rows and columns for what has no
    picture. Raises InputError on construction for other shapes.
    """

    asked: tuple[Thing, ...]
    faces: np.ndarray
    things: np.ndarray
    among_faces: np.ndarray
    among_things: np.ndarray

    def __post_init__(self) -> None:
        frames, people = self.faces.shape[:2]
        rivals, distractors = self.faces.shape[2] - people, self.things.shape[-1] - len(self.asked)
        wanted = {
            "faces": (frames, people, people + rivals),
            "things": (frames, people, len(self.asked), len(self.asked) + distractors),
            "among_faces": (people, people + rivals),
            "among_things": (len(self.asked), len(self.asked) + distractors),
        }
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape or min(rivals, distractors) < 0:
                raise InputError(f"{name} has the shape {getattr(self, name).shape}, expected {shape}")
        if strange := [thing for thing in self.asked if not 0 <= thing.owner < people]:
            raise InputError(f"a thing belongs to person {strange[0].owner}, there are {people}, counted from 0")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is said of a thing: outcome as the top of this file says, shown: whose thing is seen on the owner (None: nobody's),
    worn_by: who shows it though they should wear nothing of the kind."""

    outcome: str
    shown: int | None = None
    worn_by: int | None = None


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pairs of things of one kind and different people that can be told apart: how many there are, and in how many the two are
    exchanged, both people show one and the same thing (dominance), or one shows something between both (blending)."""

    asked: int
    exchanged: int
    dominance: int
    blending: int


def match_one_to_one(likeness: np.ndarray) -> list[int | None]:
    """For each of N people the number of their face, or None: one-to-one, so that the sum of [K, N] is largest (Hungarian
    method). Columns that are NaN, people without a picture, get none."""
    from scipy.optimize import linear_sum_assignment

    chosen: list[int | None] = [None] * likeness.shape[1]
    known = np.flatnonzero(~np.isnan(likeness).any(0)) if len(likeness) else np.array([], int)
    if len(known):
        for face, column in zip(*linear_sum_assignment(-likeness[:, known]), strict=True):
            chosen[known[column]] = int(face)
    return chosen


def alike(among: np.ndarray) -> np.ndarray:
    """Bool [M, M + R] of similarities among references: so alike that nobody tells them apart.

    A cosine says little by itself: random jackets may have 0.2 with one embedder and 0.8 with another. So it is read on the
    scale from the median likeness to the distractors (0) to the same (1), where SAME is as good as the same; NaN is not alike.
    """
    count = len(among)
    result = np.zeros(among.shape, bool)
    for n in range(count):
        others = among[n, count:]
        others = others[np.isfinite(others)]
        level = float(np.median(others)) if len(others) else 0.0
        with np.errstate(invalid="ignore"):
            result[n] = among[n] - level >= SAME * (1 - level)
    return result


def recognised(measured: Measured) -> np.ndarray:
    """Bool [F, N]: the face there is more like its own person than everybody else and every distractor, twins aside."""
    rivals = ~alike(measured.among_faces)
    result = np.zeros(measured.faces.shape[:2], bool)
    for f, n in np.ndindex(*result.shape):
        row = measured.faces[f, n]
        others = np.where(rivals[n] & np.isfinite(row), row, -np.inf)
        result[f, n] = np.isfinite(row[n]) and row[n] > np.delete(others, n).max(initial=-np.inf)
    return result


def judge(measured: Measured) -> list[Verdict]:
    """The verdict of the video on every thing that is asked for."""
    twins = _twins(measured)
    in_frames = frame_verdicts(measured)
    return [
        Verdict(outcome="hidden")
        if thing.hidden or thing.owner in twins or np.isnan(measured.among_faces[thing.owner, thing.owner])
        else majority([verdicts[t] for verdicts in in_frames])
        for t, thing in enumerate(measured.asked)
    ]


def frame_verdicts(measured: Measured) -> list[list[Verdict]]:
    """The verdict of every frame on every thing, hidden ones judged like the others."""
    known = recognised(measured)
    candidates = [_candidates(measured, t) for t in range(len(measured.asked))]
    return [
        [_in_frame(measured, f, t, candidates[t], bool(known[f, thing.owner])) for t, thing in enumerate(measured.asked)]
        for f in range(len(measured.faces))
    ]


def majority(verdicts: Sequence[Verdict]) -> Verdict:
    """Bound if more than half of the frames say so; else the most frequent fault, of equally frequent ones the first of
    swapped, wrong, missing; with whose thing it most often is. Missing without any frame."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    if 2 * counts["bound"] > len(verdicts):
        outcome = "bound"
    else:
        outcome = max(OUTCOMES[1:], key=lambda name: counts[name]) if verdicts else "missing"
    same = Counter((v.shown, v.worn_by) for v in verdicts if v.outcome == outcome)
    shown, worn_by = same.most_common(1)[0][0] if same else (None, None)
    return Verdict(outcome=outcome, shown=shown, worn_by=worn_by)


def confusion(measured: Measured) -> tuple[np.ndarray, np.ndarray]:
    """(of identities, of things), both float [N, N]: row = the person it is seen on, column = the person it is like; the mean
    similarity in the video less that among the references themselves.

    A perfect video is 0 everywhere. The diagonal below 0 is drift from the own picture; above 0 off it is interference: more
    like the other's than the own picture is. Of things, all pairs of one kind count. NaN where nothing was found or nobody has
    such.
    """
    people = measured.faces.shape[1]
    of_faces = _mean(measured.faces[..., :people]) - measured.among_faces[:, :people]
    sums, counts = np.zeros((people, people)), np.zeros((people, people))
    for t, u in np.ndindex(len(measured.asked), len(measured.asked)):
        own, other = measured.asked[t], measured.asked[u]
        if own.kind == other.kind and (own.owner != other.owner or t == u):
            change = _mean(measured.things[:, own.owner, t, u]) - measured.among_things[t, u]
            if np.isfinite(change):
                sums[own.owner, other.owner] += change
                counts[own.owner, other.owner] += 1
    return of_faces, np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def drift(matrix: np.ndarray) -> float:
    """How far the diagonal of `confusion` lies below 0, 0..1 in the mean; NaN where nothing was found."""
    diagonal = np.diagonal(matrix)
    known = diagonal[np.isfinite(diagonal)]
    return float(np.clip(-known, 0, 1).mean()) if len(known) else float("nan")


def interference(matrix: np.ndarray) -> float:
    """How far `confusion` lies above 0 off its diagonal, 0..1 in the mean; NaN without two people that were found."""
    known = matrix[~np.eye(len(matrix), dtype=bool) & np.isfinite(matrix)]
    return float(np.clip(known, 0, 1).mean()) if len(known) else float("nan")


def pairs(measured: Measured, verdicts: Sequence[Verdict]) -> Pairs:
    """What became of every two things of one kind that belong to different people; hidden ones and look-alikes left out."""
    counts: Counter[str] = Counter()
    asked = measured.asked
    same = alike(measured.among_things)
    for a, b in combinations(range(len(asked)), 2):
        if asked[a].kind != asked[b].kind or asked[a].owner == asked[b].owner or same[a, b] or same[b, a]:
            continue
        if "hidden" in (verdicts[a].outcome, verdicts[b].outcome):
            continue
        counts["asked"] += 1
        first, second = asked[a].owner, asked[b].owner
        shown = (verdicts[a].shown, verdicts[b].shown)
        counts["exchanged"] += shown == (second, first)
        counts["dominance"] += shown in ((first, first), (second, second))
        counts["blending"] += _is_blend(measured, a, b) or _is_blend(measured, b, a)
    return Pairs(**{name: counts[name] for name in ("asked", "exchanged", "dominance", "blending")})


def leaked_frames(video: np.ndarray, canvases: Sequence[np.ndarray]) -> np.ndarray:
    """Bool [F]: frames that show what only the model should see: empty white paper, or a reference on its canvas.

    video: uint8 [F, H, W, 3]; canvases: the references as the model sees them, uint8 [H, W, 3] of the video's size.
    """
    paper = (video.min(-1) >= WHITE).mean((1, 2)) >= PAPER
    small = np.stack([_small(frame) for frame in video])
    for canvas in canvases:
        paper |= np.abs(small - _small(canvas)).mean((1, 2, 3)) <= CANVAS
    return paper


def copy_gap(first: Sequence[float], further: Sequence[float]) -> float:
    """By how much faces are more like the first view of a person than the further one that they are most like, -2..2: large
    where that picture was copied instead of the person. The model is given all views. NaN without any."""
    if len(first) != len(further):
        raise InputError(f"got {len(first)} likenesses to the first view and {len(further)} to another, expected as many")
    return float(np.mean(np.subtract(first, further))) if len(first) else float("nan")


def _twins(measured: Measured) -> set[int]:
    """People whose face another one has as well."""
    people = measured.faces.shape[1]
    same = alike(measured.among_faces)[:, :people] & ~np.eye(people, dtype=bool)
    return set(np.flatnonzero(same.any(0) | same.any(1)).tolist())


def _candidates(measured: Measured, t: int) -> np.ndarray:
    """Bool [T + R]: what a thing is told from, itself included: others' things of its kind and distractors, but
    no look-alikes."""
    thing, count = measured.asked[t], len(measured.asked)
    of_others = [other.kind == thing.kind and other.owner != thing.owner for other in measured.asked]
    chosen = np.array([*of_others, *[True] * (measured.things.shape[-1] - count)]) & ~alike(measured.among_things)[t]
    chosen[t] = True
    return chosen


def _in_frame(measured: Measured, f: int, t: int, candidates: np.ndarray, known: bool) -> Verdict:
    owner = measured.asked[t].owner
    best = _most_like(measured.things[f, owner, t], candidates, t) if np.isfinite(measured.faces[f, owner, owner]) else None
    shown = measured.asked[best].owner if best is not None and best < len(measured.asked) else None
    if best == t and known:
        return Verdict(outcome="bound", shown=shown)
    if shown not in (None, owner):
        return Verdict(outcome="swapped", shown=shown)
    if best is None or shown is None:
        for m in _bare(measured, t):
            if _most_like(measured.things[f, m, t], candidates, t) == t:
                return Verdict(outcome="swapped", worn_by=m)
    return Verdict(outcome="missing" if best is None else "wrong", shown=shown)


def _bare(measured: Measured, t: int) -> Iterator[int]:
    """The people who should wear nothing of that thing's kind."""
    for m in range(measured.faces.shape[1]):
        if not any(thing.owner == m and thing.kind == measured.asked[t].kind for thing in measured.asked):
            yield m


def _most_like(row: np.ndarray, candidates: np.ndarray, own: int) -> int | None:
    """Which candidate what was found is most like, another of equals; None where nothing was found."""
    if np.isnan(row[own]):
        return None
    others = np.where(candidates & np.isfinite(row), row, -np.inf)
    others[own] = -np.inf
    return own if row[own] > others.max() else int(others.argmax())


def _is_blend(measured: Measured, a: int, b: int) -> bool:
    """Does the owner of a wear something between a and b? On the line from a (0) to b (1) it lies near the middle, and it is
    more like b than a itself is: something of b has come in, not only something of a been lost."""
    own, other = (_mean(measured.things[:, measured.asked[a].owner, a, u]) for u in (a, b))
    between = measured.among_things[a, b]
    place = 0.5 - (own - other) / (2 * (1 - between))
    halfway = np.sqrt((1 + between) / 2)  # cosine of the even blend of two vectors of length 1 with either
    return bool(abs(place - 0.5) <= BLEND and other - between >= (halfway - between) / 2)


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean over the first axis without what is NaN; NaN where all is."""
    known = np.isfinite(values)
    return np.where(known.any(0), np.where(known, values, 0).sum(0) / np.maximum(known.sum(0), 1), np.nan)


def _small(picture: np.ndarray) -> np.ndarray:
    """float32 [CANVAS_SIDE, CANVAS_SIDE, 3], 0..1."""
    from PIL import Image

    shrunk = Image.fromarray(picture).resize((CANVAS_SIDE, CANVAS_SIDE), Image.Resampling.BOX)
    return np.asarray(shrunk, dtype=np.float32) / 255
