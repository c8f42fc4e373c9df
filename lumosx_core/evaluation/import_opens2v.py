"""The cases of OpenS2V-Eval as a suite of sample folders, with a report of what every label was bound to.

A JSON file maps a case to `prompt`, `img_paths`, `class_label`. The folder of a picture tells what it is:

    crop_man, crop_woman     the face of a subject
    man, woman               a whole person: an object, as in the published training; or cropped to the face of a subject
    environment, scene       the background; the second one of a case is an object
    clothes                  an attribute of the person in a case with one person, else an object
    others                   an object

Words are found by `opens2v_words.py` and bound as everywhere (`text_spans.py`); where that would give a label other words, a
tag in the prompt says which are meant. A label that nothing in the prompt means is added to its end, since every reference
needs words; all of this is told in the report.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from lumosx_core.detection.person import Eyes, find_subject
from lumosx_core.errors import InputError, quoted
from lumosx_core.evaluation.opens2v_binding import BoundLabel, CaseBinder, Picture
from lumosx_core.evaluation.opens2v_words import Label, find_words
from lumosx_core.evaluation.suites import Suite, write_suite
from lumosx_core.files.existing import existing_file
from lumosx_core.files.images import open_image
from lumosx_core.files.json import json_text, read_json
from lumosx_core.numbers import MAX_SEED, seed_number
from lumosx_core.progress import Progress
from lumosx_core.references import ReferenceKind, Sample
from lumosx_core.sample_folder import write_sample
from lumosx_core.tokenizers import Tokenizer, settled_text

REPORT = "import.json", "import.md"
FACES, BODIES = ("crop_man", "crop_woman"), ("man", "woman")
SCENES, CLOTHES = ("environment", "scene"), ("clothes",)
FIELDS = ("prompt", "img_paths", "class_label")
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"


@dataclass(frozen=True, kw_only=True)
class ImportedCase:
    """One case. people: how many pictures show a person; prompt: with its tags."""

    name: str
    people: int
    prompt: str
    labels: tuple[BoundLabel, ...]


@dataclass(frozen=True, kw_only=True)
class OpenS2VReport:
    """All cases, in their order, and the JSON files that hold none."""

    cases: tuple[ImportedCase, ...]
    left_out: tuple[str, ...] = ()

    def labels(self) -> list[BoundLabel]:
        """Those of all cases."""
        return [label for case in self.cases for label in case.labels]

    def bound(self) -> float:
        """The share of the labels whose words the prompt says, 0 to 1."""
        labels = self.labels()
        return sum(label.how != "added" for label in labels) / len(labels)


@dataclass(frozen=True, kw_only=True)
class _Record:
    """A case as the JSON file tells it; pictures exist. folder: that of the file."""

    name: str
    prompt: str
    labels: tuple[str, ...]
    paths: tuple[str, ...]
    folder: Path


def import_opens2v(
    given: str | Path,
    out: str | Path,
    tokenizer: Tokenizer,
    *,
    eyes: Eyes | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> OpenS2VReport:
    """Write a suite of the cases in a folder of JSON files, or in one such file; pictures are looked for beside it.

    out: of the suite, with import.json and import.md. eyes: what crops the faces of whole people; None: those stay objects.
    seed: of the first case's noise; each has the next one. progress: its stage is "importing". Raises InputError, before
    anything is written, for a file without cases, a case that is not as told above, two different ones of one name, and
    pictures that are missing; and as `write_suite` and `open_image` do.
    """
    given, seed = Path(given), seed_number(seed)
    records, left_out = read_cases(given)
    cases: list[ImportedCase] = []

    def samples() -> Iterator["_Case"]:
        for number, record in enumerate(records):
            sample, case = _imported(record, tokenizer, eyes)
            cases.append(case)
            group = {0: "no person", 1: "1 person"}.get(case.people, f"{case.people} people")
            yield _Case(name=record.name, group=group, seed=(seed + number) % (MAX_SEED + 1), sample=sample)
            if progress is not None:
                progress("importing", number + 1, len(records))

    report: list[OpenS2VReport] = []

    def texts() -> dict[str, str]:
        report.append(OpenS2VReport(cases=tuple(cases), left_out=left_out))
        return {REPORT[0]: json_text(asdict(report[0]), "the report"), REPORT[1]: report_text(report[0])}

    manifest = Suite(
        title="cases of OpenS2V-Eval", kind="photographs", seed=seed, width=None, height=None, frames=None, cases=()
    )
    write_suite(out, samples(), manifest, texts)
    return report[0]


def read_cases(given: Path) -> tuple[list[_Record], tuple[str, ...]]:
    """The cases of a JSON file or of all in a folder, each once, and the names of the files without any. Raises as
    `import_opens2v`."""
    files = sorted(given.glob("*.json")) if given.is_dir() else [existing_file(given, "file of cases", "give the folder")]
    records: dict[str, _Record] = {}
    left_out: list[str] = []
    for path in files:
        content = read_json(path, "the file of cases", unique_names=True)
        entries = list(content.values()) if isinstance(content, dict) else []
        if not any(isinstance(entry, dict) and "img_paths" in entry for entry in entries):
            left_out.append(path.name)
            continue
        for name, entry in content.items():
            record = _record(name, entry, path)
            if replace(records.setdefault(name, record), folder=record.folder) != record:
                raise InputError(f"{path} and another file of {given} tell the case {name} differently; import one of them")
    if not records:
        raise InputError(
            f"no JSON file of {given} holds cases of OpenS2V-Eval; expected an object of cases with {', '.join(FIELDS)}"
        )
    return list(records.values()), tuple(left_out)


def report_text(report: OpenS2VReport) -> str:
    """The report in Markdown: the counts, then every case with what its labels were bound to."""
    labels = report.labels()
    ways = Counter(label.how for label in labels)
    added = [(case.name, label) for case in report.cases for label in case.labels if label.how == "added"]
    lines = [
        "# Cases of OpenS2V-Eval and what their labels were bound to",
        "",
        f"{len(report.cases)} cases, {len(labels)} labels: the prompt says {len(labels) - len(added)} ({report.bound():.1%}).",
        f"{sum(label.doubtful for label in labels)} are doubtful, {sum(bool(label.tag) for label in labels)} needed a tag.",
        "",
        *(f"- {how}: {count}" for how, count in ways.most_common()),
        *(f"- {name} holds no cases and was left out" for name in report.left_out),
        "",
        "## Added to the prompt, since nothing in it means the label",
        "",
        *(f"- {name}: {label.label} ({label.picture})" for name, label in added),
        *([] if added else ["none"]),
        "",
        "## Every case",
        "",
        "| case | label | is | words | how |",
        "| --- | --- | --- | --- | --- |",
    ]
    for case in report.cases:
        for label in case.labels:
            of = label.owner if label.kind != "attribute" else f"attribute of {label.owner}"
            times = f" ({label.places} times)" if label.places > 1 else ""
            how = ", ".join(
                part
                for part in (label.how, "doubtful" * label.doubtful, f"tag {label.tag}" * bool(label.tag), label.note)
                if part
            )
            lines.append(f"| {case.name} | {label.label} | {of} | {label.words}{times} | {how} |")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, kw_only=True)
class _Case:
    """A `WritableCase`."""

    name: str
    group: str
    seed: int
    sample: Sample

    def write(self, folder: Path) -> None:
        write_sample(folder, self.sample)


def _record(name: str, entry: Any, path: Path) -> _Record:
    where = f"the case {quoted(name)} of {path}"
    if not re.fullmatch(NAME, name):
        raise InputError(f"{where} must be called by letters, digits and _ . - alone, since folders and videos are")
    if not isinstance(entry, dict) or any(field not in entry for field in FIELDS):
        raise InputError(f"{where} must be an object with {', '.join(FIELDS)}")
    prompt, paths, labels = (entry[field] for field in FIELDS)
    if not isinstance(prompt, str) or not prompt.strip():
        raise InputError(f"{where} has no prompt; expected a text")
    for field in FIELDS[1:]:
        if not isinstance(entry[field], list) or not all(isinstance(one, str) and one.strip() for one in entry[field]):
            raise InputError(f"{where}: {field} is {quoted(str(entry[field]))}, expected a list of texts")
    if len(paths) != len(labels) or not paths:
        raise InputError(f"{where} has {len(paths)} img_paths and {len(labels)} class_label; expected as many, at least one")
    for picture in paths:
        if PurePosixPath(picture).is_absolute() or ".." in PurePosixPath(picture).parts:
            raise InputError(f"{where}: {quoted(picture)} leaves the folder; give a path below {path.parent}")
        existing_file(path.parent / picture, f"picture of {name}", f"it is named in {path.name}; get it, or take the case out")
    return _Record(name=name, prompt=settled_text(prompt).strip(), labels=tuple(labels), paths=tuple(paths), folder=path.parent)


def _imported(record: _Record, tokenizer: Tokenizer, eyes: Eyes | None) -> tuple[Sample, ImportedCase]:
    rooms = [list(PurePosixPath(path).parts[:-1]) for path in record.paths]
    people = sum(_is(room, FACES + BODIES) for room in rooms)
    pictures: list[Picture] = []
    for room, path, label in zip(rooms, record.paths, record.labels, strict=True):
        pictures.append(_picture(record, room, path, label, pictures, people, eyes))
    scenes = [_is(room, SCENES) for room in rooms]
    labels = [Label(text=p.label, person=p.person, scene=scene) for p, scene in zip(pictures, scenes, strict=True)]
    try:
        case = CaseBinder(record.prompt, pictures, find_words(record.prompt, labels), tokenizer)
        case.settle()
    except InputError as error:
        raise InputError(f"cannot bind the case {record.name}: {error}") from error
    sample = replace(case.sample, sample_id=record.name)
    return sample, ImportedCase(name=record.name, people=people, prompt=sample.prompt, labels=tuple(case.told()))


def _picture(
    record: _Record, room: list[str], path: str, label: str, before: Sequence[Picture], people: int, eyes: Eyes | None
) -> Picture:
    """What a picture is, by the folders on its path; where several of them tell something the first one of face, whole person,
    scene and clothes counts, however near it is."""
    image, note = open_image(record.folder / path), ""
    kind: ReferenceKind = "object"
    if _is(room, FACES):
        kind = "face"
    elif _is(room, BODIES) and eyes is not None:
        try:
            face = find_subject([image], label, (), eyes).subject.face
            assert face is not None  # without a face and things nothing is found
            kind, image, note = "face", face, "the face of the whole person"
        except InputError:
            note = "no face was found; the whole person"
    elif _is(room, SCENES):
        first = all(picture.kind != "background" for picture in before)
        kind, note = ("background", "") if first else ("object", "the second scene")
    elif _is(room, CLOTHES) and people == 1:
        kind = "attribute"
    return Picture(path=path, label=label.strip(), kind=kind, person=_is(room, FACES + BODIES), image=image, note=note)


def _is(room: Sequence[str], names: Sequence[str]) -> bool:
    return any(part.casefold() in names for part in room)
