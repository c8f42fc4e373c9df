"""What the scores of a run come to: rates with intervals, for all cases, for every group of them, and for kinds of things."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.drawing.contact_sheet import contact_sheet, stack_sheets
from lumosx_core.errors import InputError
from lumosx_core.evaluation.metrics.judge import SURE
from lumosx_core.evaluation.metrics.metric import Figure, Matrix, Metric
from lumosx_core.evaluation.runs import Run
from lumosx_core.evaluation.scoring import BINDING, JUDGE, Score, metric_named
from lumosx_core.evaluation.statistics import kappa, rate_interval
from lumosx_core.evaluation.suites import SuiteCase

ALL = "all"  # the cases of the suite without the groups that are told apart
SHEET_CASES = 12
SEED = 12  # of the choice of random cases


def summarize(run: Run, scores: Mapping[str, Mapping[str, Score]]) -> dict[str, Any]:
    """The report as plain data.

    "metrics": by metric, group (ALL first) and figure the rate (0..1) with its 95 % interval, drawn over cases since the things
    of one video go together, how many cases it rests on and how many things were asked in them. "details": the first figure by
    kind of thing, of ALL. "matrices": by metric those of `mean_matrices`, of ALL. "agreement": of binding and the judge, as of
    `agreement`. "gaps": cases without a video, with the reason. Raises InputError if nothing is scored yet.
    """
    if not any(scores.values()):
        raise InputError(f"nothing of {run.folder} is scored yet; run  lumosx evaluate score {run.folder}")
    report: dict[str, Any] = {
        "name": run.folder.resolve().name,
        "suite": run.suite.title,
        "cases": len(run.suite.cases),
        "scored": {name: len(found) for name, found in scores.items()},
        "gaps": sorted({(s.case, s.gap) for found in scores.values() for s in found.values() if s.gap}),
        "metrics": {},
        "details": {},
        "matrices": {},
        "agreement": agreement(scores.get(BINDING, {}), scores.get(JUDGE, {})),
        "settings": asdict(run.settings),
    }
    for name, found in sorted(scores.items()):
        metric = metric_named(name)
        report["metrics"][name] = {
            group: {"cases": len(members), "figures": _intervals([metric.figures(score.values) for score in members])}
            for group, members in grouped(run, found).items()
        }
        everything = grouped(run, found).get(ALL, [])
        report["details"][name] = _intervals([metric.details(score.values) for score in everything])
        report["matrices"][name] = mean_matrices([metric.matrices(score.values) for score in everything])
    return report


def grouped(run: Run, found: Mapping[str, Score]) -> dict[str, list[Score]]:
    """The scores of ALL cases and of every group, in the order of the suite; groups without scores are left out."""
    groups: dict[str, list[Score]] = {ALL: []}
    for case in run.suite.cases:
        if case.name in found:
            if case.group not in run.suite.apart:
                groups[ALL].append(found[case.name])
            groups.setdefault(case.group, []).append(found[case.name])
    return {name: members for name, members in groups.items() if members}


def agreement(binding: Mapping[str, Score], judge: Mapping[str, Score]) -> dict[str, Any] | None:
    """How far the metric binding (bound or not) and the judge (yes or no) agree on the things that both judged in a video:
    "things", the share of them that they "agree" on, and Cohen's "kappa". None where they have none in common. Where there is
    no video nobody has judged anything."""
    answers = []
    for case in binding.keys() & judge.keys():
        if binding[case].gap or judge[case].gap:
            continue
        for thing, said in zip(binding[case].values["things"], judge[case].values["things"], strict=True):
            if thing["outcome"] != "hidden" and said["yes"] is not None:
                answers.append((thing["outcome"] == "bound", said["yes"] > SURE))
    if not answers:
        return None
    return {
        "things": len(answers),
        "agree": sum(one == other for one, other in answers) / len(answers),
        "kappa": kappa(answers),
    }


def mean_matrices(rows: Sequence[Mapping[str, Matrix]]) -> list[dict[str, Any]]:
    """Of matrices of one name and size the means over the cases, entry by entry where it is known: "name", "people", "cases"
    and "rows" (None where no case knows)."""
    gathered: dict[tuple[str, int], list[Matrix]] = {}
    for row in rows:
        for name, matrix in row.items():
            if matrix:
                gathered.setdefault((name, len(matrix)), []).append(matrix)
    means = []
    for (name, people), found in sorted(gathered.items()):
        table = np.array(found, dtype=float)  # None becomes NaN
        known = np.isfinite(table)
        total, count = np.where(known, table, 0).sum(0), known.sum(0)
        cells = [[total[n, k] / count[n, k] if count[n, k] else None for k in range(people)] for n in range(people)]
        means.append({"name": name, "people": people, "cases": len(found), "rows": cells})
    return means


def _intervals(rows: Sequence[Mapping[str, Figure]]) -> dict[str, dict[str, float]]:
    """The interval of every figure that something was asked of."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    tables = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: asdict(rate_interval(table)) for name, table in tables.items() if any(asked for _, asked in table)}


def by_merit(run: Run, metric: Metric, found: Mapping[str, Score]) -> list[SuiteCase]:
    """The scored cases from the worst to the best by the metric's first figure, ties in the order of the suite."""

    def merit(case: SuiteCase) -> float:
        hits, asked = next(iter(metric.figures(found[case.name].values).values()))
        return hits / asked if asked else 1.0

    return sorted((case for case in run.suite.cases if case.name in found), key=merit)


def random_cases(run: Run, found: Mapping[str, Score]) -> list[SuiteCase]:
    """SHEET_CASES random ones of ALL scored cases, the same every time."""
    own = [case for case in run.suite.cases if case.group not in run.suite.apart and case.name in found]
    chosen = np.random.default_rng((run.suite.seed, SEED)).permutation(len(own))[:SHEET_CASES]
    return [own[index] for index in sorted(chosen)]


def case_sheet(run: Run, case: SuiteCase, score: Score, metric: Metric) -> Image.Image:
    """References, frames and what was judged of one case."""
    generated = run.case(case.name)
    sample = generated.sample()
    frames = np.full((1, 80, 96, 3), 200, np.uint8) if score.gap else generated.frames()
    note = f"{case.name}, seed {case.seed}: {score.gap or metric.note(score.values)}"
    return contact_sheet(sample.references, frames, shown=6, prompt=sample.prompt, note=note)


def draw_sheet(run: Run, cases: Sequence[SuiteCase], found: Mapping[str, Score], metric: Metric) -> Image.Image:
    """The sheets of cases, two side by side."""
    return stack_sheets([case_sheet(run, case, found[case.name], metric) for case in cases], 2)
