"""Suites: folders of cases that cannot change unnoticed, and the puppet suites of one to four people with one to three things.

<suite>/suite.json              what it is, and name, wording, seed of the noise and SHA-256 of every case
<suite>/cases/<name>/           a sample folder, with the truth about its puppets

A case of a puppet suite has one of three wordings: *told* (the words tell person and clothes), *clothes* (they tell the clothes
but everyone has the same name) and *same* (the same words for everybody: only the references tell whose is what).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import whole_folder
from lumosx_core.files.existing import existing_folder
from lumosx_core.files.json import parse_record, read_json, write_json
from lumosx_core.numbers import seed_number, whole_number
from lumosx_core.puppets.clip import BLOCK, HEIGHT, ClipSpec, sample_clip
from lumosx_core.puppets.pictures import puppet_sample
from lumosx_core.puppets.samples import write_truth
from lumosx_core.puppets.scorer import told_apart
from lumosx_core.puppets.spec import AttributeSpec, PuppetSpec, sample_attribute
from lumosx_core.references import Sample
from lumosx_core.sample_folder import write_sample

Wording = Literal["told", "clothes", "same"]
WORDINGS: tuple[Wording, ...] = get_args(Wording)
MANIFEST, CASES = "suite.json", "cases"
FRAMES = 17
MOST_CASES = 100_000
MOST_LOOKS = 200  # that are drawn to find one that is told apart; where hardly anything shows there is none


@dataclass(frozen=True, kw_only=True)
class SuiteCase:
    """One line of the manifest. seed: of the noise; sha256: of every file of the case's folder with its path."""

    name: str
    wording: Wording
    seed: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The manifest. people and things: in every case, things per person; seed: the cases are a pure function of it; width,
    height, frames: of the videos that are asked for, pixels."""

    people: int
    things: int
    seed: int
    width: int
    height: int
    frames: int
    cases: tuple[SuiteCase, ...]


@dataclass(frozen=True, kw_only=True)
class PuppetSuiteCase:
    """A case before it is written: what should be seen, and the sample that asks for it."""

    name: str
    wording: Wording
    seed: int
    clip: ClipSpec
    sample: Sample


def puppet_suite_cases(people: int, things: int, count: int, seed: int) -> Iterator[PuppetSuiteCase]:
    """`count` cases of held-out people in held-out things, the wordings in turn. Pure function of its arguments.

    people: 1 to 4, four on a wider frame; things: of each, 1 to 3. Raises InputError for others.
    """
    people, things = whole_number(people, "people", least=1, most=4), whole_number(things, "things", least=1, most=3)
    count, seed = whole_number(count, "count", least=1, most=MOST_CASES), seed_number(seed)
    for index in range(count):
        rng = np.random.default_rng((seed, people, things, index, 19))
        wording = WORDINGS[index % len(WORDINGS)]
        clip = sample_clip(
            rng,
            people=people,
            attributes=things,
            described=wording != "same",
            shared_names=wording == "clothes",
            held_out=True,
            frames=FRAMES,
        )
        sample = puppet_sample(rng, clip)
        noise = int(rng.integers(1 << 31))
        yield PuppetSuiteCase(name=f"{wording}-{index:04d}", wording=wording, seed=noise, clip=clip, sample=sample)


def write_puppet_suite(folder: str | Path, *, people: int, things: int, count: int, seed: int) -> Suite:
    """Write a puppet suite, whole or not at all. Raises InputError for numbers out of range, a folder that is not empty, and a
    disk that refuses."""
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and would be overwritten; choose another folder for the suite")
    cases: list[SuiteCase] = []
    width = 0
    with whole_folder(folder, "the suite") as partial:
        for case in puppet_suite_cases(people, things, count, seed):
            place = partial / CASES / case.name
            write_sample(place, case.sample)
            write_truth(place, case.clip.puppets)
            cases.append(SuiteCase(name=case.name, wording=case.wording, seed=case.seed, sha256=folder_digest(place)))
            width = BLOCK * case.clip.columns
        suite = Suite(people=people, things=things, seed=seed, width=width, height=HEIGHT, frames=FRAMES, cases=tuple(cases))
        write_json(partial / MANIFEST, asdict(suite), "the suite's manifest")
    return suite


def read_suite(folder: str | Path) -> Suite:
    """The manifest of a suite whose cases are all as they were written.

    Raises InputError, naming the first case, if one has changed or is missing, if there are others than the manifest's, and for
    a manifest that is missing or broken.
    """
    folder = existing_folder(folder, "suite", "give a folder that  lumosx evaluate suite  wrote")
    path = folder / MANIFEST
    suite = parse_record(Suite, read_json(path, "the suite's manifest"), str(path))
    names = {case.name for case in suite.cases}
    if len(names) != len(suite.cases):
        raise InputError(f"{path} names a case twice; write the suite anew")
    there = {place.name for place in (folder / CASES).iterdir()} if (folder / CASES).is_dir() else set()
    if strange := sorted(there ^ names):
        what = "is not in its manifest" if strange[0] in there else "is missing"
        raise InputError(f"the suite {folder} has changed: {strange[0]} {what}; write the suite anew into another folder")
    for case in suite.cases:
        if folder_digest(folder / CASES / case.name) != case.sha256:
            raise InputError(f"the suite {folder} has changed: {case.name} is another one; write the suite anew")
    return suite


def folder_digest(folder: Path) -> str:
    """SHA-256 over the paths and contents of all files below a folder, in the order of their paths. Raises InputError for what
    cannot be read."""
    digest = hashlib.sha256()
    try:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
    except OSError as error:
        raise InputError(f"cannot read the case {folder} ({error}); check its permissions") from error
    return digest.hexdigest()


def with_exchanged_things(clip: ClipSpec) -> ClipSpec:
    """The clip with everybody in the things of the next person: what must not count as bound.

    One person alone has nobody to exchange with and wears things of the same kinds in other looks instead, which one tells
    apart at a glance. Pure function of the clip.
    """
    if len(clip.puppets) == 1:
        alone = clip.puppets[0]
        rng = np.random.default_rng(clip.scene_seed)
        return replace(clip, puppets=(replace(alone, attributes=tuple(_other_look(rng, alone, a) for a in alone.attributes)),))
    worn = [puppet.attributes for puppet in clip.puppets]
    moved = worn[1:] + worn[:1]
    return replace(clip, puppets=tuple(replace(p, attributes=own) for p, own in zip(clip.puppets, moved, strict=True)))


def _other_look(rng: np.random.Generator, alone: PuppetSpec, own: AttributeSpec) -> AttributeSpec:
    """A held-out look of that kind in another colour that is told apart from the own one."""
    for _ in range(MOST_LOOKS):
        other = sample_attribute(rng, own.kind, held_out=True)
        if other.colour != own.colour and told_apart(alone, other):
            break
    return other
