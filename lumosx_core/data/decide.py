"""What enters the dataset, and why not: thresholds over the numbers that the stages stored. Runs no model.

Legend: a *view* is one picture of a person, thing or scene, from one selected frame.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from lumosx_core.data.alike import Looks
from lumosx_core.data.collect_config import KeepSettings
from lumosx_core.data.records import Blob, Candidate, FramesRecord, PersonView, Relation
from lumosx_core.data.relations.reading import Span
from lumosx_core.eyes import Box
from lumosx_core.owners import OwnedPhrase
from lumosx_core.text_spans import bind_phrases
from lumosx_core.tokenizers import Tokenizer

Status = Literal["accepted", "doubtful", "contradicted", "left_out"]


@dataclass(frozen=True, kw_only=True)
class View:
    """One picture that is taken from selected frame `frame`: a mask, and for faces the box of the face."""

    frame: int
    mask: Blob
    box: Box
    score: float


@dataclass(frozen=True, kw_only=True)
class FurtherView(View):
    """A face from another shot of the same video (`data/pairs.py`): its clip, the person there, the whole frame, and the
    largest product of its embedding and one of the own views."""

    clip: str
    track: int
    picture: Blob
    likeness: float


@dataclass(frozen=True, kw_only=True)
class DecidedPhrase:
    """A phrase, whose it is, and what was decided. reasons: in words, with the numbers. occurrence: which match in the caption
    is meant, where there are several."""

    phrase: int
    text: str
    kind: str
    mention: int | None
    track: int | None
    status: Status
    reasons: tuple[str, ...]
    views: tuple[View, ...]
    occurrence: int | None = None
    relation: Relation | None = None


@dataclass(frozen=True, kw_only=True)
class DecidedPerson:
    """A mention with the person it names. faces, bodies: their views. further: faces from other shots."""

    mention: int
    track: int
    text: str
    faces: tuple[View, ...]
    bodies: tuple[View, ...]
    occurrence: int | None = None
    further: tuple[FurtherView, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What became of a clip. reason: "" for a sample that enters the dataset, else why it does not, one word; detail: more."""

    reason: str
    detail: str = ""
    people: tuple[DecidedPerson, ...] = ()
    phrases: tuple[DecidedPhrase, ...] = ()
    background: DecidedPhrase | None = None

    @property
    def accepted(self) -> tuple[DecidedPhrase, ...]:
        """The phrases that give pictures, without the background."""
        return tuple(phrase for phrase in self.phrases if phrase.status == "accepted")


def decide(
    records: dict[str, Any], keep: KeepSettings, tokenizer: Tokenizer, *, verdicts: Mapping[int, str] | None = None
) -> Decision:
    """The decision for one clip, by its records of all stages. verdicts: what somebody who looked at it said of phrases, by
    their number: "accept" or "reject", which stands above the thresholds."""
    frames, reading = records["frames"], records["reading"]
    size = (frames.width, frames.height)
    sharp = sharp_frames(frames, keep)
    said = verdicts or {}
    phrases = tuple(
        _reviewed(_decide_phrase(records, relation, keep, sharp, size), said) for relation in records["relations"].relations
    )
    scene = decide_background(records, keep)
    decision = Decision(reason="", phrases=phrases, background=None if scene is None else _reviewed(scene, said))
    if problem := _problem_of_people(records, keep, size):
        return replace(decision, reason=problem[0], detail=problem[1])
    people = []
    for index, track in enumerate(records["relations"].people):
        views = [view for view in records["people"].tracks[track] if view.frame in sharp]
        faces = tuple(_face(view) for view in views if is_face(view, keep))
        bodies = tuple(_body(view) for view in views if _is_large(view, size, keep))
        text = reading.mentions[index].span.of(reading.caption)
        if faces:
            people.append(DecidedPerson(mention=index, track=track, text=text, faces=faces, bodies=bodies))
    if not people:
        return replace(decision, reason="no_face", detail="no face is large, sure and sharp enough")
    with_face = {person.mention for person in people}
    unseen = "the face of its owner was not seen"
    phrases = tuple(p if p.mention is None or p.mention in with_face else _left_out(p, unseen) for p in phrases)
    phrases = _at_most(phrases, keep.most_attributes)
    return _bind(replace(decision, people=tuple(people), phrases=phrases), reading, keep, tokenizer)


def sharp_frames(frames: FramesRecord, keep: KeepSettings) -> set[int]:
    """The numbers of the selected frames that are sharp enough to give pictures."""
    return {number for number, frame in enumerate(frames.frames) if frame.sharpness >= keep.sharpness}


def _reviewed(phrase: DecidedPhrase, verdicts: Mapping[int, str]) -> DecidedPhrase:
    """The phrase as somebody judged it; nobody can accept what has no picture."""
    verdict = verdicts.get(phrase.phrase)
    if verdict == "reject":
        return replace(phrase, status="left_out", reasons=(*phrase.reasons, "rejected in review"))
    if verdict == "accept" and phrase.views and phrase.status != "accepted":
        return replace(phrase, status="accepted", reasons=(*phrase.reasons, "accepted in review"))
    return phrase


