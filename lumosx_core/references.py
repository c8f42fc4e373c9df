"""Reference pictures and what belongs to whom: one face and its attributes make a subject.

A `Sample` is a prompt and a `ReferenceSet`; on disk it is a folder (`sample_folder.py`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.files.images import rgb_on_white
from lumosx_core.numbers import real_number
from lumosx_core.word_borders import is_letter

LONGEST_PHRASE = 400  # characters; also of names
LONGEST_TAG = 100
LONGEST_PROMPT = 20_000
MAX_STRENGTH = 2.0

ReferenceKind = Literal["background", "object", "face", "attribute"]


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """A thing that belongs to one subject: clothing, glasses, a held thing.

    phrase: its words in the prompt, at most `LONGEST_PHRASE` characters; white space around them is dropped, and any inside
    is one space. image: any PIL mode, any size >= 1x1. tag: short name for `@subject.tag` in a prompt. occurrence: which
    match of the phrase is meant, from 1. strength: how much the picture counts, 0..`MAX_STRENGTH` (method.md section 15);
    1 is as published, 0 as if the video did not see it.
    """

    phrase: str
    image: Image.Image
    tag: str | None = None
    occurrence: int | None = None
    strength: float = 1.0

    def __post_init__(self) -> None:
        _check_reference(self, "an attribute")


@dataclass(frozen=True, kw_only=True)
class SceneReference:
    """An object or the background: a picture that belongs to no subject. Fields as in `Attribute`."""

    phrase: str
    image: Image.Image
    tag: str | None = None
    occurrence: int | None = None
    strength: float = 1.0

    def __post_init__(self) -> None:
        _check_reference(self, "an object or a background")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One person: a name phrase ("man"), a face, and what belongs to that person, in model order.

    The name may be empty only without a face; a name without a face settles who is who in the prompt but owns no
    tokens, since the model sees no picture of it. more_views: further pictures of the same face, which share its words.
    strength: of all pictures of the subject, with which the strength of each one is multiplied; face_strength: of the face
    and its views; both as in `Attribute`. Raises InputError if there is neither a face nor an attribute, for further views
    without a face, for two attributes with the same phrase or tag, and for strengths out of range.
    """

    name: str
    face: Image.Image | None = None
    attributes: tuple[Attribute, ...] = ()
    tag: str | None = None
    occurrence: int | None = None
    more_views: tuple[Image.Image, ...] = ()
    strength: float = 1.0
    face_strength: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", one_line(self.name, "a subject's name", LONGEST_PHRASE))
        object.__setattr__(self, "attributes", tuple(self.attributes))
        object.__setattr__(self, "more_views", tuple(self.more_views))
        what = f"subject {self.name!r}"
        if self.face is None and not self.attributes:
            raise InputError(f"{what} has neither a face nor an attribute; give it at least one picture")
        if self.face is not None:
            _check_phrase(self.name, "a subject's name")
            for picture in (self.face, *self.more_views):
                _check_image(picture, f"the face of {what}")
        elif self.more_views:
            raise InputError(f"{what} has {len(self.more_views)} further views but no face; give the first one as the face")
        _check_tag(self.tag, what)
        _check_occurrence(self.occurrence, what)
        object.__setattr__(self, "strength", checked_strength(self.strength, what))
        object.__setattr__(self, "face_strength", checked_strength(self.face_strength, f"the face of {what}"))
        _check_unique([item.phrase for item in self.attributes], f"the attribute phrases of {what}")
        _check_unique([item.tag.casefold() for item in self.attributes if item.tag], f"the attribute tags of {what}")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One picture of the token sequence, flattened out of a `ReferenceSet`. `subject` counts from 0. strength: its own times
    that of its subject."""

    kind: ReferenceKind
    subject: int | None
    phrase: str
    image: Image.Image
    tag: str | None = None
    occurrence: int | None = None
    strength: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ReferenceSet:
    """All reference pictures of one video; may be empty (text only). Raises InputError if a tag is given twice."""

    subjects: tuple[Subject, ...] = ()
    objects: tuple[SceneReference, ...] = ()
    background: SceneReference | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "subjects", tuple(self.subjects))
        object.__setattr__(self, "objects", tuple(self.objects))
        scene = (self.background,) if self.background else ()
        owners: list[Subject | SceneReference] = [*self.subjects, *self.objects, *scene]
        _check_unique([owner.tag.casefold() for owner in owners if owner.tag], "the tags of subjects, objects and scene")

    def references(self) -> tuple[Reference, ...]:
        """Every picture in model order: background, objects, then per subject the face, its other views, the attributes."""
        flat: list[Reference] = []
        if self.background is not None:
            flat.append(_flatten("background", None, self.background))
        flat += [_flatten("object", None, item) for item in self.objects]
        for number, subject in enumerate(self.subjects):
            views = () if subject.face is None else (subject.face, *subject.more_views)
            flat += [
                Reference(
                    kind="face",
                    subject=number,
                    phrase=subject.name,
                    image=view,
                    tag=subject.tag,
                    occurrence=subject.occurrence,
                    strength=subject.strength * subject.face_strength,
                )
                for view in views
            ]
            flat += [_flatten("attribute", number, item, subject.strength) for item in subject.attributes]
        return tuple(flat)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A prompt with its references. `sample_id` has no white space and no `;`."""

    prompt: str
    references: ReferenceSet
    sample_id: str | None = None

    def __post_init__(self) -> None:
        check_length(self.prompt, "the prompt", LONGEST_PROMPT)
        object.__setattr__(self, "prompt", self.prompt.strip())
        _check_phrase(self.prompt, "the prompt")
        if self.sample_id is not None and not re.fullmatch(r"[^\s;]+", self.sample_id):
            raise InputError(f"sample id {self.sample_id!r} must be non-empty, without white space and without ';'")


