"""The cases of the puppet suites: held-out people in held-out clothes; does everyone come out wearing their own things?

`puppet_cases`, two people with two things each: half of the cases are *described* ("a man wearing a red striped shirt"), half
are *plain*: the same words for everyone ("a person wearing a shirt and a hat"), so that only the grouping of the references
tells whose is what. The plain cases are run once more with the attributes exchanged between the two people (*shuffled*: same
words, same noise): a model that binds by relation follows.

`puppet_suite_cases`, one to four people with one to three things each, in three wordings: *told* (the words tell person and
clothes), *clothes* (they tell the clothes but everyone has the same name) and *same* (the same words for everybody).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from lumosx_core.numbers import seed_number, whole_number
from lumosx_core.puppets.clip import ClipSpec, sample_clip
from lumosx_core.puppets.pictures import puppet_sample
from lumosx_core.puppets.samples import write_truth
from lumosx_core.puppets.scorer import told_apart
from lumosx_core.puppets.spec import AttributeSpec, PuppetSpec, sample_attribute
from lumosx_core.references import Sample
from lumosx_core.sample_folder import write_sample

Wording = Literal["told", "clothes", "same"]
WORDINGS: tuple[Wording, ...] = get_args(Wording)
FRAMES = 17
MOST_CASES = 100_000
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
            yield shuffled_case(case)


def shuffled_case(case: PuppetCase) -> PuppetCase:
    """The case with the attributes of its two people exchanged; words and noise stay."""
    first, second = case.clip.puppets
    puppets = (replace(first, attributes=second.attributes), replace(second, attributes=first.attributes))
    left, right = case.sample.references.subjects
    subjects = (replace(left, attributes=right.attributes), replace(right, attributes=left.attributes))
    references = replace(case.sample.references, subjects=subjects)
    return replace(
        case,
        group="shuffled",
        clip=replace(case.clip, puppets=puppets),
        sample=replace(case.sample, references=references),
    )


def puppet_suite_cases(people: int, things: int, count: int, seed: int) -> Iterator[PuppetCase]:
    """`count` cases of held-out people in held-out things, the wordings in turn. Pure function of its arguments.

    people: 1 to 4, four on a wider frame; things: of each, 1 to 3. Raises InputError for others.
    """
    people, things = whole_number(people, "people", least=1, most=4), whole_number(things, "things", least=1, most=3)
    count, seed = whole_number(count, "count", least=1, most=MOST_CASES), seed_number(seed)
    for index in range(count):
        rng = np.random.default_rng((seed, people, things, index, 19))
        wording = WORDINGS[index % len(WORDINGS)]
        clip = sample_clip(
            rng,
            people=people,
            attributes=things,
            described=wording != "same",
            shared_names=wording == "clothes",
            held_out=True,
            frames=FRAMES,
        )
        sample = puppet_sample(rng, clip)
        noise = int(rng.integers(1 << 31))
        yield PuppetCase(index=index, group=wording, clip=clip, sample=sample, seed=noise)


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
