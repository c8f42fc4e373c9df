"""Who is in a clip: people and faces of every selected frame, each face with its person, each person followed over the frames.

Matching is one to one over all together (Hungarian method), never by the order in which a detector tells its findings.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment

from lumosx_core.data.records import PeopleRecord, PersonView
from lumosx_core.data.stage import ClipWork, DroppedError
from lumosx_core.detection.boxes import inside_picture
from lumosx_core.eyes import Box, Found, FoundFace

UPPER = 0.6  # of a person's box: where the middle of the face is


def follow_people(work: ClipWork) -> PeopleRecord:
    """All people of the selected frames. Drops a clip where nobody is seen in any of them."""
    frames = [_people_of(work, number, picture) for number, picture in enumerate(work.pictures)]
    tracks: list[list[PersonView]] = []
    likeness: list[float] = []
    strangers = likest_strangers(frames)
    for views in frames:
        alike = np.array([[_alike(track, view, work.config.people.likeness, strangers) for view in views] for track in tracks])
        taken: set[int] = set()
        if tracks and views:
            for row, column in zip(*linear_sum_assignment(-alike), strict=True):
                tracks[row].append(views[column])
                likeness[row] = min(likeness[row], float(alike[row, column]))
                taken.add(int(column))
        for column, view in enumerate(views):
            if column not in taken:
                tracks.append([view])
                likeness.append(1.0)
    if not tracks:
        raise DroppedError("no_person", "nobody was found in the selected frames")
    order = sorted(range(len(tracks)), key=lambda n: (tracks[n][0].box[0] + tracks[n][0].box[2]) / 2)
    return PeopleRecord(
        tracks=tuple(tuple(tracks[n]) for n in order),
        seen=tuple(len(views) for views in frames),
        likeness=tuple(round(likeness[n], 4) for n in order),
    )


def _people_of(work: ClipWork, number: int, picture: Image.Image) -> list[PersonView]:
    people = list(work.components.people.find_people(picture))
    faces = list(work.components.faces.find_faces(picture))
    owners = faces_of(people, faces)
    views = []
    for index, person in enumerate(people):
        mask = person.mask if person.mask is not None else work.components.masks.segment(picture, person)
        if not mask.any():
            continue
        face = faces[owners[index]] if index in owners else None
        embedding = face.embedding if face is not None else None
        views.append(
            PersonView(
                frame=number,
                box=_short(inside_picture(person.box, picture)),
                score=round(float(person.score), 4),
                mask=work.keep_mask(mask),
                face=None if face is None else _short(inside_picture(face.box, picture)),
                face_score=0.0 if face is None else round(float(face.score), 4),
                embedding=() if embedding is None else tuple(round(float(v), 5) for v in embedding),
            )
        )
    return views


def faces_of(people: Sequence[Found], faces: Sequence[FoundFace]) -> dict[int, int]:
    """Number of a person -> number of the face that is theirs: every face to one person, so that all together fit best. A face
    whose middle is outside of a person's box is not theirs."""
    if not people or not faces:
        return {}
    fit = np.array([[_fits(person, face) for face in faces] for person in people])
    return {int(r): int(c) for r, c in zip(*linear_sum_assignment(-fit), strict=True) if fit[r, c] > 0}


def _fits(person: Found, face: FoundFace) -> float:
    """0 for a face outside the person's box; else more, the nearer its middle is to the middle of the box's upper part."""
    left, top, right, bottom = person.box
    x, y = (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2
    if not (left <= x <= right and top <= y <= bottom):
        return 0.0
    aside = abs(x - (left + right) / 2) / max(right - left, 1)
    below = max(0.0, (y - top) / max(bottom - top, 1) - UPPER)
    inside = 1.0
    if person.mask is not None:
        box = [round(value) for value in face.box]
        part = person.mask[max(0, box[1]) : box[3], max(0, box[0]) : box[2]]
        inside = 0.05 + float(part.mean()) if part.size else 0.05
    return inside * (1.01 - min(aside, 0.5) - min(below, 0.5))


def likest_strangers(frames: Sequence[Sequence[PersonView]]) -> float:
    """The largest product of the embeddings of two faces in one frame, who are surely two people; 0 where there are none.

    Embeddings of some networks are narrow: faces of different people have products of 0.8 to 0.96 with dlib's. What two faces
    of one frame have is no sign of being the same person.
    """
    products = [
        float(np.dot(first.embedding, second.embedding))
        for views in frames
        for number, first in enumerate(views)
        for second in views[:number]
        if first.embedding and second.embedding
    ]
    return float(np.clip(max(products, default=0.0), 0.0, 0.999))


def _alike(track: Sequence[PersonView], view: PersonView, weight: float, strangers: float = 0.0) -> float:
    """How surely a view shows the person of a track, 0 to 1: by the face where both have one, and by where the person is."""
    last = track[-1]
    place = near(last.box, view.box)
    known = [seen.embedding for seen in track if seen.embedding]
    if not known or not view.embedding:
        return place
    face = max(float(np.dot(embedding, view.embedding)) for embedding in known)
    return weight * max(0.0, (face - strangers) / (1 - strangers)) + (1 - weight) * place


def near(first: Box, second: Box) -> float:
    """How near two boxes are, 0 to 1: 1 for the same middle, 0 from one width apart on."""
    width = max(first[2] - first[0], second[2] - second[0], 1e-6)
    return max(0.0, 1 - abs((first[0] + first[2]) - (second[0] + second[2])) / 2 / width)


def _short(box: Box) -> Box:
    return tuple(round(float(value), 2) for value in box)  # type: ignore[return-value]
