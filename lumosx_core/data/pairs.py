"""Further views of a face: the same person in other shots of the same video. Runs no model: embeddings were stored.

Two people of two shots are one if they are each other's best match of all (Hungarian method), more alike than the lower
bound, more alike than any two people who are in one clip of that video, and much nearer than the next best match (a ratio
of distances, which embeddings of every kind have: those of some networks are narrow). Of such a person only pictures are
taken that differ from the own ones: a product above the upper bound is the same picture again. A video's clips decide
alone, so that samples stay as they are when other videos come.

Legend: a *track* is a person of a clip; a product is that of two embeddings of length 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from lumosx_core.data.collect_config import KeepSettings, PairSettings
from lumosx_core.data.decide import Decision, FurtherView, is_face
from lumosx_core.data.records import PersonView

# Outcomes of clips whose people are told apart: samples, and clips that were left out for their words alone.
TOLD_APART = (
    "", "nobody_named", "group_named", "more_named_than_seen", "ambiguous_names", "unbound_words",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A clip of a video: its id, the records of its stages and its decision."""

    clip: str
    records: dict[str, Any]
    decision: Decision


def with_further_views(clips: Sequence[Shown], settings: PairSettings, keep: KeepSettings) -> dict[str, Decision]:
    """Clip -> its decision, in which people have further views. clips: all of one video, in any order; only samples get views,
    and only from clips whose people are told apart."""
    usable = sorted((one for one in clips if one.decision.reason in TOLD_APART), key=lambda one: one.clip)
    strangers = _likest_strangers(usable)
    found: dict[tuple[str, int], list[FurtherView]] = {}
    for one, other in combinations(usable, 2):
        for mine, theirs in same_people(one.records["people"].tracks, other.records["people"].tracks, settings, strangers):
            found.setdefault((one.clip, mine), []).extend(_views(one, mine, other, theirs, settings, keep))
            found.setdefault((other.clip, theirs), []).extend(_views(other, theirs, one, mine, settings, keep))
    decisions = {}
    for one in usable:
        if not one.decision.reason:
            people = tuple(
                replace(person, further=_chosen(found.get((one.clip, person.track), []), settings.views))
                for person in one.decision.people
            )
            decisions[one.clip] = replace(one.decision, people=people)
    return decisions


def same_people(
    mine: Sequence[Sequence[PersonView]],
    theirs: Sequence[Sequence[PersonView]],
    settings: PairSettings,
    strangers: float = -1.0,
) -> list[tuple[int, int]]:
    """Pairs of tracks of two clips that are one person. strangers: the largest product of two people who are in one clip."""
    rows, columns = _means(mine), _means(theirs)
    if not rows or not columns:
        return []
    alike = np.array([[float(np.dot(a, b)) for b in columns.values()] for a in rows.values()])
    pairs = []
    for row, column in zip(*linear_sum_assignment(-alike), strict=True):
        product = alike[row, column]
        next_best = max([*np.delete(alike[row], column), *np.delete(alike[:, column], row)], default=-1.0)
        near = 1 - product <= settings.nearer * (1 - next_best)
        if product >= settings.least and product > strangers and near:
            pairs.append((list(rows)[row], list(columns)[column]))
    return pairs


def _means(tracks: Sequence[Sequence[PersonView]]) -> dict[int, np.ndarray]:
    """Number of a track -> mean of its embeddings, of length 1; without tracks that have none."""
    means = {}
    for number, track in enumerate(tracks):
        known = [view.embedding for view in track if view.embedding]
        if known:
            mean = np.mean(known, axis=0)
            means[number] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return means


def _likest_strangers(clips: Sequence[Shown]) -> float:
    products = [
        float(np.dot(a, b)) for one in clips for a, b in combinations(_means(one.records["people"].tracks).values(), 2)
    ]  # fmt: skip
    return max(products, default=-1.0)


def _views(own: Shown, track: int, other: Shown, theirs: int, settings: PairSettings, keep: KeepSettings) -> list[FurtherView]:
    """The faces of a person of another clip that are good and no pictures of the own ones again."""
    known = [view.embedding for view in own.records["people"].tracks[track] if view.embedding]
    frames = other.records["frames"].frames
    found = []
    for view in other.records["people"].tracks[theirs]:
        if is_face(view, keep) and view.embedding and frames[view.frame].sharpness >= keep.sharpness:
            assert view.face is not None
            products = [float(np.dot(embedding, view.embedding)) for embedding in known]
            if max(products) <= settings.most:
                found.append(
                    FurtherView(
                        frame=view.frame, mask=view.mask, box=view.face, score=view.face_score, clip=other.clip, track=theirs,
                        picture=frames[view.frame].picture, likeness=round(max(products), 4),
                    )
                )  # fmt: skip
    return found


def _chosen(views: Sequence[FurtherView], most: int) -> tuple[FurtherView, ...]:
    """The surest, of every clip one before any has two."""
    rank: dict[int, int] = {}
    seen: dict[str, int] = {}
    ordered = sorted(views, key=lambda view: (-view.score, view.clip, view.frame))
    for number, view in enumerate(ordered):
        rank[number] = seen[view.clip] = seen.get(view.clip, -1) + 1
    return tuple(ordered[number] for number in sorted(rank, key=lambda number: (rank[number], number))[:most])
