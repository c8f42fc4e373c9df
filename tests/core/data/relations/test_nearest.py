"""Phrases that are not verbatim: the nearest words of the caption, or none with a reason."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosx_core.data.relations.nearest import LONGEST, nearest_span

CAPTION = "A man in a Red striped shirt and black boots, and a woman in a blue shirt; two hats lie beside her handkerchief."


@pytest.mark.parametrize(
    ("phrase", "found", "how"),
    [
        ("black boots", "black boots", "verbatim"),
        ("red striped shirt", "Red striped shirt", "case"),
        ("  Blue Shirt ", "blue shirt", "case"),
        ("the black boots", "black boots", "article"),
        ("a black boot", "black boots", "number"),
        ("hat", "hats", "number"),
        ("blue shirts", "blue shirt", "number"),
        ("striped red shirt", "Red striped shirt", "near"),
        ("red shirt", "Red striped shirt", "near"),
        ("dark blue shirt", "blue shirt", "near"),
        ("her handkercheif", "handkerchief", "near"),
    ],
)
def test_near_phrases_are_mapped_to_the_captions_words(phrase: str, found: str, how: str) -> None:
    nearest = nearest_span(CAPTION, phrase)
    assert nearest.span is not None and (nearest.span.of(CAPTION), nearest.how, nearest.reason) == (found, how, "")


@pytest.mark.parametrize(
    ("phrase", "reason"),
    [
        ("green shirt", "nor anything as near as 0.25"),
        ("black coat", "nor anything as near"),
        ("bat", "nor anything as near"),
        ("boots and a lion", "nor anything as near"),
        ("", "empty"),
        ("shirt " * LONGEST, "no phrase"),
    ],
)
def test_what_is_not_there_is_not_guessed(phrase: str, reason: str) -> None:
    nearest = nearest_span(CAPTION, phrase)
    assert nearest.span is None and nearest.places == () and reason in nearest.reason


def test_several_places_are_all_told_and_different_words_are_not_chosen_between() -> None:
    twice = "A man in a red hat and a woman in a red hat."
    assert [span.start for span in nearest_span(twice, "red hat").places] == [11, 36]
    assert [span.start for span in nearest_span(twice, "bright red hat").places] == [11, 36]
    nearest = nearest_span("A red plain shirt and a red wide shirt.", "red shirt")
    assert nearest.places == () and "'red plain shirt' and 'red wide shirt'" in nearest.reason


def test_words_inside_words_and_across_sentences_do_not_count() -> None:
    assert nearest_span("A hatter sits.", "hat").span is None
    assert nearest_span("He wears red. Boots stand there.", "red leather boots").span is None


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80), st.text(max_size=20))
def test_every_place_is_inside_the_caption(caption: str, phrase: str) -> None:
    for span in nearest_span(caption, phrase).places:
        assert 0 <= span.start < span.end <= len(caption)


def test_a_long_caption_takes_no_long_time() -> None:
    caption = " ".join(["a red striped shirt and green boots"] * 800)
    start = time.perf_counter()
    assert nearest_span(caption, "purple shirt").span is None
    assert time.perf_counter() - start < 20  # 0.3 s where it was written
