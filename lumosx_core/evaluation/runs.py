"""A run: the videos of one model for the cases of one suite, with everything that was found in them.

<run>/run.json                 whose videos: the suite's digest, the model's digests, what was changed
<run>/suite.json               the suite's manifest, so that a run is whole without the suite
<run>/cases/<name>/            what `generate_cases.py` says
<run>/scoring.json             versions of the metrics, and digests of their models
<run>/scores.jsonl             raw values, a line for every case and metric; of a share scores-2-of-8.jsonl
<run>/report.json, .md, .html  what they come to

Nothing is done twice: a case that is there is not made again, a score that is there not counted again. What belongs to another
suite, model, setting or version is refused, never mixed.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from lumosx_core.errors import InputError
from lumosx_core.evaluation.generate_cases import GeneratedCase
from lumosx_core.evaluation.suites import CASES, MANIFEST, Suite, read_manifest
from lumosx_core.files.digests import file_digest
from lumosx_core.files.existing import existing_folder
from lumosx_core.files.json import parse_record, read_json, write_json
from lumosx_core.numbers import whole_number

SETTINGS = "run.json"
MOST_SHARES = 10_000
# What decides the videos of a model folder; a model card or a note beside them does not.
MODEL_FILES = (
    "pipeline.json",
    "transformer.safetensors",
    "vae.safetensors",
    "text_encoder.safetensors",
    "spiece.model",
    "tokenizer.json",
)
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What the videos of a run belong to. The model is known by its files' content, wherever it lies.

    suite: digest of the manifest. source: generated here, or videos that were made elsewhere. changes: fields of
    GenerationConfig that differ from the model's defaults and the suite's sizes. dtype: of the weights in memory. sha256: of
    every one of MODEL_FILES that there is, by name.
    """

    suite: str
    source: Literal["model", "videos"] = "model"
    changes: dict = field(default_factory=dict)
    dtype: str = "fp32"
    sha256: dict = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Share:
    """The `number`th of every `of` cases: what one of several machines does."""

    number: int = 1
    of: int = 1

    def take(self, items: Sequence[Item]) -> list[Item]:
        """The items of this share."""
        return list(items[self.number - 1 :: self.of])


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run on the disk."""

    folder: Path
    settings: RunSettings
    suite: Suite

    def case(self, name: str) -> GeneratedCase:
        """The case of that name, finished or not."""
        return GeneratedCase(self.folder / CASES / name)


def parse_share(text: str | None) -> Share:
    """The share that "2/8" means; everything without one. Raises InputError for others."""
    if text is None:
        return Share()
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if match is None:
        raise InputError(f"the share is {text!r}, expected a number and how many there are, such as 2/8")
    of = whole_number(int(match[2]), "the number of shares", least=1, most=MOST_SHARES)
    return Share(number=whole_number(int(match[1]), "the share", least=1, most=of), of=of)


def start_run(folder: str | Path, suite: Suite, settings: RunSettings) -> Run:
    """A new run, or the one that is there, to go on with. Raises InputError if that is of another suite, model or setting."""
    folder = Path(folder)
    path = folder / SETTINGS
    if path.exists():
        stored = parse_record(RunSettings, read_json(path, "the settings of the run"), str(path))
        if differing := [name for name, value in vars(settings).items() if getattr(stored, name) != value]:
            what = {"sha256": "another model", "changes": "other sampling options"}.get(differing[0], f"another {differing[0]}")
            raise InputError(
                f"{folder} holds a run with {what} ({differing[0]!r} in {path.name}); choose another output folder"
            )
        return open_run(folder)
    if strange := [name for name in ("settings.json", "results.jsonl", "scores.jsonl", CASES) if (folder / name).exists()]:
        raise InputError(
            f"{folder} holds {strange[0]} of something else, or of an earlier version; choose another output folder"
        )
    write_json(folder / MANIFEST, asdict(suite), "the suite's manifest")
    write_json(path, asdict(settings), "the settings of the run")
    return Run(folder=folder, settings=settings, suite=suite)


def open_run(folder: str | Path) -> Run:
    """The run in a folder. Raises InputError if there is none, or its suite is not the one that it began with."""
    folder = existing_folder(folder, "run", "give a folder that  lumosx evaluate generate  wrote")
    path = folder / SETTINGS
    if not path.is_file():
        raise InputError(f"{folder} is no run: it has no {SETTINGS}; give a folder that  lumosx evaluate generate  wrote")
    settings = parse_record(RunSettings, read_json(path, "the settings of the run"), str(path))
    suite = read_manifest(folder / MANIFEST)
    if suite.digest() != settings.suite:
        raise InputError(f"{folder / MANIFEST} is not the suite that the run began with; put it back, or generate a new run")
    return Run(folder=folder, settings=settings, suite=suite)


def model_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of those of MODEL_FILES that a model folder has: weights trained further have the same names and sizes. Raises
    InputError for one that cannot be read."""
    return {name: file_digest(folder / name) for name in MODEL_FILES if (folder / name).is_file()}
