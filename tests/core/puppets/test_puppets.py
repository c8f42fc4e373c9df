"""The puppet world: truth, determinism, held-out splits, and the scorer on true and exchanged renders."""

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest

from lumosx_core.errors import InputError
from lumosx_core.files.images import open_image
from lumosx_core.puppets import places as placing
from lumosx_core.puppets.clip import HEIGHT, WIDTH, ClipSpec, sample_clip
from lumosx_core.puppets.painter import pattern_fill
from lumosx_core.puppets.pictures import reference_set
from lumosx_core.puppets.render import render_clip
from lumosx_core.puppets.samples import (
    PHOTOGRAPHS_FOLDER,
    SAMPLES_FOLDER,
    read_truth,
    write_embedded_photographs,
    write_embedded_samples,
    write_puppet_sample,
)
from lumosx_core.puppets.scorer import AttributeScore, score_clip, settle_outcome
from lumosx_core.puppets.spec import (
    ATTRIBUTE_KINDS,
    PATTERNS,
    AttributeSpec,
    identity_count,
    is_held_out,
    sample_attribute,
    sample_identity,
)
from lumosx_core.references import prepare_reference_image
from lumosx_core.sample_folder import read_sample

CASES = 20


def clip_of(seed: int, **options: object) -> ClipSpec:
    return sample_clip(np.random.default_rng(seed), **{"held_out": True, **options})


def exchanged(clip: ClipSpec) -> ClipSpec:
    a, b = clip.puppets
    return replace(clip, puppets=(replace(a, attributes=b.attributes), replace(b, attributes=a.attributes)))


@pytest.fixture(scope="module")
def scores() -> list[tuple]:
    """(score of the true render, score of the render with attributes exchanged) of many clips."""
    pairs = []
    for seed in range(CASES):
        clip = clip_of((5, seed), objects=seed % 3 == 0)
        pairs.append(tuple(score_clip(render_clip(c).frames, clip.puppets) for c in (clip, exchanged(clip))))
    return pairs


def test_true_renders_are_bound(scores: list[tuple]) -> None:
    outcomes = [a.outcome for true, _ in scores for a in true.attributes]
    assert len(outcomes) == 4 * CASES and outcomes.count("bound") / len(outcomes) >= 0.99
    identities = [right for true, _ in scores for right in true.identities]
    assert np.mean(identities) >= 0.99


def test_exchanged_renders_are_not(scores: list[tuple]) -> None:
    outcomes = [a.outcome for _, swapped in scores for a in swapped.attributes]
    assert outcomes.count("bound") / len(outcomes) <= 0.01
    assert outcomes.count("swapped") / len(outcomes) >= 0.4  # of things that both people can wear


def test_an_empty_scene_and_strangers_score_nothing() -> None:
    clip = clip_of(3)
    empty = replace(clip, puppets=(), placements=())
    score = score_clip(render_clip(empty).frames, clip.puppets)
    assert score.rate("bound") <= 0.25 and not all(score.identities)
    strangers = replace(clip, puppets=clip_of(4).puppets)
    score = score_clip(render_clip(strangers).frames, clip.puppets)
    assert score.rate("bound") <= 0.25 and not any(score.identities)


def test_too_little_to_be_judged_is_hidden_and_scoring_always_ends() -> None:
    """The first 24 of the 1,000 clips that `scorer_limits.py` beside this file times."""
    rng = np.random.default_rng((779, 33, 1, 3))  # a jacket of which a scarf and a bag leave almost nothing
    clips = [sample_clip(rng, people=1, attributes=3, described=False, held_out=True, frames=17)]
    for seed in range(24):
        rng = np.random.default_rng((779, seed))
        people, worn = int(rng.integers(1, 5)), int(rng.integers(0, 4))
        clips.append(sample_clip(rng, people=people, attributes=worn, held_out=bool(seed % 2), frames=5))
    outcomes = []
    for clip in clips:
        started = time.monotonic()
        score = score_clip(render_clip(clip).frames, clip.puppets, scored_frames=1)
        assert time.monotonic() - started < 10
        assert len(score.attributes) == sum(len(puppet.attributes) for puppet in clip.puppets)
        outcomes.append([(attribute.kind, attribute.outcome) for attribute in score.attributes])
        judged = [outcome for _, outcome in outcomes[-1] if outcome != "hidden"]
        assert score.rate("bound") == pytest.approx(judged.count("bound") / len(judged) if judged else np.nan, nan_ok=True)
    assert outcomes[0] == [("jacket", "hidden"), ("scarf", "bound"), ("bag", "bound")]
    rest = [outcome for clip in outcomes[1:] for _, outcome in clip]
    assert rest.count("bound") / len(rest) > 0.95


