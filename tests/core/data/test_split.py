"""Nothing of one side is on the other: sources, people, pictures; and what was drawn stays."""

import json
from pathlib import Path

import pytest

from lumosx_core.data.split import SeenSource, SplitRule, read_rule, same_person, split_sources, write_rule
from lumosx_core.errors import InputError

A, B, C = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
EVEN = SplitRule(val=0.3, test=0.3)


def source(number: int, looks: tuple[str, ...] = (), *people: tuple[float, ...]) -> SeenSource:
    return SeenSource(source=f"{number:04x}", looks=looks, faces=tuple((face,) for face in people))


def test_shares_and_seeds() -> None:
    seen = [source(n) for n in range(3000)]
    first = split_sources(seen, SplitRule()).sources
    counts = {name: list(first.values()).count(name) for name in ("train", "val", "test")}
    assert 2620 <= counts["train"] <= 2780 and 100 <= counts["val"] <= 200 and 100 <= counts["test"] <= 200
    assert split_sources(seen[::-1], SplitRule()).sources == first
    assert split_sources(seen, SplitRule(seed=1)).sources != first
    assert set(split_sources(seen, SplitRule(val=0, test=0)).sources.values()) == {"train"}


def test_one_person_and_one_picture_are_on_one_side() -> None:
    chain = [source(n, (), (1.0, 0.01 * n, 0.0)) for n in range(40)]  # everybody like the next one
    assert len(set(split_sources(chain, SplitRule(val=0.4, test=0.4)).sources.values())) == 1
    strangers = [source(n, (), tuple(float(k == n) for k in range(40))) for n in range(40)]
    assert set(split_sources(strangers, EVEN).sources.values()) == {"train", "val", "test"}
    pictures = [source(n, (f"{0xFF00FF00FF00FF00 ^ (1 << n % 3):016x}", f"{n * 0x0123456789:016x}")) for n in range(40)]
    assert len(set(split_sources(pictures, EVEN, alike=6).sources.values())) == 1
    assert set(split_sources(pictures, EVEN, alike=0).sources.values()) == {"train", "val", "test"}


def test_what_was_drawn_stays_and_joined_groups_go_to_training() -> None:
    seen = [source(n, (), tuple(float(k == n) for k in range(30))) for n in range(30)]
    rule = split_sources(seen, EVEN)
    held = next(n for n in range(30) if rule.sources[f"{n:04x}"] == "test")
    train = next(n for n in range(30) if rule.sources[f"{n:04x}"] == "train")
    more = split_sources([*seen, *(source(n + 100) for n in range(30))], rule)
    assert rule.sources.items() <= more.sources.items() and len(more.sources) == 60
    # Somebody of the test and somebody of the training meet in a new video, whose id would come first.
    both = SeenSource(source="0000aa", faces=((seen[held].faces[0][0],), (seen[train].faces[0][0],)))
    joined = split_sources([*seen, both], rule).sources
    assert {joined[name] for name in ("0000aa", f"{held:04x}", f"{train:04x}")} == {"train"}
    rest = rule.sources.keys() - {f"{held:04x}"}
    assert all(joined[name] == rule.sources[name] for name in rest)
    # Somebody of the test alone in a new video draws it there.
    again = split_sources([*seen, SeenSource(source="ffff", faces=seen[held].faces)], rule).sources
    assert again["ffff"] == "test"


def test_who_is_one_person_is_learnt_from_people_in_one_clip() -> None:
    assert same_person([source(1, (), A), source(2, (), B)]) == 0.5
    narrow = [source(n, (), (0.9, 0.1, 0.0), (0.9, 0.0, 0.1)) for n in range(3)]
    assert same_person(narrow) == pytest.approx(0.81)
    ours = split_sources([source(1, (), A), source(2, (), (0.7, 0.7, 0.0))], SplitRule(same_person=0.8, val=0.5, test=0.4))
    theirs = split_sources([source(1, (), A), source(2, (), (0.7, 0.7, 0.0))], SplitRule(same_person=0.6, val=0.5, test=0.4))
    assert len(set(theirs.sources.values())) == 1 and ours.sources["0001"] == theirs.sources["0001"]


def test_the_rule_is_kept_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    rule = split_sources([source(1), source(2)], SplitRule(seed=5, same_person=0.9))
    write_rule(tmp_path, rule)
    assert read_rule(tmp_path) == rule and read_rule(tmp_path / "none") == SplitRule()
    for changes, words in (
        ({"val": 0.6, "test": 0.5}, "leave nothing to train on"),
        ({"val": -0.1}, "from 0 to 1"),
        ({"seed": -1}, "seed is -1"),
        ({"same_person": 2.0}, "from -1 to 1"),
        ({"format": 2}, "update LumosX"),
        ({"sources": {"a": "dev"}}, "belongs to none of"),
    ):
        with pytest.raises(InputError, match=words):
            SplitRule(**changes)
        content = {**json.loads((tmp_path / "split.json").read_text("utf-8")), **changes}
        (tmp_path / "bad").mkdir(exist_ok=True)
        (tmp_path / "bad" / "split.json").write_text(json.dumps(content), "utf-8")
        with pytest.raises(InputError, match=words):
            read_rule(tmp_path / "bad")
