"""The noun of a phrase: what a detector is asked for, so that it sees the thing and not the look that the words tell.

Things of one kind are worn in one place: whoever shows another's coat instead of the own jacket wears the wrong thing there.
"""

from functools import lru_cache

from lumosx_core.data.relations.noun_phrases import NounPhrases
from lumosx_core.data.relations.tokens import tokenize
from lumosx_core.evaluation.metrics.asked import Noun

# Kind -> nouns of it; any other noun is a kind of its own.
_PLACES = {
    "garment": """shirt t-shirt tshirt tee blouse sweater sweatshirt hoodie jumper pullover cardigan top polo turtleneck tunic
    vest
        waistcoat jacket coat overcoat trenchcoat raincoat parka windbreaker blazer tuxedo suit robe gown dress sundress kimono
        uniform jumpsuit costume outfit clothes jersey tracksuit""",
    "hat": "hat cap beanie helmet beret fedora turban bonnet sombrero crown tiara hood headscarf",
    "glasses": "glasses sunglasses spectacles eyeglasses goggles",
    "trousers": "trousers pants jeans shorts leggings skirt miniskirt slacks chinos sweatpants",
    "shoes": "shoe sneaker boot sandal slipper heel loafer heels trainer",
    "bag": "bag handbag purse backpack rucksack satchel tote briefcase suitcase",
    "scarf": "scarf shawl stole",
    "tie": "tie necktie bowtie bow-tie",
}
_KINDS = {noun: kind for kind, nouns in _PLACES.items() for noun in nouns.split()}


@lru_cache(maxsize=8192)
def noun_of(phrase: str) -> Noun | None:
    """The head noun of "a red jacket with a hood", as it stands there (jacket), and its kind; None where there is none ("red").
    English is read, by the rules of the reader of captions."""
    tokens = tokenize(phrase)
    chunk = NounPhrases(tokens).noun_phrase(0, expected=True)
    if chunk is None or chunk.kind not in ("thing", "person") or chunk.noun == "colour":
        return None
    last = tokens[chunk.last].lower
    whole_word = last == chunk.word or last.startswith(chunk.word[:-1])  # "shoes" of "shoe", but not "coffee" of "cup"
    return Noun(words=last if whole_word else chunk.word, kind=_KINDS.get(chunk.word, chunk.word))
