"""Captions of puppet clips in other words than the training's, with the truth of every word: to measure readers with.

A wording says how a person's things are told ("dressed in", "whose", ": ") and how people are put together ("on the left",
"behind", in sentences of their own). People are named in any order. The wordings were written without looking at any reader's
rules. The rule reader was mended on two constructions that they showed it to misread ("and there is a man, wearing ...",
"A man, wearing ..., stands next to a boy, wearing ..."), so its figures on them are no first look any more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lumosx_core.data.relations.reading import Span
from lumosx_core.puppets.captions import SCENE_PREPOSITIONS, SCENE_WORDS, article, listing
from lumosx_core.puppets.clip import ClipSpec

SIDES = {1: ("",), 2: ("left", "right"), 3: ("left", "middle", "right")}
# How one person is told: {name} with article, {things} as a list with articles, {side} where wanted.
STYLES: tuple[str, ...] = (
    "{name} wearing {things}",
    "{name} in {things}",
    "{name} with {things}",
    "{name} dressed in {things}",
    "{name} who wears {things}",
    "{name} who is wearing {things}",
    "{name}, wearing {things},",
    "{name} that has {things} on",
    "{name} sporting {things}",
)
# How people are put together: each gets the clauses in the order in which people are named, and their sides.
JOINS: tuple[Callable[[Sequence[str], Sequence[str]], str], ...] = (
    lambda clauses, _: f"{listing(list(clauses))} {'is' if len(clauses) == 1 else 'are'} here.",
    lambda clauses, _: "There is " + " and there is ".join(clauses) + ".",
    lambda clauses, sides: _sides(clauses, sides, "On the {side} there is {clause}.", "In the middle there is {clause}."),
    lambda clauses, sides: _sides(clauses, sides, "{clause} stands on the {side}.", "{clause} stands in the middle."),
    lambda clauses, _: " stands next to ".join(clauses[:2]) + "".join(f", beside {c}" for c in clauses[2:]) + ".",
)


@dataclass(frozen=True, kw_only=True)
class WordedClip:
    """A caption and its truth. mentions: the span that names each puppet, in the order of the clip's puppets. attributes: per
    puppet the spans of its things, in their order. background: the span of the scene, None where it is not told."""

    caption: str
    wording: str
    mentions: tuple[Span, ...]
    attributes: tuple[tuple[Span, ...], ...]
    background: Span | None


def word_clip(rng: np.random.Generator, clip: ClipSpec, *, exchange: bool = False) -> WordedClip:
    """A caption for a clip, described in colours and patterns. exchange: a planted fault: one thing of the first puppet and one
    of the second change their places in the text; the spans say where the words stand, still by their true owner."""
    told: list[list[str]] = [[f"{a.adjectives} {a.kind}" for a in puppet.attributes] for puppet in clip.puppets]
    owners = [[(n, k) for k in range(len(things))] for n, things in enumerate(told)]
    if exchange:
        owners[0][0], owners[1][0] = owners[1][0], owners[0][0]
    order = [int(n) for n in rng.permutation(len(clip.puppets))]
    style, join = int(rng.integers(len(STYLES))), int(rng.integers(len(JOINS)))
    clauses = []
    for n in order:
        things = listing([_marked(article(told[o][k]), told[o][k], f"{o}.{k}") for o, k in owners[n]]) if owners[n] else ""
        name = _marked(article(clip.puppets[n].name), clip.puppets[n].name, f"{n}")
        clauses.append(STYLES[style].format(name=name, things=things) if things else name)
    sides = [SIDES[len(clip.puppets)][n] for n in order]
    text = JOINS[join](clauses, sides)
    if rng.random() < 0.5:
        words = SCENE_WORDS[clip.scene]
        where = f"{SCENE_PREPOSITIONS.get(clip.scene, 'in the')} {words}"
        text = text[:-1].rstrip(",") + " " + _marked(where, words, "scene") + "."
    text = " ".join(text.replace(",.", ".").replace(", ,", ",").replace(",,", ",").split())
    text = _capital(text)
    caption, spans = _without_marks(text)
    return WordedClip(
        caption=caption,
        wording=f"{STYLES[style]} / {join + 1}",
        mentions=tuple(spans[f"{n}"] for n in range(len(clip.puppets))),
        attributes=tuple(tuple(spans[f"{n}.{k}"] for k in range(len(things))) for n, things in enumerate(told)),
        background=spans.get("scene"),
    )


def _sides(clauses: Sequence[str], sides: Sequence[str], aside: str, middle: str) -> str:
    """A sentence for each person; one alone has no side."""
    sentences = []
    for clause, side in zip(clauses, sides, strict=True):
        form = "{clause} is here." if not side else middle if side == "middle" else aside
        sentences.append(_capital(form.format(clause=clause.rstrip(","), side=side)))
    return " ".join(sentences)


def _marked(text: str, words: str, name: str) -> str:
    """The text with marks around the words in it: \\x02name\\x03words\\x04."""
    return text.replace(words, f"\x02{name}\x03{words}\x04")


def _capital(text: str) -> str:
    """The first letter as a capital, behind marks too."""
    start = text.index("\x03") + 1 if text.startswith("\x02") else 0
    return text[:start] + text[start].upper() + text[start + 1 :]


def _without_marks(text: str) -> tuple[str, dict[str, Span]]:
    plain = ""
    spans: dict[str, Span] = {}
    for part in text.split("\x02"):
        if "\x03" not in part:
            plain += part
            continue
        name, rest = part.split("\x03")
        words, after = rest.split("\x04")
        spans[name] = Span(start=len(plain), end=len(plain) + len(words))
        plain += words + after
    return plain, spans
