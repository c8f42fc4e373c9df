"""Suites: the same cases every time, noticed when they change, and judged right on true and on exchanged renders."""

from pathlib import Path

import numpy as np
import pytest

from lumosx_core.cli.main import main
from lumosx_core.errors import InputError
from lumosx_core.evaluation.cases import TWINS, WORDINGS, PuppetCase, puppet_suite_cases, with_exchanged_things
from lumosx_core.evaluation.suites import read_suite, write_puppet_suite
from lumosx_core.puppets.render import render_clip
from lumosx_core.puppets.samples import read_truth
from lumosx_core.puppets.scorer import score_clip
from lumosx_core.puppets.spec import is_held_out
from lumosx_core.sample_folder import read_sample
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.text_spans import bind_prompt
from lumosx_core.tokenizers import load_tokenizer


def test_a_suite_is_written_the_same_twice_and_read_back(tmp_path: Path) -> None:
    suite = write_puppet_suite(tmp_path / "a", people=2, things=1, count=3, seed=4)
    assert suite == write_puppet_suite(tmp_path / "b", people=2, things=1, count=3, seed=4) == read_suite(tmp_path / "a")
    assert [case.name for case in suite.cases] == ["told-0000", "clothes-0001", "same-0002"]
    assert (suite.width, suite.height, suite.frames) == (96, 80, 17)
    for case, made in zip(suite.cases, puppet_suite_cases(2, 1, 3, 4), strict=True):
        assert read_truth(tmp_path / "a" / "cases" / case.name) == made.clip.puppets
        assert read_sample(tmp_path / "a" / "cases" / case.name).prompt == made.sample.prompt
    with pytest.raises(InputError, match="exists and would be overwritten"):
        write_puppet_suite(tmp_path / "a", people=2, things=1, count=3, seed=4)


def test_a_changed_suite_is_noticed(tmp_path: Path) -> None:
    write_puppet_suite(tmp_path / "s", people=1, things=1, count=2, seed=0)
    caption = tmp_path / "s" / "cases" / "told-0000" / "caption.txt"
    before = caption.read_text("utf-8")
    caption.write_text(before + " Slowly.", "utf-8")
    with pytest.raises(InputError, match="has changed: told-0000 is another one"):
        read_suite(tmp_path / "s")
    caption.write_text(before, "utf-8")
    read_suite(tmp_path / "s")
    (tmp_path / "s" / "cases" / "told-00001").mkdir()
    with pytest.raises(InputError, match="told-00001 is not in its manifest"):
        read_suite(tmp_path / "s")
    (tmp_path / "s" / "cases" / "told-00001").rmdir()
    (tmp_path / "s" / "cases" / "told-0000").rename(tmp_path / "moved")
    with pytest.raises(InputError, match="told-0000 is missing"):
        read_suite(tmp_path / "s")


def test_wordings_tell_as_much_as_they_say() -> None:
    cases = list(puppet_suite_cases(3, 2, 9, 1))
    assert [case.group for case in cases] == list(WORDINGS) * 3
    for case in cases:
        assert all(is_held_out(p.identity) and all(map(is_held_out, p.attributes)) for p in case.clip.puppets)
        phrases = [tuple(a.phrase for a in s.attributes) for s in case.sample.references.subjects]
        names = {subject.name for subject in case.sample.references.subjects}
        assert (len(set(phrases)) == 1) == (case.group == "same")
        assert case.group == "told" or len(names) == 1


@pytest.mark.parametrize(("people", "things"), [(1, 2), (2, 2), (2, 3), (4, 1)])
def test_true_renders_are_bound_and_exchanged_ones_are_not(people: int, things: int) -> None:
    for case in puppet_suite_cases(people, things, 3, 2):
        judged_right(case)


def judged_right(case: PuppetCase) -> None:
    true = score_clip(render_clip(case.clip).frames, case.clip.puppets)
    exchanged = score_clip(render_clip(with_exchanged_things(case.clip)).frames, case.clip.puppets)
    assert true.rate("bound") == 1.0 and all(true.identities) and exchanged.rate("bound") == 0.0, case.name


def test_twins_have_the_same_words_and_noise_and_other_pictures() -> None:
    cases = {case.name: case for case in puppet_suite_cases(3, 2, 3, 1, twins=TWINS)}
    assert list(cases) == [
        "told-0000", "told-order-0000", "told-mirrored-0000",
        "clothes-0001", "clothes-order-0001", "clothes-mirrored-0001",
        "same-0002", "same-order-0002", "same-mirrored-0002", "same-exchanged-0002",
    ]  # fmt: skip
    for case in cases.values():
        base = cases[f"{case.group.split('-')[0]}-{case.index:04d}"]
        assert (case.seed, case.sample.prompt) == (base.seed, base.sample.prompt)
        before, after = (one.sample.references.references() for one in (base, case))
        if case.group.endswith("order"):
            assert words_by_picture(case) == words_by_picture(base)
            assert [r.image for r in after if r.subject == 0] == [before[6].image, before[8].image, before[7].image]
            assert case.clip == base.clip
        if case.group.endswith("mirrored"):
            for flipped, given in zip(after, before, strict=True):
                assert (np.asarray(flipped.image) == np.asarray(given.image)[:, ::-1]).all()
            assert case.clip == base.clip
        if case.group.endswith("exchanged"):
            assert [after[0].image, after[1].image, after[7].image] == [before[0].image, before[4].image, before[1].image]
            assert case.clip.puppets[2].attributes == base.clip.puppets[0].attributes
    assert [len(list(puppet_suite_cases(1, 1, 3, 1, twins=TWINS)))] == [6]  # alone in one thing: only mirrored


