"""The cases of the puppet suites: held-out people in held-out clothes; does everyone come out wearing their own things?

`puppet_cases`, two people with two things each: half of the cases are *described* ("a man wearing a red striped shirt"), half
are *plain*: the same words for everyone ("a person wearing a shirt and a hat"), so that only the grouping of the references
tells whose is what. The plain cases are run once more with the attributes exchanged between the two people (*shuffled*: same
words, same noise): a model that binds by relation follows.

`puppet_suite_cases`, one to four people with one to three things each, in three wordings: *told* (the words tell person and
clothes), *clothes* (they tell the clothes but everyone has the same name) and *same* (the same words for everybody). A case may
be followed by twins with the same words and the same noise: its pictures in another *order* or *mirrored*, which should change
nothing, or the things *exchanged* between the people, which a model that binds follows.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError, quoted
from lumosx_core.numbers import seed_number, whole_number
from lumosx_core.puppets.clip import ClipSpec, sample_clip
from lumosx_core.puppets.pictures import puppet_sample
from lumosx_core.puppets.samples import write_truth
from lumosx_core.puppets.scorer import told_apart
from lumosx_core.puppets.spec import AttributeSpec, PuppetSpec, sample_attribute
from lumosx_core.references import Sample, Subject
from lumosx_core.sample_folder import write_sample

Wording = Literal["told", "clothes", "same"]
WORDINGS: tuple[Wording, ...] = get_args(Wording)
Twin = Literal["order", "mirrored", "exchanged"]
TWINS: tuple[Twin, ...] = get_args(Twin)
FRAMES = 17
MOST_CASES, MOST_FRAMES = 100_000, 81
MOST_LOOKS = 200  # that are drawn to find one that is told apart; where hardly anything shows there is none


@dataclass(frozen=True, kw_only=True)
class PuppetCase:
    """One case: what should be seen, and the sample that asks for it. group: the part of its suite that it belongs to."""

    index: int
    group: str
    clip: ClipSpec
    sample: Sample
    seed: int  # of the noise

    @property
    def name(self) -> str:
        """Unique within a suite, e.g. "plain-0007"."""
        return f"{self.group}-{self.index:04d}"

    def write(self, folder: Path) -> None:
        """Write the sample folder with the truth about its puppets."""
        write_sample(folder, self.sample)
        write_truth(folder, self.clip.puppets)


def puppet_cases(count: int, seed: int) -> Iterator[PuppetCase]:
    """`count` cases, alternately described and plain, and the shuffled twin of every plain one. Pure function of the seed."""
    for index in range(count):
        rng = np.random.default_rng((seed, index, 91))
        plain = index % 2 == 1
        clip = sample_clip(rng, people=2, attributes=2, described=not plain, held_out=True, frames=FRAMES)
        sample = puppet_sample(rng, clip)
        noise = int(rng.integers(1 << 31))
        case = PuppetCase(index=index, group="plain" if plain else "described", clip=clip, sample=sample, seed=noise)
        yield case
        if plain:
            yield exchanged_case(case, "shuffled")


def exchanged_case(case: PuppetCase, group: str) -> PuppetCase:
    """The case with everybody in the things of the next person; words and noise stay."""
    subjects = case.sample.references.subjects
    worn = [subject.attributes for subject in subjects]
    moved = tuple(replace(s, attributes=own) for s, own in zip(subjects, worn[1:] + worn[:1], strict=True))
    return _with_subjects(case, group, moved, with_exchanged_things(case.clip))


def _with_subjects(case: PuppetCase, group: str, subjects: tuple[Subject, ...], clip: ClipSpec) -> PuppetCase:
    references = replace(case.sample.references, subjects=subjects)
    return replace(case, group=group, clip=clip, sample=replace(case.sample, references=references))


def puppet_suite_cases(
    people: int,
    things: int,
    count: int,
    seed: int,
    *,
    frames: int = FRAMES,
    same_clothes: bool = False,
    twins: Sequence[Twin] = (),
) -> Iterator[PuppetCase]:
    """`count` cases of held-out people in held-out things, the wordings in turn. Pure function of its arguments.

    people: 1 to 4, four on a wider frame; things: of each, 1 to 3. frames: of the videos, 4n + 1. same_clothes: everybody wears
    the same kinds of things in other colours, whatever the words. twins: what follows each case that has such a twin
    (`twin_of`), with its group's name behind that of the case; one that is named twice counts once. Raises InputError for
    others.
    """
    people, things = whole_number(people, "people", least=1, most=4), whole_number(things, "things", least=1, most=3)
    count, seed = whole_number(count, "count", least=1, most=MOST_CASES), seed_number(seed)
    frames = whole_number(frames, "frames", least=1, most=MOST_FRAMES)
    if strange := [name for name in twins if name not in TWINS]:
        raise InputError(f"the twin is {quoted(str(strange[0]))}, expected one of {', '.join(TWINS)}")
    for index in range(count):
        rng = np.random.default_rng((seed, people, things, index, 19))
        wording = WORDINGS[index % len(WORDINGS)]
        clip = sample_clip(
            rng,
            people=people,
            attributes=things,
            described=wording != "same",
            shared_names=wording == "clothes",
            same_clothes=same_clothes,
            held_out=True,
            frames=frames,
        )
        sample = puppet_sample(rng, clip)
        noise = int(rng.integers(1 << 31))
        case = PuppetCase(index=index, group=wording, clip=clip, sample=sample, seed=noise)
        yield case
        yield from (twin for name in dict.fromkeys(twins) if (twin := twin_of(case, name)) is not None)


def twin_of(case: PuppetCase, name: Twin) -> PuppetCase | None:
    """The case once more with other pictures, words and noise as they are; None where there is no such one.

    order: people, and the things of each, are given from the last to the first, and keep their words (the truth stays as it is,
    and so does what the scorer says of a video); mirrored: every picture; exchanged: everybody has the things of the next
    person, where the words are the same for all.
    """
    subjects, clip, group = case.sample.references.subjects, case.clip, f"{case.group}-{name}"
    if name == "mirrored":
        return _with_subjects(case, group, tuple(map(_mirrored, subjects)), clip)
    if name == "exchanged":
        return exchanged_case(case, group) if len(subjects) > 1 and case.group == "same" else None
    if len(subjects) == 1 and len(subjects[0].attributes) == 1:
        return None
    turned = tuple(replace(s, attributes=s.attributes[::-1]) for s in _with_own_words(subjects)[::-1])
    return _with_subjects(case, group, turned, clip)


def _with_own_words(subjects: tuple[Subject, ...]) -> tuple[Subject, ...]:
    """The subjects with the occurrence of every name and phrase that several of them have: else the first one in the list gets
    the first place in the prompt, and another order gives people each other's words."""
    shared = Counter(words for s in subjects for words in (s.name, *(a.phrase for a in s.attributes)))
    seen: Counter[str] = Counter()

    def occurrence(words: str) -> int | None:
        seen[words] += 1
        return seen[words] if shared[words] > 1 else None

    return tuple(
        replace(
            subject,
            occurrence=occurrence(subject.name),
            attributes=tuple(replace(a, occurrence=occurrence(a.phrase)) for a in subject.attributes),
        )
        for subject in subjects
    )


