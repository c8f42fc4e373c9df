"""A subject out of photographs: one person of a picture, the face, and the things that were asked for by words.

Things are looked for inside that person's box only, so that nobody gets the neighbour's jacket. What was found how surely, and
what was not, is told in words; the pictures are as `lumosx_core/sample_folder.py` writes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from lumosx_core.detection import faces
from lumosx_core.detection.boxes import inside_picture, show, square_around
from lumosx_core.detection.cut_outs import CutOutOptions, before_wall, cut_out, on_white
from lumosx_core.detection.things import free_all
from lumosx_core.errors import InputError, quoted
from lumosx_core.eyes import Box, FaceFinder, Found, Mark, PeopleFinder, PhraseFinder, Segmenter
from lumosx_core.files.images import rgb_on_white
from lumosx_core.numbers import real_number, whole_number
from lumosx_core.references import LONGEST_PHRASE, Attribute, Subject, one_line

SAME = 0.8  # intersection over union of two masks that show one thing
FACE_MARGIN = 0.3  # of the face's longer side, as the model was trained
WALL = (225, 225, 225)  # behind a head that is cut out: neither the scene nor the clothes may be taken for the face
NEARLY = 0.5  # a place that is so much as sure as the surest may show the thing better
MOST_PHRASES = 32
DOUBTFUL = 0.3  # a single phrase that is found less surely is marked, too


@dataclass(frozen=True, kw_only=True)
class Eyes:
    """The finders that are used, each for its part; one object may be several of them."""

    people: PeopleFinder
    faces: FaceFinder
    phrases: PhraseFinder
    masks: Segmenter

    def free(self) -> None:
        """Let go of the models of those that hold some; they are loaded again when they are needed."""
        free_all(self.people, self.faces, self.phrases, self.masks)


@dataclass(frozen=True, kw_only=True)
class Which:
    """Which person of a photograph is meant: "largest", number `index` from 1 on "left to right", or the one "at point" (x, y
    in pixels). Raises InputError on construction for anything else."""

    choice: str = "largest"
    index: int = 1
    point: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.choice not in faces.CHOICES:
            raise InputError(f"the choice is {quoted(self.choice)}, expected one of {', '.join(faces.CHOICES)}")
        whole_number(self.index, "the number of the person", least=1, most=10_000)
        for value in self.point:
            real_number(value, "a number of the point", least=-1e6, most=1e6)


@dataclass(frozen=True, kw_only=True, eq=False)
class SeenPerson:
    """The person in one photograph: all people's boxes, the person's own, the face's (None: not seen); where the finder knows
    them the head's mask bool [H, W] and the box that pictures of a face show."""

    picture: Image.Image = field(repr=False)
    people: tuple[Box, ...]
    person: Box
    face: Box | None
    head: np.ndarray | None = field(default=None, repr=False)
    whole: Box | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class SeenPhrase:
    """What became of one phrase. found: the place in photograph `view` (from 0), or None; reason: why there is none."""

    phrase: str
    found: Found | None = None
    view: int = 0
    reason: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class FoundSubject:
    """A subject and how it came about. least_sure: the phrase that was found least surely; None of fewer than two, unless it is
    below `DOUBTFUL`."""

    subject: Subject
    views: tuple[SeenPerson, ...]
    phrases: tuple[SeenPhrase, ...]
    least_sure: str | None
    text: str

    @property
    def missing(self) -> tuple[str, ...]:
        """The phrases that were not found."""
        return tuple(seen.phrase for seen in self.phrases if seen.found is None)

    def marks(self, number: int) -> list[Mark]:
        """What to show in photograph `number` (from 0): other people, the person, the face, the things."""
        view = self.views[number]
        marks: list[Mark] = [(box, "", "quiet") for box in view.people if box != view.person]
        marks.append((view.person, self.subject.name, "plain"))
        if view.face is not None:
            marks.append((view.face, "face", "plain"))
        for seen in self.phrases:
            if seen.found is not None and seen.view == number:
                marks.append((seen.found.box, seen.phrase, "doubtful" if seen.phrase == self.least_sure else "plain"))
        return marks


