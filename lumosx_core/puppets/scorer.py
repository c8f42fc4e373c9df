"""Scoring a clip on its pixels: is everybody there, and does everyone wear their own things?

Analysis by synthesis: the scorer draws what each person and each attribute should look like, slides that over the frames
and measures the mean squared difference of the colours where the drawing is visible. It sees pixels and the references'
specifications only, never where the clip's author meant to put anybody.

- A person is *found* in every scored frame where the head fits best, all people at different places. The identity is
  right if the own head fits better there than the other people's and than `DISTRACTORS` random ones.
- An attribute is *bound* if, at its owner's place, its own look fits better than what the others wear and than random
  looks of the same kind; *swapped* if another person's look of that kind fits best, or if somebody who wears nothing
  of that kind shows it; else *wrong*.

Shapes: F = frames, H, W = pixels, K = candidate drawings.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from lumosx_core.errors import InputError
from lumosx_core.puppets.draw import ATTRIBUTE_LABELS, LABEL_HAIR, LABEL_HEAD, Pose, paint_puppet
from lumosx_core.puppets.painter import Painter
from lumosx_core.puppets.spec import BODY_KINDS, PuppetSpec, sample_attribute, sample_identity

DISTRACTORS = 8
SCALES = (0.86, 1.0)  # of the drawings that are slid over the frames; real ones differ by 4 % at most
TURNS = (-0.7, 0.0, 0.7)
CLOSE = 4  # pixels that an attribute may be off from where the head says it is
APART = 14  # two people are at least this many pixels apart
# Largest mean squared colour difference (colours in 0..1) at which something still counts as seen.
SEEN_HEAD, SEEN_ATTRIBUTE = 0.06, 0.08
LEFT, TOP = 26, 58  # the drawing's foot is at (LEFT, TOP) of its canvas
CANVAS = (64, 52)


@dataclass(frozen=True, kw_only=True)
class AttributeScore:
    """What became of one attribute: outcome "bound", "swapped" or "wrong"; error = mean squared difference of its own look."""

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
        """Share of the attributes with that outcome, 0..1 (NaN without attributes)."""
        hits = [a.outcome == outcome for a in self.attributes]
        return float(np.mean(hits)) if hits else float("nan")


def score_clip(frames: np.ndarray, puppets: tuple[PuppetSpec, ...], *, seed: int = 0, scored_frames: int = 5) -> ClipScore:
    """Score `frames` (uint8 [F, 64, 96, 3]) against the people who should be in it (1 to 3).

    seed: of the random distractors. scored_frames: how many frames, evenly spread, are looked at.
    Raises InputError for frames of another shape or type.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or len(frames) == 0:
        raise InputError(f"score_clip: frames are {frames.dtype} {frames.shape}, expected uint8 [F, H, W, 3] with F >= 1")
    rng = np.random.default_rng(seed)
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(scored_frames, len(frames))).round().astype(int))
    matcher = _Matcher(frames[chosen])
    heads = [_head_costs(matcher, puppet) for puppet in puppets]
    places = _joint_places(heads)
    identities = tuple(
        _identity_is_right(matcher, puppets, n, heads[n], places[:, n], rng) for n in range(len(puppets))
    )
    attributes = tuple(
        score for n in range(len(puppets)) for score in _attribute_scores(matcher, puppets, n, heads[n], places, rng)
    )
    leaks = _leaks(matcher, puppets, heads, places)
    attributes = tuple(replace(a, outcome="swapped") if (a.subject, a.kind) in leaks else a for a in attributes)
    return ClipScore(identities=identities, attributes=attributes, places=places)


