"""Which words of the prompt each reference owns: the published rule, shared phrases, tags, and what is reported."""

import io
import logging
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.references import Attribute, ReferenceSet, SceneReference, Subject
from lumosx_core.text_spans import BoundPrompt, BoundReference, bind_prompt
from lumosx_core.tokenizers import HuggingFaceTokenizer, SentencePieceTokenizer, clean_text

PIXEL = Image.new("RGB", (2, 2))


class WordTokenizer:
    """One token per word or punctuation mark; ids are handed out as words come."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    def encode(self, text: str) -> list[int]:
        return [piece[0] for piece in self.pieces(text)]

    def pieces(self, text: str) -> list[tuple[int, int, int]]:
        found = re.finditer(r"\w+|[^\w\s]", text)
        return [(self.ids.setdefault(match[0], len(self.ids)), *match.span()) for match in found]


def subject(
    name: str,
    *attributes: str,
    face: bool = True,
    tag: str | None = None,
    occurrence: int | None = None,
    attribute_occurrence: int | None = None,
    attribute_tag: str | None = None,
) -> Subject:
    items = tuple(
        Attribute(phrase=phrase, image=PIXEL, occurrence=attribute_occurrence, tag=attribute_tag) for phrase in attributes
    )
    return Subject(name=name, face=PIXEL if face else None, attributes=items, tag=tag, occurrence=occurrence)


def scene(phrase: str, tag: str | None = None, occurrence: int | None = None) -> SceneReference:
    return SceneReference(phrase=phrase, image=PIXEL, tag=tag, occurrence=occurrence)


def bind(
    prompt: str,
    *subjects: Subject,
    objects: tuple[SceneReference, ...] = (),
    background: SceneReference | None = None,
    **options: object,
) -> BoundPrompt:
    references = ReferenceSet(subjects=subjects, objects=objects, background=background)
    return bind_prompt(prompt, references, WordTokenizer(), **options)


def words(bound: BoundPrompt) -> list[list[str]]:
    """Per reference what its token spans say in the prompt."""
    tokens = re.findall(r"\w+|[^\w\s]", bound.prompt)
    return [[" ".join(tokens[slice(*span)]) for span in reference.token_spans] for reference in bound.references]


def spans(bound: BoundPrompt) -> list[tuple[tuple[int, int], ...]]:
    return [reference.token_spans for reference in bound.references]


def test_the_published_rule_a_phrase_owns_every_place_of_its_ids() -> None:
    """The spans of the golden case `repeated_phrase_and_missing_phrase`."""
    bound = bind(
        "x y man a b scarf c d e man f g woman", subject("man", "scarf"), subject("woman", "not in prompt"), on_problem="warn"
    )
    assert [(ours.kind, ours.subject, ours.phrase, ours.token_spans) for ours in bound.references] == [
        ("face", 0, "man", ((2, 3), (9, 10))),
        ("attribute", 0, "scarf", ((5, 6),)),
        ("face", 1, "woman", ((12, 13),)),
        ("attribute", 1, "not in prompt", ()),
    ]
    assert [problem.kind for problem in bound.problems] == ["not_found", "several"]
    assert bound.token_ids == (0, 1, 2, 3, 4, 5, 6, 7, 8, 2, 9, 10, 11)


def test_golden_records_are_bound_references() -> None:
    record = {"kind": "attribute", "subject": 1, "phrase": "not in prompt", "token_spans": [[0, 0]]}
    assert BoundReference(**record).token_spans == ((0, 0),)
    with pytest.raises(InputError, match="0 <= start <= end"):
        BoundReference(kind="face", subject=0, phrase="man", token_spans=((3, 2),))


def test_all_kinds_in_model_order_with_characters() -> None:
    bound = bind(
        "In a park, a man in a white shirt, and a ball.",
        subject("man", "white shirt"),
        objects=(scene("ball"),),
        background=scene("park"),
    )
    assert [(ref.kind, ref.subject) for ref in bound.references] == [
        ("background", None),
        ("object", None),
        ("face", 0),
        ("attribute", 0),
    ]
    assert spans(bound) == [((2, 3),), ((13, 14),), ((5, 6),), ((8, 10),)]
    assert [[bound.prompt[slice(*place)] for place in own] for own in bound.char_spans] == [
        ["park"],
        ["ball"],
        ["man"],
        ["white shirt"],
    ]
    assert bound.problems == ()


def test_two_subjects_with_the_same_words_take_one_each_in_order() -> None:
    prompt = "a person wearing a shirt and a hat and a person wearing a shirt and a hat"
    bound = bind(prompt, subject("person", "shirt", "hat"), subject("person", "hat", "shirt"))
    assert spans(bound) == [((1, 2),), ((4, 5),), ((7, 8),), ((10, 11),), ((16, 17),), ((13, 14),)]
    assert bound.problems == ()


def test_an_occurrence_overrules_the_order() -> None:
    bound = bind("a man and a man", subject("man", occurrence=2), subject("man"))
    assert spans(bound) == [((4, 5),), ((1, 2),)]
    assert spans(bind("a man, a man, a man", subject("man", occurrence=3), subject("man", occurrence=1))) == [
        ((7, 8),),
        ((1, 2),),
    ]


def test_one_owner_with_an_occurrence_owns_only_that() -> None:
    assert spans(bind("a hat on a hat", objects=(scene("hat", occurrence=2),))) == [((4, 5),)]


def test_too_few_and_too_many_places_are_errors_that_show_them() -> None:
    with pytest.raises(InputError, match=r"meant by 2 owners \(subject 1, subject 2\), but 1 .*\[1: man\] and a woman"):
        bind("a man and a woman", subject("man"), subject("man"))
    with pytest.raises(InputError, match=r"2 owners .* but 3 .*\"a \[1: man\] a \[2: man\] a \[3: man\]\""):
        bind("a man a man a man", subject("man"), subject("man"))


def test_doubtful_places_go_in_prompt_order_when_only_warned(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        bound = bind("a man a man a man", subject("man"), subject("man"), on_problem="warn")
    assert spans(bound) == [((1, 2),), ((3, 4),)]
    assert [problem.kind for problem in bound.problems] == ["too_many"]
    assert "meant by 2 owners" in caplog.text
    caplog.clear()
    bound = bind("a man", subject("man"), subject("man"), on_problem="ignore")
    assert spans(bound) == [((1, 2),), ()]
    assert [problem.kind for problem in bound.problems] == ["too_few"] and not caplog.text


def test_an_occurrence_that_is_not_there_or_taken() -> None:
    with pytest.raises(InputError, match=r"asks for occurrence 3, but there are 2"):
        bind("a man and a man", subject("man", occurrence=3), subject("man"))
    with pytest.raises(InputError, match=r"which another owner has"):
        bind("a man and a man", subject("man", occurrence=2), subject("man", occurrence=2))


def test_a_longer_phrase_keeps_its_words() -> None:
    bound = bind("a man and a man in a hat", subject("man"), subject("man in a hat"))
    assert spans(bound) == [((1, 2),), ((4, 8),)]
    shirts = bind("a man in a red shirt, a boy in a shirt", subject("man", "red shirt"), subject("boy", "shirt"))
    assert words(shirts) == [["man"], ["red shirt"], ["boy"], ["shirt"]]
    assert shirts.references[3].token_spans == ((11, 12),)
    assert bound.problems == shirts.problems == ()


def test_places_inside_longer_phrases_do_not_count_for_shared_ones() -> None:
    bound = bind("a man with a man bag and a man", subject("man", "man bag"), subject("man"))
    assert spans(bound) == [((1, 2),), ((4, 6),), ((8, 9),)]
    with pytest.raises(InputError, match="2 owners"):
        bind("a man beside a man statue", subject("man"), subject("man"), objects=(scene("man statue"),))


def test_a_subjects_own_longer_phrase_shares_its_words() -> None:
    bound = bind("a man and his man bag", subject("man", "man bag"))
    assert spans(bound) == [((1, 2), (4, 5)), ((4, 6),)]


def test_a_phrase_that_is_only_part_of_another_subjects_cancels_out_and_is_told() -> None:
    with pytest.raises(InputError, match=r"'shirt' \(attribute of subject 1\) is only a part of 'red shirt'"):
        bind("a man and a boy in a red shirt", subject("man", "shirt"), subject("boy", "red shirt"))
    kitchen = {"objects": (scene("kitchen table"),), "background": scene("kitchen"), "on_problem": "ignore"}
    bound = bind("at a kitchen table", **kitchen)
    assert spans(bound) == [(), ((2, 4),)] and [problem.kind for problem in bound.problems] == ["inside_other"]
    assert spans(bind("a kitchen, at a kitchen table", **kitchen)) == [((1, 2),), ((5, 7),)]


def test_a_missing_phrase_is_told_with_the_nearest_ones_and_the_prompt() -> None:
    with pytest.raises(InputError) as caught:
        bind("a woman in a long red dress, walking", subject("woman", "red dresses"))
    text = str(caught.value)
    assert "'red dresses' (attribute of subject 1) is not in the prompt; nearest phrases in it: 'red dress'" in text
    assert "'a woman in a long red dress, walking'" in text
    bound = bind("a woman", subject("woman", "hat"), on_problem="warn")
    assert spans(bound) == [((1, 2),), ()]
    assert [(problem.kind, problem.owner, problem.phrase) for problem in bound.problems] == [("not_found", "subject 1", "hat")]


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        bind("nothing here", subject("man", "hat"), objects=(scene("ball"),))
    assert all(f"'{phrase}'" in str(caught.value) for phrase in ("man", "hat", "ball"))


def test_another_case_is_found_by_letters_and_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        bound = bind("Man in a hat", subject("man", "hat"))
    assert spans(bound) == [((0, 1),), ((3, 4),)]
    assert [problem.kind for problem in bound.problems] == ["matched_by_letters"]
    assert "in another case" in caplog.text


def test_tags_own_exactly_their_places() -> None:
    bound = bind("a man looks at @anna while @bob and @anna walk", subject("man", tag="anna"), subject("man", tag="bob"))
    assert bound.prompt == "a man looks at man while man and man walk"
    assert spans(bound) == [((4, 5), (8, 9)), ((6, 7),)]
    assert bound.problems == ()


def test_a_tag_settles_what_the_other_owner_gets() -> None:
    assert spans(bind("a man and @2", subject("man"), subject("man"))) == [((1, 2),), ((3, 4),)]
    assert spans(bind("@2 and a man", subject("man"), subject("man"))) == [((3, 4),), ((0, 1),)]
    with pytest.raises(InputError, match="every place in the prompt is tagged as another's"):
        bind("only @2", subject("man"), subject("man"))


def test_attribute_tags_by_tag_phrase_and_last_word() -> None:
    people = (subject("woman", "red hat", "blue coat", tag="Anna"), subject("man", "red hat"))
    bound = bind("@anna in @anna.hat and @ANNA.blue_coat, and a man in a red hat.", *people)
    assert bound.prompt == "woman in red hat and blue coat, and a man in a red hat."
    assert spans(bound) == [((0, 1),), ((2, 4),), ((5, 7),), ((10, 11),), ((13, 15),)]
    bound = bind("@1 in @1.top", subject("man", "red shirt", attribute_tag="top"))
    assert words(bound) == [["man"], ["red shirt"]]


def test_scene_tags() -> None:
    bound = bind(
        "a ball in @room with @red_ball", objects=(scene("red ball"), scene("ball")), background=scene("kitchen", tag="room")
    )
    assert bound.prompt == "a ball in kitchen with red ball"
    assert spans(bound) == [((3, 4),), ((5, 7),), ((1, 2),)]


def test_a_tag_may_end_a_sentence_and_have_an_apostrophe() -> None:
    bound = bind("Here is @anna. It is @anna's.", subject("woman", tag="anna"))
    assert bound.prompt == "Here is woman. It is woman's."
    assert spans(bound) == [((2, 3), (6, 7))]


def test_what_is_not_a_tag() -> None:
    bound = bind("write a man to me@anna.org @@anna @ home", subject("man", tag="anna"))
    assert bound.prompt == "write a man to me@anna.org @anna @ home"
    assert words(bound) == [["man"]]


def test_unknown_and_unclear_tags() -> None:
    people = (subject("man", "red hat", "blue hat", tag="bob"),)
    with pytest.raises(InputError, match=r"@ann names nobody; known tags: @1, @1.blue_hat, @1.red_hat, @bob, .*@room"):
        bind("@ann in red hat, blue hat: man, room", *people, background=scene("room"))
    with pytest.raises(InputError, match="could be 'red hat' or 'blue hat'"):
        bind("@bob in @bob.hat", *people)
    with pytest.raises(InputError, match="@bob.coat names no attribute of subject 1"):
        bind("@bob in @bob.coat red hat blue hat", *people)
    with pytest.raises(InputError, match="subject without a name"):
        bind("@1 in a hat", subject("", "hat", face=False))
    bound = bind("@ann and a man", subject("man"), on_problem="warn")
    assert bound.prompt == "@ann and a man" and [problem.kind for problem in bound.problems] == ["unknown_tag"]


def test_a_name_without_a_face_keeps_its_place_but_has_no_record() -> None:
    bound = bind("a man in a hat and a man", subject("man", "hat", face=False), subject("man"))
    assert [(ref.kind, ref.subject, ref.token_spans) for ref in bound.references] == [
        ("attribute", 0, ((4, 5),)),
        ("face", 1, ((7, 8),)),
    ]
    assert words(bind("a hat", subject("", "hat", face=False))) == [["hat"]]
    assert bind("a hat", subject("man", "hat", face=False)).problems == ()


def test_no_references_at_all() -> None:
    assert bind("a quiet street").references == ()


def test_words_beyond_the_models_text() -> None:
    people = (subject("man", "hat"),)
    assert bind("a man in a hat", *people, text_len=6).problems == ()
    with pytest.raises(InputError, match=r"'hat' .* stands beyond the 4 tokens"):
        bind("a man in a hat", *people, text_len=5)


def test_prompt_and_phrases_are_cleaned_alike() -> None:
    bound = bind("  the  man&amp;amp;#39;s \u201cred\u00a0hat\u201d\n", subject("man\u2019s", "red  hat"))
    assert bound.prompt == 'the man\'s "red hat"'
    assert words(bound) == [["man ' s"], ["red hat"]]
    assert clean_text("&lt;a&amp;gt;  b\t") == "<a> b"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["man", "hat", "red", "a", ","]), min_size=1, max_size=14),
    st.sampled_from(["man", "red hat", "hat", "a man", "hat hat"]),
)
def test_one_owner_gets_every_contiguous_run(prompt: list[str], phrase: str) -> None:
    wanted = phrase.split()
    runs = [(at, at + len(wanted)) for at in range(len(prompt)) if prompt[at : at + len(wanted)] == wanted]
    assert spans(bind(" ".join(prompt), objects=(scene(phrase),), on_problem="ignore")) == [tuple(runs)]


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(4)), st.integers(1, 4))
def test_shared_phrases_with_all_occurrences_given_follow_them(order: list[int], count: int) -> None:
    people = [subject("man", occurrence=place + 1) for place in order[:count]]
    bound = bind("man and man and man and man", *people)
    assert spans(bound) == [((2 * place, 2 * place + 1),) for place in order[:count]]


@pytest.fixture(scope="module")
def sentencepiece_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import sentencepiece

    rng = random.Random(0)
    known = re.findall(r"\w+", "a the man woman in red blue shirt hat dress walks park and wearing person with ball coat")
    lines = [" ".join(rng.choice(known) for _ in range(12)) + rng.choice(".!'()") for _ in range(500)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=90, hard_vocab_limit=False, minloglevel=2
    )
    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "spiece.model").write_bytes(model.getvalue())
    return folder


def test_sentencepiece_pieces_are_the_ids_with_their_characters(sentencepiece_path: Path) -> None:
    tokenizer = SentencePieceTokenizer(sentencepiece_path)
    text = "a man \U0001f600 in a red  shirt, (na\u00efve)"
    clean = clean_text(text)
    pieces = tokenizer.pieces(text)
    assert [piece[0] for piece in pieces] == tokenizer.encode(text)
    assert "".join(clean[start:end] for _, start, end in pieces) == clean
    assert [clean[start:end] for _, start, end in pieces][:2] == ["a", " man"]


def test_binding_with_sentencepiece(sentencepiece_path: Path) -> None:
    tokenizer = SentencePieceTokenizer(sentencepiece_path / "spiece.model")
    references = ReferenceSet(
        subjects=(subject("man", "red shirt"), subject("woman", "hat", tag="eve")),
        objects=(scene("\U0001f600"), scene("\U0001f680")),
    )
    bound = bind_prompt(
        "man, \U0001f680 and \U0001f600 then man in a red shirt! @eve in a (hat)", references, tokenizer, on_problem="warn"
    )
    owned = [[bound.prompt[slice(*place)] for place in places] for places in bound.char_spans]
    assert owned == [["\U0001f600"], ["\U0001f680"], ["man", "man"], ["red shirt"], ["woman"], ["hat"]]
    assert {problem.kind for problem in bound.problems} == {"several", "matched_by_letters"}
    ids = tokenizer.encode("red shirt")
    start, end = bound.references[3].token_spans[0]
    assert list(bound.token_ids[start:end]) == ids


def test_a_tag_owns_the_tokens_that_a_match_would_own(sentencepiece_path: Path) -> None:
    tokenizer = SentencePieceTokenizer(sentencepiece_path)
    for phrase in ("woman", "\u00e9toile", "red shirt"):
        references = ReferenceSet(subjects=(subject(phrase),))
        by_match = bind_prompt(f"a man and {phrase} in a hat", references, tokenizer)
        by_tag = bind_prompt("a man and @1 in a hat", references, tokenizer)
        assert by_tag == by_match


def test_hugging_face_tokenizer_binds_too(tmp_path: Path) -> None:
    import tokenizers
    from tokenizers import models, pre_tokenizers

    vocabulary = {word: number for number, word in enumerate(["<unk>", "a", "man", "in", "hat", ",", "\u00e9"])}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    ours = HuggingFaceTokenizer(tmp_path)
    assert ours.pieces("\u00e9 man,  in a hat") == [(6, 0, 1), (2, 2, 5), (5, 5, 6), (3, 7, 9), (1, 10, 11), (4, 12, 15)]
    bound = bind_prompt("a man in a hat", ReferenceSet(subjects=(subject("man", "hat"),)), ours)
    assert spans(bound) == [((1, 2),), ((4, 5),)]


@pytest.mark.parametrize("kind", [SentencePieceTokenizer, HuggingFaceTokenizer])
def test_broken_tokenizer_files(kind: type, tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"{}")
    (tmp_path / "empty").write_bytes(b"")
    for name in ("broken", "empty", "missing"):
        with pytest.raises(InputError, match=f"cannot read .*{name}"):
            kind(tmp_path / name)
