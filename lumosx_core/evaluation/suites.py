"""Suites: folders of cases that cannot change unnoticed.

<suite>/suite.json              what it is, and name, group, seed of the noise and SHA-256 of every case
<suite>/cases/<name>/           a sample folder; in a puppet suite with the truth about its puppets
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from lumosx_core.errors import InputError
from lumosx_core.evaluation.cases import FRAMES, WORDINGS, PuppetCase, Twin, puppet_suite_cases
from lumosx_core.files.atomic import whole_folder, write_text
from lumosx_core.files.existing import existing_folder
from lumosx_core.files.json import parse_record, read_json, write_json
from lumosx_core.numbers import MAX_SEED, seed_number
from lumosx_core.puppets.clip import BLOCK, HEIGHT
from lumosx_core.sample_folder import read_sample, write_sample

MANIFEST, CASES = "suite.json", "cases"


@dataclass(frozen=True, kw_only=True)
class SuiteCase:
    """One line of the manifest. group: cases of one group are also reported together; seed: of the noise; sha256: of every file
    of the case's folder with its path."""

    name: str
    group: str
    seed: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The manifest. title: what the cases are, in words; seed: the cases are a pure function of it; width, height, frames: of
    the videos that are asked for, pixels, or None where the model's own hold; apart: groups that are not counted among all
    cases, since they are others of the same once more."""

    title: str
    kind: Literal["puppets", "photographs"]
    seed: int
    width: int | None
    height: int | None
    frames: int | None
    cases: tuple[SuiteCase, ...]
    apart: tuple[str, ...] = ()

    def digest(self) -> str:
        """SHA-256 of all that the manifest says: another suite has another one."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


class WritableCase(Protocol):
    """A case before it is written."""

    @property
    def name(self) -> str:
        """Unique within the suite, fit for a folder's name."""
        ...

    @property
    def group(self) -> str:
        """The part of the suite that it belongs to."""
        ...

    @property
    def seed(self) -> int:
        """Of the noise."""
        ...

    def write(self, folder: Path) -> None:
        """Write the sample folder."""
        ...


def write_suite(
    folder: str | Path, cases: Iterable[WritableCase], suite: Suite, beside: Callable[[], Mapping[str, str]] = dict
) -> Suite:
    """Write a suite, whole or not at all, and return its manifest: `suite` with the lines of the cases.

    beside: texts about the suite that lie beside its manifest, by file name; asked for when all cases are written. Raises
    InputError for a folder that is not empty, two cases of one name, and a disk that refuses.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and would be overwritten; choose another folder for the suite")
    lines: list[SuiteCase] = []
    with whole_folder(folder, "the suite") as partial:
        for case in cases:
            place = partial / CASES / case.name
            if place.exists():
                raise InputError(f"two cases of the suite are called {case.name}; give each a name of its own")
            case.write(place)
            lines.append(SuiteCase(name=case.name, group=case.group, seed=case.seed, sha256=folder_digest(place)))
        written = replace(suite, cases=tuple(lines))
        write_json(partial / MANIFEST, asdict(written), "the suite's manifest")
        for name, text in beside().items():
            write_text(partial / name, text)
    return written


def write_puppet_suite(
    folder: str | Path,
    *,
    people: int,
    things: int,
    count: int,
    seed: int,
    frames: int = FRAMES,
    same_clothes: bool = False,
    twins: Sequence[Twin] = (),
) -> Suite:
    """Write a puppet suite of `puppet_suite_cases`; twins are told apart. Raises InputError for numbers out of range and as
    `write_suite`."""
    cases = list(puppet_suite_cases(people, things, count, seed, frames=frames, same_clothes=same_clothes, twins=twins))
    title = f"{people} {'people' if people > 1 else 'person'} with {things} {'things' if things > 1 else 'thing'} each"
    title += ", the same kinds for all" * same_clothes
    apart = tuple(dict.fromkeys(case.group for case in cases if case.group not in WORDINGS))
    return write_suite(folder, cases, puppet_suite(title, cases[0], seed, apart))


def puppet_suite(title: str, case: PuppetCase, seed: int, apart: tuple[str, ...] = ()) -> Suite:
    """The manifest, still without cases, of a puppet suite whose cases are all as large as `case`."""
    return Suite(
        title=title,
        kind="puppets",
        seed=seed,
        width=BLOCK * case.clip.columns,
        height=HEIGHT,
        frames=case.clip.frames,
        cases=(),
        apart=apart,
    )


@dataclass(frozen=True, kw_only=True)
class _FolderCase:
    """A sample folder that is there, as a case."""

    folder: Path
    group: str
    seed: int

    @property
    def name(self) -> str:
        return self.folder.name

    def write(self, folder: Path) -> None:
        write_sample(folder, read_sample(self.folder))


def write_sample_suite(folder: str | Path, samples: str | Path, *, seed: int) -> Suite:
    """Write a suite of the sample folders in `samples`, grouped by how many people they have; videos are as large as the model
    makes them. Raises InputError for a folder without any, for one that cannot be read, and as `write_suite`."""
    seed = seed_number(seed)
    samples = existing_folder(samples, "folder of samples", "give a folder of sample folders, each with caption.txt")
    folders = sorted(path for path in samples.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise InputError(f"{samples} holds no sample folders; give a folder of folders, each with caption.txt")
    cases = []
    for number, place in enumerate(folders):
        people = len(read_sample(place).references.subjects)
        group = "1 person" if people == 1 else f"{people} people"
        cases.append(_FolderCase(folder=place, group=group, seed=(seed + number) % (MAX_SEED + 1)))
    title = f"sample folders of {samples.resolve().name}"
    manifest = Suite(title=title, kind="photographs", seed=seed, width=None, height=None, frames=None, cases=())
    return write_suite(folder, cases, manifest)


def read_manifest(path: Path) -> Suite:
    """The manifest in a file. Raises InputError if it is missing or broken, or names a case twice."""
    suite = parse_record(Suite, read_json(path, "the suite's manifest"), str(path))
    if len({case.name for case in suite.cases}) != len(suite.cases):
        raise InputError(f"{path} names a case twice; write the suite anew")
    return suite


def read_suite(folder: str | Path) -> Suite:
    """The manifest of a suite whose cases are all as they were written.

    Raises InputError, naming the first case, if one has changed or is missing, if there are others than the manifest's, and for
    a manifest that is missing or broken.
    """
    folder = existing_folder(folder, "suite", "give a folder that  lumosx evaluate suite  wrote")
    suite = read_manifest(folder / MANIFEST)
    names = {case.name for case in suite.cases}
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
