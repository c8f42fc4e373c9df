"""Do subjects that were found in photographs come out as well as those of pictures that were made for the model?

Every case of the puppet benchmark is run three times with the same words and noise: with the pictures that are *given*, whole
and large; with what is *cut* out of a photograph of the same people by eyes that know the truth; and with what the eyes *found*
in that photograph. What a photograph hides no eyes can find, so things and heads are counted apart by how much of them the
photograph shows.

<out>/suite, cases/given-0000, cut-0000, found-0000, ..., scores.jsonl: a run, as `runs.py` says; sheet.png; report.json.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.detection.person import Eyes, Which, find_subject
from lumosx_core.errors import InputError
from lumosx_core.evaluation.cases import MOST_CASES, PuppetCase, puppet_cases
from lumosx_core.evaluation.evaluate import run_own_suite
from lumosx_core.evaluation.eyes import Eyes as AllEyes
from lumosx_core.evaluation.report import draw_sheet
from lumosx_core.evaluation.scoring import PUPPETS, Score, metric_named, read_scores
from lumosx_core.evaluation.statistics import Case, Interval, paired_difference, rate_interval
from lumosx_core.evaluation.suites import puppet_suite
from lumosx_core.evaluation.true_eyes import TrueEyes
from lumosx_core.files.images import save_image
from lumosx_core.files.json import write_json
from lumosx_core.numbers import seed_number, whole_number
from lumosx_core.progress import Progress
from lumosx_core.puppets.clip import COLUMNS, ROWS, SCENE_VIEW, ClipSpec
from lumosx_core.puppets.draw import ATTRIBUTE_LABELS, draw_puppet
from lumosx_core.puppets.motion import pose_at, sample_placements
from lumosx_core.puppets.render import RenderedClip, render_clip
from lumosx_core.puppets.scenes import SCENE_TOP

WAYS = ("given", "cut", "found")
COMPARED = (("found", "given"), ("found", "cut"))
WHOLE = 0.9  # of what would be seen of a thing alone: with less it counts as partly hidden
_Photograph = tuple[ClipSpec, RenderedClip]  # one frame
ON_HEADS = ("hat", "glasses", "scarf")
RAISED = 0.9  # radians: an arm above that is stretched out; pictures that are given show arms that hang
MOST_PHOTOGRAPHS = 8
SHOWN = 4  # cases on the sheet, each in all ways


@dataclass(frozen=True, kw_only=True)
class FoundCase:
    """One case in all ways. plain: (person, kind) of the things that the photograph shows whole, garments with hanging arms.
    bare: the people who wear nothing on the head. missing: how many things were not found."""

    given: PuppetCase
    cut: PuppetCase
    found: PuppetCase
    plain: frozenset[tuple[int, str]]
    bare: frozenset[int]
    missing: int


def found_cases(eyes: AllEyes, count: int, seed: int, photographs: int = 1) -> Iterator[FoundCase]:
    """The first `count` cases of the puppet benchmark with what `eyes`, and those that know the truth, find in `photographs`
    pictures of a person: the first frame of the clip, with everybody, then the person alone, elsewhere, in other poses."""
    for case in puppet_cases(count, seed):
        if case.group == "shuffled":
            continue
        rng = np.random.default_rng((seed, case.index, 92))
        everybody = replace(case.clip, frames=1)
        rendered = render_clip(everybody)
        seen: list[list[_Photograph]] = [[(everybody, rendered)] for _ in case.clip.puppets]
        for person, taken in enumerate(seen):
            taken += [_alone(rng, case.clip, person) for _ in range(photographs - 1)]
        truth = TrueEyes([each for taken in seen for each in taken])
        cut, found = (_with_found(case, way, seen, each) for way, each in (("cut", truth), ("found", eyes)))
        asked, got = (sum(len(s.attributes) for s in each.sample.references.subjects) for each in (case, found))
        yield FoundCase(
            given=replace(case, group="given"),
            cut=cut,
            found=found,
            plain=_plain_things(case.clip, rendered),
            bare=frozenset(n for n, p in enumerate(case.clip.puppets) if not any(p.attribute(kind) for kind in ON_HEADS)),
            missing=asked - got,
        )


def _with_found(case: PuppetCase, way: str, seen: list[list[_Photograph]], eyes: AllEyes) -> PuppetCase:
    """The case with what `eyes` find of each person in the photographs `seen`; without people of whom nothing is found: the
    model then has to do without, and is judged all the same."""
    finders = Eyes(people=eyes, faces=eyes, phrases=eyes, masks=eyes)
    subjects = []
    for person, (asked, taken) in enumerate(zip(case.sample.references.subjects, seen, strict=True)):
        pictures = [Image.fromarray(rendered.frames[0]) for _, rendered in taken]
        phrases, which = [a.phrase for a in asked.attributes], Which(choice="left to right", index=person + 1)
        try:
            subjects.append(find_subject(pictures, asked.name, phrases, finders, which=which).subject)
        except InputError:
            continue
    references = replace(case.sample.references, subjects=tuple(subjects))
    return replace(case, group=way, sample=replace(case.sample, references=references))


def _alone(rng: np.random.Generator, clip: ClipSpec, person: int) -> _Photograph:
    """One picture of the person alone."""
    place = sample_placements(rng, 1, SCENE_VIEW)[0]
    single = replace(
        clip,
        puppets=(clip.puppets[person],),
        placements=(place,),
        caption=replace(clip.caption, attribute_phrases=(clip.caption.attribute_phrases[person],)),
        objects=(),
        object_places=(),
        pan="none",
        frames=1,
    )
    return single, render_clip(single)


def _plain_things(clip: ClipSpec, rendered: RenderedClip) -> frozenset[tuple[int, str]]:
    plain = set()
    for n, (puppet, place) in enumerate(zip(clip.puppets, clip.placements, strict=True)):
        pose = pose_at(place, 0)
        for thing in puppet.attributes:
            alone = draw_puppet(replace(puppet, attributes=(thing,)), pose, COLUMNS, ROWS, SCENE_TOP)
            whole = 4 * int((alone.label == ATTRIBUTE_LABELS[thing.kind]).sum())  # pixels; a large one has four
            seen = int(rendered.attribute_mask(n, thing.kind)[0].sum())
            hanging = max(pose.left_arm, pose.right_arm) <= RAISED or thing.kind in ("hat", "glasses", "scarf", "bag")
            if whole and seen >= WHOLE * whole and hanging:
                plain.add((n, thing.kind))
    return frozenset(plain)


def evaluate_found(
    pipeline_folder: str | Path,
    out: str | Path,
    eyes: AllEyes,
    *,
    count: int,
    photographs: int = 1,
    seed: int = 0,
    workers: int | None = 1,
    changes: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict:
    """Generate and score `count` cases in all ways; returns the report, which is also written to `<out>/report.json`.

    photographs: of every person, 1 to 8. out, workers, changes, progress and errors as in `evaluate_puppets`. "rates" holds
    for each of "things bound", "people right" and their parts how many were asked, the rates of WAYS, and paired differences.
    """
    whole_number(photographs, "the number of photographs", least=1, most=MOST_PHOTOGRAPHS)
    model, out = Path(pipeline_folder), Path(out)
    count, seed = whole_number(count, "count", least=1, most=MOST_CASES), seed_number(seed)
    cases = list(found_cases(eyes, count, seed, photographs))
    every = [getattr(case, way) for case in cases for way in WAYS]
    manifest = puppet_suite(f"eyes through a model, {photographs} photographs", every[0], seed)
    run = run_own_suite(manifest, every, model, out, changes=changes, workers=workers, progress=progress)
    results = read_scores(run)[PUPPETS]
    shown = run.suite.cases[: len(WAYS) * SHOWN]
    save_image(draw_sheet(run, shown, results, metric_named(PUPPETS)), out / "sheet.png")
    report = {
        "cases": len(cases),
        "photographs": photographs,
        "not found": sum(case.missing for case in cases),
        "rates": summarize_found(cases, results),
        "suite": run.suite.title,
        "settings": asdict(run.settings),
    }
    write_json(out / "report.json", report)
    return report


def summarize_found(cases: Sequence[FoundCase], results: dict[str, Score]) -> dict[str, dict]:
    """Per question how many were asked of what was found, the rates of WAYS and the differences of COMPARED ("found - given"),
    each with a 95 % interval over cases. Hidden things are in neither; questions that nothing was asked of are left out."""
    rates: dict[str, dict] = {}
    for what, part in (("things bound", None), ("  shown whole", True), ("  partly hidden, arms out", False)):
        tables = [{c.given.name: _things(c, results[getattr(c, way).name], part) for c in cases} for way in WAYS]
        _add(rates, what, tables)
    for what, part in (("people right", None), ("  bare heads", True), ("  hat, glasses or scarf", False)):
        tables = [{c.given.name: _people(c, results[getattr(c, way).name], part) for c in cases} for way in WAYS]
        _add(rates, what, tables)
    return rates


def _things(case: FoundCase, result: Score, plain: bool | None) -> Case:
    told = [
        thing["outcome"]
        for thing in result.values["things"]
        if thing["outcome"] != "hidden" and plain in (None, (thing["subject"], thing["kind"]) in case.plain)
    ]
    return float(told.count("bound")), float(len(told))


def _people(case: FoundCase, result: Score, bare: bool | None) -> Case:
    people = enumerate(result.values["people"])
    right = [person["identity"] for n, person in people if bare in (None, n in case.bare)]
    return float(sum(right)), float(len(right))


def _add(rates: dict[str, dict], what: str, tables: list[dict[str, Case]]) -> None:
    if any(sum(asked for _, asked in table.values()) == 0 for table in tables):
        return
    row: dict[str, Any] = {way: _told(rate_interval(list(table.values()))) for way, table in zip(WAYS, tables, strict=True)}
    row["asked"] = row["found"]["asked"]
    by_way = dict(zip(WAYS, tables, strict=True))
    for one, other in COMPARED:
        # Drawn over cases: where few were asked, some draws would hold none.
        names = [name for name, (_, asked) in by_way[one].items() if asked and by_way[other][name][1]]
        if names:
            pair = ({name: by_way[way][name] for name in names} for way in (other, one))
            row[f"{one} - {other}"] = _told(paired_difference(*pair).interval)
    rates[what] = row


def _told(interval: Interval) -> dict[str, Any]:
    return asdict(interval) | {"text": str(interval)}
