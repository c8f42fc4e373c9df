"""Token order, positions, rectangles and levels by hand-worked numbers."""

import pytest
import torch

from lumosx_core.errors import InputError
from lumosx_core.model.token_layout import Rectangle, TokenLayout, text_levels
from lumosx_core.text_spans import BoundReference

KINDS = ("background", "object", "face", "attribute", "face")
SUBJECTS = (None, None, 0, 0, 1)


def test_rectangles_and_groups() -> None:
    layout = TokenLayout(2, 1, 3, kinds=KINDS, subjects=SUBJECTS)
    assert (layout.tokens_per_frame, layout.video_len, layout.reference_len, layout.seq_len) == (3, 6, 15, 21)
    assert layout.reference_groups == ((0, 1), (1, 2), (2, 4), (4, 5))
    assert layout.self_attention_rectangles() == (
        Rectangle(0, 6, 0, 21),
        Rectangle(6, 9, 6, 9),
        Rectangle(9, 12, 9, 12),
        Rectangle(12, 18, 12, 18),
        Rectangle(18, 21, 18, 21),
    )


def test_relational_positions_share_time_and_shift_space() -> None:
    layout = TokenLayout(2, 2, 3, kinds=KINDS, subjects=SUBJECTS)
    corners = layout.positions()[:: layout.tokens_per_frame].tolist()
    assert corners == [[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0], [4, 2, 3], [5, 0, 0]]
    assert layout.positions()[-1].tolist() == [5, 1, 2]


def test_without_relational_positions_every_picture_takes_the_next_time() -> None:
    layout = TokenLayout(2, 2, 3, kinds=KINDS, subjects=SUBJECTS, relational_positions=False)
    assert layout.positions()[:: layout.tokens_per_frame].tolist() == [[t, 0, 0] for t in range(7)]


def test_levels_of_two_and_of_three_subjects() -> None:
    def bound(kind, subject, *spans):
        return BoundReference(kind=kind, subject=subject, phrase="x", token_spans=spans)

    two = text_levels(
        [bound("object", None, (0, 1)), bound("face", 0, (1, 2)), bound("attribute", 0, (3, 4)), bound("face", 1, (2, 3))], 5
    )
    assert two.tolist() == [[1, 0, 0, 0, 0], [0, 1, -1, 1, 0], [0, 1, -1, 1, 0], [0, -1, 1, -1, 0]]
    three = text_levels([bound("face", n, (n, n + 1)) for n in range(3)], 4)
    assert three[0].tolist() == [1, -0.5, -0.5, 0]
    alone = text_levels([bound("face", 0, (1, 3)), bound("attribute", 0)], 4)
    assert alone.tolist() == [[0, 1, 1, 0], [0, 1, 1, 0]]


def test_words_beyond_the_text_length_are_an_error() -> None:
    reference = BoundReference(kind="object", subject=None, phrase="red ball", token_spans=((6, 9),))
    with pytest.raises(InputError, match="'red ball' is at tokens 6 to 9, but the model reads 8 tokens; shorten the prompt"):
        text_levels([reference], 8)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kinds": ("face", "object"), "subjects": (0, None)}, "out of order"),
        ({"kinds": ("face", "face"), "subjects": (1, 0)}, "out of order"),
        ({"kinds": ("object",), "subjects": (0,)}, "out of order"),
        ({"kinds": ("face",), "subjects": ()}, "1 kinds but 0 subjects"),
        ({"frames": 0}, "expected at least 1"),
        ({"width": 1025}, "exceed the 1024 positions"),
        ({"frames": 1024, "kinds": ("object",), "subjects": (None,)}, "use a shorter or smaller video"),
        (
            {"width": 300, "kinds": ("face",) + ("attribute",) * 3, "subjects": (0,) * 4},
            "subject 0: 4 images on a grid of 4 x 300 tokens need more than the 1024 positions",
        ),
    ],
)
def test_impossible_layouts_are_errors(arguments: dict, words: str) -> None:
    with pytest.raises(InputError) as raised:
        TokenLayout(**{"frames": 2, "height": 4, "width": 6, **arguments})
    assert words in str(raised.value)


def test_a_layout_is_hashable_and_its_tables_are_shared() -> None:
    one, two = (TokenLayout(2, 2, 3, kinds=KINDS, subjects=SUBJECTS) for _ in range(2))
    assert hash(one) == hash(two) and torch.equal(one.positions(), two.positions())
    assert one.positions().dtype == torch.int64
