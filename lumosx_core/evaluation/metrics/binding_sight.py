"""From frames to similarities: people by their faces, what they wear by nouns, looks by an embedder.

Legend: F = frames, N = people, T = things that are asked for, R = distractors, D = numbers of an embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from lumosx_core.detection.boxes import cut_by_mask
from lumosx_core.detection.person import Eyes
from lumosx_core.evaluation.binding import Measured, Thing, copy_gap, match_one_to_one
from lumosx_core.evaluation.metrics.asked import CANDIDATES, DISTRACTORS, AskedThing, OtherCases, Place, less_alike
from lumosx_core.evaluation.metrics.faces import face_embedding, reference_face
from lumosx_core.eyes import Embedder, Found
from lumosx_core.files.images import rgb_on_white
from lumosx_core.references import Subject

MARGIN = 0.06  # white around a thing that is compared, of its longer side
PAPER = 250  # of 255 in every channel: white around a reference
Views = Sequence[np.ndarray | None]  # embeddings [D] of one person, None where the picture shows no face


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What is looked with. known: embeddings of distractors, so that each is looked at once."""

    eyes: Eyes
    embedder: Embedder
    others: OtherCases
    known: dict[Place, np.ndarray | None] = field(default_factory=dict, repr=False, compare=False)


def measure(
    sight: Sight,
    case: str,
    frames: Sequence[Image.Image],
    views: Sequence[Views],
    things: Sequence[AskedThing],
) -> tuple[Measured, list[int], list[float]]:
    """The similarities, how many faces each frame shows, and the copy gap of each person whose first view and a further one
    show a face."""
    crowd = _strange_faces(sight, case)
    strangers = [less_alike(own_views[0], crowd) if (own_views := _known(of)) else [] for of in views]
    own = sight.embedder.embed([framed(thing.picture) for thing in things])
    distractors = [less_alike(look, _strange_things(sight, case, thing)) for look, thing in zip(own, things, strict=True)]
    people, wanted = len(views), len(things)
    faces = np.full((len(frames), people, people + DISTRACTORS), np.nan)
    looks = np.full((len(frames), people, wanted, wanted + DISTRACTORS), np.nan)
    counts: list[int] = []
    gaps: dict[int, list[tuple[float, float]]] = {}
    for f, frame in enumerate(frames):
        seen = list(sight.eyes.faces.find_faces(frame))
        counts.append(len(seen))
        embeddings = [face_embedding(face) for face in seen]
        likeness = np.array([_to_everybody(embedding, views) for embedding in embeddings]).reshape(len(seen), people)
        bodies = list(sight.eyes.people.find_people(frame)) if seen else []
        for n, k in enumerate(match_one_to_one(likeness)):
            if k is None:
                continue
            faces[f, n] = _to_everybody(embeddings[k], views) + _to_strangers(embeddings[k], strangers[n])
            first, further = views[n][0], _known(views[n][1:])
            if first is not None and further:
                nearest = max(float(embeddings[k] @ view) for view in further)
                gaps.setdefault(n, []).append((float(embeddings[k] @ first), nearest))
            body = body_of(seen[k], bodies)
            if body is not None:
                looks[f, n] = _looks_on(sight, frame, body, n, things, own, distractors)
    among = np.array([_among(n, views, strangers[n]) for n in range(people)]).reshape(people, people + DISTRACTORS)
    measured = Measured(
        asked=tuple(Thing(owner=t.owner, kind=t.noun.kind if t.noun else "", hidden=t.noun is None) for t in things),
        faces=faces,
        things=looks,
        among_faces=among,
        among_things=np.array([_to_all(own[t], own, distractors[t]) for t in range(wanted)]).reshape(
            wanted, wanted + DISTRACTORS
        ),
    )
    return measured, counts, [copy_gap(*zip(*gaps[n], strict=True)) for n in sorted(gaps)]


def _strange_faces(sight: Sight, case: str) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for place in sight.others.faces(case):
        if len(found) == CANDIDATES:
            break
        if place not in sight.known:
            sight.known[place] = reference_face(sight.eyes.faces, sight.others.picture(place))
        embedding = sight.known[place]
        if embedding is not None:
            found.append(embedding)
    return found


def _strange_things(sight: Sight, case: str, thing: AskedThing) -> list[np.ndarray]:
    if thing.noun is None:
        return []
    places = sight.others.things(case, thing.noun.kind)
    if unknown := [place for place in places if place not in sight.known]:
        looks = sight.embedder.embed([framed(sight.others.picture(place)) for place in unknown])
        sight.known.update(zip(unknown, looks, strict=True))
    return [embedding for place in places if (embedding := sight.known[place]) is not None]


