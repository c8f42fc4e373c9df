"""What is known of the clips of a run, and what became of them: counted, and as rows of the dataset's tables."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from lumosx_core.data.collect_config import CollectConfig
from lumosx_core.data.decide import Decision
from lumosx_core.data.jobs import LOST, ClipJob
from lumosx_core.data.pack import PackedSample
from lumosx_core.data.records import canonical, digest_of
from lumosx_core.data.sample_files import sample_files, sample_record
from lumosx_core.data.sources import Source
from lumosx_core.data.split import SplitRule
from lumosx_core.data.stages import CLIP_STAGES
from lumosx_core.data.store import Blobs, StageResult, WorkStore

EVIDENCE = ("own", "others", "inside", "colour")  # columns of a relation in the manifest


@dataclass(frozen=True, kw_only=True)
class CollectReport:
    """What a run did. funnel: (filter, clips left behind it), in order. dropped: reason -> clips. stale: corrections that fit
    no more. seconds: per stage."""

    sources: int
    clips: int
    samples: int
    funnel: tuple[tuple[str, int], ...]
    dropped: dict[str, int]
    failed: tuple[str, ...]
    unreadable: tuple[str, ...]
    stale: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(kw_only=True, eq=False)
class Clip:
    """A clip with all that is known of it; records only where every stage is done."""

    clip: str
    source: Source
    job: ClipJob
    results: dict[str, StageResult]
    records: dict[str, Any] = field(default_factory=dict)
    decision: Decision | None = None
    stale: bool = False  # somebody corrected it, and something else was found since

    @property
    def is_sample(self) -> bool:
        """Whether it enters the dataset."""
        return self.decision is not None and not self.decision.reason


def packed_sample(clip: Clip, blobs: Blobs, config: CollectConfig, rule: SplitRule) -> PackedSample:
    assert clip.decision is not None
    decision, records = clip.decision, clip.records
    record = sample_record(clip.clip, records, decision, config.privacy)
    row = manifest_row(
        record,
        caption_origin=records["caption"].origin,
        source=clip.source.source,
        names=list(clip.source.names),
        origin=clip.source.origin,
        licence=clip.source.licence,
        start_s=clip.job.shot.start_s,
    )
    row["split"] = rule.sources[clip.source.source]
    further = [[view.picture, view.mask] for person in decision.people for view in person.further]
    made_of = [record, [clip.results[name].key for name in sorted(clip.results)], vars(config.pictures), further]

    def files() -> list[tuple[str, bytes]]:
        return sample_files(record, records, decision, blobs, config.pictures)

    return PackedSample(sample=clip.clip, digest=digest_of(made_of), row=row, files=files)


def manifest_row(record: dict[str, Any], **told: Any) -> dict[str, Any]:
    """The columns of the manifest that a record says, with what is `told` of it beside: caption_origin, source, names, origin,
    licence, start_s."""
    people = record["people"]
    relations = [
        {"phrase": thing["text"], "kind": kind, "person": person} | {k: (thing["evidence"] or {}).get(k) for k in EVIDENCE}
        for person, kind, thing in [(n, "attribute", a) for n, p in enumerate(people) for a in p["attributes"]]
        + [(None, "object", thing) for thing in record["objects"]]
    ]
    return {
        **told,
        "caption": record["caption"],
        **{key: record["clip"][key] for key in ("width", "height", "frames", "fps")},
        "people": len(people),
        "attributes": sum(len(person["attributes"]) for person in people),
        "objects": len(record["objects"]),
        "background": record["background"] is not None,
        "mentions": [person["text"] for person in people],
        "relations": relations,
        "record": canonical(record).decode(),
    }


def dropped_row(clip: Clip) -> dict[str, str] | None:
    row = {"clip": clip.clip, "source": clip.source.source, "names": ", ".join(clip.source.names)}
    for result in clip.results.values():
        if result.status == "dropped":
            return {**row, "stage": result.stage, "status": "dropped", **result.content}
        if result.status == "failed":
            return {**row, "stage": result.stage, "status": "failed", "reason": "failed", "detail": result.content["message"]}
    if clip.decision is None and not clip.job.path.exists():
        return {**row, "stage": "", "status": "dropped", "reason": "source_gone", "detail": str(clip.job.path)}
    if clip.decision is not None and clip.decision.reason:
        return {**row, "stage": "decide", "status": "dropped", "reason": clip.decision.reason, "detail": clip.decision.detail}
    return None


def dropped_sources(sources: list[Source], store: WorkStore) -> list[dict[str, str]]:
    rows = []
    for source in sources:
        results = store.results(source.source)
        result = results.get("shots", results.get(LOST))
        if result is not None and result.status != "done":
            content = result.content
            told = (
                {"reason": content["reason"], "detail": content["detail"]}
                if result.status == "dropped"
                else {"reason": "failed", "detail": content["message"]}
            )
            rows.append(
                {
                    "clip": "",
                    "source": source.source,
                    "names": ", ".join(source.names),
                    "stage": result.stage,
                    "status": result.status,
                }
                | told
            )
    return rows


def report_of(clips: list[Clip], sources: list[Source], unreadable: tuple[str, ...], store: WorkStore) -> CollectReport:
    dropped: Counter[str] = Counter(row["reason"] for row in dropped_sources(sources, store))
    failed = [f"{row['names']}: {row['detail']}" for row in dropped_sources(sources, store) if row["status"] == "failed"]
    for clip in clips:
        row = dropped_row(clip)
        if row is not None:
            dropped[row["reason"]] += 1
            if row["status"] == "failed":
                failed.append(f"{row['names']}, {row['stage']}: {row['detail']}")
    funnel = [("shots", len(clips))]
    for stage in CLIP_STAGES:
        funnel.append(
            (
                stage.name,
                sum(clip.results.get(stage.name) is not None and clip.results[stage.name].status == "done" for clip in clips),
            )
        )
    samples = sum(clip.is_sample for clip in clips)
    seconds: defaultdict[str, float] = defaultdict(float)
    for clip in clips:
        for result in clip.results.values():
            seconds[result.stage] += result.seconds
    return CollectReport(
        sources=len(sources),
        clips=len(clips),
        samples=samples,
        funnel=(*funnel, ("samples", samples)),
        dropped=dict(dropped),
        failed=tuple(failed),
        unreadable=unreadable,
        stale=sum(clip.stale for clip in clips),
        seconds=dict(seconds),
    )


def counts_of(report: CollectReport) -> dict[str, Any]:
    return {
        "sources": report.sources,
        "clips": report.clips,
        "samples": report.samples,
        "dropped": dict(sorted(report.dropped.items())),
    }
