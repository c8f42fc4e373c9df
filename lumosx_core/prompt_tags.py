"""Tags in a prompt: `@anna`, `@anna.hat`, `@room` stand for the phrase of exactly one owner.

- `@anna` is the subject, object or background with that tag; `@1`, `@2` are the subjects in order, always; an object or
  the background without a tag goes by its phrase, in lower case and with `_` between words (`@red_ball`), where nothing
  else has that name.
- `@anna.hat` is that subject's attribute with the tag "hat", or else the one whose phrase is "hat" or ends in the word.
- `@@` is a plain @; an @ inside a word (`a@b.com`) or before white space is left alone. Case does not count.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from lumosx_core.references import ReferenceKind, ReferenceSet

_TAG = re.compile(r"@@|(?<!\w)@(\w+)(?:\.(\w+))?")


@dataclass(frozen=True, kw_only=True)
class OwnedPhrase:
    """A phrase and who owns it, in model order; `kind` "face" is a subject's name, also of a subject without a face.

    owner: "background", "object 1", "subject 1", ...: whoever the words count for. pictures: how many share the phrase: the
    views of a face; 0 for the name of a subject without a face, which owns no tokens.
    """

    kind: ReferenceKind
    owner: str
    subject: int | None
    phrase: str
    tag: str | None
    occurrence: int | None
    pictures: int = 1

    @property
    def has_picture(self) -> bool:
        """Whether the phrase owns tokens."""
        return self.pictures > 0

    def __str__(self) -> str:
        part = {"face": "name of ", "attribute": "attribute of "}.get(self.kind, "")
        return f"{self.phrase!r} ({part}{self.owner})"


@dataclass(frozen=True, kw_only=True)
class TaggedPrompt:
    """A prompt with its tags replaced. `places`: index of the owned phrase -> its character ranges in `text`."""

    text: str
    places: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


def owned_phrases(references: ReferenceSet) -> tuple[OwnedPhrase, ...]:
    """The phrases of `references.references()` in the same order, the views of a face as one, and the names of subjects
    without a face."""
    phrases: list[OwnedPhrase] = []
    seen_objects, seen_subject = 0, -1
    for reference in references.references():
        pictures = 1
        if reference.subject is None:
            seen_objects += reference.kind == "object"
            owner = "background" if reference.kind == "background" else f"object {seen_objects}"
        else:
            owner = f"subject {reference.subject + 1}"
            subject = references.subjects[reference.subject]
            if reference.kind == "face" and reference.subject == seen_subject:
                continue  # a further view
            if subject.face is None and reference.subject != seen_subject:
                phrases.append(
                    OwnedPhrase(
                        kind="face",
                        owner=owner,
                        subject=reference.subject,
                        phrase=subject.name,
                        tag=subject.tag,
                        occurrence=subject.occurrence,
                        pictures=0,
                    )
                )
            seen_subject = reference.subject
            pictures += len(subject.more_views) if reference.kind == "face" else 0
        phrases.append(
            OwnedPhrase(
                kind=reference.kind,
                owner=owner,
                subject=reference.subject,
                phrase=reference.phrase,
                tag=reference.tag,
                occurrence=reference.occurrence,
                pictures=pictures,
            )
        )
    return tuple(phrases)


def replace_tags(prompt: str, phrases: Sequence[OwnedPhrase]) -> TaggedPrompt:
    """Puts the phrases where the tags are; a tag that names nobody, or two, is left as text and told in `unknown`."""
    text, last = "", 0
    places: dict[int, list[tuple[int, int]]] = {}
    unknown: list[str] = []
    for match in _TAG.finditer(prompt):
        text += prompt[last : match.start()]
        last = match.end()
        if match[0] == "@@":
            text += "@"
            continue
        found = _find(match[1], match[2], phrases)
        if isinstance(found, str):
            unknown.append(f"{match[0]} {found}")
            text += match[0]
        else:
            places.setdefault(found, []).append((len(text), len(text) + len(phrases[found].phrase)))
            text += phrases[found].phrase
    return TaggedPrompt(text=text + prompt[last:], places=places, unknown=tuple(unknown))


def known_tags(phrases: Sequence[OwnedPhrase]) -> list[str]:
    """Every tag that a prompt may use, for messages."""
    tags = {f"@{name}": index for name, index in _owners(phrases).items()}
    for name, index in list(tags.items()):
        for part in phrases:
            if phrases[index].kind == "face" and part.kind == "attribute" and part.owner == phrases[index].owner:
                tags[f"{name}.{part.tag or slug(part.phrase)}"] = index
    return sorted(tags)


def slug(phrase: str) -> str:
    """ "Red ball" -> "red_ball"."""
    return "_".join(re.findall(r"\w+", phrase)).casefold()


def _owners(phrases: Sequence[OwnedPhrase]) -> dict[str, int]:
    """Tag -> index of a subject's name, an object or the background."""
    owners: dict[str, int] = {}
    scene: dict[str, list[int]] = {}
    for index, phrase in enumerate(phrases):
        if phrase.kind == "attribute":
            continue
        if phrase.subject is None and not phrase.tag:
            scene.setdefault(slug(phrase.phrase), []).append(index)
        if phrase.subject is not None:
            owners[str(phrase.subject + 1)] = index
        if phrase.tag:
            owners[phrase.tag.casefold()] = index
    alone = {name: indices[0] for name, indices in scene.items() if len(indices) == 1 and name}
    return {**alone, **owners}


def _find(name: str, part: str | None, phrases: Sequence[OwnedPhrase]) -> int | str:
    """The index of the phrase that a tag means, or what is wrong with the tag."""
    index = _owners(phrases).get(name.casefold())
    if index is None:
        return "names nobody"
    if part is None:
        return index if phrases[index].phrase else "is a subject without a name"
    part = part.casefold()
    own = [other for other, phrase in enumerate(phrases) if phrase.kind == "attribute" and phrase.owner == phrases[index].owner]
    by_tag = [other for other in own if (phrases[other].tag or "").casefold() == part]
    by_phrase = [other for other in own if slug(phrases[other].phrase) == part]
    by_ending = [other for other in own if slug(phrases[other].phrase).endswith(f"_{part}")]
    found = by_tag or by_phrase or by_ending
    if len(found) != 1:
        return (
            f"names no attribute of {phrases[index].owner}"
            if not found
            else (f"could be {' or '.join(repr(phrases[other].phrase) for other in found)}")
        )
    return found[0]