def body_of(face: Found, people: Sequence[Found]) -> Found | None:
    """The person whose face that is: of those whose box, and mask where it is known, holds its middle the one whose head it is
    best, by where heads are in boxes of people: in the middle of the upper edge. None where nobody is seen."""
    x, y = (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2
    holding = [p for p in people if p.box[0] <= x < p.box[2] and p.box[1] <= y < p.box[3]]
    masked = [p for p in holding if p.mask is None or p.mask[int(y), int(x)]]

    def distance(person: Found) -> float:
        return abs((person.box[0] + person.box[2]) / 2 - x) + abs(person.box[1] - face.box[1])

    return min(masked or holding, key=distance, default=None)


def framed(picture: Image.Image) -> Image.Image:
    """A thing in the middle of a white square with MARGIN around it, whatever white it came with: RGB."""
    rgb = rgb_on_white(picture)
    shown = (np.asarray(rgb).min(-1) < PAPER).nonzero()
    if len(shown[0]):
        rgb = rgb.crop((shown[1].min(), shown[0].min(), shown[1].max() + 1, shown[0].max() + 1))
    side = max(rgb.size) + 2 * round(MARGIN * max(rgb.size)) + 2
    square = Image.new("RGB", (side, side), "white")
    square.paste(rgb, ((side - rgb.width) // 2, (side - rgb.height) // 2))
    return square


def _looks_on(
    sight: Sight,
    frame: Image.Image,
    body: Found,
    wearer: int,
    things: Sequence[AskedThing],
    own: np.ndarray,
    distractors: Sequence[Sequence[np.ndarray]],
) -> np.ndarray:
    """[T, T + R]: how like everything is what is found on a person. Looked for are their own things, and those of others that
    are of kinds they should wear nothing of."""
    rows = np.full((len(things), len(things) + DISTRACTORS), np.nan)
    kinds = {thing.noun.kind for thing in things if thing.owner == wearer and thing.noun}
    looked = [t for t, thing in enumerate(things) if thing.noun and (thing.owner == wearer or thing.noun.kind not in kinds)]
    found: dict[str, np.ndarray | None] = {}
    for t in looked:
        for words in _words_for(t, things):
            if words not in found:
                cut = _cut(sight, frame, words, body)
                found[words] = None if cut is None else sight.embedder.embed([framed(cut)])[0]
            look = found[words]
            if look is not None:
                rows[t] = _to_all(look, own, distractors[t])
                break
    return rows


def _words_for(t: int, things: Sequence[AskedThing]) -> list[str]:
    """The nouns to look for a thing by: its own, then those of others' things of its kind, one of which may be there
    instead."""
    nouns = [things[t].noun, *(thing.noun for thing in things)]
    return list(dict.fromkeys(noun.words for noun in nouns if noun and nouns[0] and noun.kind == nouns[0].kind))


def _cut(sight: Sight, frame: Image.Image, words: str, body: Found) -> Image.Image | None:
    """What a person wears by these words, on white; None where nothing of the kind is found on them."""
    found = sight.eyes.phrases.find_phrase(frame, words, body.box)
    if not found:
        return None
    mask = np.asarray(sight.eyes.masks.segment(frame, found[0]), dtype=bool)
    return cut_by_mask(frame, mask, MARGIN) if mask.any() else None


def face_views(sight: Sight, subject: Subject) -> Views:
    """Embeddings [D] of the views of a person, the first one first, None for those in which no face is seen."""
    pictures = [] if subject.face is None else [subject.face, *subject.more_views]
    return [reference_face(sight.eyes.faces, picture) for picture in pictures]


def _known(views: Views) -> list[np.ndarray]:
    return [view for view in views if view is not None]


def _to_everybody(face: np.ndarray, views: Sequence[Views]) -> list[float]:
    """To the most alike view of each of N people; NaN for those without a view."""
    return [max((float(face @ view) for view in _known(of)), default=np.nan) for of in views]


def _among(n: int, views: Sequence[Views], strangers: Sequence[np.ndarray]) -> list[float]:
    """[N + R] of a person's own views: with themselves 1."""
    rows = [_to_everybody(view, views) + _to_strangers(view, strangers) for view in _known(views[n])]
    return np.max(rows, 0).tolist() if rows else [np.nan] * (len(views) + DISTRACTORS)


def _to_all(look: np.ndarray, own: np.ndarray, distractors: Sequence[np.ndarray]) -> list[float]:
    return [*map(float, own @ look), *_to_strangers(look, distractors)]


def _to_strangers(own: np.ndarray, others: Sequence[np.ndarray]) -> list[float]:
    """[R], NaN where there are fewer."""
    return [*(float(own @ other) for other in others), *[np.nan] * (DISTRACTORS - len(others))]
