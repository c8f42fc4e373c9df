"""The rule reader on the puppets' captions, on hand-written ones, on single constructions and on rubbish."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosx_core.data.relations.reading import Reading
from lumosx_core.data.relations.rules import read_rules
from lumosx_core.evaluation.captions import FOLDER, fuzzed_captions, read_cases
from lumosx_core.puppets.clip import sample_clip


def owned(caption: str) -> list[tuple[str, tuple[str, ...]]]:
    """Mention and attributes, in words."""
    reading = read_rules(caption)
    return [(mention.span.of(caption), reading.attributes_of(n)) for n, mention in enumerate(reading.mentions)]


def test_every_puppet_caption_is_read_without_a_fault() -> None:
    rng = np.random.default_rng(3)
    for case in range(400):
        people = 1 + case % 3
        worn = tuple(int(n) for n in rng.integers(0, 5, people))
        clip = sample_clip(rng, people=people, attributes=worn, objects=case % 3)
        caption, reading = clip.caption, read_rules(clip.caption.text)
        assert [mention.span.of(caption.text) for mention in reading.mentions] == [puppet.name for puppet in clip.puppets]
        assert tuple(reading.attributes_of(n) for n in range(people)) == caption.attribute_phrases, caption.text
        assert reading.words("object") == caption.object_phrases, caption.text
        assert reading.words("background") == (caption.scene_phrase,), caption.text


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A woman in a red coat and a hat.", [("woman", ("red coat", "hat"))]),
        ("A man without a hat, with a grey scarf.", [("man", ("grey scarf",))]),
        ("She holds a lamp; her hat is blue.", [("She", ("lamp", "hat"))]),
        ("A man and a woman, both in white coats.", [("man", ("white coats",)), ("woman", ("white coats",))]),
        ("Two men in suits talk; one holds a cup of tea.", [("men", ("suits",)), ("one", ("cup of tea",))]),
        ("Two men in suits; one has a cane, the other a hat.", [("one", ("suits", "cane")), ("other", ("suits", "hat"))]),
        ("A girl with long hair and a pair of red boots.", [("girl", ("red boots",))]),
        ("The boy\u2019s T-shirt is green.", [("boy", ("T-shirt",))]),
        ("A woman isn't wearing a coat but carries a bag.", [("woman", ("bag",))]),
        (
            "There is a boy, wearing a red hat, and there's a man, wearing a scarf and holding a cup.",
            [("boy", ("red hat",)), ("man", ("scarf", "cup"))],
        ),
        (
            "On the left stands a man, wearing a hat, and on the right sits a woman, wearing a scarf.",
            [("man", ("hat",)), ("woman", ("scarf",))],
        ),
        (
            "In front stands a man, holding a sign, and behind him there is a woman, holding a flag.",
            [("man", ("sign",)), ("woman", ("flag",))],
        ),
        (
            "A woman in a red coat and a man in a blue shirt stand in a park.",
            [("woman", ("red coat",)), ("man", ("blue shirt",))],
        ),
        ("A boy in a cap and a girl in a scarf watch the sea.", [("boy", ("cap",)), ("girl", ("scarf",))]),
        ("The boy in the hockey jersey skates past a man.", [("boy", ("hockey jersey",)), ("man", ())]),
        ("A woman waits. Next to her stands a child in a hat.", [("woman", ()), ("child", ("hat",))]),
        ("A woman sits in a hall. On her head is a cap, and on her lap is a book.", [("woman", ("cap", "book"))]),
        (
            "A dancer spins, and behind her, seated on the floor, are a drummer in a kurta and a boy in a turban.",
            [("dancer", ()), ("drummer", ("kurta",)), ("boy", ("turban",))],
        ),
        (
            "Two people sit. The person on the left is a woman in a dress, and the other is a man with a cane.",
            [("person", ("dress",)), ("other", ("cane",))],
        ),
        (
            "Three people run. The first wears a red vest, the second a blue vest, and the third black tights.",
            [("first", ("red vest",)), ("second", ("blue vest",)), ("third", ("black tights",))],
        ),
        (
            "Two people wait: one a man in a hat, the other a boy in a cap.",
            [("one", ("hat",)), ("other", ("cap",))],
        ),
        ("A man has no gloves, only a thin hoodie.", [("man", ("thin hoodie",))]),
        ("A woman holds a baby in a pink blanket.", [("woman", ()), ("baby", ("pink blanket",))]),
        ("A man who is pushing the sidecar wears boots.", [("man", ("sidecar", "boots"))]),
        ("A man ties the laces of his shoes.", [("man", ("shoes",))]),
        ("A woman wears a red and white running vest.", [("woman", ("red and white running vest",))]),
        ("Two boys stop: all carry bags.", [("boys", ("bags",))]),
        ("A girl leafs through a magazine and a book.", [("girl", ("magazine", "book"))]),
        (
            "First comes a man, wearing a cap, then comes a woman, wearing a veil.",
            [("man", ("cap",)), ("woman", ("veil",))],
        ),
        (
            "A man in a coat is in the room, and there is a dog on the sofa, and he holds a leash.",
            [("man", ("coat", "leash"))],
        ),
        (
            "A woman, wearing a hat and glasses, stands next to a man in a suit, waving.",
            [("woman", ("hat", "glasses")), ("man", ("suit",))],
        ),
        (
            "A man, wearing a suit, stands next to a boy, holding a ball.",
            [("man", ("suit",)), ("boy", ("ball",))],
        ),
        ("A man in a suit stands next to a boy, holding a ball.", [("man", ("suit", "ball")), ("boy", ())]),
        ("A xylographer who wears a green kufi.", [("xylographer", ("green kufi",))]),
    ],
)
def test_constructions(caption: str, expected: list[tuple[str, tuple[str, ...]]]) -> None:
    assert owned(caption) == expected


def test_a_reading_says_sides_counts_and_what_it_left_out() -> None:
    caption = "The second man from the left wears a hat; three women on the right have no bags."
    reading = read_rules(caption)
    assert [(m.span.of(caption), m.count, m.side, m.ordinal) for m in reading.mentions] == [
        ("man", 1, "left", 2),
        ("women", 3, "right", 0),
    ]
    assert reading.notes == ("left out, for it is denied: bags",)
    caption = "A man sits. He has a pipe and the man laughs."
    assert [span.of(caption) for span in read_rules(caption).mentions[0].also] == ["He", "man"]


def check(reading: Reading) -> None:
    """Every span is inside the caption and begins and ends with a word."""
    for span in [m.span for m in reading.mentions] + [p.span for p in reading.phrases]:
        words = span.of(reading.caption)
        assert words and words == words.strip()


def test_rubbish_never_raises() -> None:
    captions = [case.truth.caption for case in read_cases(FOLDER / "seen.jsonl")]
    for text in fuzzed_captions(captions, 500, 5):
        check(read_rules(text))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_never_raises(text: str) -> None:
    check(read_rules(text))


def test_where_somebody_came_from_is_no_side_and_a_stand_may_be_a_thing() -> None:
    assert read_rules("A man enters from the right; he wears a coat.").mentions[0].side == ""
    assert read_rules("A man sits on the right; he wears a coat.").mentions[0].side == "right"
    assert read_rules("A tailor waits at a shirt stand.").words("object") == ("shirt stand",)
    assert read_rules("Two women eat in a dimly lit hall.").words("background") == ("dimly lit hall",)
    assert read_rules("The scene is set in an office.").words("background") == ("office",)