def _problem_of_people(records: dict[str, Any], keep: KeepSettings, size: tuple[int, int]) -> tuple[str, str] | None:
    """(reason, detail) if it cannot be told who is who; None if it can."""
    reading, found, matched = records["reading"], records["people"], records["relations"]
    most, named = max(found.seen), len(reading.mentions)
    large = [track for track in found.tracks if any(_is_large(view, size, keep) for view in track)]
    if max(most, len(large)) > keep.most_people:
        return "too_many_people", f"{max(most, len(large))} people, at most {keep.most_people}"
    if not large:
        return "people_too_small", f"nobody is {keep.least_box} pixels high"
    if min(found.likeness) < keep.likeness:
        return "ambiguous_tracks", f"a person was followed with {min(found.likeness):.2f} only"
    if not named:
        return "nobody_named", "the caption names nobody"
    if any(mention.count > 1 for mention in reading.mentions):
        return "group_named", "the caption names several people at once"
    if None in matched.people:
        return "more_named_than_seen", f"{named} people are named, {len(found.tracks)} were seen"
    if matched.margin < keep.margin:
        return "ambiguous_names", f"names fit other people nearly as well (margin {matched.margin:.2f})"
    return None


def near_duplicates(clips: Sequence[tuple[str, tuple[str, ...]]], alike: int, first: frozenset[str]) -> dict[str, str]:
    """Clip -> the clip that it repeats. clips: (id, looks of its frames); those in `first` (in the dataset already) go before
    others, then ids decide. Two clips are alike if every frame of one has a frame of the other that looks the same."""
    result: dict[str, str] = {}
    kept: list[str] = []
    seen = Looks(alike)
    showing: dict[str, list[int]] = {}  # the kept clips with this hash, in order
    for clip, looks in sorted(clips, key=lambda c: (c[0] not in first, c[0])):
        alike_to_each = [{number for near in seen.near(look) for number in showing[near]} for look in set(looks)]
        repeated = set.intersection(*alike_to_each)
        if repeated:
            result[clip] = kept[min(repeated)]
            continue
        for look in set(looks):
            seen.add(look)
            showing.setdefault(look, []).append(len(kept))
        kept.append(clip)
    return result


def _decide_phrase(
    records: dict[str, Any], relation: Relation, keep: KeepSettings, sharp: set[int], size: tuple[int, int]
) -> DecidedPhrase:
    reading = records["reading"]
    phrase = reading.phrases[relation.phrase]
    evidence = relation.evidence
    against: list[str] = []
    doubts: list[str] = []
    if evidence.own < keep.found:
        doubts.append(f"found with {evidence.own:.2f} only, {keep.found:.2f} wanted")
    if relation.track is not None:
        if evidence.others > evidence.own:
            against.append(f"somebody else fits better ({evidence.others:.2f} against {evidence.own:.2f})")
        elif evidence.own - evidence.others < keep.ahead and not (evidence.colour is not None and evidence.colour < -10):
            doubts.append(f"somebody else fits nearly as well ({evidence.others:.2f} against {evidence.own:.2f})")
        if evidence.inside < keep.inside:
            doubts.append(f"only {evidence.inside:.0%} of it lie on its owner")
        if evidence.colour is not None and evidence.colour > keep.colour:
            against.append(f"its colour word fits somebody else's better (by {evidence.colour:.0f} in CIELAB)")
    views = tuple(
        _thing(candidate)
        for candidate in records["grounding"].candidates
        if candidate.phrase == relation.phrase
        and candidate.track == relation.track
        and candidate.frame in sharp
        and candidate.pixels >= keep.least_thing * size[0] * size[1]
    )
    if not views:
        doubts.append("no picture of it is large and sharp enough")
    status: Status = "contradicted" if against else "doubtful" if doubts else "accepted"
    return DecidedPhrase(
        phrase=relation.phrase,
        text=phrase.span.of(reading.caption),
        kind=phrase.kind,
        mention=phrase.owner,
        track=relation.track,
        status=status,
        reasons=tuple(against + doubts),
        views=views,
        relation=relation,
    )


def decide_background(records: dict[str, Any], keep: KeepSettings) -> DecidedPhrase | None:
    """The background of a clip; None where its caption names no place."""
    reading, scene = records["reading"], records["background"]
    named = [number for number, phrase in enumerate(reading.phrases) if phrase.kind == "background"]
    if not named:
        return None
    doubts = []
    if not scene.picture:
        doubts.append("there is no picture of it")
    if scene.left:
        doubts.append(f"{scene.left} people are still in it")
    most = keep.painted if scene.painted else keep.invented
    if scene.invented > most:
        doubts.append(f"{scene.invented:.0%} of it were invented, at most {most:.0%} are taken")
    view = View(frame=scene.frame, mask=scene.picture, box=(0.0, 0.0, 0.0, 0.0), score=1.0)
    return DecidedPhrase(
        phrase=named[0],
        text=reading.phrases[named[0]].span.of(reading.caption),
        kind="background",
        mention=None,
        track=None,
        status="doubtful" if doubts else "accepted",
        reasons=tuple(doubts),
        views=(view,) if scene.picture else (),
    )


