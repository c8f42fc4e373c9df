"""Further views of a face: the same person in other shots of the same video. Runs no model: embeddings were stored.

Two people of two shots are one if they are each other's best match of all (Hungarian method), more alike than the lower
bound, more alike than any two people who are in one clip of that video, and much nearer than the next best match (a ratio
of distances, which embeddings of every kind have: those of some networks are narrow). Where both shots show one person there
is no next best match, so a higher bound is asked for. Of such a person only pictures are taken that differ from the own ones:
a product above the upper bound is the same picture again. A video's clips decide alone, so that samples stay as they are when
other videos come.

Legend: a *track* is a person of a clip; a product is that of two embeddings of length 1. P = people, N, F = views, D = numbers
of an embedding.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from lumosx_core.data.collect_config import KeepSettings, PairSettings
from lumosx_core.data.decide import Decision, FurtherView, is_face, sharp_frames
from lumosx_core.data.records import PersonView

# Outcomes of clips whose people are told apart: samples, and clips that were left out for their words alone.
TOLD_APART = (
    "",
    "nobody_named",
    "group_named",
    "more_named_than_seen",
    "ambiguous_names",
    "unbound_words",
)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A clip of a video: its id, the records of its stages and its decision."""

    clip: str
    records: dict[str, Any]
    decision: Decision


@dataclass(frozen=True, kw_only=True, eq=False)
class Person:
    """A track that has embeddings. number: its place among the tracks. known [N, D]: the embeddings of its views. faces: the
    F of these views that are good enough to be taken, the surest first, and face_embeddings [F, D] theirs."""

    number: int
    known: np.ndarray
    faces: tuple[PersonView, ...]
    face_embeddings: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class People:
    """Everybody of a clip whose embeddings are known. means [P, D]: of each person's embeddings, of length 1."""

    people: tuple[Person, ...]
    means: np.ndarray


def known_people(tracks: Sequence[Sequence[PersonView]], keep: KeepSettings, sharp: Collection[int]) -> People:
    """The people of a clip. sharp: the numbers of the frames that give pictures."""
    people, means = [], []
    for number, track in enumerate(tracks):
        views = [view for view in track if view.embedding]
        if views:
            good = [view for view in views if is_face(view, keep) and view.frame in sharp]
            good.sort(key=lambda view: (-view.face_score, view.frame))
            known = np.array([view.embedding for view in views])
            face_embeddings = np.array([view.embedding for view in good]).reshape(len(good), known.shape[1])
            people.append(Person(number=number, known=known, faces=tuple(good), face_embeddings=face_embeddings))
            mean = known.mean(axis=0)
            means.append(mean / max(float(np.linalg.norm(mean)), 1e-12))
    return People(people=tuple(people), means=np.array(means))


def with_further_views(clips: Sequence[Shown], settings: PairSettings, keep: KeepSettings) -> dict[str, Decision]:
    """Clip -> its decision, in which people have further views. clips: all of one video, in any order; only samples get views,
    and only from clips whose people are told apart."""
    usable = sorted((one for one in clips if one.decision.reason in TOLD_APART), key=lambda one: one.clip)
    seen = [known_people(one.records["people"].tracks, keep, sharp_frames(one.records["frames"], keep)) for one in usable]
    strangers = _likest_strangers(seen)
    found: dict[tuple[str, int], list[FurtherView]] = {}
    for (one, mine), (other, theirs) in combinations(zip(usable, seen, strict=True), 2):
        for a, b in same_people(mine, theirs, settings, strangers):
            for (taker, own), (giver, shown) in permutations(((one, mine.people[a]), (other, theirs.people[b])), 2):
                if not taker.decision.reason:
                    found.setdefault((taker.clip, own.number), []).extend(_views(own, giver, shown, settings))
    decisions = {}
    for one in usable:
        if not one.decision.reason:
            people = tuple(
                replace(person, further=_chosen(found.get((one.clip, person.track), []), settings.views))
                for person in one.decision.people
            )
            decisions[one.clip] = replace(one.decision, people=people)
    return decisions


def same_people(mine: People, theirs: People, settings: PairSettings, strangers: float = -1.0) -> list[tuple[int, int]]:
    """Pairs of people of two clips, by their places in `people`, who are one. strangers: the largest product of two people who
    are in one clip."""
    if not mine.people or not theirs.people:
        return []
    alike = mine.means @ theirs.means.T
    least = settings.least if alike.size > 1 else max(settings.least, settings.alone)
    if alike.max() < least:
        return []
    pairs = []
    for row, column in zip(*linear_sum_assignment(-alike), strict=True):
        product = alike[row, column]
        next_best = max([*np.delete(alike[row], column), *np.delete(alike[:, column], row)], default=-1.0)
        near = 1 - product <= settings.nearer * (1 - next_best)
        if product >= least and product > strangers and near:
            pairs.append((int(row), int(column)))
    return pairs


def _likest_strangers(seen: Sequence[People]) -> float:
    products = [(one.means @ one.means.T)[np.triu_indices(len(one.people), 1)] for one in seen if len(one.people) > 1]
    return float(np.concatenate(products).max()) if products else -1.0


def _views(own: Person, other: Shown, shown: Person, settings: PairSettings) -> list[FurtherView]:
    """The surest faces of a person of another clip that are no pictures of the own ones again, as many as are taken at most."""
    likeness = np.minimum((shown.face_embeddings @ own.known.T).max(axis=1), 1.0)  # rounding may go above
    frames = other.records["frames"].frames
    found = []
    for number in np.flatnonzero(likeness <= settings.most)[: settings.views]:
        view = shown.faces[number]
        assert view.face is not None
        found.append(
            FurtherView(
                frame=view.frame,
                mask=view.mask,
                box=view.face,
                score=view.face_score,
                clip=other.clip,
                track=shown.number,
                picture=frames[view.frame].picture,
                likeness=round(float(likeness[number]), 4),
            )
        )
    return found


def _chosen(views: Sequence[FurtherView], most: int) -> tuple[FurtherView, ...]:
    """The surest, of every clip one before any has two."""
    rank: dict[int, int] = {}
    seen: dict[str, int] = {}
    ordered = sorted(views, key=lambda view: (-view.score, view.clip, view.frame))
    for number, view in enumerate(ordered):
        rank[number] = seen[view.clip] = seen.get(view.clip, -1) + 1
    return tuple(ordered[number] for number in sorted(rank, key=lambda number: (rank[number], number))[:most])
