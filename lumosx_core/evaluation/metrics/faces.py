"""Is everybody there? The faces of a video beside those of the references, matched one-to-one in every frame.

The mean counts a face that is missing as 0 and says how many were found beside it; the mean among those that were found is
another figure, never mixed with it. All views of a person are used, as the model was given them all: the most alike one counts,
and likeness to the first view is told apart from likeness to the further ones: what is copied from one picture is less alike in
the others.

Legend: F = frames, N = people with a face among the references, K = faces in a frame, D = numbers of an embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.evaluation.binding import match_one_to_one
from lumosx_core.evaluation.metrics.metric import Figure, Metric
from lumosx_core.eyes import FaceFinder, FoundFace
from lumosx_core.files.images import rgb_on_white
from lumosx_core.files.videos import spread_frames
from lumosx_core.references import Subject
from lumosx_core.sample_folder import read_sample

FRAMES = 8  # of a video, evenly spread, of a shorter one all
DIGITS = 5  # of a similarity


@dataclass(frozen=True)
class Faces(Metric):
    """The metric. finder: with embeddings; None where nothing is looked at."""

    finder: FaceFinder | None = None

    VERSION = 2
    FAULTS = frozenset({"extra faces"})

    def score(self, video: np.ndarray, sample: Path) -> dict[str, Any]:
        """What the frames show of the sample's people.

        Returns `frames`, the numbers of the scored ones; `faces`, how many are seen in each; `people`, for each who has a face
        among the references the name, how many `views` there are and in how many of them a face was `seen`, and per frame, null
        where the face is missing: `similarity` (cosine, -1..1) to the most alike view, to the `first` and to the most alike
        `further` view, and `other`, the similarity of the same face to the most alike other person. Raises InputError without
        a finder, and for one without embeddings.
        """
        subjects, views = self._asked(sample)
        assert self.finder is not None
        chosen = spread_frames(len(video), FRAMES)
        seen = [[face_embedding(f) for f in self.finder.find_faces(Image.fromarray(video[frame]))] for frame in chosen]
        rows = [match_faces(faces, views) for faces in seen]
        return {
            "frames": chosen.tolist(),
            "faces": [len(faces) for faces in seen],
            "people": [
                {
                    "name": subject.name,
                    "views": len(views[n]),
                    "seen": sum(view is not None for view in views[n]),
                    **{what: [row[n].get(what) for row in rows] for what in ("similarity", "first", "further", "other")},
                }
                for n, subject in enumerate(subjects)
            ],
        }

    def missing(self, sample: Path) -> dict[str, Any]:
        """The values of a sample that has no video: every face is missing in every frame. Raises InputError as `score`."""
        subjects, views = self._asked(sample)
        nothing = [None] * FRAMES
        people = [
            {
                "name": subject.name,
                "views": len(views[n]),
                "seen": sum(view is not None for view in views[n]),
                **{what: nothing for what in ("similarity", "first", "further", "other")},
            }
            for n, subject in enumerate(subjects)
        ]
        return {"frames": [], "faces": [0] * FRAMES, "people": people}

    def _asked(self, sample: Path) -> tuple[list[Subject], list[list[np.ndarray | None]]]:
        """The people who have a face among the references, and the embeddings of their views."""
        if self.finder is None:
            raise InputError("the metric faces needs face models; name their folder with --eyes")
        subjects = [subject for subject in read_sample(sample).references.subjects if subject.face is not None]
        views = [[reference_face(self.finder, view) for view in (s.face, *s.more_views) if view is not None] for s in subjects]
        return subjects, views

    def figures(self, values: dict[str, Any]) -> dict[str, Figure]:
        """Means over frames and people whose references show a face. Similarities below 0 count as 0."""
        people = [person for person in values["people"] if person["seen"]]
        asked = float(sum(len(person["similarity"]) for person in people))
        total, found = _sum(people, "similarity")
        first, further = _sum([p for p in people if _known(p["further"])], "first"), _sum(people, "further")
        own = sum(_more_alike(a, b) for p in people for a, b in zip(p["similarity"], p["other"], strict=True))
        faces = float(sum(values["faces"]))
        return {
            "similarity": (total, asked),
            "found": (found, asked),
            "similarity of found": (total, found),
            "most like own": (float(own), found),
            "extra faces": (faces - found, faces),
            "first view": first,
            "further views": further,
            "references": (float(len(people)), float(len(values["people"]))),
        }

    def details(self, values: dict[str, Any]) -> dict[str, Figure]:
        """The similarity by the place among the references."""
        return {
            f"person {n}": (_sum([person], "similarity")[0], float(len(person["similarity"])))
            for n, person in enumerate(values["people"], 1)
            if person["seen"]
        }

    def note(self, values: dict[str, Any]) -> str:
        """ "man: similarity 0.61, found in 7 of 8 frames; ...; 2 extra faces"."""
        told = []
        for person in values["people"]:
            total, found = _sum([person], "similarity")
            frames = len(person["similarity"])
            mean = f"similarity {total / found:.2f}, " if found else ""
            told.append(
                f"{person['name']}: {mean}found in {found:.0f} of {frames} frames"
                if person["seen"]
                else f"{person['name']}: no face in the reference"
            )
        if extra := int(self.figures(values)["extra faces"][0]):
            told.append(f"{extra} extra faces")
        return "; ".join(told)


def match_faces(faces: Sequence[np.ndarray], views: Sequence[Sequence[np.ndarray | None]]) -> list[dict[str, float]]:
    """What one frame shows of each person, nothing where their face is missing: as `Faces.score` says.

    faces: K embeddings [D] of length 1; views: of each of N people, None where the picture shows no face. Faces and people are
    matched one-to-one, so that the similarities to the most alike views are largest in sum (Hungarian method).
    """
    shown = [n for n, person in enumerate(views) if any(view is not None for view in person)]
    rows: list[dict[str, float]] = [{} for _ in views]
    if not faces or not shown:
        return rows
    alike = np.array([[max(float(face @ view) for view in views[n] if view is not None) for n in shown] for face in faces])
    for column, k in enumerate(match_one_to_one(alike)):
        if k is None:
            continue
        n = shown[column]
        rows[n] = {"similarity": _rounded(alike[k, column])}
        first, *further = (None if view is None else float(faces[k] @ view) for view in views[n])
        if first is not None:
            rows[n]["first"] = _rounded(first)
        if known := [value for value in further if value is not None]:
            rows[n]["further"] = _rounded(max(known))
        if len(shown) > 1:
            rows[n]["other"] = _rounded(float(np.delete(alike[k], column).max()))
    return rows


def reference_face(finder: FaceFinder, view: Image.Image) -> np.ndarray | None:
    """The embedding [D] of the largest face of a reference; None where none is seen. Raises InputError as `face_embedding`."""
    faces = finder.find_faces(rgb_on_white(view))
    if not faces:
        return None
    return face_embedding(max(faces, key=lambda face: (face.box[2] - face.box[0]) * (face.box[3] - face.box[1])))


def face_embedding(face: FoundFace) -> np.ndarray:
    """The embedding [D], float64. Raises InputError where the finder tells none."""
    if face.embedding is None:
        raise InputError("the face models find faces but do not tell whose they are; put a recogniser beside the detector")
    return np.asarray(face.embedding, dtype=np.float64)


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _sum(people: Sequence[dict[str, Any]], what: str) -> tuple[float, float]:
    """Sum of the similarities, below 0 as 0, and how many there are."""
    known = [value for person in people for value in _known(person[what])]
    return float(sum(min(1.0, max(0.0, value)) for value in known)), float(len(known))


def _more_alike(own: float | None, other: float | None) -> bool:
    return own is not None and (other is None or own > other)


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)
