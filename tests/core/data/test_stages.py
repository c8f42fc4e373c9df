"""Single stages on made-up findings: who belongs together is settled by all together."""

import numpy as np
import pytest

from lumosx_core.data.decide import near_duplicates
from lumosx_core.data.records import Candidate, PersonView
from lumosx_core.data.relations.reading import Mention, Reading, ReadPhrase, Span
from lumosx_core.data.stages.caption import tidy_caption
from lumosx_core.data.stages.frames import bits_apart, looks_of, sharpness
from lumosx_core.data.stages.people import faces_of
from lumosx_core.data.stages.relations import match, mention_fit, phrase_scores
from lumosx_core.eyes import Found, FoundFace


def test_faces_go_to_people_one_to_one_in_any_order() -> None:
    people = [Found(box=(0, 0, 40, 100), score=1), Found(box=(30, 0, 70, 100), score=1), Found(box=(200, 0, 240, 100), score=1)]
    faces = [FoundFace(box=(40, 5, 60, 25), score=1), FoundFace(box=(10, 5, 34, 25), score=1)]
    assert faces_of(people, faces) == {0: 1, 1: 0}
    assert faces_of(people, faces[::-1]) == {0: 0, 1: 1}
    assert faces_of([], faces) == {} and faces_of(people, []) == {}
    assert faces_of(people[2:], faces) == {}  # outside of the person


def test_the_best_match_is_the_one_of_all_together() -> None:
    fit = np.array([[0.9, 0.8], [0.8, 0.1]])  # the first fits both, so the second gets the one that only it can have
    owners, margin = match(fit)
    assert owners == (1, 0) and margin == pytest.approx((1.6 - 1.0) / 2)
    assert match(np.zeros((2, 2))) == ((0, 1), 0.0)
    assert match(np.array([[0.5], [0.7]])) == ((None, 0), pytest.approx(0.2))
    assert match(np.zeros((0, 3))) == ((), 1.0)
    assert match(np.array([[0.5]]))[1] == 1.0  # nobody else there


def reading(caption: str, people: dict[str, str], things: dict[str, int]) -> Reading:
    def span(words: str) -> Span:
        return Span(start=caption.index(words), end=caption.index(words) + len(words))

    return Reading(
        caption=caption,
        mentions=tuple(Mention(span=span(words), side=side) for words, side in people.items()),  # type: ignore[arg-type]
        phrases=tuple(ReadPhrase(span=span(words), kind="attribute", owner=owner) for words, owner in things.items()),
    )


def test_colour_and_side_words_decide_who_is_who() -> None:
    views = tuple((PersonView(frame=0, box=(x, 0, x + 10, 10), score=1, mask=""),) for x in (0, 20))
    told = reading("a man in a red shirt and a boy in a blue shirt", {"man": "", "boy": ""}, {"red shirt": 0, "blue shirt": 1})
    red, blue = (53.0, 60.0, 40.0), (30.0, 20.0, -60.0)
    seen = tuple(
        Candidate(phrase=phrase, track=track, frame=0, box=(0, 0, 1, 1), score=0.5, lab=lab)
        for phrase in (0, 1)
        for track, lab in ((0, blue), (1, red))
    )
    fit = mention_fit(told, views, phrase_scores(told, 2, seen), seen, 1.0)
    assert match(fit)[0] == (1, 0)
    sides = reading("a boy on the right and a man", {"boy": "right", "man": ""}, {})
    assert match(mention_fit(sides, views, np.zeros((0, 2)), (), 1.0)) == ((1, 0), 0.5)


def test_lead_ins_markup_and_control_characters_go() -> None:
    assert tidy_caption("In this video, a man\x00 <b>walks</b>\n home") == "A man walks home"
    assert tidy_caption("The video shows two women.") == "Two women."
    assert tidy_caption("<i></i>") == "" and tidy_caption("A man shows a video") == "A man shows a video"


def test_looks_and_sharpness() -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    brighter = np.clip(frame.astype(int) + 3, 0, 255).astype(np.uint8)
    assert bits_apart(looks_of(frame), looks_of(brighter)) <= 2 and bits_apart(looks_of(frame), looks_of(frame[:, ::-1])) > 15
    assert sharpness(frame) > 100 * sharpness(np.full_like(frame, 80)) + 100


def test_near_duplicates_keep_what_is_in_the_dataset() -> None:
    a, b, c = "0" * 16, "0" * 15 + "1", "f" * 16
    clips = [("1", (a, c)), ("2", (b, c)), ("3", (c, c))]
    assert near_duplicates(clips, 6, frozenset()) == {"2": "1", "3": "1"}
    assert near_duplicates(clips[:2], 6, frozenset({"2"})) == {"1": "2"}
    assert near_duplicates(clips[:2], 1, frozenset()) == {}