def test_four_people_on_a_wider_frame() -> None:
    clips = [clip_of((6, seed), people=4, attributes=1, described=False) for seed in range(3)]
    scores = []
    for clip in clips:
        looks = [p.attributes for p in clip.puppets]
        moved = [replace(p, attributes=worn) for p, worn in zip(clip.puppets, looks[1:] + looks[:1], strict=True)]
        videos = [render_clip(c).frames for c in (clip, replace(clip, puppets=tuple(moved)))]
        assert videos[0].shape == (9, HEIGHT, 128, 3) and clip.caption.text.count(" and ") >= 1
        scores.append([score_clip(video, clip.puppets) for video in videos])
    true, exchanged_ = ([a for pair in scores for a in pair[n].attributes] for n in (0, 1))
    assert [a.outcome for a in true] == ["bound"] * 12 and [a.shown for a in true] == [0, 1, 2, 3] * 3
    assert [a.outcome for a in exchanged_] == ["swapped"] * 12 and [a.shown for a in exchanged_] == [1, 2, 3, 0] * 3
    assert all(all(score.identities) and score.frames == (0, 2, 4, 6, 8) for pair in scores for score in pair)
    assert all(score.head_errors.shape == (5, 4) and score.head_errors.max() < placing.SEEN_HEAD for score, _ in scores)
    assert all(len(a.frame_errors) == 5 and a.error < a.rival for a in true)


def test_the_order_of_the_people_changes_nothing() -> None:
    """Rivals are drawn for each person and thing anew; drawn one after the other, those of the second hung on the first."""
    clip = clip_of((6, 1), people=2, attributes=2)
    frames = render_clip(clip).frames
    given, turned = (score_clip(frames, people, scored_frames=2) for people in (clip.puppets, clip.puppets[::-1]))
    assert given.identities == turned.identities[::-1] and len(given.attributes) == 4
    as_given = [replace(a, subject=1 - a.subject, shown=None) for a in turned.attributes]
    assert sorted(as_given, key=lambda a: (a.subject, a.kind)) == sorted(
        (replace(a, shown=None) for a in given.attributes), key=lambda a: (a.subject, a.kind)
    )


@pytest.mark.parametrize("people", [1, 2, 3])
def test_heads_get_the_cheapest_places_that_are_apart(people: int) -> None:
    rng = np.random.default_rng(people)
    heads = [rng.random((2, 3, 4, 30)).astype(np.float32) for _ in range(people)]
    places = placing._joint_places(heads)
    for f in range(3):
        costs = [head.min(0)[f].min(0) for head in heads]
        apart = [
            xs for xs in itertools.product(range(30), repeat=people) if np.diff(sorted(xs)).min(initial=99) >= placing.APART
        ]
        best = min(apart, key=lambda xs: sum(float(cost[x]) for cost, x in zip(costs, xs, strict=True)))
        assert tuple(places[f, :, 0]) == best
        assert all(heads[n].min(0)[f, y, x] == costs[n][x] for n, (x, y) in enumerate(places[f]))


