"""Training, validation and test: whole groups of sources, so that no source, no person and no picture is in two of them.

    DATASET/split.json    seed, shares, the product above which two faces are one person, and where every source belongs

Sources that show one person, or pictures that look the same, make a group. Where it belongs is drawn by a hash of its first
source and the seed, and then kept: data that are added later do not move what is there. Only where new data join groups of
several parts, all of them go to the first of train, val, test that has one: what was trained on is never tested on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np

from lumosx_core.data.alike import Looks
from lumosx_core.data.records import FramesRecord, PeopleRecord, digest_of
from lumosx_core.errors import InputError, quoted
from lumosx_core.files.json import parse_record, read_json, write_json
from lumosx_core.numbers import real_number, seed_number

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
FILE_NAME = "split.json"
FORMAT = 1
VALIDATION, TEST = 0.05, 0.05  # shares of the groups
LEAST_SAME = 0.5  # product of two embeddings of one person where nothing is known of strangers; ours
STRANGERS = 0.999  # two faces are one person if they are more alike than this share of faces of one frame
ROWS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class SplitRule:
    """How sources are split. val, test: shares of the groups. same_person: product of the embeddings of two faces above which
    they are one person; None: learnt from people who are in one frame. sources: what was drawn. Raises InputError for shares
    that leave nothing to train on, and numbers out of range."""

    format: int = FORMAT
    seed: int = 0
    val: float = VALIDATION
    test: float = TEST
    same_person: float | None = None
    sources: dict[str, Split] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise InputError(f"it is of format {self.format}, this LumosX reads {FORMAT}; update LumosX")
        seed_number(self.seed)
        real_number(self.val, "the share for validation", least=0, most=1)
        real_number(self.test, "the share for the test", least=0, most=1)
        if self.val + self.test >= 1:
            raise InputError(
                f"{self.val:g} for validation and {self.test:g} for the test leave nothing to train on; sum below 1"
            )
        if self.same_person is not None:
            real_number(self.same_person, "the product above which faces are one person", least=-1, most=1)
        if wrong := [source for source, split in self.sources.items() if split not in SPLITS]:
            raise InputError(
                f"source {quoted(wrong[0])} belongs to none of {', '.join(SPLITS)}; delete the file, and split again"
            )

    def drawn(self, source: str) -> Split:
        """Where a group whose first source this is belongs, by seed and content alone."""
        share = int(digest_of(["split", self.seed, source] if self.seed else ["split", source])[:12], 16) / 16**12
        return "val" if share < self.val else "test" if share < self.val + self.test else "train"


@dataclass(frozen=True, kw_only=True)
class SeenSource:
    """What a sample shows. looks: hashes of its frames (`looks_of`). faces: embeddings of its people's views, by person."""

    source: str
    looks: tuple[str, ...] = ()
    faces: tuple[tuple[tuple[float, ...], ...], ...] = ()


def seen_source(source: str, frames: FramesRecord, people: PeopleRecord) -> SeenSource:
    """What is known of a clip of a source."""
    return SeenSource(
        source=source,
        looks=tuple(frame.looks for frame in frames.frames),
        faces=faces_of(people),
    )


def faces_of(people: PeopleRecord) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """The embeddings of the faces of everybody, by person."""
    return tuple(tuple(view.embedding for view in track if view.embedding) for track in people.tracks)


def read_rule(dataset: Path) -> SplitRule:
    """The rule of a dataset; the default one where it has none. Raises InputError for a damaged file."""
    path = dataset / FILE_NAME
    return parse_record(SplitRule, read_json(path, "the split"), str(path)) if path.is_file() else SplitRule()


def write_rule(dataset: Path, rule: SplitRule) -> None:
    """Keep the rule with what it drew."""
    write_json(dataset / FILE_NAME, asdict(rule), "the split")


def split_sources(seen: Sequence[SeenSource], rule: SplitRule, *, alike: int = 0) -> SplitRule:
    """The rule with the split of every source. alike: frames that differ in fewer of 64 bits look the same."""
    drawn: dict[str, Split] = {}
    for group in _groups(seen, rule, alike):
        kept = {rule.sources[source] for source in group if source in rule.sources}
        split = next((name for name in SPLITS if name in kept), None) or rule.drawn(group[0])
        drawn |= dict.fromkeys(group, split)
    return replace(rule, sources=dict(sorted(drawn.items())))


def same_person(seen: Sequence[SeenSource]) -> float:
    """The product above which two faces are one person: more alike than people who are in one clip, for these embeddings."""
    products = [float(np.dot(a, b)) for clip in seen for one, other in combinations(clip.faces, 2) for a in one for b in other]
    return float(np.quantile(products, STRANGERS)) if products else LEAST_SAME


def _groups(seen: Sequence[SeenSource], rule: SplitRule, alike: int) -> list[list[str]]:
    """Sources that belong together, each group and all groups in the order of the ids."""
    parent = {clip.source: clip.source for clip in seen}

    def root(source: str) -> str:
        while parent[source] != source:
            parent[source] = parent[parent[source]]
            source = parent[source]
        return source

    for first, second in [*_alike(seen, alike), *_one_person(seen, rule)]:
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    groups: dict[str, list[str]] = {}
    for source in sorted(parent):
        groups.setdefault(root(source), []).append(source)
    return list(groups.values())


def _alike(seen: Sequence[SeenSource], alike: int) -> Iterable[tuple[str, str]]:
    """Pairs of sources, such that those of which any two frames look the same are joined, by others where need be."""
    known = Looks(alike)
    showing: dict[str, str] = {}  # the first source with this hash
    for clip in seen:
        for look in clip.looks:
            for near in known.near(look):
                if showing[near] != clip.source:
                    yield showing[near], clip.source
            known.add(look)
            showing.setdefault(look, clip.source)


def _one_person(seen: Sequence[SeenSource], rule: SplitRule) -> Iterable[tuple[str, str]]:
    """Pairs of sources that show one person, by the mean of each person's embeddings."""
    people = [(clip.source, np.mean(track, axis=0)) for clip in seen for track in clip.faces if track]
    if not people:
        return
    sources = [source for source, _ in people]
    faces = np.stack([face / max(float(np.linalg.norm(face)), 1e-12) for _, face in people]).astype(np.float32)
    least = rule.same_person if rule.same_person is not None else same_person(seen)
    for start in range(0, len(faces), ROWS_AT_ONCE):
        near = faces[start : start + ROWS_AT_ONCE] @ faces.T > least
        for row, column in np.argwhere(near):
            if sources[start + row] < sources[column]:
                yield sources[start + row], sources[column]


def split_counts(rows: Iterable[Mapping[str, str]]) -> dict[Split, int]:
    """How many samples each part has."""
    counts = dict.fromkeys(SPLITS, 0)
    for row in rows:
        counts[row["split"]] += 1  # type: ignore[index]
    return counts
