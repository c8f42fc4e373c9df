"""Where everybody stands: the heads are searched in all that may frame them, and no two people are at one place.

Shapes: F = frames, N = people, H, W = pixels of the drawing.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from lumosx_core.puppets.draw import LABEL_HAIR, LABEL_HEAD
from lumosx_core.puppets.matching import LEFT, TOP, Matcher, drawing
from lumosx_core.puppets.spec import PuppetSpec

SCALES = (0.86, 1.0)  # puppets come in these sizes
TURNS = (-0.7, 0.0, 0.7)
POSES = tuple(itertools.product(SCALES, TURNS))
HEAD_KINDS = ("hat", "glasses", "scarf")  # cover a part of the head
APART = 9  # two people are at least this many pixels apart
# So much better must a head fit in other things than the own ones to be taken for dressed in them: under a large hat little is
# left to compare, and a true head, 0.05 off at most in the right things, would be taken for a smaller one under that.
OTHER_DRESS = 0.04
NOWHERE = 9.0  # the cost of a place where a head cannot be, above every mean squared difference of colours
SEEN_HEAD = 0.1  # largest mean squared colour difference (colours in 0..1) at which a head still counts as seen


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where one person is: place (x, y) and pose (index into POSES) per frame, and how badly the own head fits there."""

    places: np.ndarray  # int [F, 2]
    poses: np.ndarray  # int [F]
    frame_errors: np.ndarray  # float [F]
    error: float  # their mean
    hidden: np.ndarray  # bool [F, H, W]: where somebody else stands, perhaps in front
    look: PuppetSpec  # the person in the things that go best with the head


def find_people(matcher: Matcher, puppets: tuple[PuppetSpec, ...]) -> list[Found]:
    """Where every one of the people is in the matcher's frames, in their order."""
    dressed = [_dresses(puppets, n) for n in range(len(puppets))]
    heads = [np.stack([_head_costs(matcher, look) for look in looks]) for looks in dressed]
    places = _joint_places([(head + _doubt(len(head))).min(0) for head in heads])
    found = [_found(head, places[:, n], dressed[n]) for n, head in enumerate(heads)]
    return [replace(own, hidden=_hidden(matcher, puppets, found, n)) for n, own in enumerate(found)]


def head_part(label: np.ndarray, u: np.ndarray) -> np.ndarray:  # noqa: ARG001 - a part
    return (label == LABEL_HEAD) | (label == LABEL_HAIR)


def _dresses(puppets: tuple[PuppetSpec, ...], n: int) -> list[PuppetSpec]:
    """Person n in all that may frame the head in a video that is not right: the own things, nothing, and the things of
    everybody else. Whoever wears another one's hat must be found all the same, or nothing that hangs on the place is judged
    where it is."""
    own, framing = puppets[n], set()
    looks: list[PuppetSpec] = []
    for worn in (own.attributes, (), *(p.attributes for k, p in enumerate(puppets) if k != n)):
        around = tuple(a for a in worn if a.kind in HEAD_KINDS)
        if around not in framing:
            framing.add(around)
            looks.append(replace(own, attributes=worn))
    return looks


def _head_costs(matcher: Matcher, puppet: PuppetSpec) -> np.ndarray:
    """[poses, F, H, W]: how badly the puppet's visible head fits at each place."""
    costs = []
    for scale, turn in POSES:
        rgb, label, u = drawing(puppet, scale, turn)
        costs.append(matcher.everywhere(rgb, head_part(label, u)))
    return np.stack(costs)


def _doubt(looks: int) -> np.ndarray:
    """[looks, 1, 1, 1, 1]: what is added to the costs of each look; the own things come first."""
    return np.asarray([0.0] + [OTHER_DRESS] * (looks - 1), np.float32).reshape(-1, 1, 1, 1, 1)


def _joint_places(heads: list[np.ndarray]) -> np.ndarray:
    """[F, N, 2] (x, y): the places of all heads, at least APART pixels from each other, with the smallest total cost.

    For every order of the people from left to right the cheapest columns by dynamic programming; then the cheapest order.
    """
    best = np.stack([head.min(0) for head in heads])  # [N, F, H, W]
    columns = np.minimum(best.min(2), NOWHERE).astype(np.float64)  # [N, F, W]
    frames = np.arange(columns.shape[1])
    cheapest = np.full(len(frames), np.inf)
    xs = np.zeros((len(frames), len(heads)), int)
    for order in itertools.permutations(range(len(heads))):
        total, steps = columns[order[0]], []
        for n in order[1:]:
            # The best place of those further left, among the columns up to each one.
            reached = np.minimum.accumulate(total, 1)
            first = np.maximum.accumulate(np.where(total <= reached, np.arange(total.shape[1]), 0), 1)
            steps.append(first)
            total = columns[n] + np.pad(reached, ((0, 0), (APART, 0)), constant_values=np.inf)[:, : total.shape[1]]
        cost, x = total.min(1), total.argmin(1)
        better = cost < cheapest
        cheapest[better] = cost[better]
        for place in reversed(range(len(order))):
            xs[better, order[place]] = x[better]
            if place:
                x = steps[place - 1][frames, np.maximum(x - APART, 0)]
    places = np.stack([xs, np.zeros_like(xs)], 2)
    for n, f in itertools.product(range(len(heads)), frames):
        places[f, n, 1] = best[n, f, :, xs[f, n]].argmin()
    return places


def _found(dressed: np.ndarray, places: np.ndarray, looks: list[PuppetSpec]) -> Found:
    """dressed [looks, poses, F, H, W]: the head's costs in each of `looks`; places [F, 2]."""
    best = [np.mean([head[:, f, y, x].min() for f, (x, y) in enumerate(places)]) for head in dressed]
    chosen = int(np.argmin(best + _doubt(len(best)).ravel()))
    heads = dressed[chosen]
    at_place = np.stack([heads[:, f, y, x] for f, (x, y) in enumerate(places)], 1)  # [poses, F]
    # The size stays the same through a clip, so one is chosen for all frames; the turn of the head changes.
    by_scale = at_place.reshape(len(SCALES), len(TURNS), -1)
    scale = int(by_scale.min(1).mean(1).argmin())
    poses = scale * len(TURNS) + by_scale[scale].argmin(0)
    hidden = np.zeros((len(places), *heads.shape[2:]), bool)
    errors = by_scale[scale].min(0)
    look = looks[chosen]
    return Found(places=places, poses=poses, frame_errors=errors, error=float(errors.mean()), hidden=hidden, look=look)


def _hidden(matcher: Matcher, puppets: tuple[PuppetSpec, ...], found: list[Found], n: int) -> np.ndarray:
    """Bool [F, H, W]: the pixels where the other people's heads and bodies are, as far as they were found."""
    hidden = np.zeros_like(found[n].hidden)
    for k, other in enumerate(found):
        if k == n or other.error > SEEN_HEAD:
            continue
        for f, (x, y) in enumerate(other.places):
            _, label, _ = drawing(puppets[k], *POSES[other.poses[f]])
            rows, columns = np.nonzero(label)
            rows, columns = rows + y - TOP, columns + x - LEFT
            inside = (rows >= 0) & (rows < matcher.height) & (columns >= 0) & (columns < matcher.width)
            hidden[f, rows[inside], columns[inside]] = True
    return hidden