@pytest.mark.parametrize(
    ("outcome", "error", "recognised", "worn_by", "settled"),
    [
        ("bound", 0.1, True, None, "bound"),
        ("bound", 0.1, False, None, "wrong"),
        ("bound", 0.1, True, 1, "swapped"),
        ("wrong", np.inf, True, None, "hidden"),  # covered in every frame
        ("wrong", np.inf, False, None, "wrong"),  # nobody is there
        ("wrong", np.inf, True, 1, "swapped"),
        ("hidden", 0.1, False, 1, "hidden"),
    ],
)
def test_how_an_outcome_is_settled(outcome: str, error: float, recognised: bool, worn_by: int | None, settled: str) -> None:
    score = AttributeScore(subject=0, kind="hat", outcome=outcome, error=error)
    final = settle_outcome(score, recognised=recognised, worn_by=worn_by)
    assert (final.outcome, final.worn_by) == (settled, worn_by if settled == "swapped" else None)


def test_patterns_come_by_their_shares() -> None:
    clips = [clip_of(seed, held_out=False, pattern_shares=(0.0, 0.0, 0.25, 0.75)) for seed in range(100)]
    patterns = [a.pattern for clip in clips for p in clip.puppets for a in p.attributes if a.kind != "glasses"]
    assert set(patterns) == {"dotted", "checked"}
    assert patterns.count("checked") / len(patterns) == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_look_the_same_mirrored(pattern: str) -> None:
    u, v = np.meshgrid(np.arange(-12, 12, 0.5) + 0.25, np.arange(-24, -4, 0.5) + 0.25)
    fill = pattern_fill((255, 0, 0), (0, 0, 255), pattern, -23.0)
    painted, mirrored = fill(u.ravel(), v.ravel()), fill(-u.ravel(), v.ravel())
    assert np.array_equal(painted, mirrored)
    assert len(np.unique(painted, axis=0)) == (1 if pattern == "plain" else 2)


def test_rendering_is_deterministic_and_moves() -> None:
    clip = clip_of(7, frames=17)
    one, two = render_clip(clip), render_clip(ClipSpec.from_dict(clip.to_dict()))
    assert one.frames.shape == (17, HEIGHT, WIDTH, 3) == (17, 80, 96, 3) and one.frames.dtype == np.uint8
    assert np.array_equal(one.frames, two.frames)
    moving = [bool((render_clip(clip_of(s, frames=17)).frames.std(0) > 0).any()) for s in range(12)]
    assert sum(moving) >= 10


def test_masks_and_boxes_show_what_they_name() -> None:
    clip = clip_of(11)
    render = render_clip(clip)
    for n, puppet in enumerate(clip.puppets):
        for attribute in puppet.attributes:
            mask = render.attribute_mask(n, attribute.kind)
            assert mask.any(), (n, attribute.kind)
            without = replace(puppet, attributes=tuple(a for a in puppet.attributes if a is not attribute))
            puppets = tuple(without if k == n else p for k, p in enumerate(clip.puppets))
            changed = (render_clip(replace(clip, puppets=puppets)).frames != render.frames).any(-1)
            assert (changed & mask).sum() > 0.5 * mask.sum()
        x0, y0, x1, y1 = render.face_boxes[0, n]
        bx0, by0, bx1, by1 = render.puppet_boxes()[0, n]
        assert bx0 <= x0 < x1 <= bx1 and by0 <= y0 < y1 <= by1 and y1 - y0 > 20


def test_identities_and_held_out_parts() -> None:
    assert identity_count() >= 10**6 and len(ATTRIBUTE_KINDS) >= 6
    rng = np.random.default_rng(0)
    assert not any(is_held_out(sample_identity(rng)) for _ in range(50))
    assert all(is_held_out(sample_identity(rng, held_out=True)) for _ in range(50))
    assert all(is_held_out(sample_attribute(rng, "hat", held_out=True)) for _ in range(20))
    shirt, hat = (AttributeSpec(kind=k, colour="red", second="blue", pattern="dotted") for k in ("shirt", "hat"))
    assert is_held_out(shirt) == is_held_out(hat)  # the combination is held out, whatever wears it


