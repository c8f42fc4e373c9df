"""The measure of the collection: wordings whose truth is where the words stand, right ones kept, planted ones found."""

from pathlib import Path

import numpy as np

from lumosx_core.data.collect_config import PUPPETS
from lumosx_core.evaluation.collection import collection_specs, evaluate_collection
from lumosx_core.evaluation.wordings import JOINS, STYLES, word_clip
from lumosx_core.puppets.clip import sample_clip
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.tokenizers import load_tokenizer


def test_there_are_forty_wordings_and_their_truth_stands_where_it_says() -> None:
    assert len(STYLES) * len(JOINS) >= 40
    wordings, orders = set(), set()
    for number in range(300):
        rng = np.random.default_rng(number)
        clip = sample_clip(rng, people=1 + number % 3, attributes=int(rng.integers(1, 4)), described=True)
        told = word_clip(rng, clip)
        wordings.add(told.wording)
        orders.add(tuple(np.argsort([span.start for span in told.mentions])))
        for puppet, mention, spans in zip(clip.puppets, told.mentions, told.attributes, strict=True):
            assert mention.of(told.caption).lower() == puppet.name
            assert [s.of(told.caption) for s in spans] == [f"{a.adjectives} {a.kind}" for a in puppet.attributes]
        assert "\x02" not in told.caption and "  " not in told.caption and ",." not in told.caption
    assert len(wordings) >= 40 and len(orders) == 1 + 2 + 6


def test_an_exchange_moves_one_thing_of_two_people() -> None:
    (clip,) = collection_specs(1, 3, exchange=True)
    true, moved = (word_clip(np.random.default_rng(5), clip, exchange=exchange) for exchange in (False, True))
    first, second = (f"{p.attributes[0].adjectives} {p.attributes[0].kind}" for p in clip.puppets)
    text = true.caption.replace(first, "<1>").replace(second, "<2>")
    swapped = moved.caption.replace(first, "<2>").replace(second, "<1>")
    plain = [t.replace("an <", "a <") for t in (text, swapped)]
    assert plain[0] == plain[1] or "glasses" in first + second


def test_true_relations_are_kept_and_planted_faults_are_not(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(NANO_FOLDER)
    report = evaluate_collection(tmp_path / "true", PUPPETS, tokenizer, count=2, seed=1, workers=1)
    rates = {name: rate["value"] for name, rate in report.rates.items()}
    assert rates["people counted right"] == 1 and rates["accepted relations right"] == 1
    assert rates["names with the right person"] == 1 and rates["relations read: F1"] > 0.99
    assert rates["true relations kept"] >= 0.7 and report.masks["person"] > 0.9
    planted = evaluate_collection(tmp_path / "planted", PUPPETS, tokenizer, count=2, seed=1, exchange=True, workers=1)
    assert planted.rates["exchanges marked, nothing wrong in"]["value"] == 1 and "relations read: F1" not in planted.rates
