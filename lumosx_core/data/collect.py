"""From videos to a dataset, read top to bottom: find them, cut them into shots, run the stages, decide, pack, draw.

Workers look at videos and write files named by their content; this process alone writes the store and the dataset. A clip is
committed whole. Whatever ends a run, the same command goes on where it stopped.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lumosx_core.data.collect_config import CollectConfig
from lumosx_core.data.collected import Clip, CollectReport, counts_of, dropped_row, dropped_sources, packed_sample, report_of
from lumosx_core.data.components import absolute_models, make_components
from lumosx_core.data.corrections import Correction, applied, basis_of, corrected
from lumosx_core.data.cuts import check_detector
from lumosx_core.data.decide import Decision, decide, near_duplicates
from lumosx_core.data.engine import Engine, ProcessEngine
from lumosx_core.data.jobs import (
    ClipJob,
    JobResult,
    SourceJob,
    at_absolute_paths,
    collect_clip,
    collect_source,
    is_finished,
    lost,
)
from lumosx_core.data.pack import MANIFEST, pack_samples, parquet, read_manifest, refuse_imported
from lumosx_core.data.pages import write_page
from lumosx_core.data.pairs import Shown, with_further_views
from lumosx_core.data.records import SourceRecord, clip_id
from lumosx_core.data.removal import REVIEW_PAGE, finish_removal, read_removed
from lumosx_core.data.sources import Source, find_videos, identify, known_sources
from lumosx_core.data.split import SplitRule, read_rule, seen_source, split_sources, write_rule
from lumosx_core.data.stage import stored_work
from lumosx_core.data.stages import CLIP_STAGES
from lumosx_core.data.stages.reading import check_reader
from lumosx_core.data.store import WORK, Blobs, StageResult, WorkStore, open_store
from lumosx_core.files.atomic import remove_file, writable_folder
from lumosx_core.files.json import parse_record
from lumosx_core.progress import Progress
from lumosx_core.tokenizers import Tokenizer
from lumosx_core.workers import SLOW

PAGE = "page.html"
JOB_LIMIT_S = 900.0  # for one video or clip; then its worker is ended


def collect(
    inputs: Sequence[Path],
    out: Path,
    config: CollectConfig,
    tokenizer: Tokenizer,
    *,
    engine: Engine | None = None,
    retry_failed: bool = False,
    on_clip: Callable[[Clip, Blobs], None] | None = None,
    progress: Progress | None = None,
) -> CollectReport:
    """Collect a dataset into `out`, or go on with it; videos of earlier runs stay in it.

    engine: where the work is done, by default processes on this machine, one per core; the dataset is the same with every one.
    on_clip(clip, files of the work store) is called for every clip when it is decided. Raises InputError for inputs without
    videos, models that are missing, a dataset that another process writes, and a disk that refuses; what is wrong with single
    videos is told in the report.
    """
    engine = engine or ProcessEngine()
    parquet()
    sent = replace(config, models=absolute_models(config.models))
    engine.check(make_components, sent.models)  # what is missing is told before anything is done
    engine.check(check_detector, config.shots)
    engine.check(check_reader, sent)
    refuse_imported(out)
    videos = find_videos(inputs)
    with WorkStore(writable_folder(out) / WORK) as store:
        removed = finish_removal(out, store)
        sources, unreadable = identify(videos, store, progress, unwanted=removed.has)
        run = partial(_run, store=store, engine=engine, progress=progress)
        clips = _cut(sources, store, config, run, retry_failed)
        run(collect_clip, [clip.job for clip in clips], "clips")
        return publish(out, store, config, tokenizer, sources, clips, tuple(unreadable), on_clip, progress)


def decide_again(
    out: Path, config: CollectConfig, tokenizer: Tokenizer, *, rule: SplitRule | None = None, progress: Progress | None = None
) -> CollectReport:
    """Make the dataset anew out of what the stages stored: other thresholds, another split. Looks at no video.

    rule: the new split; None keeps the one that is there. Raises InputError if the dataset has no work store, if another
    process writes it, and when the disk refuses.
    """
    with open_store(out) as store:
        finish_removal(out, store)
        sources = known_sources(store)
        clips = known_clips(sources, store, config)
        return publish(out, store, config, tokenizer, sources, clips, (), None, progress, rule)


def publish(
    out: Path,
    store: WorkStore,
    config: CollectConfig,
    tokenizer: Tokenizer,
    sources: list[Source],
    clips: list[Clip],
    unreadable: tuple[str, ...],
    on_clip: Callable[[Clip, Blobs], None] | None,
    progress: Progress | None,
    rule: SplitRule | None = None,
) -> CollectReport:
    """Decide, split, pack and draw."""
    decide_clips(clips, out, store, config, tokenizer, progress)
    rule = split_of_clips(clips, rule or read_rule(out), config.keep.alike)
    if on_clip is not None:
        for clip in clips:
            on_clip(clip, store.blobs)
    report = report_of(clips, sources, unreadable, store)
    samples = [packed_sample(clip, store.blobs, config, rule) for clip in clips if clip.is_sample]
    dropped = [row for clip in clips if (row := dropped_row(clip)) is not None] + dropped_sources(sources, store)
    write_rule(out, rule)
    pack_samples(out, samples, dropped, config, counts_of(report), progress)
    write_page(out / PAGE, clips, report, store.blobs, config)
    if config.privacy.frames == "none":
        remove_file(out / REVIEW_PAGE)  # it may show frames
    return report


def decide_clips(
    clips: list[Clip],
    out: Path,
    store: WorkStore,
    config: CollectConfig,
    tokenizer: Tokenizer,
    progress: Progress | None = None,
) -> dict[str, str]:
    """Give every clip what is known of it and its decision; clip -> the clip that it repeats, of those left out for that."""
    tell = progress or (lambda *_: None)
    corrections = applied(out)
    for number, clip in enumerate(clips, start=1):
        clip.results = store.results(clip.clip)
        clip.records = records_of(clip.results)
        clip.decision = _decision(clip, corrections.get(clip.clip), config, tokenizer, store.blobs)
        tell("deciding", number, len(clips))
    repeated = _drop_duplicates(clips, out, config.keep.alike)
    if config.pairs.views:
        _find_further_views(clips, config)
    return repeated


def _find_further_views(clips: list[Clip], config: CollectConfig) -> None:
    """Give the people of samples faces from other shots of their video."""
    videos: dict[str, list[Shown]] = {}
    for clip in clips:
        if clip.decision is not None:
            shown = Shown(clip=clip.clip, records=clip.records, decision=clip.decision)
            videos.setdefault(clip.source.source, []).append(shown)
    decisions: dict[str, Decision] = {}
    for shots in videos.values():
        if len(shots) > 1:
            decisions |= with_further_views(shots, config.pairs, config.keep)
    for clip in clips:
        clip.decision = decisions.get(clip.clip, clip.decision)


def _decision(
    clip: Clip, correction: Correction | None, config: CollectConfig, tokenizer: Tokenizer, blobs: Blobs
) -> Decision | None:
    """By the thresholds and by what somebody said of the clip, where that still fits what was found."""
    if not clip.records:
        return None
    if correction is None:
        return decide(clip.records, config.keep, tokenizer)
    if correction.verdict == "reject":
        return Decision(reason="rejected_in_review", detail="somebody looked at it")
    if correction.basis != basis_of(clip.results):
        clip.stale = True
        return decide(clip.records, config.keep, tokenizer)
    work = stored_work(clip.job.path, clip.job.shot, config, blobs, clip.records)
    clip.records, verdicts = corrected(clip.records, correction, work)
    return decide(clip.records, config.keep, tokenizer, verdicts=verdicts)


def split_of_clips(clips: list[Clip], rule: SplitRule, alike: int) -> SplitRule:
    """The rule with the split of every source that has a sample."""
    seen = [seen_source(clip.source.source, clip.records["frames"], clip.records["people"]) for clip in clips if clip.is_sample]
    return split_sources(seen, rule, alike=alike)


def _cut(sources: list[Source], store: WorkStore, config: CollectConfig, run: Callable[..., None], retry: bool) -> list[Clip]:
    """All clips of the sources, in the order of their ids."""
    jobs = [
        SourceJob(
            unit=source.source,
            path=Path(source.path),
            config=config,
            blobs=store.blobs.folder,
            known=_known(store, source.source, retry),
        )
        for source in sources
    ]
    run(collect_source, jobs, "shots")
    return known_clips(sources, store, config, retry)


def known_clips(sources: list[Source], store: WorkStore, config: CollectConfig, retry: bool = False) -> list[Clip]:
    """The clips of the sources whose shots are known, in the order of their ids."""
    removed = read_removed(store.folder.parent)
    clips = []
    for source in sources:
        shots = store.results(source.source).get("shots")
        if shots is None or shots.status != "done":
            continue
        for shot in parse_record(SourceRecord, shots.content, "the record of shots").shots:
            clip = clip_id(source.source, shot)
            if removed.has(clip):
                continue
            job = ClipJob(
                unit=clip,
                path=Path(source.path),
                config=config,
                blobs=store.blobs.folder,
                known=_known(store, clip, retry),
                shot=shot,
                caption=source.caption,
            )
            clips.append(Clip(clip=clip, source=source, job=job, results={}))
    return sorted(clips, key=lambda clip: clip.clip)


def _run(function: Any, jobs: list[Any], stage: str, *, store: WorkStore, engine: Engine, progress: Progress | None) -> None:
    """Run those jobs that have something to do, and commit every result as it comes."""
    open_jobs = {job.unit: job for job in jobs if not is_finished(job) and job.path.exists()}
    done = len(jobs) - len(open_jobs)

    def commit(result: JobResult | None) -> None:
        nonlocal done
        if result is None:
            return
        store.commit(result.unit, result.results)
        done += 1
        if progress is not None:
            progress(stage, done, len(jobs))

    again: list[SourceJob] = []  # a worker that was ended once may have been somebody else's victim

    def first_loss(job: SourceJob, why: str) -> JobResult | None:
        if SLOW in why:
            return second_loss(job, why)
        again.append(job)
        return None

    def second_loss(job: SourceJob, why: str) -> JobResult:
        return lost(open_jobs[job.unit], why)

    if open_jobs:
        sent = [at_absolute_paths(job) for job in open_jobs.values()]
        engine.run(function, sent, commit, lost=first_loss, time_limit_s=JOB_LIMIT_S)
    if again:
        engine.run(function, again, commit, lost=second_loss, time_limit_s=JOB_LIMIT_S)


def _known(store: WorkStore, unit: str, retry: bool) -> dict[str, StageResult]:
    known = store.results(unit)
    return {name: result for name, result in known.items() if result.status != "failed" or not retry}


def records_of(results: dict[str, StageResult]) -> dict[str, Any]:
    """The records of a clip whose stages are all done; empty for others."""
    if any(stage.name not in results or results[stage.name].status != "done" for stage in CLIP_STAGES):
        return {}
    return {
        stage.name: parse_record(stage.record, results[stage.name].content, f"the record of {stage.name}")
        for stage in CLIP_STAGES
    }


def _drop_duplicates(clips: list[Clip], out: Path, alike: int) -> dict[str, str]:
    """Of samples that look the same one stays, first of all one that is in the dataset already."""
    there = read_manifest(out, ["sample"]) if (out / MANIFEST).exists() else []
    good = [clip for clip in clips if clip.is_sample]
    looks = [(clip.clip, tuple(frame.looks for frame in clip.records["frames"].frames)) for clip in good]
    repeated = near_duplicates(looks, alike, frozenset(row["sample"] for row in there))
    for clip in good:
        if clip.clip in repeated:
            clip.decision = Decision(reason="near_duplicate", detail=f"looks like {repeated[clip.clip]}")
    return repeated
