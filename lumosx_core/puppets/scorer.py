"""Scoring a clip on its pixels: is everybody there, and does everyone wear their own things?

Analysis by synthesis: the scorer draws what each person and each attribute should look like, slides that over the frames
and measures the mean squared difference of the colours where the drawing is visible. It sees pixels and the references'
specifications only, never where the clip's author meant to put anybody.

- A person is *found* in every scored frame where the head fits best, all people at different places. The identity is
  right if the own head fits better there than the other people's and than `DISTRACTORS` random, clearly different
  ones.
- An attribute is *bound* if, at its owner's place, its own look fits better than what the others wear there, than clearly
  different random looks of the same kind (of one person alone also in every colour), than nothing, and than all that
  another one wears; *swapped* if another person's thing fits best, or if somebody who wears nothing of that kind shows it;
  else *wrong*. It is also wrong if the person is not recognised.
- It is *hidden*, and then nobody's merit or fault, if too little of it can be seen to be judged: worn under other things it
  shows less than `SMALLEST` pixels, or so few that hardly any other look differs clearly there; or its owner is recognised, but
  somebody else or the edge of the frame covers it in every scored frame.

Shapes: F = frames, H, W = pixels, K = candidate drawings.
"""

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lumosx_core.errors import InputError
from lumosx_core.files.videos import spread_frames
from lumosx_core.puppets.clip import BLOCK, HEIGHT, WIDE_COLUMNS, WIDTH
from lumosx_core.puppets.draw import ATTRIBUTE_LABELS
from lumosx_core.puppets.matching import SMALLEST, Matcher, drawing, drawing_pixels
from lumosx_core.puppets.places import POSES, SCALES, SEEN_HEAD, Found, find_people, head_part
from lumosx_core.puppets.spec import (
    BODY_KINDS,
    PALETTE,
    PATTERNS,
    AttributeSpec,
    Identity,
    PuppetSpec,
    sample_attribute,
    sample_identity,
)

DISTRACTORS = 8
CLOSE = 3  # pixels that an attribute may be off from where the head says it is
# Largest mean squared colour difference (colours in 0..1) at which a thing still counts as seen.
SEEN_ATTRIBUTE = 0.16
CLEARLY_DIFFERENT = 0.05  # mean squared colour difference of two looks, for random rivals
Part = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (label, |u|) of a drawing -> bool mask of the part
MOST_TRIES = 400  # random looks that are drawn to find `DISTRACTORS` clearly different ones; ten are usual, 35 rare
HOPELESS = 100  # none among so many first ones: there are none


@dataclass(frozen=True, kw_only=True)
class AttributeScore:
    """What became of one attribute: outcome "bound", "swapped", "wrong" or "hidden"; error = mean squared difference of its
    own look (infinite where nothing of it can be seen), frame_errors = the same per scored frame.

    shown: whose thing fits best at the owner's place: the owner's index, that of another person, or None for nobody's; worn_by:
    who shows it though they should wear nothing of that kind; rival: the smallest error of all other looks.
    """

    subject: int
    kind: str
    outcome: str
    error: float
    frame_errors: tuple[float, ...] = ()
    shown: int | None = None
    worn_by: int | None = None
    rival: float = np.inf


@dataclass(frozen=True, kw_only=True)
class ClipScore:
    """identities[n]: person n is there; attributes: one entry per worn thing; places [F', N, 2]: foot x, y per scored frame, in
    pixels of the drawing; frames [F']: which frames were scored; head_errors [F', N]: how badly the own head fits there."""

    identities: tuple[bool, ...]
    attributes: tuple[AttributeScore, ...]
    places: np.ndarray
    frames: tuple[int, ...]
    head_errors: np.ndarray

    def rate(self, outcome: str) -> float:
        """Share of the attributes with that outcome among those that can be judged, 0..1 (NaN without any)."""
        hits = [a.outcome == outcome for a in self.attributes if a.outcome != "hidden"]
        return float(np.mean(hits)) if hits else float("nan")


