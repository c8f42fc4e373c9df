"""Strengths given beside a sample, as on the command line: how much a picture or a person counts (method.md section 15)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from lumosx_core.errors import InputError, quoted
from lumosx_core.owners import OwnedPhrase, owned_phrases
from lumosx_core.prompt_tags import known_tags, replace_tags
from lumosx_core.references import (
    LONGEST_PHRASE,
    Attribute,
    ReferenceSet,
    SceneReference,
    Subject,
    checked_strength,
    one_line,
)

Item = TypeVar("Item", Subject, Attribute, SceneReference)


def with_strengths(references: ReferenceSet, strengths: Sequence[tuple[str, float]]) -> ReferenceSet:
    """The references with these strengths instead of their own.

    strengths: (words, 0 to 2). The words are a phrase of the sample, or a tag as in prompts (`@anna`, `@2`, `@anna.hat`); a
    person's name or tag means all pictures of that person, beside what each has of its own. A phrase that several have means
    all of them. Raises InputError for words that name nothing of the sample, and for strengths out of range.
    """
    phrases = owned_phrases(references)
    new: dict[int, float] = {}
    for words, strength in strengths:
        number = checked_strength(strength, quoted(words))
        new |= dict.fromkeys(_meant(words, phrases), number)
    own = iter(range(len(phrases)))  # in the order of `owned_phrases`: background, objects, then each name and attributes

    def changed(item: Item) -> Item:
        number = next(own)
        return replace(item, strength=new[number]) if number in new else item

    background = None if references.background is None else changed(references.background)
    objects = tuple(changed(item) for item in references.objects)
    subjects = []
    for subject in references.subjects:
        person = changed(subject)
        subjects.append(replace(person, attributes=tuple(changed(item) for item in person.attributes)))
    return ReferenceSet(subjects=tuple(subjects), objects=objects, background=background)


def _meant(words: str, phrases: Sequence[OwnedPhrase]) -> list[int]:
    """The indices of the phrases that the words mean."""
    line = one_line(words, "the words before a strength", LONGEST_PHRASE)
    if line.startswith("@"):
        tagged = replace_tags(line, phrases)
        found = [index for index in tagged.places if tagged.text == phrases[index].phrase]
    else:
        found = [index for index, phrase in enumerate(phrases) if phrase.phrase.casefold() == line.casefold() and line]
    if not found:
        there = [*dict.fromkeys(quoted(phrase.phrase) for phrase in phrases if phrase.phrase), *known_tags(phrases)]
        raise InputError(
            f"the strength of {quoted(words)} names nothing of the sample; give one of {', '.join(there) or 'its references'}"
        )
    return found