def test_plain_captions_use_the_same_words_for_everyone() -> None:
    for seed in range(20):
        clip = clip_of(seed, described=False)
        names, kinds = {p.name for p in clip.puppets}, {tuple(a.kind for a in p.attributes) for p in clip.puppets}
        assert len(names) == 1 and len(kinds) == 1
        assert not any(word in clip.caption.text for p in clip.puppets for a in p.attributes for word in (a.colour, "dotted"))
        described = clip_of(seed, described=True)
        for puppet, phrases in zip(described.puppets, described.caption.attribute_phrases, strict=True):
            assert [f"{a.adjectives} {a.kind}" for a in puppet.attributes] == list(phrases)
            assert all(phrase in described.caption.text for phrase in phrases)


def test_reference_pictures_are_not_cut_from_the_frames() -> None:
    clip = clip_of(13)
    frames = render_clip(clip).frames.astype(int)
    for reference in reference_set(np.random.default_rng(0), clip).references():
        picture = np.asarray(prepare_reference_image(reference.image, WIDTH, HEIGHT)).astype(int)[20:60, 28:68]
        best = min(np.abs(frames[0, y : y + 40, x : x + 40] - picture).mean() for y in range(0, 41, 2) for x in range(0, 57, 2))
        assert best > 8, reference.phrase


def test_embedded_photographs_are_those_of_the_world(tmp_path) -> None:
    written = write_embedded_photographs(tmp_path)
    assert {path.name for path in written} == {path.name for path in PHOTOGRAPHS_FOLDER.glob("*.png")}
    for path in written:
        pictures = [np.asarray(open_image(each), np.float32) for each in (path, PHOTOGRAPHS_FOLDER / path.name)]
        assert pictures[0].shape == (320, 384, 3) and np.abs(pictures[0] - pictures[1]).mean() < 0.5


def test_embedded_samples_read_back_with_their_truth(tmp_path) -> None:
    folders = [p for p in SAMPLES_FOLDER.iterdir() if p.is_dir()]
    assert len(folders) >= 3
    for folder in folders:
        sample, truth = read_sample(folder), read_truth(folder)
        assert len(sample.references.subjects) == len(truth)
        assert all(len(s.attributes) == len(p.attributes) for s, p in zip(sample.references.subjects, truth, strict=True))
    for again in write_embedded_samples(tmp_path / "again"):
        embedded = SAMPLES_FOLDER / again.name
        assert read_truth(again) == read_truth(embedded) and read_sample(again).prompt == read_sample(embedded).prompt
        pictures, expected = (read_sample(folder).references.references() for folder in (again, embedded))
        for picture, other in zip(pictures, expected, strict=True):
            difference = np.asarray(picture.image, np.float32) - np.asarray(other.image, np.float32)
            assert np.abs(difference).mean() < 0.5, (again.name, picture.phrase)  # a garment drawn otherwise: above 5
    clip = clip_of(17)
    write_puppet_sample(tmp_path / "s", clip, np.random.default_rng(0))
    assert read_truth(tmp_path / "s") == clip.puppets
    with pytest.raises(InputError, match="only samples of the puppet world can be scored"):
        read_truth(tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"people": 5}, "5 people, expected 1 to 4"),
        ({"frames": 8}, r"8 frames, expected 4n \+ 1"),
        ({"objects": 3}, "3 objects, expected 0 to 2"),
        ({"pattern_shares": (0.5, 0.5)}, "expected 4 numbers that sum to 1"),
    ],
)
def test_impossible_clips_are_errors(options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        clip_of(0, **options)


def test_wrong_frames_and_records_are_errors() -> None:
    with pytest.raises(InputError, match=r"expected uint8 \[F, 80, 96, 3\]"):
        score_clip(np.zeros((2, 64, 96, 3), np.uint8), clip_of(0).puppets)
    record = clip_of(0).to_dict()
    del record["scene"]
    with pytest.raises(InputError, match="puppet clip record"):
        ClipSpec.from_dict(record)
