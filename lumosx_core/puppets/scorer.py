"""Scoring a clip on its pixels: is everybody there, and does everyone wear their own things?

Analysis by synthesis: the scorer draws what each person and each attribute should look like, slides that over the frames
and measures the mean squared difference of the colours where the drawing is visible. It sees pixels and the references'
specifications only, never where the clip's author meant to put anybody.

- A person is *found* in every scored frame where the head fits best, all people at different places. The identity is
  right if the own head fits better there than the other people's and than `DISTRACTORS` random, clearly different
  ones.
- An attribute is *bound* if, at its owner's place, its own look fits better than what the others wear there, than clearly
  different random looks of the same kind and than nothing; *swapped* if another person's thing fits best, or if
  somebody who wears nothing of that kind shows it; else *wrong*. It is also wrong if the person is not recognised.
- It is *hidden*, and then nobody's merit or fault, if too little of it can be seen to be judged: worn under other things it
  shows less than `SMALLEST` pixels, or so few that hardly any other look differs clearly there; or its owner is recognised, but
  somebody else or the edge of the frame covers it in every scored frame.

Shapes: F = frames, H, W = pixels, K = candidate drawings.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from lumosx_core.errors import InputError
from lumosx_core.puppets.clip import BLOCK, HEIGHT, WIDTH
from lumosx_core.puppets.draw import ATTRIBUTE_LABELS, LABEL_HAIR, LABEL_HEAD, Pose, paint_puppet
from lumosx_core.puppets.painter import UNITS_PER_PIXEL, Painter
from lumosx_core.puppets.spec import BODY_KINDS, AttributeSpec, PuppetSpec, sample_attribute, sample_identity

DISTRACTORS = 8
SCALES = (0.86, 1.0)  # puppets come in these sizes
TURNS = (-0.7, 0.0, 0.7)
CLOSE = 3  # pixels that an attribute may be off from where the head says it is
APART = 9  # two people are at least this many pixels apart
# Largest mean squared colour difference (colours in 0..1) at which something still counts as seen.
SEEN_HEAD, SEEN_ATTRIBUTE = 0.1, 0.16
CLEARLY_DIFFERENT = 0.05  # mean squared colour difference of two looks, for random rivals
LEFT, TOP = 17, 38  # the drawing's foot is at (LEFT, TOP) of its canvas
CANVAS = (43, 35)
Part = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (label, |u|) of a drawing -> bool mask of the part
SMALLEST = 4  # pixels that a drawing must show to be looked for
MOST_TRIES = 400  # random looks that are drawn to find `DISTRACTORS` clearly different ones; ten are usual, 35 rare
HOPELESS = 100  # none among so many first ones: there are none


@dataclass(frozen=True, kw_only=True)
class AttributeScore:
    """What became of one attribute: outcome "bound", "swapped", "wrong" or "hidden"; error = mean squared difference of its
    own look (infinite where nothing of it can be seen)."""

    subject: int
    kind: str
    outcome: str
    error: float


@dataclass(frozen=True, kw_only=True)
class ClipScore:
    """identities[n]: person n is there; attributes: one entry per worn thing; places [F', N, 2]: foot x, y per scored frame."""

    identities: tuple[bool, ...]
    attributes: tuple[AttributeScore, ...]
    places: np.ndarray

    def rate(self, outcome: str) -> float:
        """Share of the attributes with that outcome among those that can be judged, 0..1 (NaN without any)."""
        hits = [a.outcome == outcome for a in self.attributes if a.outcome != "hidden"]
        return float(np.mean(hits)) if hits else float("nan")


def score_clip(frames: np.ndarray, puppets: tuple[PuppetSpec, ...], *, seed: int = 0, scored_frames: int = 5) -> ClipScore:
    """Score `frames` (uint8 [F, 80, 96, 3]) against the people who should be in it (1 to 3). Always ends: at most some seconds.

    seed: of the random distractors. scored_frames: how many frames, evenly spread, are looked at.
    Raises InputError for frames of another shape or type.
    """
    if frames.dtype != np.uint8 or frames.shape[1:] != (HEIGHT, WIDTH, 3) or len(frames) == 0:
        raise InputError(
            f"score_clip: frames are {frames.dtype} {frames.shape}, expected uint8 [F, {HEIGHT}, {WIDTH}, 3] with F >= 1"
        )
    rng = np.random.default_rng(seed)
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(scored_frames, len(frames))).round().astype(int))
    matcher = _Matcher(_drawing_pixels(frames[chosen]))
    heads = [_head_costs(matcher, puppet) for puppet in puppets]
    places = _joint_places(heads)
    found = [_found(head, places[:, n]) for n, head in enumerate(heads)]
    found = [replace(own, hidden=_hidden(matcher, puppets, found, n)) for n, own in enumerate(found)]
    identities = tuple(_identity_is_right(matcher, puppets, n, found[n], rng) for n in range(len(puppets)))
    leaks = _leaks(matcher, puppets, found)
    attributes = tuple(
        _attribute_score(matcher, puppets, n, found[n], own, rng) for n, p in enumerate(puppets) for own in p.attributes
    )
    attributes = tuple(
        settle_outcome(a, recognised=identities[a.subject], leaked=(a.subject, a.kind) in leaks) for a in attributes
    )
    return ClipScore(identities=identities, attributes=attributes, places=places)


