"""The noun of a phrase: what a detector is asked for, so that it sees the thing and not the look that the words tell.

Things of one kind are worn in one place: whoever shows another's coat instead of the own jacket wears the wrong thing there.
"""

from functools import lru_cache

from lumosx_core.data.relations.lexicon import guessed_verb
from lumosx_core.data.relations.noun_phrases import Chunk, NounPhrases
from lumosx_core.data.relations.tokens import tokenize
from lumosx_core.data.relations.vocabulary import PREPOSITIONS
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
    Of "wearing the man's hat" it is hat: verbs and prepositions before the thing are skipped, and so is whose it is. English
    is read, by the rules of the reader of captions."""
    tokens = tokenize(phrase)
    chunk = _thing(NounPhrases(tokens), len(tokens))
    if chunk is None or chunk.kind not in ("thing", "person") or chunk.noun == "colour":
        return None
    last = tokens[chunk.last].lower
    whole_word = last == chunk.word or last.startswith(chunk.word[:-1])  # "shoes" of "shoe", but not "coffee" of "cup"
    return Noun(words=last if whole_word else chunk.word, kind=_KINDS.get(chunk.word, chunk.word))


def _thing(phrases: NounPhrases, count: int) -> Chunk | None:
    """The first noun phrase that belongs to what is named, not to whose it is; that one where nothing else is named."""
    found, at = None, 0
    while at < count:
        word = phrases.word(at)
        chunk = phrases.noun_phrase(at, expected=True)
        if chunk is None and (guessed_verb(word) or word in PREPOSITIONS):
            at += 1
            continue
        if chunk is None:
            break
        found, at = chunk, chunk.last + 1
        if phrases.word(at) != "'s" and not (phrases.tokens[at:] and phrases.tokens[at].lower in "'\u2019"):
            break
        at += 1
    return found