def score_clip(frames: np.ndarray, puppets: tuple[PuppetSpec, ...], *, seed: int = 0, scored_frames: int = 5) -> ClipScore:
    """Score `frames` (uint8 [F, 80, 96, 3], or 128 wide) against the people who should be in it (1 to 4). Always ends: at most
    some seconds.

    seed: of the random distractors, which depend on it and on whose rivals they are alone, so that the order of the people
    changes nothing. scored_frames: how many frames, evenly spread, are looked at.
    Raises InputError for frames of another shape or type.
    """
    wide = BLOCK * WIDE_COLUMNS
    shapes = ((HEIGHT, WIDTH, 3), (HEIGHT, wide, 3))
    if frames.dtype != np.uint8 or frames.shape[1:] not in shapes or len(frames) == 0:
        raise InputError(
            f"score_clip: frames are {frames.dtype} {frames.shape}, expected uint8 [F, {HEIGHT}, {WIDTH}, 3], or {wide} wide, "
            "with F >= 1"
        )
    chosen = spread_frames(len(frames), scored_frames)
    matcher = Matcher(drawing_pixels(frames[chosen]))
    found = find_people(matcher, puppets)
    identities = tuple(_identity_is_right(matcher, puppets, n, found[n], seed) for n in range(len(puppets)))
    wearers = _leaks(matcher, puppets, found)
    attributes = tuple(
        _attribute_score(matcher, puppets, n, found[n], own, seed) for n, p in enumerate(puppets) for own in p.attributes
    )
    attributes = tuple(
        settle_outcome(a, recognised=identities[a.subject], worn_by=wearers.get((a.subject, a.kind))) for a in attributes
    )
    errors = np.stack([own.frame_errors for own in found], 1)
    return ClipScore(
        identities=identities,
        attributes=attributes,
        places=np.stack([own.places for own in found], 1),
        frames=tuple(chosen.tolist()),
        head_errors=errors,
    )


def settle_outcome(score: AttributeScore, *, recognised: bool, worn_by: int | None) -> AttributeScore:
    """The score of an attribute, given whether its owner was recognised and who else shows it."""
    if score.outcome == "hidden":
        return score
    if worn_by is not None:
        return replace(score, outcome="swapped", worn_by=worn_by)
    if not recognised:
        return replace(score, outcome="wrong" if score.outcome == "bound" else score.outcome)
    return replace(score, outcome="hidden") if np.isinf(score.error) else score


def _error(
    matcher: Matcher, found: Found, puppet: PuppetSpec, part: Part, reach: int, outline: PuppetSpec | None = None
) -> float:
    """Mean of `_errors` over the frames in which enough can be seen, infinite without any."""
    return _mean_seen(_errors(matcher, found, puppet, part, reach, outline))


def _mean_seen(errors: np.ndarray) -> float:
    seen = np.isfinite(errors)
    return float(errors[seen].mean()) if seen.any() else np.inf


def _errors(
    matcher: Matcher, found: Found, puppet: PuppetSpec, part: Part, reach: int, outline: PuppetSpec | None = None
) -> np.ndarray:
    """[F]: how badly a part of the drawn puppet fits where the person is; part(label, |u|) -> mask.

    outline: measure over that part of this drawing instead, as far as the puppet covers it.
    """
    errors = np.full(len(found.places), np.inf)
    for pose in np.unique(found.poses):
        rgb, label, u = drawing(puppet, *POSES[pose])
        if outline is None:
            mask = part(label, u)
        else:
            _, outline_label, _ = drawing(outline, *POSES[pose])
            mask = part(outline_label, u) & (label > 0)
        for f in np.flatnonzero(found.poses == pose):
            errors[f] = matcher.near(int(f), rgb, mask, found.places[f], reach, found.hidden[f])
    return errors


def _worn_part(kind: str) -> Part:
    """The pixels of an attribute; of a garment without its sleeves, since arms move."""

    def part(label: np.ndarray, u: np.ndarray) -> np.ndarray:
        mask = label == ATTRIBUTE_LABELS[kind]
        return mask & (u < 7.0) if kind in BODY_KINDS else mask

    return part


def _identity_is_right(matcher: Matcher, puppets: tuple[PuppetSpec, ...], n: int, found: Found, seed: int) -> bool:
    if found.error > SEEN_HEAD:
        return False
    own, rng = found.look, _generator(seed, puppets[n].identity)
    rivals = [replace(own, identity=p.identity) for k, p in enumerate(puppets) if k != n]
    rivals += _clearly_different(own, head_part, lambda held: replace(own, identity=sample_identity(rng, held_out=held)))
    return all(found.error <= _error(matcher, found, rival, head_part, 2) for rival in rivals)


def _generator(seed: int, *asked: Identity | AttributeSpec) -> np.random.Generator:
    """Of the distractors of a person, or of what one wears: the same whoever is scored before."""
    digest = hashlib.sha256(repr(asked).encode()).digest()
    return np.random.default_rng((seed, int.from_bytes(digest[:8], "big")))


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
    chosen: list[PuppetSpec] = []
    if np.isnan(_apart(puppet, puppet, part)):
        return chosen
    for tried in range(1, MOST_TRIES + 1):
        other = sample(bool(len(chosen) % 2))
        if _apart(puppet, other, part) >= CLEARLY_DIFFERENT:
            chosen.append(other)
        if len(chosen) == DISTRACTORS or (not chosen and tried >= HOPELESS):
            break
    return chosen


