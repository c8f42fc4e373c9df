"""Which words of the prompt each reference owns (method: LumosX arXiv 2603.20192, our method.md section 6).

A place is where a phrase stands in the prompt as whole words (`word_borders.py`): "bag" does not stand in "baguette", and
a Chinese phrase stands anywhere among Chinese letters. It owns the tokens that cover it. No token has two owners. The rules,
in the order they apply:
1. A tag (`prompt_tags.py`) gives exactly its place to the tagged phrase. That phrase owns nothing else, and no other
   phrase, not even of the same owner, gets a place that shares a token with it.
2. Longer phrases (by letters; else in the order of the references) go first. A place that shares a token with the place
   of another owner is taken: neither "man" nor "hat" of anybody else is free inside "man in a hat" of subject 2. An
   owner's own phrases may share words ("man" and "man bag" of subject 1).
3. `occurrence` names one place of the phrase, counted from 1 over all of them, free or not, after tags were replaced. If it
   is not there or taken, the phrase owns nothing.
4. Else a phrase with one owner owns every free place (the published rule). A phrase of k owners without occurrence ("man"
   and "man") needs k free places that do not overlap: subjects take them in their order; other counts are a problem.
5. First only places count that have the phrase's own token ids. Where those are too few (for the owners of rule 4, or for the
   largest occurrence), places count that have the same letters in other tokens ("(man)"), then those that look alike (a
   non-breaking hyphen), then another case, then the English plural, until there are enough; this is noted. A place
   that is spelled as another phrase is, is not found in these ways.
6. Places beyond what the model reads are dropped: a note, and a problem for an owner that is left without any.
What cannot be given is a problem; nothing is given instead.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lumosx_core.errors import InputError
from lumosx_core.owners import OwnedPhrase, owned_phrases
from lumosx_core.prompt_tags import known_tags, replace_tags
from lumosx_core.references import LONGEST_PROMPT, ReferenceKind, ReferenceSet, check_length
from lumosx_core.tokenized_prompt import SPELLINGS, Match, Span, TokenizedPrompt, shortened
from lumosx_core.tokenizers import Tokenizer, settled_text
from lumosx_core.word_borders import Place, fold

log = logging.getLogger(__name__)

ProblemKind = Literal[
    "unknown_tag",
    "not_found",
    "too_few",
    "too_many",
    "inside_other",
    "claimed_twice",
    "no_such_occurrence",
    "beyond_text_len",
    "partly_beyond",
    "matched_by_letters",
    "several",
]
NOTES = ("partly_beyond", "matched_by_letters", "several")  # reported, never an error
_TOLD = 20  # problems in one message
_SPELLED = {
    "other_tokens": "as other tokens",
    "look_alike": "in other characters that look alike",
    "other_case": "in another case",
    "plural": "in the plural",
}


@dataclass(frozen=True, kw_only=True)
class BoundReference:
    """One reference picture and the prompt tokens its phrase owns: spans in prompt order, end exclusive. strength: how much
    the picture counts (method.md section 15), its own times that of its subject."""

    kind: ReferenceKind
    subject: int | None
    phrase: str
    token_spans: tuple[Span, ...] = ()
    strength: float = 1.0

    def __post_init__(self) -> None:
        spans = tuple((int(start), int(end)) for start, end in self.token_spans)
        if any(start < 0 or end < start for start, end in spans):
            raise InputError(f"token spans of {self.phrase!r} are {spans}; expected (start, end) with 0 <= start <= end")
        object.__setattr__(self, "token_spans", spans)


@dataclass(frozen=True, kw_only=True)
class SpanProblem:
    """A doubt about who owns which words. `owner` is "subject 1", "object 2", "background", or "" for the prompt."""

    kind: ProblemKind
    owner: str
    phrase: str
    message: str

    @property
    def is_error(self) -> bool:
        """Whether it changes what the user asked for; else it is only worth knowing."""
        return self.kind not in NOTES


@dataclass(frozen=True, kw_only=True)
class BoundPrompt:
    """The prompt as the model reads it (cleaned, tags replaced), its tokens, and what each reference owns in it.

    references: one record per picture, in the order of `ReferenceSet.references()`. char_spans: the same spans as
    character ranges of `prompt`, for showing.
    """

    prompt: str
    token_ids: tuple[int, ...]
    references: tuple[BoundReference, ...]
    problems: tuple[SpanProblem, ...] = ()
    char_spans: tuple[tuple[Span, ...], ...] = ()


def bind_prompt(
    prompt: str,
    references: ReferenceSet,
    tokenizer: Tokenizer,
    *,
    text_len: int | None = None,
    on_problem: Literal["error", "warn", "ignore"] = "error",
) -> BoundPrompt:
    """Finds the tokens each reference owns; the rules are on top of this file.

    text_len: the model's text length with its end token; no span goes beyond it. on_problem: "error" raises InputError with
    every problem that is one; "warn" logs them and leaves doubtful spans empty or in prompt order; "ignore" only returns
    them in `problems`. Raises InputError for a prompt of more than `LONGEST_PROMPT` characters, also after tags are replaced.
    """
    return bind_phrases(prompt, owned_phrases(references), tokenizer, text_len=text_len, on_problem=on_problem)


def bind_phrases(
    prompt: str,
    phrases: Sequence[OwnedPhrase],
    tokenizer: Tokenizer,
    *,
    text_len: int | None = None,
    on_problem: Literal["error", "warn", "ignore"] = "error",
) -> BoundPrompt:
    """`bind_prompt` for phrases without their pictures; the result's `references` are one for each of their pictures."""
    check_length(prompt, "the prompt", LONGEST_PROMPT)
    settled = tuple(
        replace(phrase, phrase=settled_text(phrase.phrase), tag=phrase.tag and settled_text(phrase.tag)) for phrase in phrases
    )
    tagged = replace_tags(settled_text(prompt), settled)
    check_length(tagged.text, "the prompt with its tags replaced", LONGEST_PROMPT)
    if settled_text(tagged.text) != tagged.text:
        raise InputError(f"the prompt changes its meaning when its tags are replaced; write it out: {shortened(tagged.text)!r}")
    binding = _Binding(TokenizedPrompt(tagged.text, tokenizer), settled, suggest=on_problem != "ignore")
    for tag in tagged.unknown[:_TOLD]:
        known = shortened(", ".join(known_tags(settled)) or "none")
        binding.report("unknown_tag", None, f"the tag {shortened(tag)}; known tags: {known}; write @@ for a plain @")
    binding.settle_tags(tagged.places)
    binding.settle_matches()
    if text_len is not None:
        binding.drop_beyond(text_len - 1)  # the end token takes the last place
    shown = [(phrase, own) for phrase, own in zip(phrases, binding.spans, strict=True) for _ in range(phrase.pictures)]
    bound = BoundPrompt(
        prompt=tagged.text,
        token_ids=tuple(binding.prompt.token_ids),
        references=tuple(
            BoundReference(
                kind=phrase.kind,
                subject=phrase.subject,
                phrase=phrase.phrase,
                token_spans=tuple(own),
                strength=phrase.strength,
            )
            for phrase, own in shown
        ),
        problems=tuple(binding.problems),
        char_spans=tuple(tuple(map(binding.prompt.char_range, own)) for _, own in shown),
    )
    _tell(bound, on_problem)
    return bound


