"""What a worker is asked to do: cut a video into shots, or run the stages of a clip."""

from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from lumosx_core.data.collect_config import CollectConfig, ModelSettings
from lumosx_core.data.components import Components, absolute_models, components_digest, make_components
from lumosx_core.data.records import Shot, canonical, digest_of
from lumosx_core.data.shots import cut_into_shots
from lumosx_core.data.stage import ClipWork, DroppedError, dropped_result, failed_result, run_stages
from lumosx_core.data.stages import CLIP_STAGES
from lumosx_core.data.store import Blobs, StageResult

SHOTS_VERSION = 1
LOST = "lost"  # the stage under which it is noted that a worker was lost over a job


@dataclass(frozen=True, kw_only=True)
class SourceJob:
    """Cut a video into shots. unit: the source. known: what the store has of it."""

    unit: str
    path: Path
    config: CollectConfig
    blobs: Path
    known: dict[str, StageResult] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ClipJob(SourceJob):
    """Run the stages of a clip. unit: the clip. caption: what was given beside its video."""

    shot: Shot
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """All results of one unit that hold now."""

    unit: str
    results: tuple[StageResult, ...]


def collect_source(job: SourceJob) -> JobResult:
    """The shots of a video, or why there are none."""
    key = shots_key(job)
    try:
        record = cut_into_shots(job.path, job.config.shots)
        result = StageResult(stage="shots", key=key, status="done", record=canonical(record).decode())
    except DroppedError as drop:
        result = dropped_result("shots", key, drop)
    except Exception as error:
        result = failed_result("shots", key, error)
    return JobResult(unit=job.unit, results=(result,))


def collect_clip(job: ClipJob) -> JobResult:
    """All stages of a clip that are not known yet."""
    return JobResult(unit=job.unit, results=tuple(run_stages(CLIP_STAGES, _work(job), job.known)))


def is_finished(job: SourceJob) -> bool:
    """Whether the store knows all that the job would find out, and has the files."""
    lost = job.known.get(LOST)
    if lost is not None and lost.key == _lost_key(job):
        return True
    if not isinstance(job, ClipJob):
        shots = job.known.get("shots")
        return shots is not None and shots.key == shots_key(job)
    work = _work(job)
    results: dict[str, StageResult] = {}
    for stage in CLIP_STAGES:
        result = job.known.get(stage.name)
        if result is None or result.key != stage.key(work, results) or not work.blobs.holds(result):
            return False
        if result.status != "done":
            return True
        results[stage.name] = result
    return True


def lost(job: SourceJob, why: str) -> JobResult:
    """What is noted of a job whose worker was lost: a crash of a decoder, memory, or time."""
    told = canonical({"message": f"the process that worked on it {why}", "traceback": ""}).decode()
    noted = StageResult(stage=LOST, key=_lost_key(job), status="failed", record=told)
    return JobResult(unit=job.unit, results=(*job.known.values(), noted))


AnyJob = TypeVar("AnyJob", bound=SourceJob)


def at_absolute_paths(job: AnyJob) -> AnyJob:
    """The same job for a worker whose working folder is another one: every path in it is absolute."""
    config = replace(job.config, models=absolute_models(job.config.models))
    return replace(job, path=job.path.absolute(), blobs=job.blobs.absolute(), config=config)


def _work(job: ClipJob) -> ClipWork:
    return ClipWork(
        path=job.path,
        shot=job.shot,
        caption=job.caption,
        config=job.config,
        models=_digest(job.config.models),
        make_components=lambda: _components(job.config.models),
        blobs=Blobs(job.blobs),
    )


def shots_key(job: SourceJob) -> str:
    """What the shots of a video depend on."""
    return digest_of(["shots", SHOTS_VERSION, asdict(job.config.shots)])


def _lost_key(job: SourceJob) -> str:
    return digest_of([LOST, asdict(job.config)])


@lru_cache(maxsize=1)
def _components(settings: ModelSettings) -> Components:
    """One set of finders in every worker."""
    return make_components(settings)


@lru_cache(maxsize=1)
def _digest(settings: ModelSettings) -> str:
    return components_digest(settings)
