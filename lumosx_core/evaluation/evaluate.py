"""A model on cases of the puppet world: generate every case once, score it, report."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lumosx_core.errors import InputError
from lumosx_core.evaluation.cases import PuppetCase, puppet_cases
from lumosx_core.evaluation.generate_cases import GeneratedCase, generate_case
from lumosx_core.evaluation.metrics import puppet_binding
from lumosx_core.evaluation.report import CaseResult, draw_sheet, sheet_cases, summarize
from lumosx_core.files.images import save_image
from lumosx_core.files.json import parse_record, read_json, write_json
from lumosx_core.files.json_lines import append_record, read_records
from lumosx_core.numbers import seed_number, whole_number
from lumosx_core.progress import Progress
from lumosx_core.sampling.config import read_defaults
from lumosx_core.sampling.pipeline import LumosXPipeline, load_pipeline
from lumosx_core.workers import run_in_processes, worker_count

MAX_CASES = 1_000_000
# What decides the videos of a model folder; a model card or a note beside them does not.
MODEL_FILES = (
    "pipeline.json", "transformer.safetensors", "vae.safetensors", "text_encoder.safetensors", "spiece.model", "tokenizer.json",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What the results of a folder belong to. The model is known by its files' content, wherever it lies."""

    count: int
    seed: int
    changes: dict = field(default_factory=dict)  # fields of GenerationConfig that differ from the model's defaults
    sha256: dict = field(default_factory=dict)  # of every one of MODEL_FILES that there is, by name
    benchmark: str = "puppets"  # what the cases are


@dataclass(frozen=True, kw_only=True)
class _Job:
    model: str
    case: PuppetCase
    changes: dict
    folder: GeneratedCase


def evaluate_puppets(
    pipeline_folder: str | Path,
    out: str | Path,
    *,
    count: int = 200,
    seed: int = 0,
    workers: int | None = 1,
    changes: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict:
    """Generate and score all cases; returns the report, which is also written to `<out>/report.json`.

    out: gets cases/ (videos and samples), results.jsonl (one line per case), sheet.png (12 random cases). What is there is kept
    when the run is repeated: neither generated nor scored again. count: cases without the shuffled twins. workers: processes,
    one thread each (None: one per core).
    changes: fields of GenerationConfig that differ from the pipeline's defaults. progress: its stage is "cases".
    Raises InputError when `out` holds results of another run: other settings, or another content of the model's files; for
    numbers out of range; and when something in `out` cannot be read or written.
    """
    model, out = Path(pipeline_folder), Path(out)
    settings = run_settings(model, count=count, seed=seed, changes=changes)
    cases = list(puppet_cases(settings.count, settings.seed))
    shown = sheet_cases(cases, settings.seed)
    results = run_cases(model, out, cases, settings, shown=shown, workers=workers, progress=progress)
    report = summarize([results[case.name] for case in cases]) | {"settings": asdict(settings)}
    write_json(out / "report.json", report)
    return report


def run_settings(
    model: Path, *, count: int, seed: int, changes: dict[str, Any] | None = None, benchmark: str = "puppets"
) -> RunSettings:
    """The settings of a run, checked. Raises InputError for wrong values, before anything is written."""
    count, seed = whole_number(count, "count", least=1, most=MAX_CASES), seed_number(seed)
    replace(read_defaults(model).config, **(changes or {}))
    return RunSettings(count=count, seed=seed, changes=changes or {}, sha256=_digests(model), benchmark=benchmark)


def run_cases(
    model: Path,
    out: Path,
    cases: Sequence[PuppetCase],
    settings: RunSettings,
    *,
    shown: Sequence[PuppetCase],
    workers: int | None = 1,
    progress: Progress | None = None,
) -> dict[str, CaseResult]:
    """The results of the cases by name. shown: those of the sheet; out, workers, progress, errors: as in `evaluate_puppets`."""
    workers = worker_count(workers)
    _check_settings(out, settings)
    folders = {case.name: GeneratedCase(out / "cases" / case.name) for case in cases}
    wanted = {case.name for case in shown if not folders[case.name].exists()}  # scored by a version that kept no videos
    done = {result.name: result for result in read_records(out / "results.jsonl", CaseResult)}
    results = {case.name: done[case.name] for case in cases if case.name in done and case.name not in wanted}
    jobs = [
        _Job(model=str(model), case=case, changes=settings.changes, folder=folders[case.name])
        for case in cases
        if case.name not in results
    ]

    def keep(result: CaseResult) -> None:
        append_record(out / "results.jsonl", result)
        results[result.name] = result
        if progress is not None:
            progress("cases", len(results), len(cases))

    run_in_processes(_run_case, jobs, workers, keep)
    save_image(draw_sheet([(case, folders[case.name], results[case.name]) for case in shown]), out / "sheet.png")
    return results


_PIPELINES: dict[str, LumosXPipeline] = {}  # of this worker process


def _run_case(job: _Job) -> CaseResult:
    case, folder = job.case, job.folder
    if not folder.exists():
        pipeline = _pipeline(job.model)
        generate_case(pipeline, case, replace(pipeline.defaults.config, **job.changes), folder)
    found = puppet_binding.score(folder.frames(), folder.sample_folder)
    return CaseResult(
        name=case.name,
        half=case.half,
        prompt=case.sample.prompt,
        identities=tuple(found["identities"]),
        outcomes=tuple((person, kind, outcome) for person, kind, outcome in found["outcomes"]),
    )


def _pipeline(folder: str) -> LumosXPipeline:
    if folder not in _PIPELINES:
        _PIPELINES.clear()
        _PIPELINES[folder] = load_pipeline(folder)
    return _PIPELINES[folder]


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the files of a model folder: weights trained further have the same names and sizes."""
    digests = {}
    for path in (folder / name for name in MODEL_FILES):
        if path.is_file():
            digest = hashlib.sha256()
            try:
                with open(path, "rb") as file:
                    while block := file.read(2**20):
                        digest.update(block)
            except OSError as error:
                raise InputError(f"cannot read {path} ({error}); check its permissions") from error
            digests[path.name] = digest.hexdigest()
    return digests


def _check_settings(out: Path, settings: RunSettings) -> None:
    """Write the settings of a new run, or raise InputError if the folder's results are of others."""
    path = out / "settings.json"
    if not path.exists():
        if (out / "results.jsonl").exists():
            raise InputError(f"{out} holds results without their {path.name}; choose another output folder")
        write_json(path, asdict(settings))
        return
    content = read_json(path, "the settings of the results")
    if isinstance(content, dict):
        content.pop("pipeline", None)  # the model's path, as earlier versions stored it
    stored = parse_record(RunSettings, content, str(path))
    stored = replace(stored, sha256={name: value for name, value in stored.sha256.items() if name in MODEL_FILES})
    if stored != settings:
        raise InputError(f"{out} holds results of another model or of other settings ({path}); choose another output folder")
