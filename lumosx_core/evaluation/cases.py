"""The cases of the puppet benchmark: held-out people in held-out clothes; does everyone come out wearing their own things?

Half of the cases are *described* ("a man wearing a red striped shirt"), half are *plain*: the same words for everyone ("a
person wearing a shirt and a hat"), so that only the grouping of the references tells whose is what. The plain cases are run
once more with the attributes exchanged between the two people (*shuffled*: same words, same noise): a model that binds by
relation follows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from lumosx_core.puppets.clip import ClipSpec, sample_clip
from lumosx_core.puppets.pictures import puppet_sample
from lumosx_core.references import Sample

HALVES = ("described", "plain", "shuffled")


@dataclass(frozen=True, kw_only=True)
class PuppetCase:
    """One case: what should be seen, and the sample that asks for it. `half` is one of HALVES, or of another benchmark's."""

    index: int
    half: str
    clip: ClipSpec
    sample: Sample
    seed: int  # of the noise

    @property
    def name(self) -> str:
        """Unique within a run, e.g. "plain-0007"."""
        return f"{self.half}-{self.index:04d}"


def puppet_cases(count: int, seed: int) -> Iterator[PuppetCase]:
    """`count` cases, alternately described and plain, and the shuffled twin of every plain one. Pure function of the seed."""
    for index in range(count):
        rng = np.random.default_rng((seed, index, 91))
        plain = index % 2 == 1
        clip = sample_clip(rng, people=2, attributes=2, described=not plain, held_out=True, frames=17)
        sample = puppet_sample(rng, clip)
        noise = int(rng.integers(1 << 31))
        yield PuppetCase(index=index, half="plain" if plain else "described", clip=clip, sample=sample, seed=noise)
        if plain:
            yield shuffled_case(PuppetCase(index=index, half="plain", clip=clip, sample=sample, seed=noise))


def shuffled_case(case: PuppetCase) -> PuppetCase:
    """The case with the attributes of its two people exchanged; words and noise stay."""
    first, second = case.clip.puppets
    puppets = (replace(first, attributes=second.attributes), replace(second, attributes=first.attributes))
    left, right = case.sample.references.subjects
    subjects = (replace(left, attributes=right.attributes), replace(right, attributes=left.attributes))
    references = replace(case.sample.references, subjects=subjects)
    return replace(
        case,
        half="shuffled",
        clip=replace(case.clip, puppets=puppets),
        sample=replace(case.sample, references=references),
    )
