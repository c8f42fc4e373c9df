"""Words in every script: where they begin and end, what looks alike, tags among them, and texts of any length."""

import random
import time

import pytest
from PIL import Image
from small_tokenizers import tokenizer_of_many_languages

from lumosx_core.errors import InputError
from lumosx_core.references import LONGEST_PHRASE, LONGEST_PROMPT, Attribute, ReferenceSet, Sample, SceneReference, Subject
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.text_spans import BoundPrompt, bind_prompt
from lumosx_core.tokenizers import Tokenizer, load_tokenizer, settled_text
from lumosx_core.word_borders import Signs, fold, plurals

PIXEL = Image.new("RGB", (2, 2))
HAT, MAN, WOMAN = "\u7ea2\u5e3d\u5b50", "\u7537\u4eba", "\u5973\u4eba"  # red hat, man, woman


@pytest.fixture(scope="module")
def nano() -> Tokenizer:
    return load_tokenizer(NANO_FOLDER)


def objects(*phrases: str, tags: tuple[str | None, ...] = ()) -> ReferenceSet:
    named = zip(phrases, [*tags, *[None] * len(phrases)], strict=False)
    return ReferenceSet(objects=tuple(SceneReference(phrase=phrase, image=PIXEL, tag=tag) for phrase, tag in named))


def person(name: str, *attributes: str, tag: str | None = None, occurrence: int | None = None) -> Subject:
    items = tuple(Attribute(phrase=phrase, image=PIXEL, occurrence=occurrence) for phrase in attributes)
    return Subject(name=name, face=PIXEL, attributes=items, tag=tag)


def people(*subjects: Subject, things: tuple[str, ...] = ()) -> ReferenceSet:
    return ReferenceSet(subjects=subjects, objects=objects(*things).objects)


def own(bound: BoundPrompt) -> list[list[str]]:
    return [[bound.prompt[slice(*place)] for place in places] for places in bound.char_spans]


def kinds(bound: BoundPrompt) -> list[str]:
    return [problem.kind for problem in bound.problems]


def test_no_word_stands_inside_another(nano: Tokenizer) -> None:
    """23 pairs, five places each."""
    pairs = [
        "bag",
        "baguette",
        "coat",
        "coattails",
        "cap",
        "capybara",
        "watch",
        "watchtower",
        "tie",
        "tieback",
        "man",
        "mannequin",
        "dress",
        "dresser",
        "hat",
        "hatch",
        "art",
        "cart",
        "eye",
        "dye",
        "ring",
        "string",
        "car",
        "scarf",
        "ear",
        "bear",
        "ball",
        "football",
        "pen",
        "pencil",
        "cat",
        "catalog",
        "sun",
        "sunday",
        "1",
        "12",
        "2",
        "x2",
        "hat",
        "hat_1",
        "caf",
        "caf\xe9",
        "\u0448\u0430\u043f",
        "\u0448\u0430\u043f\u043a\u0430",
        "e",
        "e\u0301t\xe9",
    ]
    for short, long in zip(pairs[::2], pairs[1::2], strict=True):
        for prompt in (long, f"a {long}.", f"({long})", f"{long}, {long}", f'"{long}"-like'):
            bound = bind_prompt(prompt, objects(short), nano, on_problem="ignore")
            assert own(bound) == [[]] and kinds(bound) == ["not_found"], (short, prompt)


def test_two_owners_do_not_share_a_dresser(nano: Tokenizer) -> None:
    women = people(person("woman", "dress"), person("woman", "dress"))
    with pytest.raises(InputError, match="'dress' is meant by 2 owners .* but 1 of its places"):
        bind_prompt("a woman in a dress beside a woman at a dresser", women, nano)
    bound = bind_prompt("a woman in a dress and a woman in two dresses", women, nano)
    assert own(bound) == [["woman"], ["dress"], ["woman"], ["dresses"]] and kinds(bound) == ["matched_by_letters"]


@pytest.mark.parametrize(
    ("phrase", "found", "lost"),
    [
        ("hat", ["hats", "Hats"], ["hates", "hat_s"]),
        ("dress", ["dresses"], ["dresser"]),
        ("party", ["parties"], ["partys"]),
        ("toy", ["toys"], ["toies"]),
        ("potato", ["potatoes", "potatos"], ["potatoe"]),
        ("cap", ["caps"], ["capes"]),
    ],
)
def test_plurals(phrase: str, found: list[str], lost: list[str], nano: Tokenizer) -> None:
    for word in [*found, *lost]:
        bound = bind_prompt(f"two {word} there", objects(phrase), nano, on_problem="ignore")
        assert own(bound) == [[word] if word in found else []]
        assert kinds(bound) == ["matched_by_letters" if word in found else "not_found"]
    assert own(bind_prompt(f"{phrase} and {found[0]}", objects(phrase), nano)) == [[phrase]]
    assert plurals("a") == plurals("\u7537\u4eba") == []