def _bind(decision: Decision, reading: Any, keep: KeepSettings, tokenizer: Tokenizer) -> Decision:
    """The binding gate: every name and phrase must own exactly its words, else the clip is no sample."""
    scene = [decision.background] if decision.background is not None and decision.background.status == "accepted" else []
    things: list[DecidedPhrase | DecidedPerson] = [*scene, *(p for p in decision.accepted if p.kind == "object")]
    for person in decision.people:
        things += [person, *(p for p in decision.accepted if p.mention == person.mention)]
    spans = [_span_of(thing, reading) for thing in things]
    counts = Counter(thing.text for thing in things)
    occurrences: list[int | None] = [None] * len(things)
    owned: list[OwnedPhrase] = []
    for index, (thing, span) in enumerate(zip(things, spans, strict=True)):
        found = bind_phrases(
            reading.caption, [_owned(thing, decision, None)], tokenizer, text_len=keep.text_len, on_problem="ignore"
        )
        places = found.char_spans[0]
        covering = [n for n, place in enumerate(places, 1) if place[0] <= span.start and span.end <= place[1]]
        if not covering:
            return replace(decision, reason="unbound_words", detail=f"{thing.text!r} has no tokens of its own in the caption")
        if len(places) > 1 or counts[thing.text] > 1:
            occurrences[index] = covering[0]
        owned.append(_owned(thing, decision, occurrences[index]))
    bound = bind_phrases(reading.caption, owned, tokenizer, text_len=keep.text_len, on_problem="ignore")
    if errors := [problem.message for problem in bound.problems if problem.is_error]:
        return replace(decision, reason="unbound_words", detail="; ".join(errors)[:400])
    given = dict(zip(map(id, things), occurrences, strict=True))
    return replace(
        decision,
        people=tuple(replace(person, occurrence=given[id(person)]) for person in decision.people),
        phrases=tuple(replace(p, occurrence=given.get(id(p))) for p in decision.phrases),
        background=replace(scene[0], occurrence=given[id(scene[0])]) if scene else decision.background,
    )


def _owned(thing: DecidedPhrase | DecidedPerson, decision: Decision, occurrence: int | None) -> OwnedPhrase:
    numbers = {person.mention: n for n, person in enumerate(decision.people)}
    if isinstance(thing, DecidedPerson):
        subject: int | None = numbers[thing.mention]
        owner, kind = f"subject {numbers[thing.mention] + 1}", "face"
    elif thing.mention is not None:
        subject = numbers[thing.mention]
        owner, kind = f"subject {numbers[thing.mention] + 1}", "attribute"
    else:
        subject = None
        owner, kind = (f"object {thing.phrase}", "object") if thing.kind == "object" else ("background", "background")
    return OwnedPhrase(kind=kind, subject=subject, owner=owner, phrase=thing.text, occurrence=occurrence)  # type: ignore[arg-type]


def _span_of(thing: DecidedPhrase | DecidedPerson, reading: Any) -> Span:
    return reading.mentions[thing.mention].span if isinstance(thing, DecidedPerson) else reading.phrases[thing.phrase].span


def _at_most(phrases: tuple[DecidedPhrase, ...], most: int) -> tuple[DecidedPhrase, ...]:
    """Of every person the surest attributes stay accepted."""
    taken: Counter[int] = Counter()
    result = {}
    for phrase in sorted(phrases, key=lambda p: -(p.relation.evidence.own if p.relation else 0.0)):
        if phrase.status == "accepted" and phrase.mention is not None:
            taken[phrase.mention] += 1
            if taken[phrase.mention] > most:
                phrase = _left_out(phrase, f"{most} attributes of its owner are surer")
        result[phrase.phrase] = phrase
    return tuple(result[number] for number in sorted(result))


def _left_out(phrase: DecidedPhrase, why: str) -> DecidedPhrase:
    return replace(phrase, status="left_out", reasons=(*phrase.reasons, why)) if phrase.status == "accepted" else phrase


def _is_large(view: PersonView, size: tuple[int, int], keep: KeepSettings) -> bool:
    width, height = view.box[2] - view.box[0], view.box[3] - view.box[1]
    area = width * height / (size[0] * size[1])
    return height >= max(keep.least_box, keep.least_person * size[1]) and area <= keep.most_person


def is_face(view: PersonView, keep: KeepSettings) -> bool:
    """Whether a person shows a face that is large and sure enough."""
    if view.face is None:
        return False
    side = max(view.face[2] - view.face[0], view.face[3] - view.face[1])
    return side >= keep.least_face and view.face_score >= keep.face_score


def _face(view: PersonView) -> View:
    assert view.face is not None
    return View(frame=view.frame, mask=view.mask, box=view.face, score=view.face_score)


def _body(view: PersonView) -> View:
    return View(frame=view.frame, mask=view.mask, box=view.box, score=view.score)


def _thing(candidate: Candidate) -> View:
    return View(frame=candidate.frame, mask=candidate.mask, box=candidate.box, score=candidate.score)
