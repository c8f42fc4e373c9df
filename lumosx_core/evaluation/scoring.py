"""What metrics say of the videos of a run: raw values, counted once and kept as they come."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from lumosx_core.data.relations.server_transport import ServerSettings
from lumosx_core.detection.embedders import FolderEmbedder
from lumosx_core.detection.known_models import MODELS, PURPOSES, ROLES, ROOT, available_models, model_folder
from lumosx_core.detection.person import Eyes
from lumosx_core.detection.real_eyes import best_models, embedder, face_finder, real_eyes, thing_eyes
from lumosx_core.detection.things import ThingEyes
from lumosx_core.errors import InputError
from lumosx_core.evaluation.generate_cases import GeneratedCase
from lumosx_core.evaluation.metrics import puppet_binding
from lumosx_core.evaluation.metrics.asked import OtherCases
from lumosx_core.evaluation.metrics.binding import Binding
from lumosx_core.evaluation.metrics.binding_sight import Sight
from lumosx_core.evaluation.metrics.clip import Clip, ClipSight
from lumosx_core.evaluation.metrics.faces import Faces
from lumosx_core.evaluation.metrics.judge import Judge
from lumosx_core.evaluation.metrics.metric import Metric
from lumosx_core.evaluation.metrics.motion import Flow, Motion, raft_flow
from lumosx_core.evaluation.phrase_nouns import noun_of
from lumosx_core.evaluation.runs import Run, Share, open_run
from lumosx_core.evaluation.server_judge import ServerJudge
from lumosx_core.evaluation.suites import CASES, Suite, folder_digest
from lumosx_core.eyes import FaceFinder
from lumosx_core.files.digests import file_digest
from lumosx_core.files.json import read_json, write_json
from lumosx_core.files.json_lines import append_record, read_records
from lumosx_core.packages import lacking_packages
from lumosx_core.progress import Progress
from lumosx_core.puppets.analyser import PuppetAnalyser
from lumosx_core.puppets.analyser_network import WEIGHTS
from lumosx_core.puppets.looks import PuppetFaces, PuppetLooks
from lumosx_core.workers import run_in_processes, worker_count

SCORING = "scoring.json"
PUPPETS, FACES, BINDING, CLIP, MOTION, JUDGE = METRICS = ("puppets", "faces", "binding", "clip", "motion", "judge")
# What each metric looks at photographs with, as roles of `known_models.py`.
ROLES_OF: dict[str, tuple[str, ...]] = {
    PUPPETS: (),
    FACES: ("faces",),
    BINDING: (*ROLES, "likeness"),
    CLIP: ("phrases", "masks", "likeness", "wording"),
    MOTION: ("motion",),
    JUDGE: (),  # a model behind a server
}


@dataclass(frozen=True, kw_only=True)
class Score:
    """One line of scores.jsonl. values: as the metric gave them; gap: why there was no video."""

    case: str
    metric: str
    values: dict
    gap: str = ""


@dataclass(frozen=True, kw_only=True)
class Looking:
    """What metrics look with. run: folder of the run that is scored. models: folder of models, as of `real_eyes`; the puppet
    world is looked at with the embedded analyser instead. device: of RAFT and of the models that are folders of transformers;
    face models run as their libraries do, without it. judge: the server that is asked."""

    run: Path
    models: Path
    device: str = "cpu"
    judge: ServerSettings | None = None


@dataclass(frozen=True, kw_only=True)
class _Job:
    metric: str
    looking: Looking
    case: str
    folder: GeneratedCase
    sha256: str  # of its sample


def metric_named(name: str, looking: Looking | None = None) -> Metric:
    """The metric of that name, one of METRICS; looking: None where nothing is looked at. Raises InputError for another name,
    and where the models are missing."""
    if name == PUPPETS:
        return puppet_binding
    if name == FACES:
        return Faces(None if looking is None else _faces(looking.models))
    if name == BINDING:
        return Binding() if looking is None else _binding(looking)
    if name == CLIP:
        return Clip() if looking is None else _clip(looking)
    if name == MOTION:
        return Motion() if looking is None else Motion(_flow(looking))
    if name == JUDGE:
        return Judge() if looking is None or looking.judge is None else Judge(ServerJudge(looking.judge))
    raise InputError(f"the metric is {name!r}, expected one of {', '.join(METRICS)}")


def _binding(looking: Looking) -> Binding:
    suite = open_run(looking.run).suite
    others = OtherCases(looking.run / CASES, [case.name for case in suite.cases], noun_of)
    if suite.kind == "puppets":
        analyser = PuppetAnalyser()
        eyes = Eyes(people=analyser, faces=PuppetFaces(analyser), phrases=analyser, masks=analyser)
        return Binding(Sight(eyes=eyes, embedder=PuppetLooks(), others=others))
    eyes = real_eyes(looking.models, device=looking.device)  # says of every role that has no model
    things = _things(looking.models, looking.device)
    eyes = replace(eyes, faces=_faces(looking.models), phrases=things.phrases, masks=things.masks)
    return Binding(Sight(eyes=eyes, embedder=_embedder(looking.models, "likeness", looking.device), others=others))


def _clip(looking: Looking) -> Clip:
    likeness, wording = (_embedder(looking.models, role, looking.device) for role in ("likeness", "wording"))
    return Clip(ClipSight(eyes=_things(looking.models, looking.device), clip=wording, dino=likeness, noun_of=noun_of))


# What several metrics look with is loaded once in a process.
@lru_cache(maxsize=1)
def _faces(models: Path) -> FaceFinder:
    return face_finder(models)


@lru_cache(maxsize=1)
def _things(models: Path, device: str) -> ThingEyes:
    return thing_eyes(models, device=device)


@lru_cache(maxsize=2)
def _embedder(models: Path, role: str, device: str) -> FolderEmbedder:
    return embedder(models, role, device=device)


def _flow(looking: Looking) -> Flow:
    name = best_models(looking.models, ("motion",))["motion"]
    return raft_flow(model_folder(looking.models, name) / MODELS[name].needed[0], device=looking.device)


def roles_of(name: str, suite_kind: str) -> set[str]:
    """The roles of the local models that a metric looks with at videos of a suite of that kind; none for an unknown name."""
    return set() if (name, suite_kind) == (BINDING, "puppets") else set(ROLES_OF.get(name, ()))


def lacking_of(name: str, models: Path) -> str:
    """What a metric lacks to look at photographs with the models of a folder, with what to get; empty if nothing. Looks at
    names of packages and files alone."""
    if name == JUDGE:
        return "; ".join(filter(None, ("a model behind a server, named with --judge", lacking_packages("openai"))))
    lacking = []
    for role in ROLES_OF[name]:
        there = available_models(models, role)
        chosen = there[0] if there else next(model for model, known in MODELS.items() if known.role == role)
        if not there:
            lacking.append(f"what {PURPOSES[role]}, get {MODELS[chosen].source} into {models / chosen}")
        if packages := lacking_packages(*MODELS[chosen].packages):
            lacking.append(packages)
    return "; ".join(lacking)


def score_run(
    run: Run,
    metrics: Sequence[str],
    *,
    models: Path = ROOT,
    device: str = "cpu",
    judge: ServerSettings | None = None,
    share: Share | None = None,
    workers: int | None = 1,
    progress: Progress | None = None,
) -> dict[str, dict[str, Score]]:
    """Score every case that is there and has no score yet; returns all scores by metric and case.

    metrics: names of them. models: the folder of models, for those that look at photographs, on `device`. judge: who is asked.
    share: only those cases. workers: processes, one thread each (None: one per core). progress: its stage is "score". Raises
    InputError if models are missing, the run holds scores of another version or with other models, or a case's sample was
    changed.
    """
    share = share or Share()
    if JUDGE in metrics and judge is None:
        raise InputError("the metric judge needs a model; name it with --judge, and its server with --judge-url")
    looking = Looking(run=run.folder, models=models, device=device, judge=judge)
    _check_versions(run, metrics, looking)
    scores = read_scores(run)
    cases = [case for case in share.take(run.suite.cases) if run.case(case.name).exists()]
    wanted = [(metric, case) for case in cases for metric in metrics]
    jobs = [
        _Job(metric=metric, looking=looking, case=case.name, folder=run.case(case.name), sha256=case.sha256)
        for metric, case in wanted
        if case.name not in scores.get(metric, {})
    ]
    done = len(wanted) - len(jobs)

    def keep(score: Score) -> None:
        nonlocal done
        append_record(_file_of(run, share), score)
        scores.setdefault(score.metric, {})[score.case] = score
        done += 1
        if progress is not None:
            progress("score", done, len(wanted))

    run_in_processes(_score, jobs, worker_count(workers), keep)
    return scores


def read_scores(run: Run) -> dict[str, dict[str, Score]]:
    """The scores of a run by metric and case, of all its shares. Raises InputError for damaged lines, scores of cases that are
    not in the suite, and two different ones of the same."""
    names = {case.name for case in run.suite.cases}
    found: dict[str, dict[str, Score]] = {}
    for path in sorted(run.folder.glob("scores*.jsonl")):
        for score in read_records(path, Score):
            if score.case not in names:
                raise InputError(f"{path} scores {score.case}, which is not in the suite; take that line out")
            other = found.setdefault(score.metric, {}).setdefault(score.case, score)
            if other != score:
                raise InputError(f"{path} and another line score {score.case} differently; delete one of them")
    return found


_metric = lru_cache(maxsize=len(METRICS))(metric_named)  # a worker loads its models once


def _score(job: _Job) -> Score:
    metric = _metric(job.metric, job.looking)
    if folder_digest(job.folder.sample_folder) != job.sha256:
        raise InputError(
            f"the sample of {job.case} in the run is not the suite's any more; delete {job.folder.folder} and generate it again"
        )
    if gap := job.folder.gap():
        return Score(case=job.case, metric=job.metric, values=metric.missing(job.folder.sample_folder), gap=gap)
    return Score(case=job.case, metric=job.metric, values=metric.score(job.folder.frames(), job.folder.sample_folder))


def _file_of(run: Run, share: Share) -> Path:
    return run.folder / ("scores.jsonl" if share.of == 1 else f"scores-{share.number}-of-{share.of}.jsonl")


def _check_versions(run: Run, metrics: Sequence[str], looking: Looking) -> None:
    """Note the versions of the metrics and digests of their models, or raise InputError if the run holds scores of others."""
    path = run.folder / SCORING
    stored = read_json(path, "the versions of the metrics") if path.exists() else {}
    if not isinstance(stored, dict):
        raise InputError(f"{path} holds no versions of metrics; delete it with the scores*.jsonl, and score again")
    versions = {name: {"version": metric_named(name).VERSION} | _model_digest(name, looking, run.suite) for name in metrics}
    for name, version in versions.items():
        if stored.get(name, version) != version or (name not in stored and name in read_scores(run)):
            raise InputError(
                f"{run.folder} holds scores of {name} of another version or with other models; delete {SCORING} and the "
                "scores*.jsonl, and score again: the videos stay"
            )
    if set(versions) - set(stored):
        write_json(path, stored | versions, "the versions of the metrics")


def _model_digest(name: str, looking: Looking, suite: Suite) -> dict[str, str]:
    """Which models the metric looks with, and the digest of their files; nothing for one that needs none."""
    if name == JUDGE and looking.judge is not None:
        return {"models": looking.judge.model}
    if name == BINDING and suite.kind == "puppets":
        return {"models": "embedded analyser", "sha256": file_digest(WEIGHTS)}
    if not roles_of(name, suite.kind):
        return {}
    chosen = list(best_models(looking.models, ROLES_OF[name]).values())
    digests = [folder_digest(looking.models / model) for model in chosen]
    whole = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return {"models": ", ".join(chosen), "sha256": whole}