def prepare_reference_image(image: Image.Image, width: int, height: int) -> Image.Image:
    """The picture as the model sees it: RGB, `width` x `height` pixels, fitted and centred on white.

    Alpha is composited on white first; then it is scaled by min(width/w, height/h), bicubic,
    sides cut to whole pixels (at least 1), and pasted with the floor of half the slack (method.md section 7).
    """
    if width < 1 or height < 1:
        raise InputError(f"reference pictures are prepared for a video of {width}x{height} pixels; both must be >= 1")
    image = rgb_on_white(image)
    scale = min(width / image.width, height / image.height)
    size = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
    canvas = Image.new("RGB", (width, height), "white")
    canvas.paste(image.resize(size, Image.Resampling.BICUBIC), ((width - size[0]) // 2, (height - size[1]) // 2))
    return canvas


def prepared_pictures(references: Sequence[Reference], width: int, height: int) -> list[np.ndarray]:
    """uint8 [height, width, 3] of every reference: as the model sees it. Raises InputError as `prepare_reference_image`."""
    return [np.asarray(prepare_reference_image(reference.image, width, height)) for reference in references]


def _flatten(kind: ReferenceKind, subject: int | None, item: Attribute | SceneReference, strength: float = 1.0) -> Reference:
    return Reference(
        kind=kind,
        subject=subject,
        phrase=item.phrase,
        image=item.image,
        tag=item.tag,
        occurrence=item.occurrence,
        strength=strength * item.strength,
    )


def _check_reference(item: Attribute | SceneReference, what: str) -> None:
    object.__setattr__(item, "phrase", one_line(item.phrase, f"the phrase of {what}", LONGEST_PHRASE))
    _check_phrase(item.phrase, f"the phrase of {what}")
    _check_image(item.image, f"the picture of {item.phrase!r}")
    _check_tag(item.tag, repr(item.phrase))
    _check_occurrence(item.occurrence, repr(item.phrase))
    object.__setattr__(item, "strength", checked_strength(item.strength, repr(item.phrase)))


def one_line(text: str, what: str, longest: int) -> str:
    """The text with every white space as one space and none around it. Raises InputError if it is too long."""
    text = " ".join(text.split())
    check_length(text, what, longest)
    return text


def check_length(text: str, what: str, longest: int) -> None:
    """Raises InputError, with the beginning of the text only, if it has more characters than `longest`."""
    if len(text) > longest:
        raise InputError(f"{what} has {len(text)} characters, at most {longest} are read: {text[:60]!r}...; shorten it")


def _check_phrase(phrase: str, what: str) -> None:
    if not phrase:
        raise InputError(f"{what} is empty; give the words that stand in the prompt")
    try:
        phrase.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{what}, {phrase!r}, holds characters that are not text; rename it") from error


def _check_image(image: object, what: str) -> None:
    if not isinstance(image, Image.Image):
        raise InputError(f"{what} is a {type(image).__name__}, expected a PIL image")
    if min(image.size) < 1:
        raise InputError(f"{what} has no pixels ({image.width}x{image.height})")


def _check_tag(tag: str | None, what: str) -> None:
    if tag is None:
        return
    check_length(tag, f"the tag of {what}", LONGEST_TAG)
    if not tag or not all(map(is_letter, tag)) or tag.isdecimal():
        raise InputError(
            f"tag {tag!r} of {what} must be letters, digits and underscores with at least one letter "
            "(bare numbers mean subjects: @1, @2)"
        )


def _check_occurrence(occurrence: int | None, what: str) -> None:
    if occurrence is not None and (isinstance(occurrence, bool) or not isinstance(occurrence, int) or occurrence < 1):
        raise InputError(f"occurrence {occurrence!r} of {what} must be a whole number from 1 on")


def checked_strength(strength: float, what: str) -> float:
    """The strength of `what` as a float. Raises InputError unless it is a number from 0 to `MAX_STRENGTH`."""
    return real_number(strength, f"the strength of {what}", least=0, most=MAX_STRENGTH)


def _check_unique(names: Sequence[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name!r} stands twice among {what}; make them different")