def test_scripts_without_spaces_and_where_scripts_meet() -> None:
    many = tokenizer_of_many_languages()
    prompt = f"\u4e00\u4e2a\u6234{HAT}\u7684{MAN}\u548c{WOMAN}A man\u6234\u7740red hat, "
    prompt += "\u0e2b\u0e21\u0e27\u0e01\u0e2a\u0e35 \uc5ec\uc790\uac00"
    words = [HAT, MAN, WOMAN, "man", "red hat", "\u0e2b\u0e21\u0e27\u0e01", "\uc5ec\uc790"]
    bound = bind_prompt(prompt, objects(*words), many)
    assert own(bound)[:6] == [[word] for word in words[:6]] and bound.problems == ()
    assert own(bound)[6] == ["\uc5ec\uc790\uac00"]  # one piece of the tokenizer
    for reference, word in zip(bound.references, words, strict=True):
        tokens = [many.pieces(bound.prompt)[token] for span in reference.token_spans for token in range(*span)]
        assert bound.prompt[tokens[0][1] : tokens[-1][2]].strip().startswith(word)


def test_signs_are_never_cut(nano: Tokenizer) -> None:
    """A mark, a joined emoji, a skin tone, a flag's second half belong to what stands before them."""
    whole = ["\u0e01\u0e34", "\U0001f468\u200d\U0001f469", "\U0001f44b\U0001f3fd", "\U0001f1e9\U0001f1ea", "e\u0302\u0301x"]
    for text in whole:
        assert own(bind_prompt(f"a {text[0]}{text[1:]}", objects(text[0]), nano, on_problem="ignore")) == [[]]
        assert own(bind_prompt(f"a {text} b", objects(text), nano)) == [[settled_text(text)]]
    assert own(bind_prompt("a \u2764\ufe0f b", objects("\u2764"), nano)) == [["\u2764\ufe0f"]]
    assert Signs("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7").starts == [0, 2, 4]


def test_what_nobody_can_see_is_found_and_noted(nano: Tokenizer) -> None:
    """300 random spellings of one phrase."""
    rng = random.Random(5)
    for _ in range(300):
        seen = "".join(
            {"-": rng.choice("-\u2010\u2011"), "'": rng.choice("'\u2019"), " ": rng.choice(" \u00a0\u3000")}.get(char, char)
            + rng.choice([""] * 5 + list("\u00ad\u200b\u200c\u200d\u2060"))
            for char in "man's T-shirt"
        )
        bound = bind_prompt(f"the {seen} here", objects("man's T-shirt"), nano, on_problem="ignore")
        assert fold(own(bound)[0][0]) == "man's T-shirt" and not any(problem.is_error for problem in bound.problems)
        assert own(bind_prompt(f"the {seen}", objects("shirt's"), nano, on_problem="ignore")) == [[]]
    assert kinds(bind_prompt("a T\u2011shirt", objects("T-shirt"), nano)) == ["matched_by_letters"]
    assert own(bind_prompt("a turtle\u00adneck", objects("neck"), nano, on_problem="ignore")) == [[]]


def test_tags_among_letters_without_borders() -> None:
    many = tokenizer_of_many_languages()
    group = people(person(MAN, HAT, tag="anna"), person(WOMAN, tag="\u5c0f\u660e"))
    bound = bind_prompt(
        f"\u6234@1.{HAT}\u7684@1\u7ad9\uff0c@anna\u6234\u7740@1.\u5e3d\u5b50\uff0c@\u5c0f\u660e\u7ad9", group, many
    )
    assert bound.prompt == settled_text(f"\u6234{HAT}\u7684{MAN}\u7ad9\uff0c{MAN}\u6234\u7740{HAT}\uff0c{WOMAN}\u7ad9")
    assert bound.problems == ()
    owned = [[MAN, f"{MAN}\u6234\u7740"], [HAT, HAT], [WOMAN]]  # the tokenizer joins some of them
    assert own(bound) == owned
    longest = objects("hat", "box", tags=("\u5c0f", "\u5c0f\u660e"))
    assert own(bind_prompt("@\u5c0f\u660e\u7ad9 @\u5c0f\u7ad9", longest, many)) == [["hat"], ["box"]]
    for unknown in ("@annas", "@anna_", "@12"):
        assert kinds(bind_prompt(f"{unknown} {MAN} {HAT} {WOMAN}", group, many, on_problem="ignore")) == ["unknown_tag"]
    assert own(
        bind_prompt("@\u0e2b\u0e0d\u0e34\u0e07\u0e22\u0e37\u0e19", objects("hat", tags=("\u0e2b\u0e0d\u0e34\u0e07",)), many)
    )