def words_by_picture(case: PuppetCase) -> dict[int, tuple[tuple[int, int], ...]]:
    """Which tokens each picture owns, by the picture's own number."""
    bound = bind_prompt(case.sample.prompt, case.sample.references, load_tokenizer(NANO_FOLDER)).references
    given = case.sample.references.references()
    return {id(picture.image): own.token_spans for picture, own in zip(given, bound, strict=True)}


def test_another_order_leaves_everybody_their_words() -> None:
    """Also where everybody has the same name and things of their own words, or one phrase is said of two people."""
    for people, same_clothes in ((2, False), (3, True), (4, False)):
        cases = list(puppet_suite_cases(people, 2, 9, 5, same_clothes=same_clothes, twins=("order",)))
        for base, turned in zip(cases[::2], cases[1::2], strict=True):
            assert all(words_by_picture(base).values()), base.name
            assert words_by_picture(turned) == words_by_picture(base), turned.name


@pytest.mark.parametrize("option", ["--frames 5", "--same-clothes", "--twins order", "--people 2", "--things 2", "--count 200"])
def test_what_is_of_the_puppet_world_is_not_dropped_beside_sample_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert main(["evaluate", "suite", "--samples", str(tmp_path), "--out", str(tmp_path / "s"), *option.split()]) == 2
    assert f"leave {option.split()[0]} out, which is of the puppet world" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("generate S --videos V --out R --device cuda", "--videos takes videos as they are"),
        ("generate S --videos V --out R --dtype bf16", "--videos takes videos as they are"),
        ("generate S --videos V --out R --workers 2", "--videos takes videos as they are"),
        ("generate S --videos V --out R --share 1/2", "--videos takes videos as they are"),
        ("generate S --model M --out R --gaps", "--gaps is of --videos"),
        ("import-opens2v F S --eyes puppets", "--eyes and --device are of --people faces"),
        ("import-opens2v F S --device cuda", "--eyes and --device are of --people faces"),
        ("reader --served qwen", "--served names a model of --server"),
        ("reader --local M --server http://127.0.0.1:9/v1", "--local and --server are two models"),
        ("eyes --photographs 2", "are of --through-nano"),
        ("eyes --workers 2", "are of --through-nano"),
        ("eyes --cfg 3", "are of --through-nano"),
    ],
)
def test_options_without_an_effect_are_refused(command: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *command.split()]) == 2
    assert told in capsys.readouterr().err


def test_unknown_twins_are_refused_and_doubled_ones_count_once() -> None:
    with pytest.raises(InputError, match="the twin is 'turned', expected one of order, mirrored, exchanged"):
        next(puppet_suite_cases(2, 1, 1, 0, twins=("turned",)))  # type: ignore[arg-type]
    assert [case.group for case in puppet_suite_cases(2, 1, 1, 0, twins=("order", "order"))] == ["told", "told-order"]


def test_everybody_in_the_same_clothes_on_another_number_of_frames(tmp_path: Path) -> None:
    command = "--people 3 --things 2 --count 3 --seed 6 --frames 5 --same-clothes --twins exchanged"
    assert main(["evaluate", "suite", "--out", str(tmp_path / "s"), *command.split()]) == 0
    suite = read_suite(tmp_path / "s")
    assert (suite.frames, suite.apart, len(suite.cases)) == (5, ("same-exchanged",), 4)
    assert suite.title == "3 people with 2 things each, the same kinds for all"
    for case in puppet_suite_cases(3, 2, 3, 6, frames=5, same_clothes=True):
        worn = [[(a.kind, a.colour) for a in puppet.attributes] for puppet in case.clip.puppets]
        assert len({tuple(kind for kind, _ in own) for own in worn}) == 1
        assert all(len({own[n][1] for own in worn}) == 3 for n in range(2))
        assert render_clip(case.clip).frames.shape[0] == 5
        judged_right(case)
    with pytest.raises(InputError, match="8 frames, expected 4n"):
        write_puppet_suite(tmp_path / "t", people=1, things=1, count=1, seed=0, frames=8)


def test_things_exchanged_with_others_of_another_head_are_found_where_they_hang() -> None:
    """Heads under another's hat, and the other's shirt where the own bag would be: both were called bound once."""
    for index in (0, 3):
        case = list(puppet_suite_cases(2, 3, index + 1, 1))[index]
        exchanged = score_clip(render_clip(with_exchanged_things(case.clip)).frames, case.clip.puppets)
        assert exchanged.rate("bound") == 0.0, case.name


def test_numbers_out_of_range_and_what_one_person_alone_exchanges() -> None:
    with pytest.raises(InputError, match="people is 5, expected a whole number"):
        next(puppet_suite_cases(5, 1, 1, 0))
    alone = next(puppet_suite_cases(1, 3, 1, 0)).clip
    before, after = alone.puppets[0], with_exchanged_things(alone).puppets[0]
    assert with_exchanged_things(alone).puppets == (after,) and after.identity == before.identity
    assert [a.kind for a in after.attributes] == [a.kind for a in before.attributes]
    assert all(a.colour != b.colour for a, b in zip(after.attributes, before.attributes, strict=True))