def settle_outcome(score: AttributeScore, *, recognised: bool, leaked: bool) -> AttributeScore:
    """The score of an attribute, given whether its owner was recognised and whether it shows on somebody else."""
    if score.outcome == "hidden":
        return score
    if leaked:
        return replace(score, outcome="swapped")
    if not recognised:
        return replace(score, outcome="wrong" if score.outcome == "bound" else score.outcome)
    return replace(score, outcome="hidden") if np.isinf(score.error) else score


def _drawing_pixels(frames: np.ndarray) -> np.ndarray:
    """float32 [F, ROWS, COLUMNS, 3] in 0..1: the mean of every block of pixels that shows one pixel of the drawing."""
    count, height, width, _ = frames.shape
    blocks = frames.reshape(count, height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3).astype(np.float32)
    return blocks.mean((2, 4)) / 255.0


class _Matcher:
    """Mean squared differences of masked drawings against every place of some frames, by FFT."""

    def __init__(self, frames: np.ndarray) -> None:
        self.images = images = frames
        self.count, self.height, self.width = images.shape[:3]
        self.padded = (self.height + CANVAS[0], self.width + CANVAS[1])
        canvas = np.zeros((self.count, *self.padded, 3), np.float32)
        canvas[:, : self.height, : self.width] = images
        self.colours = np.fft.rfft2(canvas, axes=(1, 2))
        self.squares = np.fft.rfft2((canvas**2).sum(3), axes=(1, 2))
        inside = np.zeros(self.padded, np.float32)
        inside[: self.height, : self.width] = 1
        self.inside = np.fft.rfft2(inside)

    def everywhere(self, rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """[F, H, W]: mean squared difference with the drawing's foot on each pixel; infinite where under 60 % of the drawing
        is inside the frame. rgb float [CANVAS, 3] in 0..1, mask bool [CANVAS]."""
        if mask.sum() < SMALLEST:
            return np.full((self.count, self.height, self.width), np.inf, np.float32)
        m = mask.astype(np.float32)
        t = rgb * m[..., None]
        m_f = np.conj(np.fft.rfft2(m, self.padded))
        t_f = np.conj(np.fft.rfft2(t, self.padded, axes=(0, 1)))
        t2_f = np.conj(np.fft.rfft2((t**2).sum(2), self.padded))
        product = self.squares * m_f - 2 * (self.colours * t_f).sum(3) + self.inside * t2_f
        total = np.fft.irfft2(product, self.padded, axes=(1, 2))
        area = np.fft.irfft2(self.inside * m_f, self.padded)
        # Correlation puts the canvas' top left corner on the pixel; move the answer to the foot.
        total, area = (np.roll(a, (TOP, LEFT), axis=(-2, -1))[..., : self.height, : self.width] for a in (total, area))
        mean = np.maximum(total, 0) / (3 * np.maximum(area, 1))
        return np.where(area >= 0.6 * m.sum(), mean, np.inf).astype(np.float32)

    def near(self, frame: int, rgb: np.ndarray, mask: np.ndarray, place: np.ndarray, reach: int, hidden: np.ndarray) -> float:
        """The smallest such difference with the foot within `reach` pixels of `place` (x, y) in one frame, over pixels
        that are not `hidden` (bool [H, W]); infinite where under 30 % of the drawing can be seen."""
        rows, columns = np.nonzero(mask)
        if len(rows) < SMALLEST:
            return np.inf
        dy, dx = (d.ravel() for d in np.mgrid[-reach : reach + 1, -reach : reach + 1])
        y = place[1] - TOP + rows[None] + dy[:, None]
        x = place[0] - LEFT + columns[None] + dx[:, None]
        inside = (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)
        y, x = y.clip(0, self.height - 1), x.clip(0, self.width - 1)
        inside &= ~hidden[y, x]
        pixels = self.images[frame, y, x]
        difference = ((pixels - rgb[rows, columns]) ** 2).mean(2) * inside
        area = inside.sum(1)
        mean = difference.sum(1) / np.maximum(area, 1)
        return float(np.where(area >= 0.3 * len(rows), mean, np.inf).min())


@lru_cache(maxsize=512)
def _drawing(puppet: PuppetSpec, scale: float, turn: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rgb 0..1, label, |u|) of the puppet on the drawing canvas."""
    y, x = np.mgrid[0 : CANVAS[0], 0 : CANVAS[1]].astype(np.float32)
    painter = Painter((x + 0.5 - LEFT) * UNITS_PER_PIXEL / scale, (y + 0.5 - TOP) * UNITS_PER_PIXEL / scale)
    u = np.abs(painter.u)
    paint_puppet(painter, puppet, Pose(foot_x=0, foot_y=0, turn=turn))
    return painter.rgb / 255.0, painter.label, u


POSES = tuple(itertools.product(SCALES, TURNS))


def _head_costs(matcher: _Matcher, puppet: PuppetSpec) -> np.ndarray:
    """[poses, F, H, W]: how badly the puppet's visible head fits at each place."""
    costs = []
    for scale, turn in POSES:
        rgb, label, _ = _drawing(puppet, scale, turn)
        costs.append(matcher.everywhere(rgb, (label == LABEL_HEAD) | (label == LABEL_HAIR)))
    return np.stack(costs)


def _joint_places(heads: list[np.ndarray]) -> np.ndarray:
    """[F, N, 2] (x, y): the places of all heads, at least APART pixels from each other, with the smallest total cost."""
    best = [head.min(0) for head in heads]  # [F, H, W]
    frames, _, width = best[0].shape
    places = np.zeros((frames, len(heads), 2), int)
    columns = np.arange(width)
    for f in range(frames):
        by_column = [np.where(np.isfinite(b[f].min(0)), b[f].min(0), 9.0) for b in best]
        total = sum(cost.reshape([-1 if axis == n else 1 for axis in range(len(heads))]) for n, cost in enumerate(by_column))
        for a, b in itertools.combinations(range(len(heads)), 2):
            near = np.abs(columns[:, None] - columns[None, :]) < APART
            total = total + 9.0 * near.reshape([width if axis in (a, b) else 1 for axis in range(len(heads))])
        xs = np.unravel_index(int(np.argmin(total)), np.shape(total))
        for n, x in enumerate(xs):
            places[f, n] = x, int(np.argmin(best[n][f, :, x]))
    return places


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Where one person is: place (x, y) and pose (index into POSES) per frame, and how badly the own head fits there."""

    places: np.ndarray  # int [F, 2]
    poses: np.ndarray  # int [F]
    error: float
    hidden: np.ndarray  # bool [F, H, W]: where somebody else stands, perhaps in front


def _found(heads: np.ndarray, places: np.ndarray) -> _Found:
    at_place = np.stack([heads[:, f, y, x] for f, (x, y) in enumerate(places)], 1)  # [poses, F]
    # The size stays the same through a clip, so one is chosen for all frames; the turn of the head changes.
    by_scale = at_place.reshape(len(SCALES), len(TURNS), -1)
    scale = int(by_scale.min(1).mean(1).argmin())
    poses = scale * len(TURNS) + by_scale[scale].argmin(0)
    hidden = np.zeros((len(places), *heads.shape[2:]), bool)
    return _Found(places=places, poses=poses, error=float(by_scale[scale].min(0).mean()), hidden=hidden)


def _hidden(matcher: _Matcher, puppets: tuple[PuppetSpec, ...], found: list[_Found], n: int) -> np.ndarray:
    """Bool [F, H, W]: the pixels where the other people's heads and bodies are, as far as they were found."""
    hidden = np.zeros_like(found[n].hidden)
    for k, other in enumerate(found):
        if k == n or other.error > SEEN_HEAD:
            continue
        for f, (x, y) in enumerate(other.places):
            _, label, _ = _drawing(puppets[k], *POSES[other.poses[f]])
            rows, columns = np.nonzero(label)
            rows, columns = rows + y - TOP, columns + x - LEFT
            inside = (rows >= 0) & (rows < matcher.height) & (columns >= 0) & (columns < matcher.width)
            hidden[f, rows[inside], columns[inside]] = True
    return hidden


def _error(
    matcher: _Matcher, found: _Found, puppet: PuppetSpec, part: Part, reach: int, outline: PuppetSpec | None = None
) -> float:
    """Mean over the frames of how badly a part of the drawn puppet fits where the person is; part(label, |u|) -> mask.

    outline: measure over that part of this drawing instead, as far as the puppet covers it.
    """
    errors = np.full(len(found.places), np.inf)
    for pose in np.unique(found.poses):
        rgb, label, u = _drawing(puppet, *POSES[pose])
        if outline is None:
            mask = part(label, u)
        else:
            _, outline_label, _ = _drawing(outline, *POSES[pose])
            mask = part(outline_label, u) & (label > 0)
        for f in np.flatnonzero(found.poses == pose):
            errors[f] = matcher.near(int(f), rgb, mask, found.places[f], reach, found.hidden[f])
    seen = np.isfinite(errors)
    return float(errors[seen].mean()) if seen.any() else np.inf


def _head(label: np.ndarray, u: np.ndarray) -> np.ndarray:  # noqa: ARG001 - a part
    return (label == LABEL_HEAD) | (label == LABEL_HAIR)


def _worn_part(kind: str) -> Part:
    """The pixels of an attribute; of a garment without its sleeves, since arms move."""

    def part(label: np.ndarray, u: np.ndarray) -> np.ndarray:
        mask = label == ATTRIBUTE_LABELS[kind]
        return mask & (u < 7.0) if kind in BODY_KINDS else mask

    return part


def _identity_is_right(
    matcher: _Matcher, puppets: tuple[PuppetSpec, ...], n: int, found: _Found, rng: np.random.Generator
) -> bool:
    if found.error > SEEN_HEAD:
        return False
    own = puppets[n]
    rivals = [replace(own, identity=p.identity) for k, p in enumerate(puppets) if k != n]
    rivals += _clearly_different(own, _head, lambda held: replace(own, identity=sample_identity(rng, held_out=held)))
    return all(found.error <= _error(matcher, found, rival, _head, 2) for rival in rivals)


def _worn(puppet: PuppetSpec, attribute: AttributeSpec) -> PuppetSpec:
    """The puppet with that attribute instead of its own of the same kind."""
    kind = attribute.kind
    kept = [a for a in puppet.attributes if a.kind != kind and not (kind in BODY_KINDS and a.kind in BODY_KINDS)]
    return replace(puppet, attributes=(*kept, attribute))


def _bare(puppet: PuppetSpec, kind: str) -> PuppetSpec:
    """The puppet without its attribute of that kind."""
    return replace(puppet, attributes=tuple(a for a in puppet.attributes if a.kind != kind))


def _clearly_different(puppet: PuppetSpec, part: Part, sample: Callable[[bool], PuppetSpec]) -> list[PuppetSpec]:
    """`DISTRACTORS` random variants of the puppet whose part a person would tell from its own at a glance: a red striped
    shirt and a red dotted one are too close for that, a red one and a blue one are not. Fewer if too little of the part can
    be seen for that (`SMALLEST`, `MOST_TRIES`).

    sample(held_out) draws a variant, alternately from the training part and the held-out part.
    """
    pose = (SCALES[-1], 0.0)
    rgb, label, u = _drawing(puppet, *pose)
    mask = part(label, u)
    chosen: list[PuppetSpec] = []
    if mask.sum() < SMALLEST:
        return chosen
    for tried in range(1, MOST_TRIES + 1):
        other = sample(bool(len(chosen) % 2))
        other_rgb, _, _ = _drawing(other, *pose)
        if float(((rgb - other_rgb)[mask] ** 2).mean()) >= CLEARLY_DIFFERENT:
            chosen.append(other)
        if len(chosen) == DISTRACTORS or (not chosen and tried >= HOPELESS):
            break
    return chosen


def _attribute_score(
    matcher: _Matcher,
    puppets: tuple[PuppetSpec, ...],
    n: int,
    found: _Found,
    own: AttributeSpec,
    rng: np.random.Generator,
) -> AttributeScore:
    part = _worn_part(own.kind)
    own_error = best = _error(matcher, found, puppets[n], part, CLOSE)
    outcome = "bound" if own_error <= SEEN_ATTRIBUTE else "wrong"
    body = own.kind in BODY_KINDS
    others = [a for k, p in enumerate(puppets) if k != n for a in p.attributes]
    others = [a for a in others if a.kind == own.kind or (body and a.kind in BODY_KINDS)]

    def random_look(held_out: bool) -> PuppetSpec:
        return _worn(puppets[n], sample_attribute(rng, own.kind, held_out=held_out))

    rivals = _clearly_different(puppets[n], part, random_look)
    if len(rivals) < DISTRACTORS:
        return AttributeScore(subject=n, kind=own.kind, outcome="hidden", error=own_error)
    errors = [(_error(matcher, found, _worn(puppets[n], a), _worn_part(a.kind), CLOSE), "swapped") for a in others]
    errors += [(_error(matcher, found, rival, part, CLOSE), "wrong") for rival in rivals]
    # Without it there is nothing to slide, so what is below counts where the thing itself would be.
    errors.append((_error(matcher, found, _bare(puppets[n], own.kind), part, 2, outline=puppets[n]), "wrong"))
    for error, name in errors:
        if error < best:
            best, outcome = error, name if error <= SEEN_ATTRIBUTE else "wrong"
    return AttributeScore(subject=n, kind=own.kind, outcome=outcome, error=own_error)


def _leaks(matcher: _Matcher, puppets: tuple[PuppetSpec, ...], found: list[_Found]) -> set[tuple[int, str]]:
    """(owner, kind) of attributes that show on somebody who wears nothing of that kind."""
    leaks = set()
    for (n, puppet), (k, other) in itertools.permutations(enumerate(puppets), 2):
        for attribute in other.attributes:
            kind = attribute.kind
            if puppet.attribute(kind) or (kind in BODY_KINDS and any(a.kind in BODY_KINDS for a in puppet.attributes)):
                continue
            dressed, part = _worn(puppet, attribute), _worn_part(kind)
            with_it = _error(matcher, found[n], dressed, part, 2)
            without = _error(matcher, found[n], puppet, part, 2, outline=dressed)
            if with_it <= SEEN_ATTRIBUTE and with_it < 0.5 * without:
                leaks.add((k, kind))
    return leaks