def test_a_tagged_place_is_nobody_elses(nano: Tokenizer) -> None:
    around = people(person("man"), person("man in a hat"))
    bound = bind_prompt("@1 in a hat and a woman", around, nano, on_problem="ignore")
    assert own(bound) == [["man"], []] and kinds(bound) == ["too_few"]
    case = people(person("man", "hat"), person("woman", "Hat"))
    bound = bind_prompt("a man in a @1.hat and a woman", case, nano, on_problem="ignore")
    assert own(bound) == [["man"], ["hat"], ["woman"], []] and kinds(bound) == ["too_few"]
    overlap = people(person("man", "red hat"), things=("hat box",))
    bound = bind_prompt("a man with @1.hat box", overlap, nano, on_problem="ignore")
    assert own(bound) == [[], ["man"], ["red hat"]] and kinds(bound) == ["too_few"]
    inside = people(person("man in a hat"), person("woman", "hat", occurrence=1))
    bound = bind_prompt("@1 and a woman in a hat", inside, nano, on_problem="ignore")
    assert own(bound) == [["man in a hat"], ["woman"], []] and kinds(bound) == ["claimed_twice"]
    bound = bind_prompt("@1.hat and a man", people(person("man", "red hat", "cap hat", "hat")), nano, on_problem="ignore")
    assert own(bound) == [["man"], [], [], ["hat"]]
    bound = bind_prompt("@1.red_hat and a man", people(person("man", "red hat", "hat")), nano, on_problem="ignore")
    assert own(bound) == [["man"], ["red hat"], []] and kinds(bound) == ["too_few"]


def test_a_longer_phrase_keeps_its_words_against_things(nano: Tokenizer) -> None:
    bound = bind_prompt("a man in a red hat", people(person("man", "red hat"), things=("hat",)), nano, on_problem="ignore")
    assert own(bound) == [[], ["man"], ["red hat"]] and kinds(bound) == ["inside_other"]
    bound = bind_prompt("a man in a red hat, a hat", people(person("man", "red hat"), things=("hat",)), nano)
    assert own(bound) == [["hat"], ["man"], ["red hat"]] and bound.problems == ()


def test_places_beyond_the_models_text_are_dropped(nano: Tokenizer) -> None:
    group = people(person("man"), things=("hat",))
    length = len(nano.encode("a man")) + 1
    bound = bind_prompt("a man, a man in a hat", group, nano, text_len=length, on_problem="warn")
    assert own(bound) == [[], ["man"]]
    assert [(one.kind, one.owner, one.is_error) for one in bound.problems if one.kind != "several"] == [
        ("beyond_text_len", "object 1", True),
        ("partly_beyond", "subject 1", False),
    ]
    assert all(end < length for one in bound.references for _, end in one.token_spans)


def test_white_space_inside_phrases_is_one_space() -> None:
    assert SceneReference(phrase=" red\n\t hat ", image=PIXEL).phrase == "red hat"
    assert person("tall\nman", "a\u3000b").name == "tall man"


def test_largest_lengths_show_the_beginning_only() -> None:
    for make in (
        lambda: SceneReference(phrase="x" * (LONGEST_PHRASE + 1), image=PIXEL),
        lambda: person("n" * 4000),
        lambda: person("man", tag="t" * 4000),
        lambda: Sample(prompt="word " * LONGEST_PROMPT, references=ReferenceSet()),
    ):
        with pytest.raises(InputError, match="characters, at most") as caught:
            make()
        assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "prompt",
    [
        "(man) " * 16_000,
        "(man) " * 3300,
        "man " * 4900,
        "Man mans " * 2000,
        "&" + "amp;" * 4900 + "lt;",
        "&#38;amp;" * 2000,
        "@1" * 2000,
        "@1.hat " * 2800,
        "@" * 19_000,
        "@nobody " * 2400,
        "\u7537" * 9_999,
        "\u0301" * 19_999,
        "a" + "\u200d" * 19_000,
        "\U0001f1e9" * 19_000,
        "caption " * 12_500,
    ],
    ids=lambda prompt: f"{prompt[:9]!a}",
)
def test_no_prompt_takes_long(prompt: str, nano: Tokenizer) -> None:
    group = people(person("man", "hat"), person("man", "man man man man man man"), things=("\u7537\u7537\u7537", "a"))
    started = time.process_time()
    try:
        for problem in bind_prompt(prompt, group, nano, text_len=80, on_problem="warn").problems:
            assert len(problem.message) < 1500
        bind_prompt(prompt, group, nano, text_len=80)
    except InputError as error:
        assert len(str(error)) < 8000
    assert time.process_time() - started < 5