def find_subject(
    pictures: Sequence[Image.Image],
    name: str,
    phrases: Sequence[str],
    eyes: Eyes,
    *,
    which: Which | None = None,
    options: CutOutOptions | None = None,
    face_margin: float = FACE_MARGIN,
) -> FoundSubject:
    """One person of a photograph, or of several photographs of that person, with the things of these phrases.

    name: the words for the person in the prompt. phrases: "red jacket", "round glasses", ... Of several photographs every
    visible face becomes a view, and each thing is taken from where it is seen largest of those where it is found about as
    surely; from the second photograph on the person is the one whose face is most like the first, where the finder tells faces
    apart. Where a finder knows the mask of a head, that alone is shown, before a plain wall. Where it knows how pictures of a
    face or a thing are framed (`Found.whole`), they are framed so, otherwise by `face_margin` and the margin of `options`.
    Raises InputError without photographs or a name, if a photograph shows nobody or not the person asked for, if neither a face
    nor a thing was found, and whatever the finders raise.
    """
    if not pictures:
        raise InputError("there is no photograph; give at least one")
    name = one_line(name, "the name", LONGEST_PHRASE)
    if not name:
        raise InputError("the name is empty; give the words that stand for the person in the prompt, such as man")
    wanted = [one_line(phrase, "a phrase to look for", LONGEST_PHRASE) for phrase in phrases]
    wanted = list(dict.fromkeys(phrase for phrase in wanted if phrase))
    if len(wanted) > MOST_PHRASES:
        raise InputError(f"got {len(wanted)} phrases, at most {MOST_PHRASES} are looked for; give those that matter")
    which, options = which or Which(), options or CutOutOptions()
    flat = [rgb_on_white(picture) for picture in pictures]
    views: list[SeenPerson] = []
    lines: list[str] = []
    embedding: np.ndarray | None = None
    for number, picture in enumerate(flat, start=1):
        seen, found_embedding, line = _person(picture, eyes, which, embedding, number)
        embedding = found_embedding if embedding is None else embedding
        views.append(seen)
        lines.append(line if len(flat) == 1 else f"photograph {number}: {line}")
    told = _without_twins([_look_for(phrase, views, eyes) for phrase in wanted], eyes, views)
    crops = [_face_picture(view, view.face, face_margin) for view in views if view.face is not None]
    attributes = []
    for seen_phrase in told:
        found = seen_phrase.found
        if found is not None and found.mask is not None:
            cut = cut_out(views[seen_phrase.view].picture, found.mask, options, frame=found.whole)
            attributes.append(Attribute(phrase=seen_phrase.phrase, image=on_white(cut)))
    if not crops and not attributes:
        raise InputError(
            f"{'; '.join(lines)}; but neither a face nor any of the things was found; use a photograph that shows the person "
            "larger and from the front"
        )
    scores = {seen.phrase: seen.found.score for seen in told if seen.found is not None}
    least_sure = min(scores, key=lambda phrase: scores[phrase], default=None)
    if least_sure is not None and len(scores) == 1 and scores[least_sure] >= DOUBTFUL:
        least_sure = None
    lines += [_tell(seen, seen.phrase == least_sure, len(views)) for seen in told]
    subject = Subject(name=name, face=crops[0] if crops else None, more_views=tuple(crops[1:]), attributes=tuple(attributes))
    return FoundSubject(subject=subject, views=tuple(views), phrases=tuple(told), least_sure=least_sure, text="\n".join(lines))


def _person(
    picture: Image.Image, eyes: Eyes, which: Which, embedding: np.ndarray | None, number: int
) -> tuple[SeenPerson, np.ndarray | None, str]:
    """The person in one photograph, the embedding of the face, and a line of text."""
    people = [found.box for found in eyes.people.find_people(picture)]
    if not people:
        raise InputError(
            f"photograph {number} shows nobody that was recognised as a person; use one that shows the person larger, or crop "
            "a face and cut the things out by hand"
        )
    seen_faces = list(eyes.faces.find_faces(picture))
    # A face belongs to the smallest box that holds its middle: people stand in front of each other.
    owners = [_owner(people, face.box) for face in seen_faces]
    alike = {
        owner: float(face.embedding @ embedding)
        for owner, face in zip(owners, seen_faces, strict=True)
        if owner is not None and embedding is not None and face.embedding is not None
    }
    how = which.choice
    if alike:
        chosen = people[max(alike, key=lambda owner: alike[owner])]
        how = "left to right"
    else:
        chosen = faces.choose(people, which.choice, index=which.index, point=which.point, what="person")
    own = [face for face, owner in zip(seen_faces, owners, strict=True) if owner is not None and people[owner] == chosen]
    face = max(own, key=lambda face: face.score, default=None)
    line = faces.tell(people, chosen, how, "person")
    line += f"; face {show(face.box)}, sure {face.score:.2f}" if face else "; no face found there"
    seen = SeenPerson(
        picture=picture,
        people=tuple(people),
        person=chosen,
        face=face.box if face else None,
        head=face.mask if face else None,
        whole=face.whole if face else None,
    )
    return seen, face.embedding if face else None, line


