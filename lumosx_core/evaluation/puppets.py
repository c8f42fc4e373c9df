"""The puppet benchmark: held-out people in held-out clothes; does everyone come out wearing their own things?

Half of the cases are *described* ("a man wearing a red striped shirt"), half are *plain*: the same words for everyone ("a
person wearing a shirt and a hat"), so that only the grouping of the references tells whose is what. The plain cases are run
once more with the attributes exchanged between the two people (*shuffled*: same words, same noise): a model that binds by
relation follows.
"""

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lumosx_core.contact_sheet import contact_sheet, stack_sheets
from lumosx_core.errors import InputError
from lumosx_core.files.atomic import write_text
from lumosx_core.files.images import save_image
from lumosx_core.puppets.scorer import ClipScore, score_clip
from lumosx_core.puppets.world import ClipSpec, puppet_sample, sample_clip
from lumosx_core.references import Sample
from lumosx_core.sampling.generate import GenerationConfig, decode, default_config, denoise, prepare
from lumosx_core.sampling.pipeline import LumosXPipeline, load_pipeline

HALVES = ("described", "plain", "shuffled")
SHEET_CASES = 12


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
    workers: int = 1,
    changes: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict:
    """Generate and score all cases; returns the report, which is also written to `<out>/report.json`.

    out: gets results.jsonl (one line per case; finished cases are kept when the run is repeated), frames/ (the clips of the
    sheet), sheet.png (12 random cases). count: cases without the shuffled twins. workers: processes, one thread each.
    changes: fields of GenerationConfig that differ from the pipeline's defaults. progress(done, total).
    Raises InputError when `out` holds results of another run: other settings, or another content of the pipeline's files.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    settings = {
        "pipeline": str(Path(pipeline_folder).resolve()),
        "count": count,
        "seed": seed,
        "changes": changes or {},
        "sha256": _digests(Path(pipeline_folder)),
    }
    _check_settings(out / "settings.json", settings)
    results = _read_results(out / "results.jsonl")
    cases = list(puppet_cases(count, seed))
    todo = [case for case in cases if case.name not in results]
    shown = {case.name for case in _sheet_cases(cases, seed)}
    arguments = [(str(pipeline_folder), case, changes or {}, out / "frames" if case.name in shown else None) for case in todo]
    # Fresh processes instead of forks: torch's threads do not survive a fork.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _one_thread) as pool:
        futures = [pool.submit(_run_case, *argument) for argument in arguments]
        try:
            for done, future in enumerate(as_completed(futures), len(results) + 1):
                result = future.result()
                results[result.name] = result
                with open(out / "results.jsonl", "a", encoding="utf-8") as lines:
                    lines.write(json.dumps(asdict(result)) + "\n")
                if progress is not None:
                    progress(done, len(cases))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    report = summarize([results[case.name] for case in cases]) | {"settings": settings}
    write_text(out / "report.json", json.dumps(report, indent=2) + "\n")
    save_image(_sheet(out, _sheet_cases(cases, seed), results), out / "sheet.png")
    return report


def summarize(results: list[CaseResult]) -> dict:
    """Rates (0..1) per half and for described and plain together: binding, identity, swap, and the counts behind them."""
    groups = {half: [r for r in results if r.half == half] for half in HALVES}
    groups["described and plain"] = groups["described"] + groups["plain"]
    report = {}
    for name, members in groups.items():
        outcomes = [outcome for r in members for _, _, outcome in r.outcomes]
        identities = [right for r in members for right in r.identities]
        if members:
            report[name] = {
                "cases": len(members),
                "attributes": len(outcomes),
                "binding": outcomes.count("bound") / len(outcomes),
                "swap": outcomes.count("swapped") / len(outcomes),
                "wrong": outcomes.count("wrong") / len(outcomes),
                "identity": sum(identities) / len(identities),
            }
    return report


_PIPELINES: dict[str, LumosXPipeline] = {}  # of this worker process


def _one_thread() -> None:
    torch.set_num_threads(1)


def _run_case(folder: str, case: PuppetCase, changes: dict, frames_folder: Path | None) -> CaseResult:
    if folder not in _PIPELINES:
        _PIPELINES[folder] = load_pipeline(folder)
    pipeline = _PIPELINES[folder]
    frames = generate_frames(pipeline, case.sample, replace(default_config(pipeline.defaults), **changes), case.seed)
    if frames_folder is not None:
        frames_folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(frames_folder / f"{case.name}.npz", frames=frames)
    return case_result(case, score_clip(frames, case.clip.puppets))


def generate_frames(pipeline: LumosXPipeline, sample: Sample, config: GenerationConfig, seed: int) -> np.ndarray:
    """uint8 frames [F, H, W, 3] of a sample, nothing written."""
    return decode(pipeline, denoise(pipeline, prepare(pipeline, sample, config), config, seed))


def case_result(case: PuppetCase, score: ClipScore) -> CaseResult:
    """The score of a case as plain data."""
    outcomes = tuple((a.subject, a.kind, a.outcome) for a in score.attributes)
    return CaseResult(name=case.name, half=case.half, prompt=case.sample.prompt, identities=score.identities, outcomes=outcomes)


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a pipeline folder: weights trained further have the same names and sizes."""
    digests = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        with open(path, "rb") as file:
            digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def _check_settings(path: Path, settings: dict) -> None:
    if path.exists() and json.loads(path.read_text("utf-8")) != settings:
        raise InputError(
            f"{path.parent} holds results of another model or of other settings ({path}); choose another output folder"
        )
    write_text(path, json.dumps(settings, indent=2) + "\n")


def _read_results(path: Path) -> dict[str, CaseResult]:
    """Finished cases by name; a last line that was cut off is dropped from the file."""
    if not path.exists():
        return {}
    results, kept = {}, []
    for line in path.read_text("utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        kept.append(line)
        record["identities"] = tuple(record["identities"])
        record["outcomes"] = tuple(tuple(outcome) for outcome in record["outcomes"])
        results[record["name"]] = CaseResult(**record)
    write_text(path, "".join(f"{line}\n" for line in kept))
    return results


def _sheet_cases(cases: list[PuppetCase], seed: int) -> list[PuppetCase]:
    """12 random ones of the described and plain cases."""
    own = [case for case in cases if case.half != "shuffled"]
    chosen = np.random.default_rng((seed, 12)).permutation(len(own))[:SHEET_CASES]
    return [own[index] for index in sorted(chosen)]


def _sheet(out: Path, cases: list[PuppetCase], results: dict[str, CaseResult]) -> Image.Image:
    sheets = []
    for case in cases:
        result = results[case.name]
        with np.load(out / "frames" / f"{case.name}.npz") as stored:
            frames = stored["frames"]
        bound = sum(outcome == "bound" for _, _, outcome in result.outcomes)
        note = (
            f"{case.half}, seed {case.seed}: {bound} of {len(result.outcomes)} attributes bound, "
            f"{sum(result.identities)} of {len(result.identities)} people right"
        )
        sheets.append(contact_sheet(case.sample.references, frames, shown=6, prompt=case.sample.prompt, note=note))
    return stack_sheets(sheets, 2)
