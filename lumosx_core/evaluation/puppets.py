"""The puppet benchmark: held-out people in held-out clothes; does everyone come out wearing their own things?

Half of the cases are *described* ("a man wearing a red striped shirt"), half are *plain*: the same words for everyone ("a
person wearing a shirt and a hat"), so that only the grouping of the references tells whose is what. The plain cases are run
once more with the attributes exchanged between the two people (*shuffled*: same words, same noise): a model that binds by
relation follows.
"""

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.drawing.contact_sheet import contact_sheet, stack_sheets
from lumosx_core.errors import InputError
from lumosx_core.evaluation.statistics import rate_interval
from lumosx_core.files.atomic import whole_file
from lumosx_core.files.images import save_image
from lumosx_core.files.json import parse_record, read_json, write_json
from lumosx_core.files.json_lines import append_record, read_records
from lumosx_core.numbers import seed_number, whole_number
from lumosx_core.puppets.scorer import ClipScore, score_clip
from lumosx_core.puppets.world import ClipSpec, puppet_sample, sample_clip
from lumosx_core.references import Sample
from lumosx_core.sampling.config import GenerationConfig, read_defaults
from lumosx_core.sampling.generate import decode, denoise, prepare
from lumosx_core.sampling.pipeline import LumosXPipeline, load_pipeline
from lumosx_core.workers import run_in_processes, worker_count