def _mirrored(subject: Subject) -> Subject:
    worn = tuple(replace(attribute, image=_flipped(attribute.image)) for attribute in subject.attributes)
    return replace(subject, attributes=worn, face=subject.face and _flipped(subject.face))


def _flipped(picture: Image.Image) -> Image.Image:
    """Left and right exchanged."""
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def with_exchanged_things(clip: ClipSpec) -> ClipSpec:
    """The clip with everybody in the things of the next person: what must not count as bound.

    One person alone has nobody to exchange with and wears things of the same kinds in other looks instead, which one tells
    apart at a glance. Pure function of the clip.
    """
    if len(clip.puppets) == 1:
        alone = clip.puppets[0]
        rng = np.random.default_rng(clip.scene_seed)
        return replace(clip, puppets=(replace(alone, attributes=tuple(_other_look(rng, alone, a) for a in alone.attributes)),))
    worn = [puppet.attributes for puppet in clip.puppets]
    moved = worn[1:] + worn[:1]
    return replace(clip, puppets=tuple(replace(p, attributes=own) for p, own in zip(clip.puppets, moved, strict=True)))


def _other_look(rng: np.random.Generator, alone: PuppetSpec, own: AttributeSpec) -> AttributeSpec:
    """A held-out look of that kind in another colour that is told apart from the own one."""
    for _ in range(MOST_LOOKS):
        other = sample_attribute(rng, own.kind, held_out=True)
        if other.colour != own.colour and told_apart(alone, other):
            break
    return other
