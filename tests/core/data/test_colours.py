"""Colour words against pixels."""

import numpy as np
import pytest

from lumosx_core.data.relations.colours import TYPICAL, colour_distance, colour_word, main_colours, to_lab
from lumosx_core.puppets.spec import PALETTE


def test_lab_of_known_colours() -> None:
    """Published values of sRGB primaries in CIELAB under D65."""
    lab = to_lab(np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]], np.uint8))
    wanted = [[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86], [100, 0, 0], [0, 0, 0]]
    assert np.abs(lab - wanted).max() < 0.03


@pytest.mark.parametrize("word", PALETTE)
def test_the_puppets_colours_fit_their_own_word_best(word: str) -> None:
    lab = to_lab(np.array(PALETTE[word], np.uint8))
    fits = sorted((name for name in PALETTE if name in TYPICAL), key=lambda name: colour_distance(name, lab))
    assert fits[0] == word


def test_words_of_phrases() -> None:
    assert colour_word("Gray striped shirt") == "grey" and colour_word("navy suit") == "blue" and colour_word("a hat") is None
    assert colour_word("bored man") is None


def test_main_colours_are_those_that_cover_most() -> None:
    frame = np.zeros((4, 10, 3), np.uint8)
    frame[:, :6], frame[:, 6:9], frame[:, 9:] = (200, 30, 30), (30, 30, 200), (255, 255, 255)
    first, second = np.reshape(main_colours(frame, np.ones((4, 10), bool)), (2, 3))
    assert colour_distance("red", first) < 5 and colour_distance("blue", second) < 20
    assert main_colours(frame, np.zeros((4, 10), bool)) == ()
