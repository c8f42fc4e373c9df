"""`bind_prompt` against a search by force (`span_oracle.py`) over random prompts in many scripts."""

import random

import pytest
from PIL import Image
from small_tokenizers import tokenizer_of_many_languages
from span_oracle import bind_by_force

from lumosx_core.errors import InputError
from lumosx_core.references import Attribute, ReferenceSet, SceneReference, Subject
from lumosx_core.text_spans import bind_prompt
from lumosx_core.tokenizers import load_tokenizer

CASES = 2500  # for each of the two tokenizers
PIXEL = Image.new("RGB", (2, 2))
HAN = [
    "\u4e00\u4e2a",
    "\u7537\u4eba",
    "\u5973\u4eba",
    "\u5e3d\u5b50",
    "\u7ea2\u5e3d\u5b50",
    "\u4e00\u4e2a\u7537\u4eba",
    "\u6234\u7740",
    "\u5b50",
]
OTHERS = [
    "\u0e2b\u0e21\u0e27\u0e01",
    "\u0e01\u0e34",
    "\u5e3d\u5b50\u3092",
    "\u30c9\u30ec\u30b9",
    "\uc5ec\uc790",
    "\uc5ec\uc790\uac00",
]
ALIKE = [
    "T-shirt",
    "T\u2011shirt",
    "turtleneck",
    "turtle\xadneck",
    "turtle\u200bneck",
    "neck",
    "\uff4d\uff41\uff4e",
    "man\u2019s",
    "man's",
    "cafe\u0301",
]
EMOJI = [
    "\U0001f468",
    "\U0001f468\u200d\U0001f469",
    "\u2764",
    "\u2764\ufe0f",
    "\U0001f44b\U0001f3fd",
    "\U0001f1e9\U0001f1ea",
    "\U0001f1ea",
]
WORDS = [
    "man",
    "Man",
    "men",
    "woman",
    "hat",
    "hats",
    "Hat",
    "red hat",
    "Red hat",
    "hat box",
    "man in a hat",
    "hat in a man",
    "hat hat",
    "bag",
    "baguette",
    "dress",
    "dresses",
    "dresser",
    "coat",
    "coattails",
    "party",
    "parties",
    "photo",
    "photos",
    "12",
    "1",
    "_",
    "caf\xe9",
    "\u0448\u0430\u043f\u043a\u0430",
    "\u0448\u0430\u043f",
]
PHRASES = [*WORDS, *HAN, *OTHERS, *ALIKE, *EMOJI]
COMMON = ["man", "hat", "red hat", "hat box", "man in a hat", "\u7537\u4eba", "\u5e3d\u5b50", "\u7ea2\u5e3d\u5b50"]
TAGS = [
    "@1",
    "@2",
    "@anna",
    "@\u5c0f\u660e",
    "@1.hat",
    "@2.hat",
    "@anna.hat",
    "@ANNA",
    "@1.\u5e3d\u5b50",
    "@2.top",
    "@@",
    "@nobody",
    "@red_hat",
    "@hat",
    "@3",
    "a@1",
]
BETWEEN = [" "] * 12 + ["", "", ", ", "-", ". ", "\u00a0", " \u200b", "\u200b", " and ", " (", ") ", " a ", "\u3002", "."]


def random_references(rng: random.Random) -> ReferenceSet:
    pool = rng.choice([COMMON, COMMON, PHRASES])

    def options(*tags: str) -> dict[str, object]:
        occurrence = rng.choice([None] * 6 + [1, 2, 3])
        return {"tag": rng.choice([None] * 4 + list(tags)), "occurrence": occurrence}

    def attributes() -> tuple[Attribute, ...]:
        return tuple(Attribute(phrase=rng.choice(pool), image=PIXEL, **options("top", "hat")) for _ in range(rng.randrange(3)))

    subjects = tuple(
        Subject(
            name=rng.choice([*pool, "man"]),
            face=rng.choice([PIXEL, PIXEL, None]),
            attributes=attributes(),
            **options("anna", "\u5c0f\u660e", "Bob"),
        )
        for _ in range(rng.randrange(4))
    )
    scene = tuple(
        SceneReference(phrase=rng.choice(pool), image=PIXEL, **options("room", "hat")) for _ in range(rng.randrange(3))
    )
    background = rng.choice([None, SceneReference(phrase=rng.choice(pool), image=PIXEL, **options("place"))])
    return ReferenceSet(subjects=subjects, objects=scene, background=background)


def random_prompt(rng: random.Random, references: ReferenceSet) -> str:
    own = [reference.phrase for reference in references.references()] * 2 + [one.name for one in references.subjects]
    words = [*own, *own, *rng.sample(PHRASES, 4), *rng.sample(TAGS, 4)]
    return "".join(rng.choice(words) + rng.choice(BETWEEN) for _ in range(rng.randrange(1, 10)))


@pytest.mark.parametrize("which", ["nano", "many languages"])
def test_binding_is_the_search_by_force(which: str) -> None:
    from lumosx_core.sampling.pipeline import NANO_FOLDER

    tokenizer = load_tokenizer(NANO_FOLDER) if which == "nano" else tokenizer_of_many_languages()
    rng = random.Random(which)
    compared, owned, kinds = 0, 0, set()
    while compared < CASES:
        try:
            references = random_references(rng)
            prompt = random_prompt(rng, references)
            text_len = rng.choice([None, None, rng.randrange(3, 40)])
            bound = bind_prompt(prompt, references, tokenizer, text_len=text_len, on_problem="ignore")
        except InputError:
            continue  # a tag or an attribute stands twice, or replacing tags changes the text
        text, spans, problems = bind_by_force(prompt, references, tokenizer, text_len)
        told = sorted((one.kind, one.owner) for one in bound.problems if one.kind not in ("matched_by_letters", "several"))
        given = [sorted(reference.token_spans) for reference in bound.references]
        shown = f"{prompt!a} {references.references()} {text_len}"
        assert (bound.prompt, given, told) == (text, [sorted(own) for own in spans], problems), shown
        compared += 1
        owned += sum(map(bool, given))
        kinds |= {kind for kind, _ in told}
    assert owned > CASES
    assert kinds == {
        "unknown_tag",
        "not_found",
        "too_few",
        "too_many",
        "inside_other",
        "claimed_twice",
        "no_such_occurrence",
        "beyond_text_len",
        "partly_beyond",
    }