class _Binding:
    """The state of one `bind_prompt`: spans per owned phrase, and which phrase holds each token, filled rule by rule."""

    def __init__(self, prompt: TokenizedPrompt, phrases: Sequence[OwnedPhrase], *, suggest: bool) -> None:
        self.prompt, self.phrases, self.suggest = prompt, phrases, suggest
        self.spans: list[list[Span]] = [[] for _ in phrases]
        self.holders: list[int | None] = [None] * len(prompt.token_ids)
        self.tagged: set[int] = set()
        self.problems: list[SpanProblem] = []

    def report(self, kind: ProblemKind, phrase: OwnedPhrase | None, message: str) -> None:
        owner, words = (phrase.owner, phrase.phrase) if phrase else ("", "")
        self.problems.append(SpanProblem(kind=kind, owner=owner, phrase=words, message=message))

    def give(self, index: int, spans: list[Span]) -> None:
        self.spans[index] = spans
        for span in spans:
            self.holders[slice(*span)] = [index if held is None else held for held in self.holders[slice(*span)]]

    def in_the_way(self, span: Span, owner: str | None) -> list[int]:
        """The phrases that hold a token of a span and do not share it with the owner (None: with nobody)."""
        holders = dict.fromkeys(index for index in self.holders[slice(*span)] if index is not None)
        return [index for index in holders if index in self.tagged or self.phrases[index].owner != owner]

    def settle_tags(self, places: dict[int, list[Place]]) -> None:
        self.tagged = set(places)
        for index, ranges in places.items():
            spans = [self.prompt.token_range(place) for place in ranges]
            taken = [span for span in spans if any(other != index for other in self.in_the_way(span, None))]
            if taken:
                phrase = self.phrases[index]
                self.report(
                    "claimed_twice",
                    phrase,
                    f"{phrase} shares a token with another tag; put a space or other words between: {self.prompt.mark(taken)}",
                )
            self.give(index, [span for span in spans if span not in taken and span != (0, 0)])

    def settle_matches(self) -> None:
        groups: dict[str, list[int]] = {}
        for index, phrase in enumerate(self.phrases):
            if index not in self.tagged and (phrase.phrase or phrase.has_picture):
                groups.setdefault(fold(phrase.phrase), []).append(index)
        for spelling, members in sorted(groups.items(), key=lambda group: -len(group[0])):
            self.settle_group(members, groups.keys() - {spelling})

    def settle_group(self, members: list[int], others: set[str]) -> None:
        """Shares the places of one phrase among the untagged phrases that are spelled so; others: how the other ones are."""
        owners = list(dict.fromkeys(self.phrases[index].owner for index in members))
        matches = self.find(members, owners, others)
        if not matches:
            self.report_missing(members)
            return
        share, failed = self.settle_occurrences(members, matches)
        waiting = [owner for owner in owners if owner not in share and owner not in failed]
        free = self.free(matches, owners)
        if len(owners) == 1 and waiting:
            share[owners[0]] = free
            self.report_single(members, free, matches)
        elif waiting:
            share |= {owner: [span] for owner, span in zip(waiting, free, strict=False)}
            self.report_shared(members, waiting, free, matches, failed)
        for index in members:
            if self.phrases[index].occurrence is None:
                self.give(index, share.get(self.phrases[index].owner, []))
        self.report_spelling(members, matches)

    def find(self, members: list[int], owners: list[str], others: set[str]) -> list[Match]:
        """The places of a phrase, in as few kinds of spelling as give enough of them (rule 5)."""
        found = [
            match
            for match in self.prompt.matches([self.phrases[index].phrase for index in members])
            if match.spelling in SPELLINGS[:2] or fold(self.prompt.text[slice(*match.place)]) not in others
        ]
        largest = max(self.phrases[index].occurrence or 0 for index in members)
        matches: list[Match] = []
        for count in range(1, len(SPELLINGS) + 1):
            matches = [match for match in found if match.spelling in SPELLINGS[:count]]
            if len(matches) >= largest and len(self.free(matches, owners)) >= len(owners):
                break
        return matches

    def free(self, matches: list[Match], owners: list[str]) -> list[Span]:
        """The spans that nobody else holds; for several owners also without those that overlap one before them."""
        alone = owners[0] if len(owners) == 1 else None
        spans: list[Span] = []
        for match in matches:
            overlaps = alone is None and spans and match.span[0] < spans[-1][1]
            if not overlaps and not self.in_the_way(match.span, alone):
                spans.append(match.span)
        return spans

    def settle_occurrences(self, members: list[int], matches: list[Match]) -> tuple[dict[str, list[Span]], set[str]]:
        """The place of every owner that names its occurrence, and the owners that name one in vain."""
        share: dict[str, list[Span]] = {}
        failed: set[str] = set()
        for index in members:
            phrase = self.phrases[index]
            if phrase.occurrence is None:
                continue
            shown = self.prompt.mark(match.span for match in matches)
            asks = f"{phrase} asks for occurrence {phrase.occurrence}"
            if phrase.occurrence > len(matches):
                self.report("no_such_occurrence", phrase, f"{asks}, but there are {len(matches)}: {shown}")
                failed.add(phrase.owner)
                continue
            span = matches[phrase.occurrence - 1].span
            if self.in_the_way(span, phrase.owner):
                text = (
                    f"{asks}, which another owner has by tag, by occurrence or in a longer phrase; give it another one: {shown}"
                )
                self.report("claimed_twice", phrase, text)
                failed.add(phrase.owner)
                continue
            self.give(index, [span])
            share.setdefault(phrase.owner, [span])
        return share, failed

    def report_missing(self, members: list[int]) -> None:
        near = self.prompt.nearest(self.phrases[members[0]].phrase) if self.suggest else []
        hint = f"; nearest phrases in it: {', '.join(map(repr, near))}" if near else ""
        for phrase in (self.phrases[index] for index in members):
            if phrase.has_picture:
                text = f"{phrase} is not in the prompt{hint}; use the same words in both, or put a tag in the prompt"
                self.report("not_found", phrase, text)

    def report_single(self, members: list[int], free: list[Span], matches: list[Match]) -> None:
        phrase = next((self.phrases[index] for index in members if self.phrases[index].has_picture), None)
        if phrase is None:
            return
        shown = self.prompt.mark(free or [match.span for match in matches])
        if len(free) > 1:
            text = f"{phrase} owns all its {len(free)} places; give an occurrence or a tag if only one is meant: {shown}"
            self.report("several", phrase, text)
        if free:
            return
        blocking = dict.fromkeys(index for match in matches for index in self.in_the_way(match.span, phrase.owner))
        others = [self.phrases[index] for index in blocking if index not in self.tagged]
        if others:
            part = all(fold(phrase.phrase) in fold(other.phrase) for other in others)
            how = "is only a part of" if part else "shares a token of the model with"
            names = shortened(", ".join(map(str, others)))
            text = f"{phrase} {how} {names}; give it words of its own: {shown}"
            self.report("inside_other", phrase, text)
        else:
            text = f"{phrase}: every place in the prompt is tagged as another's; add a place for it: {shown}"
            self.report("too_few", phrase, text)

    def report_shared(
        self, members: list[int], waiting: list[str], free: list[Span], matches: list[Match], failed: set[str]
    ) -> None:
        if len(waiting) == len(free) or (failed and len(free) > len(waiting)):
            return
        kind: ProblemKind = "too_few" if len(free) < len(waiting) else "too_many"
        phrase = next(self.phrases[index] for index in members if self.phrases[index].owner in waiting)
        self.report(
            kind,
            phrase,
            f"{phrase.phrase!r} is meant by {len(waiting)} owners ({shortened(', '.join(waiting))}), but "
            f"{len(free)} of its places are free for them; give an occurrence or put a tag in the prompt: "
            f"{self.prompt.mark(match.span for match in matches)}",
        )

    def report_spelling(self, members: list[int], matches: list[Match]) -> None:
        """Notes the given places that are spelled otherwise."""
        given = {span for index in members for span in self.spans[index]}
        for spelling, how in _SPELLED.items():
            found = [match.span for match in matches if match.spelling == spelling and match.span in given]
            if found:
                phrase = self.phrases[members[0]]
                only = "" if any(match.spelling == "as_given" for match in matches) else "only "
                text = f"{phrase} is in the prompt {only}{how}; it owns the tokens that cover it: {self.prompt.mark(found)}"
                self.report("matched_by_letters", phrase, text)

    def drop_beyond(self, last: int) -> None:
        for index, phrase in enumerate(self.phrases):
            kept = [span for span in self.spans[index] if span[1] <= last]
            beyond = len(self.spans[index]) - len(kept)
            self.spans[index] = kept
            if phrase.has_picture and beyond:
                where = f"the {last} tokens that the model reads (the prompt has {len(self.holders)})"
                if kept:
                    self.report("partly_beyond", phrase, f"{beyond} places of {phrase} are left out, beyond {where}")
                else:
                    self.report("beyond_text_len", phrase, f"{phrase} stands beyond {where}; shorten the prompt")


def _tell(bound: BoundPrompt, on_problem: str) -> None:
    errors = [problem.message for problem in bound.problems if problem.is_error]
    if on_problem == "error" and errors:
        more = [f"and {len(errors) - _TOLD} more problems"] if len(errors) > _TOLD else []
        last = f"so the prompt does not settle who owns which words: {shortened(bound.prompt)!r}"
        raise InputError("\n".join([*errors[:_TOLD], *more, last]))
    if on_problem != "ignore":
        for problem in bound.problems:
            log.log(logging.INFO if problem.kind == "several" else logging.WARNING, problem.message)
