"""Who is who and whose is what: the mentions of a caption matched with the people of a clip, all together, with the evidence.

A mention fits a person as well as the things that the caption gives to it are found on that person rather than on others, and
as well as words such as "on the left" agree with where the person stands. Mentions and people are matched one to one so that
the sum is largest (Hungarian method). How much worse the next best match is, is the margin: without one nobody can tell, and
nothing is guessed.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from lumosx_core.data.records import Candidate, Evidence, PersonView, Relation, RelationsRecord
from lumosx_core.data.relations.colours import colour_distance, colour_word
from lumosx_core.data.relations.reading import Reading
from lumosx_core.data.stage import ClipWork

COLOUR_REACH = 40.0  # CIELAB: so far from its word a thing counts as of another colour; ours
FAINT = 0.05  # scores far below this, summed over all people, hardly say anything; ours


def match_relations(work: ClipWork) -> RelationsRecord:
    """Mentions to tracks, and every phrase to its owner with the evidence for it."""
    reading, people = work.records["reading"], work.records["people"]
    candidates = work.records["grounding"].candidates
    scores = phrase_scores(reading, len(people.tracks), candidates)
    fit = mention_fit(reading, people.tracks, scores, candidates, work.config.relations.side)
    for index, box in enumerate(reading.boxes):
        if box is not None and box <= len(people.tracks):
            fit[index, box - 1] += work.config.relations.told
    owners, margin = match(fit)
    relations = []
    for number, phrase in enumerate(reading.phrases):
        if phrase.kind == "background":
            continue
        track = None if phrase.owner is None else owners[phrase.owner]
        own = [c for c in candidates if c.phrase == number and c.track == track]
        if not own or (phrase.owner is not None and track is None):
            continue
        alike = _owners_of(phrase.span.of(reading.caption), reading, owners)  # as the caption says
        others = [scores[number, t] for t in range(len(people.tracks)) if t != track and t not in alike]
        relations.append(
            Relation(
                phrase=number,
                track=track,
                evidence=Evidence(
                    own=round(float(scores[number, track]) if track is not None else max(c.score for c in own), 4),
                    others=round(float(max(others, default=0.0)) if track is not None else 0.0, 4),
                    inside=round(float(np.mean([c.inside for c in own])), 4),
                    colour=_colour(phrase.span.of(reading.caption), number, track, candidates, alike),
                    readers=(reading.reader,),
                ),
            )
        )
    return RelationsRecord(people=owners, margin=margin, relations=tuple(relations))


def phrase_scores(reading: Reading, tracks: int, candidates: tuple[Candidate, ...]) -> np.ndarray:
    """float [phrases, tracks]: how surely each phrase is seen on each person, mean over the frames where it was found."""
    scores = np.zeros((len(reading.phrases), tracks))
    for number in range(len(reading.phrases)):
        for track in range(tracks):
            own = [c.score for c in candidates if c.phrase == number and c.track == track]
            scores[number, track] = float(np.mean(own)) if own else 0.0
    return scores


def mention_fit(
    reading: Reading,
    tracks: tuple[tuple[PersonView, ...], ...],
    scores: np.ndarray,
    candidates: tuple[Candidate, ...],
    side_weight: float,
) -> np.ndarray:
    """float [mentions, tracks]: the mean of a mention's things on each person, each weighed by its colour, and its side.

    A thing counts with the person's share of what was found on all: a detailed phrase is found less surely than a bare one, on
    everybody, and how surely says nothing about whose it is.
    """
    shares = scores / (scores.sum(1, keepdims=True) + FAINT)
    fit = np.zeros((len(reading.mentions), len(tracks)))
    for index, mention in enumerate(reading.mentions):
        own = [number for number, phrase in enumerate(reading.phrases) if phrase.owner == index]
        for track in range(len(tracks)):
            seen = [
                shares[number, track]
                * _colour_factor(reading.phrases[number].span.of(reading.caption), number, track, candidates)
                for number in own
            ]
            fit[index, track] = (float(np.mean(seen)) if seen else 0.0) + side_weight * _side(mention, track, len(tracks))
    return fit


def match(fit: np.ndarray) -> tuple[tuple[int | None, ...], float]:
    """(the track of every mention, None where there are more mentions than people; the margin)."""
    mentions, tracks = fit.shape
    if not mentions or not tracks:
        return (None,) * mentions, 1.0
    rows, columns = linear_sum_assignment(-fit)
    owners: list[int | None] = [None] * mentions
    for row, column in zip(rows, columns, strict=True):
        owners[row] = int(column)
    best = fit[rows, columns].sum()
    loss = np.inf
    for row, column in zip(rows, columns, strict=True):  # the best match without this pair
        other = fit.copy()
        other[row, column] = -1e6
        r, c = linear_sum_assignment(-other)
        total = other[r, c].sum()
        if total > -1e5:
            loss = min(loss, float(best - total))
    return tuple(owners), round(min(1.0, loss / len(rows)), 4)


def _side(mention: object, track: int, tracks: int) -> float:
    """1 where the words for a place agree with it, 0 where they say nothing or another one."""
    side, ordinal = mention.side, mention.ordinal  # type: ignore[attr-defined]
    if ordinal:
        return float(track == (ordinal - 1 if ordinal > 0 else tracks + ordinal))
    if not side or tracks < 2:
        return 0.0
    place = track / (tracks - 1)
    return float({"left": place < 0.5, "right": place > 0.5, "middle": 0.2 < place < 0.8}[side])


def _distance(word: str, number: int, track: int | None, candidates: tuple[Candidate, ...]) -> float | None:
    labs = [np.array(c.lab).reshape(-1, 3) for c in candidates if c.phrase == number and c.track == track and c.lab]
    return float(np.median([colour_distance(word, lab) for lab in labs])) if labs else None


def _colour_factor(words: str, number: int, track: int, candidates: tuple[Candidate, ...]) -> float:
    word = colour_word(words)
    distance = None if word is None else _distance(word, number, track, candidates)
    return 1.0 if distance is None else float(np.clip(1.2 - distance / COLOUR_REACH, 0.1, 1.0))


def _owners_of(words: str, reading: Reading, owners: tuple[int | None, ...]) -> set[int | None]:
    """The tracks of everybody who has a thing of these words."""
    return {owners[p.owner] for p in reading.phrases if p.owner is not None and p.span.of(reading.caption) == words}


def _colour(
    words: str, number: int, track: int | None, candidates: tuple[Candidate, ...], alike: set[int | None]
) -> float | None:
    word = colour_word(words)
    if word is None or track is None:
        return None
    own = _distance(word, number, track, candidates)
    tracks = {c.track for c in candidates if c.phrase == number and c.track is not None} - {track} - alike
    others = [d for d in (_distance(word, number, t, candidates) for t in tracks) if d is not None]
    return round(own - min(others), 2) if own is not None and others else None
