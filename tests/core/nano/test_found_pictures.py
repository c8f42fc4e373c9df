"""Reference pictures found in a photograph: the right person's, framed as given ones, and nothing else changed."""

from dataclasses import replace

import numpy as np
from PIL import Image

from lumosx_core.nano.clips import ShardPlan, read_shard, render_shard
from lumosx_core.nano.found_pictures import with_found_pictures
from lumosx_core.puppets.clip import ClipSpec, sample_clip
from lumosx_core.puppets.pictures import reference_set
from lumosx_core.puppets.spec import PALETTE, AttributeSpec
from lumosx_core.references import ReferenceSet

COLOURS = ("red", "blue", "yellow")


def clip_of(seed: int) -> ClipSpec:
    """Three people who wear one plain shirt each, in COLOURS."""
    rng = np.random.default_rng(seed)
    clip = sample_clip(rng, people=3, attributes=1, described=True)
    shirts = [AttributeSpec(kind="shirt", colour=c, second="white", pattern="plain") for c in COLOURS]
    puppets = tuple(replace(p, attributes=(shirt,)) for p, shirt in zip(clip.puppets, shirts, strict=True))
    phrases = tuple((f"{colour} shirt",) for colour in COLOURS)
    return replace(clip, puppets=puppets, caption=replace(clip.caption, attribute_phrases=phrases))


def nearest_colour(picture: Image.Image) -> str:
    """The one of COLOURS that most of the picture's pixels are nearest to, white paper and dark contours left out."""
    pixels = np.asarray(picture, float).reshape(-1, 3)
    vivid = pixels[np.ptp(pixels, axis=1) > 60]
    distance = np.stack([np.abs(vivid - PALETTE[c]).sum(1) for c in COLOURS])
    return COLOURS[int(np.bincount(distance.argmin(0), minlength=3).argmax())]


def words(references: ReferenceSet) -> list[tuple[str, int | None, str]]:
    return [(r.kind, r.subject, r.phrase) for r in references.references()]


def test_everybody_gets_what_the_photograph_shows_of_them() -> None:
    right = changed = 0
    for seed in range(12):
        clip = clip_of(seed)
        given = reference_set(np.random.default_rng(seed), clip)
        found = with_found_pictures(np.random.default_rng(seed), given, clip, 1.0)
        assert words(found) == words(given)
        right += sum(nearest_colour(s.attributes[0].image) == c for s, c in zip(found.subjects, COLOURS, strict=True))
        changed += sum(a.face is not b.face for a, b in zip(found.subjects, given.subjects, strict=True))
    assert right == 36
    assert changed >= 34  # a head that an arm hides keeps its picture


def test_the_share_counts_people_and_none_changes_nothing() -> None:
    clip = clip_of(1)
    given = reference_set(np.random.default_rng(1), clip)
    assert with_found_pictures(np.random.default_rng(0), given, clip, 0.0) is given
    replaced = 0
    for seed in range(40):
        found = with_found_pictures(np.random.default_rng(seed), given, clip, 0.4)
        replaced += sum(a is not b for a, b in zip(found.subjects, given.subjects, strict=True))
    assert 36 <= replaced <= 60  # 48 of 120


def test_a_shard_holds_found_pictures(tmp_path) -> None:
    plan = ShardPlan(folder=tmp_path / "a", index=0, seed=3, count=6, frames=1)
    given = read_shard(render_shard(plan))
    found = read_shard(render_shard(replace(plan, folder=tmp_path / "b", found_share=1.0)))
    # The first clip is the same; the draws for its photograph then change what follows.
    assert found.records[0] == given.records[0]
    assert (found.frames[0] == given.frames[0]).all() and (found.owners[0] == given.owners[0]).all()
    count = len(given.records[0]["references"])
    assert any((a != b).any() for a, b in zip(found.references[:count], given.references[:count], strict=True))
