"""Who there is in a set of references, and which words each one says.

An owner is the background, an object, or a subject with everything that belongs to it.
"""

from dataclasses import dataclass
from typing import Literal

from lumosx_core.references import Attribute, ReferenceKind, ReferenceSet, SceneReference, Subject

OwnerKind = Literal["background", "object", "subject"]


@dataclass(frozen=True, kw_only=True)
class Owner:
    """One owner. number: among those of its kind, from 0. members: the indices of its pictures in `ReferenceSet.references()`.
    name: what a subject is called in the prompt, "" for others."""

    kind: OwnerKind
    number: int
    members: tuple[int, ...]
    name: str = ""

    def __str__(self) -> str:
        return "background" if self.kind == "background" else f"{self.kind} {self.number + 1}"

    @property
    def title(self) -> str:
        """ "Background", "Object 1", "Subject 2: woman": for showing."""
        return self.heading + self.name

    @property
    def heading(self) -> str:
        """The title without the name."""
        return str(self).capitalize() + (": " if self.name else "")


def owners(references: ReferenceSet) -> tuple[Owner, ...]:
    """All owners in model order: background, objects, subjects."""
    found: list[Owner] = []
    objects = 0
    flat = references.references()
    for index, reference in enumerate(flat):
        if reference.kind == "background":
            found.append(Owner(kind="background", number=0, members=(index,)))
        elif reference.kind == "object":
            found.append(Owner(kind="object", number=objects, members=(index,)))
            objects += 1
    for number, subject in enumerate(references.subjects):
        members = tuple(index for index, reference in enumerate(flat) if reference.subject == number)
        found.append(Owner(kind="subject", number=number, members=members, name=subject.name))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class OwnedPhrase:
    """A phrase and who owns it, in model order; `kind` "face" is a subject's name, also of a subject without a face.

    owner: "background", "object 1", "subject 1", ...: whoever the words count for. pictures: how many share the phrase: the
    views of a face; 0 for the name of a subject without a face, which owns no tokens. strength: as in `Reference`.
    """

    kind: ReferenceKind
    owner: str
    subject: int | None
    phrase: str
    tag: str | None = None
    occurrence: int | None = None
    pictures: int = 1
    strength: float = 1.0

    @property
    def has_picture(self) -> bool:
        """Whether the phrase owns tokens."""
        return self.pictures > 0

    def __str__(self) -> str:
        part = {"face": "name of ", "attribute": "attribute of "}.get(self.kind, "")
        return f"{self.phrase!r} ({part}{self.owner})"


def owned_phrases(references: ReferenceSet) -> tuple[OwnedPhrase, ...]:
    """The phrases of `references.references()` in the same order, the views of a face as one, and the names of subjects
    without a face."""
    phrases: list[OwnedPhrase] = []
    for owner in owners(references):
        if owner.kind == "subject":
            subject = references.subjects[owner.number]
            views = 0 if subject.face is None else 1 + len(subject.more_views)
            phrases.append(
                _phrase(owner, "face", subject.name, subject, views, strength=subject.face_strength * subject.strength)
            )
            phrases += [
                _phrase(owner, "attribute", item.phrase, item, strength=item.strength * subject.strength)
                for item in subject.attributes
            ]
        else:
            item = references.background if owner.kind == "background" else references.objects[owner.number]
            assert item is not None
            phrases.append(_phrase(owner, owner.kind, item.phrase, item, strength=item.strength))
    return tuple(phrases)


def _phrase(
    owner: Owner,
    kind: ReferenceKind,
    words: str,
    item: Subject | Attribute | SceneReference,
    pictures: int = 1,
    *,
    strength: float,
) -> OwnedPhrase:
    return OwnedPhrase(
        kind=kind,
        owner=str(owner),
        subject=owner.number if owner.kind == "subject" else None,
        phrase=words,
        tag=item.tag,
        occurrence=item.occurrence,
        pictures=pictures,
        strength=strength,
    )