class _Matcher:
    """Mean squared differences of masked drawings against every place of some frames, by FFT."""

    def __init__(self, frames: np.ndarray) -> None:
        images = frames.astype(np.float32) / 255.0
        self.count, self.height, self.width = images.shape[:3]
        self.padded = (self.height + CANVAS[0], self.width + CANVAS[1])
        canvas = np.zeros((self.count, *self.padded, 3), np.float32)
        canvas[:, : self.height, : self.width] = images
        self.colours = np.fft.rfft2(canvas, axes=(1, 2))
        self.squares = np.fft.rfft2((canvas**2).sum(3), axes=(1, 2))
        inside = np.zeros(self.padded, np.float32)
        inside[: self.height, : self.width] = 1
        self.inside = np.fft.rfft2(inside)

    def cost(self, rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """[F, H, W]: mean squared difference with the drawing's foot on each pixel; infinite where under 60 % of the drawing
        is inside the frame. rgb float [CANVAS, 3] in 0..1, mask bool [CANVAS]."""
        if mask.sum() < 6:
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


def _drawing(puppet: PuppetSpec, scale: float, turn: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rgb 0..1, label, |u|) of the puppet on the drawing canvas."""
    y, x = np.mgrid[0 : CANVAS[0], 0 : CANVAS[1]].astype(np.float32)
    painter = Painter((x - LEFT) / scale, (y - TOP) / scale)
    u = np.abs(painter.u)
    paint_puppet(painter, puppet, Pose(foot_x=0, foot_y=0, turn=turn))
    return painter.rgb / 255.0, painter.label, u


POSES = tuple(itertools.product(SCALES, TURNS))


def _head_costs(matcher: _Matcher, puppet: PuppetSpec) -> np.ndarray:
    """[poses, F, H, W]: how badly the puppet's visible head fits at each place."""
    costs = []
    for scale, turn in POSES:
        rgb, label, _ = _drawing(puppet, scale, turn)
        costs.append(matcher.cost(rgb, (label == LABEL_HEAD) | (label == LABEL_HAIR)))
    return np.stack(costs)


def _joint_places(heads: list[np.ndarray]) -> np.ndarray:
    """[F, N, 2] (x, y): the places of all heads, at least APART pixels from each other, with the smallest total cost."""
    best = [head.min(0) for head in heads]  # [F, H, W]
    frames, _, width = best[0].shape
    places = np.zeros((frames, len(heads), 2), int)
    columns = np.arange(width)
    for f in range(frames):
        by_column = [np.where(np.isfinite(b[f].min(0)), b[f].min(0), 9.0) for b in best]
        total = sum(
            cost.reshape([-1 if axis == n else 1 for axis in range(len(heads))]) for n, cost in enumerate(by_column)
        )
        for a, b in itertools.combinations(range(len(heads)), 2):
            near = np.abs(columns[:, None] - columns[None, :]) < APART
            total = total + 9.0 * near.reshape([width if axis in (a, b) else 1 for axis in range(len(heads))])
        xs = np.unravel_index(int(np.argmin(total)), np.shape(total))
        for n, x in enumerate(xs):
            places[f, n] = x, int(np.argmin(best[n][f, :, x]))
    return places


def _near(cost: np.ndarray, places: np.ndarray, reach: int) -> np.ndarray:
    """[F]: the smallest cost [F, H, W] within `reach` pixels of each frame's place [F, 2]."""
    out = []
    for f, (x, y) in enumerate(places):
        window = cost[f, max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        out.append(window.min())
    return np.asarray(out)


def _identity_is_right(
    matcher: _Matcher, puppets: tuple[PuppetSpec, ...], n: int, heads: np.ndarray, places: np.ndarray, rng: np.random.Generator
) -> bool:
    own = _near(heads.min(0), places, 1).mean()
    if own > SEEN_HEAD:
        return False
    rivals = [p.identity for k, p in enumerate(puppets) if k != n]
    rivals += [sample_identity(rng, held_out=bool(k % 2)) for k in range(DISTRACTORS)]
    return all(
        own <= _near(_head_costs(matcher, replace(puppets[n], identity=rival)).min(0), places, 2).mean()
        for rival in rivals
        if rival != puppets[n].identity
    )


def _worn(puppet: PuppetSpec, kind: str, attribute: object) -> PuppetSpec:
    """The puppet with its attribute of that kind replaced (or added), or removed when `attribute` is None."""
    kept = [a for a in puppet.attributes if a.kind != kind and not (kind in BODY_KINDS and a.kind in BODY_KINDS)]
    return replace(puppet, attributes=tuple(kept + ([attribute] if attribute else [])))  # type: ignore[list-item]


def _attribute_cost(matcher: _Matcher, puppet: PuppetSpec, kind: str, heads: np.ndarray, places: np.ndarray) -> np.ndarray:
    """[F]: how badly the puppet's attribute of that kind fits at its places, drawn in the pose that fits the head there."""
    pose_costs = np.stack([_near(cost, places, 1) for cost in heads])  # [poses, F]
    chosen = pose_costs.argmin(0)
    out = np.zeros(len(places))
    for index in np.unique(chosen):
        rgb, label, u = _drawing(puppet, *POSES[index])
        mask = label == ATTRIBUTE_LABELS[kind]
        if kind in BODY_KINDS:
            mask &= u < 7.0  # the arms move
        cost = matcher.cost(rgb, mask)
        rows = chosen == index
        out[rows] = _near(cost[rows], places[rows], CLOSE)
    return out


def _attribute_scores(
    matcher: _Matcher, puppets: tuple[PuppetSpec, ...], n: int, heads: np.ndarray, places: np.ndarray, rng: np.random.Generator
) -> list[AttributeScore]:
    scores = []
    for attribute in puppets[n].attributes:
        kind = attribute.kind
        others = [p.attribute(kind) for k, p in enumerate(puppets) if k != n]
        rivals = [(a, "swapped") for a in others if a] + [
            (sample_attribute(rng, kind, held_out=bool(k % 2)), "wrong") for k in range(DISTRACTORS)
        ]

        def error(look: object) -> float:
            spec = _worn(puppets[n], kind, look)  # noqa: B023 - called in this turn of the loop only
            return float(_attribute_cost(matcher, spec, kind, heads, places[:, n]).mean())  # noqa: B023

        own = error(attribute)
        outcome = "bound" if own <= SEEN_ATTRIBUTE else "wrong"
        best = own
        for rival, name in rivals:
            looks_same = rival.colour == attribute.colour and rival.pattern == attribute.pattern == "plain"
            cost = np.inf if looks_same and rival.style == attribute.style else error(rival)
            if cost < best:
                best, outcome = cost, name if cost <= SEEN_ATTRIBUTE else "wrong"
        scores.append(AttributeScore(subject=n, kind=kind, outcome=outcome, error=own))
    return scores


def _leaks(
    matcher: _Matcher, puppets: tuple[PuppetSpec, ...], heads: list[np.ndarray], places: np.ndarray
) -> set[tuple[int, str]]:
    """(owner, kind) of attributes that show on somebody who wears nothing of that kind."""
    leaks = set()
    for (n, puppet), (k, other) in itertools.permutations(enumerate(puppets), 2):
        for attribute in other.attributes:
            kind = attribute.kind
            if puppet.attribute(kind) or (kind in BODY_KINDS and any(a.kind in BODY_KINDS for a in puppet.attributes)):
                continue
            shown = _leak_costs(matcher, puppet, _worn(puppet, kind, attribute), kind, heads[n], places[:, n])
            if shown[0] <= SEEN_ATTRIBUTE and shown[0] < 0.5 * shown[1]:
                leaks.add((k, kind))
    return leaks


def _leak_costs(
    matcher: _Matcher, bare: PuppetSpec, dressed: PuppetSpec, kind: str, heads: np.ndarray, places: np.ndarray
) -> tuple[float, float]:
    """(error with the attribute, error without it) over the pixels of the puppet that the attribute would cover."""
    pose = POSES[int(np.stack([_near(cost, places, 1) for cost in heads]).mean(1).argmin())]
    rgb, label, u = _drawing(dressed, *pose)
    bare_rgb, bare_label, _ = _drawing(bare, *pose)
    mask = (label == ATTRIBUTE_LABELS[kind]) & (bare_label > 0)
    if kind in BODY_KINDS:
        mask &= u < 7.0
    with_it, without = (_near(matcher.cost(image, mask), places, 2).mean() for image in (rgb, bare_rgb))
    return float(with_it), float(without)