HALVES = ("described", "plain", "shuffled")
SHEET_CASES = 12
MAX_CASES = 1_000_000
# What decides the videos of a model folder; a model card or a note beside them does not.
MODEL_FILES = (
    "pipeline.json", "transformer.safetensors", "vae.safetensors", "text_encoder.safetensors", "spiece.model", "tokenizer.json",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PuppetCase:
    """One case: what should be seen, and the sample that asks for it. `half` is one of HALVES."""

    index: int
    half: str
    clip: ClipSpec
    sample: Sample
    seed: int  # of the noise

    @property
    def name(self) -> str:
        """Unique within a run, e.g. "plain-0007"."""
        return f"{self.half}-{self.index:04d}"


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """The score of one case as plain data."""

    name: str
    half: str
    prompt: str
    identities: tuple[bool, ...]
    outcomes: tuple[tuple[int, str, str], ...]  # subject, kind, outcome


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What the results of a folder belong to. The model is known by its files' content, wherever it lies."""

    count: int
    seed: int
    changes: dict = field(default_factory=dict)  # fields of GenerationConfig that differ from the model's defaults
    sha256: dict = field(default_factory=dict)  # of every one of MODEL_FILES that there is, by name


@dataclass(frozen=True, kw_only=True)
class _Job:
    folder: str
    case: PuppetCase
    changes: dict
    frames: Path | None  # where the clip is kept for the sheet


def puppet_cases(count: int, seed: int) -> Iterator[PuppetCase]:
    """`count` cases, alternately described and plain, and the shuffled twin of every plain one. Pure function of the seed."""
    for index in range(count):
        rng = np.random.default_rng((seed, index, 91))
        plain = index % 2 == 1
        clip = sample_clip(rng, people=2, attributes=2, described=not plain, held_out=True, frames=17)
        sample = puppet_sample(rng, clip)
        noise = int(rng.integers(1 << 31))
        yield PuppetCase(index=index, half="plain" if plain else "described", clip=clip, sample=sample, seed=noise)
        if plain:
            yield shuffled_case(PuppetCase(index=index, half="plain", clip=clip, sample=sample, seed=noise))


def shuffled_case(case: PuppetCase) -> PuppetCase:
    """The case with the attributes of its two people exchanged; words and noise stay."""
    first, second = case.clip.puppets
    puppets = (replace(first, attributes=second.attributes), replace(second, attributes=first.attributes))
    left, right = case.sample.references.subjects
    subjects = (replace(left, attributes=right.attributes), replace(right, attributes=left.attributes))
    references = replace(case.sample.references, subjects=subjects)
    return replace(
        case,
        half="shuffled",
        clip=replace(case.clip, puppets=puppets),
        sample=replace(case.sample, references=references),
    )


def evaluate_puppets(
    pipeline_folder: str | Path,
    out: str | Path,
    *,
    count: int = 200,
    seed: int = 0,
    workers: int | None = 1,
    changes: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict:
    """Generate and score all cases; returns the report, which is also written to `<out>/report.json`.

    out: gets results.jsonl (one line per case; finished cases are kept when the run is repeated), frames/ (the clips of the
    sheet), sheet.png (12 random cases). count: cases without the shuffled twins. workers: processes, one thread each
    (None: one per core).
    changes: fields of GenerationConfig that differ from the pipeline's defaults. progress(done, total).
    Raises InputError when `out` holds results of another run: other settings, or another content of the model's files; for
    numbers out of range; and when something in `out` cannot be read or written.
    """
    count, workers = whole_number(count, "count", least=1, most=MAX_CASES), worker_count(workers)
    seed, out, model = seed_number(seed), Path(out), Path(pipeline_folder)
    settings = RunSettings(count=count, seed=seed, changes=changes or {}, sha256=_digests(model))
    replace(read_defaults(model).config, **settings.changes)  # wrong values are known before anything is written
    _check_settings(out, settings)
    cases = list(puppet_cases(count, seed))
    shown = {case.name: out / "frames" / f"{case.name}.npz" for case in _sheet_cases(cases, seed)}
    done = {result.name: result for result in read_records(out / "results.jsonl", CaseResult)}
    results = {case.name: done[case.name] for case in cases if case.name in done and _is_kept(shown.get(case.name))}
    jobs = [
        _Job(folder=str(model), case=case, changes=settings.changes, frames=shown.get(case.name))
        for case in cases
        if case.name not in results
    ]

    def keep(result: CaseResult) -> None:
        append_record(out / "results.jsonl", result)
        results[result.name] = result
        if progress is not None:
            progress(len(results), len(cases))

    run_in_processes(_run_case, jobs, workers, keep)
    report = summarize([results[case.name] for case in cases]) | {"settings": asdict(settings)}
    write_json(out / "report.json", report)
    save_image(_sheet(shown, _sheet_cases(cases, seed), results), out / "sheet.png")
    return report


def summarize(results: list[CaseResult]) -> dict:
    """Rates (0..1) per half and for described and plain together: binding, identity, swap, and the counts behind them.

    Rates of attributes are among those that can be judged ("attributes"); how many are hidden is counted beside them.
    "intervals": of binding, swap and identity [low, high] at 95 %, drawn over cases, since the things of one video go together.
    """
    groups = {half: [r for r in results if r.half == half] for half in HALVES}
    groups["described and plain"] = groups["described"] + groups["plain"]
    report = {}
    for name, members in groups.items():
        outcomes = [outcome for r in members for _, _, outcome in r.outcomes]
        judged = len(outcomes) - outcomes.count("hidden")
        identities = [right for r in members for right in r.identities]
        if members:
            report[name] = {
                "cases": len(members),
                "attributes": judged,
                "hidden": outcomes.count("hidden"),
                "binding": outcomes.count("bound") / max(1, judged),
                "swap": outcomes.count("swapped") / max(1, judged),
                "wrong": outcomes.count("wrong") / max(1, judged),
                "identity": sum(identities) / len(identities),
                "intervals": _intervals(members),
            }
    return report


def _intervals(results: list[CaseResult]) -> dict[str, list[float]]:
    """The 95 % interval of each rate; none where nothing could be judged."""

    def of(wanted: str) -> list[tuple[float, float]]:
        told = [[outcome for _, _, outcome in r.outcomes if outcome != "hidden"] for r in results]
        return [(float(outcomes.count(wanted)), float(len(outcomes))) for outcomes in told]

    cases = {
        "binding": of("bound"),
        "swap": of("swapped"),
        "identity": [(float(sum(r.identities)), float(len(r.identities))) for r in results],
    }
    found = {name: rate_interval(rows) for name, rows in cases.items() if any(asked for _, asked in rows)}
    return {name: [interval.low, interval.high] for name, interval in found.items()}


_PIPELINES: dict[str, LumosXPipeline] = {}  # of this worker process


def _run_case(job: _Job) -> CaseResult:
    if job.folder not in _PIPELINES:
        _PIPELINES.clear()
        _PIPELINES[job.folder] = load_pipeline(job.folder)
    pipeline = _PIPELINES[job.folder]
    config = replace(pipeline.defaults.config, **job.changes)
    frames = generate_frames(pipeline, job.case.sample, config, job.case.seed)
    if job.frames is not None:
        with whole_file(job.frames, "the clip of a case") as partial:
            np.savez_compressed(partial, frames=frames)
    return case_result(job.case, score_clip(frames, job.case.clip.puppets))


def generate_frames(pipeline: LumosXPipeline, sample: Sample, config: GenerationConfig, seed: int) -> np.ndarray:
    """uint8 frames [F, H, W, 3] of a sample, nothing written."""
    return decode(pipeline, denoise(pipeline, prepare(pipeline, sample, config), config, seed))


def case_result(case: PuppetCase, score: ClipScore) -> CaseResult:
    """The score of a case as plain data."""
    outcomes = tuple((a.subject, a.kind, a.outcome) for a in score.attributes)
    return CaseResult(name=case.name, half=case.half, prompt=case.sample.prompt, identities=score.identities, outcomes=outcomes)


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


def _is_kept(frames: Path | None) -> bool:
    return frames is None or frames.is_file()


def _read_frames(path: Path) -> np.ndarray:
    try:
        with np.load(path) as stored:
            frames = stored["frames"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read ({error}); delete it, and the same command makes it again") from error
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise InputError(f"{path} holds no frames; delete it, and the same command makes it again")
    return frames


def _sheet_cases(cases: list[PuppetCase], seed: int) -> list[PuppetCase]:
    """12 random ones of the described and plain cases."""
    own = [case for case in cases if case.half != "shuffled"]
    chosen = np.random.default_rng((seed, 12)).permutation(len(own))[:SHEET_CASES]
    return [own[index] for index in sorted(chosen)]


def _sheet(kept: dict[str, Path], cases: list[PuppetCase], results: dict[str, CaseResult]) -> Image.Image:
    sheets = []
    for case in cases:
        result = results[case.name]
        frames = _read_frames(kept[case.name])
        outcomes = [outcome for _, _, outcome in result.outcomes if outcome != "hidden"]
        note = (
            f"{case.half}, seed {case.seed}: {outcomes.count('bound')} of {len(outcomes)} attributes bound, "
            f"{sum(result.identities)} of {len(result.identities)} people right"
        )
        sheets.append(contact_sheet(case.sample.references, frames, shown=6, prompt=case.sample.prompt, note=note))
    return stack_sheets(sheets, 2)
