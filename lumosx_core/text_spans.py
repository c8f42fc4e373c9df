"""Which words of the prompt each reference owns, by token ids (method: LumosX arXiv 2603.20192, our method.md section 6).

The rules, in the order they apply:
1. A tag (`prompt_tags.py`) owns exactly its places; the tagged phrase owns nothing else, and nobody else gets the places.
2. Longer phrases go first. A match strictly inside a longer phrase of another owner belongs to the longer phrase:
   "man" of subject 1 does not own the start of "man in a hat" of subject 2.
3. A phrase with one owner owns every match (the published rule), or the one its `occurrence` names. `occurrence` counts
   all matches in the prompt from 1, after tags were replaced.
4. A phrase with k owners ("man" and "man") needs k matches: those with an `occurrence` take theirs, the others take the
   remaining matches in prompt order, subjects in their order. Other counts are a problem to be settled by the user.
5. A phrase without a match is a problem. If its letters are in the prompt but fall into other tokens ("(man)"), or in
   another case, it owns the tokens that cover them, and this is reported too.
"""

import difflib
import logging
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lumosx_core.errors import InputError
from lumosx_core.prompt_tags import OwnedPhrase, known_tags, owned_phrases, replace_tags
from lumosx_core.references import ReferenceKind, ReferenceSet
from lumosx_core.tokenizers import Tokenizer, clean_text

log = logging.getLogger(__name__)

Span = tuple[int, int]
ProblemKind = Literal[
    "unknown_tag",
    "not_found",
    "too_few",
    "too_many",
    "inside_other",
    "claimed_twice",
    "no_such_occurrence",
    "beyond_text_len",
    "matched_by_letters",
    "several",
]
NOTES = ("matched_by_letters", "several")  # reported, never an error