def _face_picture(view: SeenPerson, face: Box, margin: float) -> Image.Image:
    """The face as the finder frames it, or with `margin` times its longer side around it, square where the picture is large
    enough; before a plain wall where the head's mask is known."""
    square = view.whole or square_around(inside_picture(face, view.picture), view.picture, margin)
    if view.head is None or not view.head.any():
        return view.picture.crop(tuple(round(side) for side in square))  # type: ignore[arg-type]
    return before_wall(view.picture, view.head, square, WALL)


def _owner(people: Sequence[Box], face: Box) -> int | None:
    x, y = (face[0] + face[2]) / 2, (face[1] + face[3]) / 2
    holders = [i for i, box in enumerate(people) if box[0] <= x < box[2] and box[1] <= y < box[3]]
    # The head is near the top of its own box, and in the middle of it.
    return min(holders, key=lambda i: abs((people[i][0] + people[i][2]) / 2 - x) + abs(people[i][1] - face[1]), default=None)


def _look_for(phrase: str, views: Sequence[SeenPerson], eyes: Eyes) -> SeenPhrase:
    seen = [
        (number, found)
        for number, view in enumerate(views)
        for found in eyes.phrases.find_phrase(view.picture, phrase, view.person)[:1]
    ]
    if not seen:
        return SeenPhrase(phrase=phrase, reason="nothing of that kind in the person's box")
    surest = max(found.score for _, found in seen)
    # Nothing hides a thing where it is large; but a wrong place may be larger than the thing.
    number, found = max(
        (each for each in seen if each[1].score >= NEARLY * surest),
        key=lambda each: (_share(each[1], views[each[0]]), each[1].score),
    )
    return SeenPhrase(phrase=phrase, found=found, view=number)


def _share(found: Found, view: SeenPerson) -> float:
    """How much of the person's box the thing, or its box, covers."""
    left, top, right, bottom = found.box
    size = (right - left) * (bottom - top) if found.mask is None else float(found.mask.sum())
    return size / max(1.0, (view.person[2] - view.person[0]) * (view.person[3] - view.person[1]))


def _without_twins(seen: list[SeenPhrase], eyes: Eyes, views: Sequence[SeenPerson]) -> list[SeenPhrase]:
    """The phrases with their masks; of two that found the same pixels the surer one keeps them."""
    kept: list[tuple[SeenPhrase, np.ndarray]] = []
    settled: dict[str, SeenPhrase] = {s.phrase: s for s in seen}
    for phrase in sorted((s for s in seen if s.found is not None), key=lambda s: -s.found.score if s.found else 0.0):
        assert phrase.found is not None
        mask = np.asarray(eyes.masks.segment(views[phrase.view].picture, phrase.found), dtype=bool)
        twin = next((k.phrase for k, other in kept if k.view == phrase.view and _iou(mask, other) > SAME), None)
        if twin is not None or not mask.any():
            reason = f"it would show the same as {quoted(twin)}" if twin else "nothing of it is visible"
            settled[phrase.phrase] = SeenPhrase(phrase=phrase.phrase, reason=reason)
        else:
            settled[phrase.phrase] = replace(phrase, found=replace(phrase.found, mask=mask))
            kept.append((phrase, mask))
    return [settled[s.phrase] for s in seen]


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def _tell(seen: SeenPhrase, least_sure: bool, views: int) -> str:
    if seen.found is None:
        return f"{seen.phrase}: NOT FOUND, {seen.reason}; give a cut-out of it, other words, or another photograph"
    where = f" in photograph {seen.view + 1}" if views > 1 else ""
    reason = "doubtful" if seen.found.score < DOUBTFUL else "the least sure one"
    mark = f" - {reason}, look at it" if least_sure else ""
    return f"{seen.phrase}: found{where} at {show(seen.found.box)}, sure {seen.found.score:.2f}{mark}"