def _apart(puppet: PuppetSpec, other: PuppetSpec, part: Part) -> float:
    """Mean squared colour difference of two drawings over a part of the first; NaN where under `SMALLEST` pixels of it show."""
    pose = (SCALES[-1], 0.0)
    rgb, label, u = drawing(puppet, *pose)
    mask = part(label, u)
    return float(((rgb - drawing(other, *pose)[0])[mask] ** 2).mean()) if mask.sum() >= SMALLEST else float("nan")


def told_apart(puppet: PuppetSpec, worn: AttributeSpec) -> bool:
    """Would a person tell `worn` at a glance from the puppet's own thing of that kind, as the scorer wants of its rivals? True
    where too little of the own one shows."""
    return not _apart(puppet, _worn(puppet, worn), _worn_part(worn.kind)) < CLEARLY_DIFFERENT


def _every_colour(puppet: PuppetSpec, own: AttributeSpec, part: Part) -> list[PuppetSpec]:
    """The puppet with its thing in every colour and pattern that is clearly different: the rivals of one person alone, whose
    things nobody else's compete with."""
    patterns = ("plain",) if own.kind == "glasses" else PATTERNS
    colours = list(PALETTE)
    looks = [
        replace(own, colour=colour, second=colours[(n + 5) % len(colours)], pattern=pattern)
        for n, colour in enumerate(colours)
        for pattern in patterns
    ]
    dressed = [_worn(puppet, look) for look in looks]
    return [other for other in dressed if _apart(puppet, other, part) >= CLEARLY_DIFFERENT]


def _attribute_score(
    matcher: Matcher,
    puppets: tuple[PuppetSpec, ...],
    n: int,
    found: Found,
    own: AttributeSpec,
    seed: int,
) -> AttributeScore:
    part, rng = _worn_part(own.kind), _generator(seed, puppets[n].identity, own)
    own_errors = _errors(matcher, found, puppets[n], part, CLOSE)
    own_error = best = _mean_seen(own_errors)
    score = AttributeScore(
        subject=n,
        kind=own.kind,
        outcome="bound" if own_error <= SEEN_ATTRIBUTE else "wrong",
        error=own_error,
        frame_errors=tuple(own_errors.tolist()),
        shown=n if own_error <= SEEN_ATTRIBUTE else None,
    )
    body = own.kind in BODY_KINDS
    others = [(k, a) for k, p in enumerate(puppets) if k != n for a in p.attributes]
    others = [(k, a) for k, a in others if a.kind == own.kind or (body and a.kind in BODY_KINDS)]

    def random_look(held_out: bool) -> PuppetSpec:
        return _worn(puppets[n], sample_attribute(rng, own.kind, held_out=held_out))

    rivals = _clearly_different(puppets[n], part, random_look)
    if len(rivals) < DISTRACTORS:
        return replace(score, outcome="hidden", shown=None)
    if len(puppets) == 1:
        rivals += _every_colour(puppets[n], own, part)
    errors: list[tuple[float, int | None]] = [
        (_error(matcher, found, _worn(puppets[n], a), _worn_part(a.kind), CLOSE), k) for k, a in others
    ]
    errors += [(_error(matcher, found, rival, part, CLOSE), None) for rival in rivals]
    # Without it there is nothing to slide, so what is below counts where the thing itself would be.
    nothing: list[tuple[PuppetSpec, int | None]] = [(_bare(puppets[n], own.kind), None)]
    # The same in all that another one wears: without a bag there may be the other's shirt, not the own one.
    wearers = {k for k, _ in others}
    for k, p in enumerate(puppets):
        if k != n:
            nothing.append((replace(puppets[n], attributes=p.attributes), k if k in wearers else None))
    errors += [(_error(matcher, found, p, part, 2, outline=puppets[n]), owner) for p, owner in nothing]
    score = replace(score, rival=min(error for error, _ in errors))
    for error, owner in errors:
        if error < best:
            best, shown = error, owner if error <= SEEN_ATTRIBUTE else None
            score = replace(score, outcome="wrong" if shown is None else "swapped", shown=shown)
    return score


def _leaks(matcher: Matcher, puppets: tuple[PuppetSpec, ...], found: list[Found]) -> dict[tuple[int, str], int]:
    """By (owner, kind): who shows that attribute without wearing anything of that kind."""
    leaks: dict[tuple[int, str], int] = {}
    for (n, puppet), (k, other) in itertools.permutations(enumerate(puppets), 2):
        for attribute in other.attributes:
            kind = attribute.kind
            if puppet.attribute(kind) or (kind in BODY_KINDS and any(a.kind in BODY_KINDS for a in puppet.attributes)):
                continue
            dressed, part = _worn(puppet, attribute), _worn_part(kind)
            with_it = _error(matcher, found[n], dressed, part, 2)
            without = _error(matcher, found[n], puppet, part, 2, outline=dressed)
            if with_it <= SEEN_ATTRIBUTE and with_it < 0.5 * without:
                leaks.setdefault((k, kind), n)
    return leaks
