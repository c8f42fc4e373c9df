"""What a case asks for, and the references of other cases that it is told from.

A distractor is a face or a thing of another case of the suite: whoever wears something that is more like one of eight
strangers' jackets than the own one does not wear the own one. Of twice as many the
less alike ones are taken, so that none stands for the own one by chance. Which they are is decided by the names of the cases
alone: every machine compares with the same.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.references import ReferenceSet, Sample
from lumosx_core.sample_folder import read_sample

DISTRACTORS = 8
CANDIDATES = 2 * DISTRACTORS
NOBODYS = -1


@dataclass(frozen=True, kw_only=True)
class Noun:
    """The words to look for a thing by, and its kind: things of one kind are worn in one place."""

    words: str
    kind: str


NounOf = Callable[[str], Noun | None]


@dataclass(frozen=True, kw_only=True)
class AskedThing:
    """A thing that is asked for: whose (from 0, or NOBODYS: an object), its phrase, its noun (None: it has none), its
    picture."""

    owner: int
    phrase: str
    noun: Noun | None
    picture: Image.Image


@dataclass(frozen=True)
class Place:
    """A reference picture of a suite: of a case, a person (from 0), and one of their things; None: the face."""

    case: str
    subject: int
    attribute: int | None = None


def asked_things(sample: Sample, noun_of: NounOf) -> list[AskedThing]:
    """The things of all people, in their order."""
    return [
        AskedThing(owner=n, phrase=item.phrase, noun=noun_of(item.phrase), picture=item.image)
        for n, subject in enumerate(sample.references.subjects)
        for item in subject.attributes
    ]


def asked_objects(sample: Sample, noun_of: NounOf) -> list[AskedThing]:
    """The objects, which are nobody's."""
    return [
        AskedThing(owner=NOBODYS, phrase=item.phrase, noun=noun_of(item.phrase), picture=item.image)
        for item in sample.references.objects
    ]


def less_alike(own: np.ndarray, candidates: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Those DISTRACTORS of the candidates [D] that are less like the own one [D] than the others, fewer where there are no
    more."""
    order = np.argsort([float(own @ other) for other in candidates], kind="stable")
    return [candidates[n] for n in order[:DISTRACTORS]]


class OtherCases:
    """The references of all cases of a suite. folder: holds <case>/sample; names: of all cases; noun_of: of a phrase."""

    def __init__(self, folder: Path, names: Sequence[str], noun_of: NounOf) -> None:
        self.folder, self.names, self.noun_of = folder, tuple(names), noun_of
        self._places: dict[str, list[tuple[Place, Noun | None]]] = {}

    def faces(self, case: str) -> Iterator[Place]:
        """The faces of other cases, in an order that only the name of the case decides. Raises InputError as `things`."""
        for name in self._ordered(case):
            yield from (place for place, _ in self._of(name) if place.attribute is None)

    def things(self, case: str, kind: str) -> list[Place]:
        """CANDIDATES things of other cases, those of the kind first; fewer where there are no more. Raises InputError if a
        case of the suite is not there, or cannot be read."""
        same: list[Place] = []
        different: list[Place] = []
        for name in self._ordered(case):
            for place, noun in self._of(name):
                if noun is not None:
                    (same if noun.kind == kind else different).append(place)
            if len(same) >= CANDIDATES:
                break
        return (same + different)[:CANDIDATES]

    def picture(self, place: Place) -> Image.Image:
        """The picture there. Raises InputError if it cannot be read."""
        subject = self._references(place.case).subjects[place.subject]
        picture = subject.face if place.attribute is None else subject.attributes[place.attribute].image
        assert picture is not None
        return picture

    def _ordered(self, case: str) -> list[str]:
        seed = int.from_bytes(hashlib.sha256(case.encode()).digest()[:8], "big")
        others = [name for name in self.names if name != case]
        return [others[n] for n in np.random.default_rng(seed).permutation(len(others))]

    def _of(self, name: str) -> list[tuple[Place, Noun | None]]:
        if name not in self._places:
            found: list[tuple[Place, Noun | None]] = []
            for n, subject in enumerate(self._references(name).subjects):
                if subject.face is not None:
                    found.append((Place(name, n), None))
                for k, attribute in enumerate(subject.attributes):
                    found.append((Place(name, n, k), self.noun_of(attribute.phrase)))
            self._places[name] = found
        return self._places[name]

    def _references(self, name: str) -> ReferenceSet:
        sample = self.folder / name / "sample"
        if not sample.is_dir():
            raise InputError(
                f"binding compares with the references of other cases, and {sample} is not there; generate every case, or put "
                "the cases of all shares into one folder, before it is scored"
            )
        return read_sample(sample).references
