"""What looks the same among many, against the plain form that compares each with each."""

import random
import time

import pytest

from lumosx_core.data.alike import Looks
from lumosx_core.data.decide import near_duplicates
from lumosx_core.data.split import SeenSource, SplitRule, split_sources
from lumosx_core.data.stages.frames import bits_apart

Clips = list[tuple[str, tuple[str, ...]]]


def turned(look: int, bits: int, chance: random.Random) -> int:
    """The hash with so many of its bits turned."""
    for bit in chance.sample(range(64), bits):
        look ^= 1 << bit
    return look


def clips_of(count: int, seed: int, largest: int = 8) -> Clips:
    """Clips of three frames, most of them near frames of others: chains, repetitions, black frames that many share."""
    chance = random.Random(seed)
    scenes = [chance.getrandbits(64) for _ in range(max(2, count // 6))] + [0]
    clips = []
    for number in range(count):
        scene = chance.choice(scenes)
        frames = [turned(scene if chance.random() < 0.9 else 0, chance.randint(0, largest), chance) for _ in range(3)]
        clips.append((f"{number:06x}", tuple(f"{frame:016x}" for frame in frames)))
    chance.shuffle(clips)
    return clips


def plain_near_duplicates(clips: Clips, alike: int, first: frozenset[str]) -> dict[str, str]:
    """Each clip compared with all that were kept."""
    result: dict[str, str] = {}
    kept: Clips = []
    for clip, looks in sorted(clips, key=lambda c: (c[0] not in first, c[0])):
        other = next((k for k, seen in kept if all(min(bits_apart(a, b) for b in seen) < alike for a in looks)), None)
        if other is None:
            kept.append((clip, looks))
        else:
            result[clip] = other
    return result


def plain_groups(seen: list[SeenSource], alike: int) -> set[frozenset[str]]:
    """Sources joined one after the other, each frame compared with all."""
    groups: list[tuple[set[str], list[str]]] = []
    for clip in seen:
        near = [
            group
            for group in groups
            if clip.source in group[0] or any(bits_apart(a, b) < alike for a in clip.looks for b in group[1])
        ]
        groups = [group for group in groups if group not in near]
        names = {clip.source}.union(*(group[0] for group in near))
        groups.append((names, [*clip.looks, *(look for group in near for look in group[1])]))
    return {frozenset(names) for names, _ in groups}


@pytest.mark.parametrize("alike", [0, 1, 2, 3, 5, 6, 7, 11, 12, 13, 30, 64])
def test_near_hashes_are_all_found_and_no_others(alike: int) -> None:
    chance = random.Random(alike)
    base = chance.getrandbits(64)
    looks = [f"{turned(base, bits, chance):016x}" for bits in range(65) for _ in range(4)]
    index = Looks(alike)
    for look in looks:
        index.add(look)
        index.add(look)
    for asked in (f"{base:016x}", f"{turned(base, 3, chance):016x}", "0" * 16, "f" * 16):
        assert sorted(index.near(asked)) == sorted({look for look in looks if bits_apart(asked, look) < alike})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("alike", [0, 1, 6, 9, 20])
def test_repeated_clips_are_those_of_the_plain_form(alike: int, seed: int) -> None:
    clips = clips_of(160, seed)
    first = frozenset(clip for clip, _ in clips[:40])
    found = near_duplicates(clips, alike, first)
    assert found == plain_near_duplicates(clips, alike, first)
    assert bool(found) == (alike > 1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("alike", [0, 6, 20])
def test_sources_are_grouped_as_by_the_plain_form(alike: int, seed: int) -> None:
    seen = [SeenSource(source=clip[:5], looks=looks) for clip, looks in clips_of(160, seed, largest=3)]  # some have many clips
    even = SplitRule(val=0.3, test=0.3, seed=seed)
    wanted = {source: even.drawn(min(group)) for group in plain_groups(seen, alike) for source in group}
    assert split_sources(seen, even, alike=alike).sources == wanted


def test_time_grows_with_the_clips() -> None:
    """Ten times the clips take far less than a hundred times as long."""

    def seconds(count: int) -> float:
        chance = random.Random(count)
        clips = [(f"{n:06x}", tuple(f"{chance.getrandbits(64):016x}" for _ in range(3))) for n in range(count)]
        begin = time.process_time()
        assert near_duplicates(clips, 6, frozenset()) == {}
        return time.process_time() - begin

    assert seconds(5000) < 30 * seconds(500)
