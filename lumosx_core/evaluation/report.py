"""What the scores of all cases come to: rates with intervals, and a sheet of random cases."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from lumosx_core.drawing.contact_sheet import contact_sheet, stack_sheets
from lumosx_core.evaluation.cases import HALVES, PuppetCase
from lumosx_core.evaluation.generate_cases import GeneratedCase
from lumosx_core.evaluation.statistics import rate_interval

SHEET_CASES = 12


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """The score of one case as plain data."""

    name: str
    half: str
    prompt: str
    identities: tuple[bool, ...]
    outcomes: tuple[tuple[int, str, str], ...]  # subject, kind, outcome


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


def sheet_cases(cases: list[PuppetCase], seed: int) -> list[PuppetCase]:
    """12 random ones of the described and plain cases."""
    own = [case for case in cases if case.half != "shuffled"]
    chosen = np.random.default_rng((seed, 12)).permutation(len(own))[:SHEET_CASES]
    return [own[index] for index in sorted(chosen)]


def draw_sheet(cases: list[tuple[PuppetCase, GeneratedCase, CaseResult]]) -> Image.Image:
    """References, frames and scores of cases, two side by side."""
    sheets = []
    for case, generated, result in cases:
        outcomes = [outcome for _, _, outcome in result.outcomes if outcome != "hidden"]
        note = (
            f"{case.half}, seed {case.seed}: {outcomes.count('bound')} of {len(outcomes)} attributes bound, "
            f"{sum(result.identities)} of {len(result.identities)} people right"
        )
        sheets.append(contact_sheet(case.sample.references, generated.frames(), shown=6, prompt=case.sample.prompt, note=note))
    return stack_sheets(sheets, 2)