@dataclass(frozen=True, kw_only=True)
class BoundReference:
    """One reference picture and the prompt tokens its phrase owns: spans in prompt order, end exclusive."""

    kind: ReferenceKind
    subject: int | None
    phrase: str
    token_spans: tuple[Span, ...] = ()

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

    text_len: the model's text length with its end token; words beyond it are a problem. on_problem: "error" raises
    InputError with every problem that is one; "warn" logs them and leaves doubtful spans empty or in prompt order;
    "ignore" only returns them in `problems`.
    """
    phrases = tuple(replace(phrase, phrase=_settled(phrase.phrase)) for phrase in owned_phrases(references))
    tagged = replace_tags(_settled(prompt), phrases)
    if _settled(tagged.text) != tagged.text:
        raise InputError(f"the prompt changes its meaning when its tags are replaced: {tagged.text!r}; write it out")
    binding = _Binding(tagged.text, tokenizer, phrases, suggest=on_problem != "ignore")
    for tag in tagged.unknown:
        hint = f"known tags: {', '.join(known_tags(phrases)) or 'none'}; write @@ for a plain @"
        binding.report("unknown_tag", None, f"the tag {tag}; {hint}")
    binding.settle_tags(tagged.places)
    binding.settle_matches()
    if text_len is not None:
        binding.report_beyond(text_len - 1)  # the end token takes the last place
    flat = references.references()
    spans = [binding.spans[index] for index, phrase in enumerate(phrases) for _ in range(phrase.pictures)]
    bound = BoundPrompt(
        prompt=tagged.text,
        token_ids=tuple(binding.token_ids),
        references=tuple(
            BoundReference(kind=item.kind, subject=item.subject, phrase=item.phrase, token_spans=tuple(own))
            for item, own in zip(flat, spans, strict=True)
        ),
        problems=tuple(binding.problems),
        char_spans=tuple(tuple(binding.char_range(span) for span in own) for own in spans),
    )
    _tell(bound, on_problem)
    return bound


class _Binding:
    """The state of one `bind_prompt`: spans per owned phrase, filled rule by rule."""

    def __init__(self, text: str, tokenizer: Tokenizer, phrases: Sequence[OwnedPhrase], *, suggest: bool) -> None:
        self.text, self.tokenizer, self.phrases, self.suggest = text, tokenizer, phrases, suggest
        self.pieces = tokenizer.pieces(text)
        self.token_ids = [piece[0] for piece in self.pieces]
        self.spans: list[list[Span]] = [[] for _ in phrases]
        self.tagged: set[int] = set()
        self.problems: list[SpanProblem] = []

    def report(self, kind: ProblemKind, phrase: OwnedPhrase | None, message: str) -> None:
        owner, words = (phrase.owner, phrase.phrase) if phrase else ("", "")
        self.problems.append(SpanProblem(kind=kind, owner=owner, phrase=words, message=message))

    def settle_tags(self, places: dict[int, list[Span]]) -> None:
        for index, ranges in places.items():
            self.tagged.add(index)
            self.spans[index] = [self.token_range(place) for place in ranges]

    def settle_matches(self) -> None:
        groups: dict[tuple[tuple[int, ...], str], list[int]] = {}
        for index, phrase in enumerate(self.phrases):
            if index not in self.tagged and (phrase.phrase or phrase.has_picture):
                # Ids alone are not enough: two words that the vocabulary lacks are both "unknown".
                ids = tuple(self.tokenizer.encode(phrase.phrase))
                groups.setdefault((ids, _letters(phrase.phrase)), []).append(index)
        for (ids, _), members in sorted(groups.items(), key=lambda group: -len(group[0][0])):
            self.settle_group(ids, members)

    def settle_group(self, ids: tuple[int, ...], members: list[int]) -> None:
        """Shares the matches of one phrase among the untagged phrases that are spelled so."""
        matches = self.find(ids, members)
        if not matches:
            return
        tagged_alike = [
            span for index in self.tagged for span in self.spans[index] if tuple(self.token_ids[slice(*span)]) == ids
        ]
        free = [match for match in matches if not any(_overlap(match, span) for span in tagged_alike)]
        owners = list(dict.fromkeys(self.phrases[index].owner for index in members))
        chosen = self.settle_occurrences(members, matches, tagged_alike)
        left = [match for match in free if match not in chosen.values()]
        outside = [match for match in left if not self.containers(match, owners)]
        waiting = [owner for owner in owners if owner not in chosen]
        share: dict[str, list[Span]] = {owner: [match] for owner, match in chosen.items()}
        if len(owners) == 1 and waiting:
            share[owners[0]] = outside or left
            self.report_single(members[0], outside, left, matches)
        elif waiting:
            share |= {owner: [match] for owner, match in zip(waiting, outside, strict=False)}
            self.report_shared(members, waiting, outside, matches)
        for index in members:
            self.spans[index] = share.get(self.phrases[index].owner, [])

    def settle_occurrences(self, members: list[int], matches: list[Span], tagged: list[Span]) -> dict[str, Span]:
        """The match of every owner that names its occurrence."""
        chosen: dict[str, Span] = {}
        for phrase in (self.phrases[index] for index in members):
            if phrase.occurrence is None or phrase.owner in chosen:
                continue
            if phrase.occurrence > len(matches):
                self.report(
                    "no_such_occurrence",
                    phrase,
                    f"{phrase} asks for occurrence {phrase.occurrence}, but there are {len(matches)}: {self.mark(matches)}",
                )
                continue
            match = matches[phrase.occurrence - 1]
            if match in chosen.values() or any(_overlap(match, span) for span in tagged):
                self.report(
                    "claimed_twice",
                    phrase,
                    f"{phrase} asks for occurrence {phrase.occurrence}, which another "
                    f"owner has by tag or occurrence; give it another one: {self.mark(matches)}",
                )
            chosen[phrase.owner] = match
        return chosen

    def find(self, ids: tuple[int, ...], members: list[int]) -> list[Span]:
        """All matches of a phrase by token ids, else by letters; reports what is missing."""
        width = len(ids)
        starts = range(len(self.token_ids) - width + 1) if width else ()
        matches = [(start, start + width) for start in starts if tuple(self.token_ids[start : start + width]) == ids]
        phrase = self.phrases[members[0]]
        matches = [match for match in matches if _letters(self.text[slice(*self.char_range(match))]) == _letters(phrase.phrase)]
        if matches:
            return matches
        for flags, how in ((0, "as other tokens"), (re.IGNORECASE, "in another case")):
            letters = rf"(?<!\w){re.escape(phrase.phrase)}(?!\w)" if phrase.phrase else "(?!)"
            found = [self.token_range(match.span()) for match in re.finditer(letters, self.text, flags)]
            if found:
                self.report(
                    "matched_by_letters",
                    phrase,
                    f"{phrase} is in the prompt only {how}; it owns the tokens that cover it: {self.mark(found)}",
                )
                return found
        for index in members:
            if self.phrases[index].has_picture:
                near = self.nearest(phrase.phrase)
                hint = f"; nearest phrases in it: {', '.join(map(repr, near))}" if near else ""
                self.report(
                    "not_found",
                    self.phrases[index],
                    f"{self.phrases[index]} is not in the prompt{hint}; use the same words in both, or put a tag in the prompt",
                )
        return []

    def containers(self, match: Span, owners: list[str]) -> list[int]:
        """The longer phrases of another owner that hold the match."""
        return [
            index
            for index, phrase in enumerate(self.phrases)
            if owners != [phrase.owner]
            for start, end in self.spans[index]
            if start <= match[0] and match[1] <= end and end - start > match[1] - match[0]
        ]

    def report_single(self, index: int, outside: list[Span], left: list[Span], matches: list[Span]) -> None:
        phrase = self.phrases[index]
        if not phrase.has_picture:
            return
        if not left:
            self.report(
                "too_few",
                phrase,
                f"{phrase}: every place in the prompt is tagged as another's; add a place for it: {self.mark(matches)}",
            )
        elif not outside:
            others = [self.phrases[other] for match in left for other in self.containers(match, [phrase.owner])]
            if phrase.subject is not None and any(other.subject is not None for other in others):
                self.report(
                    "inside_other",
                    phrase,
                    f"{phrase} is only a part of {', '.join(map(str, others))}, and "
                    f"shared words cancel out; give it words of its own: {self.mark(matches)}",
                )
        elif len(outside) > 1:
            self.report(
                "several",
                phrase,
                f"{phrase} owns all its {len(outside)} places; give an occurrence or a tag "
                f"if only one is meant: {self.mark(outside)}",
            )

    def report_shared(self, members: list[int], waiting: list[str], outside: list[Span], matches: list[Span]) -> None:
        if len(waiting) == len(outside):
            return
        kind: ProblemKind = "too_few" if len(outside) < len(waiting) else "too_many"
        phrase = next(self.phrases[index] for index in members if self.phrases[index].owner in waiting)
        self.report(
            kind,
            phrase,
            f"{phrase.phrase!r} is meant by {len(waiting)} owners ({', '.join(waiting)}), but "
            f"{len(outside)} of its places are free for them; give an occurrence or put a tag in the prompt: "
            f"{self.mark(matches)}",
        )

    def report_beyond(self, last: int) -> None:
        for index, phrase in enumerate(self.phrases):
            if phrase.has_picture and any(end > last for _, end in self.spans[index]):
                self.report(
                    "beyond_text_len",
                    phrase,
                    f"{phrase} stands beyond the {last} tokens that the model reads "
                    f"(the prompt has {len(self.token_ids)}); shorten the prompt",
                )

    def token_range(self, place: Span) -> Span:
        """The tokens that cover a character range, and a token that is only the space before it, as in a match by ids."""
        touched = [number for number, (_, start, end) in enumerate(self.pieces) if start < place[1] and end > place[0]]
        if not touched:
            return (0, 0)
        first = touched[0]
        while first > 0 and not self.text[slice(*self.pieces[first - 1][1:])].strip():
            first -= 1
        return (first, touched[-1] + 1)

    def char_range(self, span: Span) -> Span:
        """The characters of a token range, without white space around them."""
        if span[0] == span[1]:
            return (0, 0)
        start, end = self.pieces[span[0]][1], self.pieces[span[1] - 1][2]
        words = self.text[start:end]
        return (start + len(words) - len(words.lstrip()), start + len(words.rstrip()))

    def mark(self, spans: Iterable[Span]) -> str:
        """The prompt with numbered places: "a [1: man] and a [2: man]"."""
        text = self.text
        for number, span in reversed(list(enumerate(spans, start=1))):
            start, end = self.char_range(span)
            text = f"{text[:start]}[{number}: {text[start:end]}]{text[end:]}"
        return f'"{text}"'

    def nearest(self, phrase: str) -> list[str]:
        """Up to three runs of the prompt's words that are spelled most like the phrase."""
        if not self.suggest:
            return []
        words = [match.span() for match in re.finditer(r"\w+(?:['-]\w+)*", self.text)]
        count = len(phrase.split())
        runs = {
            self.text[words[first][0] : words[first + size - 1][1]]: None
            for size in range(max(1, count - 1), count + 2)
            for first in range(len(words) - size + 1)
        }
        lower = {run.casefold(): run for run in reversed(runs)}
        return [lower[run] for run in difflib.get_close_matches(phrase.casefold(), lower, n=3, cutoff=0.5)]


def _settled(text: str) -> str:
    """`clean_text` until nothing changes, so that the tokenizer's own cleaning moves no character."""
    while (cleaned := clean_text(text)) != text:
        text = cleaned
    return text


def _letters(text: str) -> str:
    """The text without white space, case, and what Unicode writes in several ways."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", text).casefold())


def _overlap(first: Span, second: Span) -> bool:
    return first[0] < second[1] and second[0] < first[1]


def _tell(bound: BoundPrompt, on_problem: str) -> None:
    errors = [problem.message for problem in bound.problems if problem.is_error]
    if on_problem == "error" and errors:
        raise InputError("\n".join([f"the prompt does not settle who owns which words: {bound.prompt!r}", *errors]))
    if on_problem != "ignore":
        for problem in bound.problems:
            log.log(logging.INFO if problem.kind == "several" else logging.WARNING, problem.message)
