"""How well a reader of captions reads: its relations, mentions and things against what was written down by hand."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from lumosx_core.data.relations.reading import Reading
from lumosx_core.evaluation.captions import CaptionCase, fuzzed_captions
from lumosx_core.evaluation.statistics import rate_interval
from lumosx_core.numbers import whole_number

Reader = Callable[[str], Reading]
SPEED_WORDS = 5000


@dataclass(frozen=True, kw_only=True)
class Score:
    """What was found: `right` of `found` were to be found, of `expected` in all."""

    right: int
    found: int
    expected: int

    @property
    def precision(self) -> float:
        """Share of what was found that is right, 0..1; 1 if nothing was found."""
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of what was expected that was found, 0..1; 1 if nothing was expected."""
        return self.right / self.expected if self.expected else 1.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return 2 * self.right / (self.found + self.expected) if self.found + self.expected else 1.0

    def __add__(self, other: "Score") -> "Score":
        return Score(right=self.right + other.right, found=self.found + other.found, expected=self.expected + other.expected)


NOTHING = Score(right=0, found=0, expected=0)


@dataclass(frozen=True, kw_only=True)
class CaptionScore:
    """One caption: relations (an attribute at its very place with the right owner), mentions (place and number of people),
    sides (of mentions that are right), things of nobody (objects and backgrounds: place and kind)."""

    relations: Score
    mentions: Score
    sides: Score
    things: Score


def score_reading(truth: Reading, read: Reading) -> CaptionScore:
    """A reading against the truth. Who is who is settled first: a mention is the true one that it shares characters with."""
    true_mentions = {(m.span, m.count) for m in truth.mentions}
    read_mentions = {(m.span, m.count) for m in read.mentions}
    true_sides = {(m.span, m.side) for m in truth.mentions if m.side}
    read_sides = {(m.span, m.side) for m in read.mentions if m.side}
    same: dict[int, int] = {}
    for number, mention in enumerate(read.mentions):
        for true, wanted in enumerate(truth.mentions):
            if mention.span.start < wanted.span.end and wanted.span.start < mention.span.end and true not in same.values():
                same[number] = true
                break
    relations = {(p.span, p.owner) for p in truth.phrases if p.owner is not None}
    found = {(p.span, same.get(p.owner, -1 - p.owner)) for p in read.phrases if p.owner is not None}
    things = {(p.span, p.kind) for p in truth.phrases if p.owner is None}
    found_things = {(p.span, p.kind) for p in read.phrases if p.owner is None}
    return CaptionScore(
        relations=_score(relations, found),
        mentions=_score(true_mentions, read_mentions),
        sides=_score(true_sides, read_sides),
        things=_score(things, found_things),
    )


def _score(expected: set, found: set) -> Score:
    return Score(right=len(expected & found), found=len(found), expected=len(expected))


@dataclass(frozen=True, kw_only=True)
class ReaderReport:
    """The sums over all captions, and the relations per construction (captions, score). faults: captions with a relation that
    is missing, wrong or too much. intervals: of precision and recall of relations, 95 %, drawn over captions."""

    captions: int
    relations: Score
    mentions: Score
    sides: Score
    things: Score
    constructions: dict[str, tuple[int, Score]]
    intervals: dict[str, tuple[float, float]]
    faults: tuple[str, ...]

    def as_json(self) -> dict:
        """Plain numbers with the rates beside them; without the captions."""

        def plain(score: Score) -> dict:
            return asdict(score) | {"precision": score.precision, "recall": score.recall, "f1": score.f1}

        return {
            "captions": self.captions,
            "whole": self.captions - len(self.faults),
            **{name: plain(getattr(self, name)) for name in ("relations", "mentions", "sides", "things")},
            "intervals": {name: list(pair) for name, pair in self.intervals.items()},
            "constructions": {name: {"captions": n} | plain(score) for name, (n, score) in self.constructions.items()},
        }


def evaluate_reader(reader: Reader, cases: Sequence[CaptionCase]) -> ReaderReport:
    """Read every caption and count."""
    totals = {name: NOTHING for name in ("relations", "mentions", "sides", "things")}
    constructions: dict[str, tuple[int, Score]] = {}
    scores, faults = [], []
    for case in cases:
        score = score_reading(case.truth, reader(case.truth.caption))
        scores.append(score.relations)
        for name in totals:
            totals[name] = totals[name] + getattr(score, name)
        for name in case.constructions:
            number, before = constructions.get(name, (0, NOTHING))
            constructions[name] = (number + 1, before + score.relations)
        if score.relations.right < max(score.relations.found, score.relations.expected):
            faults.append(case.truth.caption)
    precision = [(float(score.right), float(score.found)) for score in scores]
    recall = [(float(score.right), float(score.expected)) for score in scores]
    intervals = {}
    for name, told in (("precision", precision), ("recall", recall)):
        if sum(asked for _, asked in told):
            interval = rate_interval(told)
            intervals[name] = (interval.low, interval.high)
    return ReaderReport(
        captions=len(cases),
        constructions=dict(sorted(constructions.items())),
        intervals=intervals,
        faults=tuple(faults),
        **totals,
    )


def format_report(report: ReaderReport) -> str:
    """The report as a Markdown table: one row per total, then one per construction."""
    rows = ["| | captions | expected | precision | recall | F1 |", "|---|---|---|---|---|---|"]
    named: list[tuple[str, int, Score]] = [
        ("**relations**", report.captions, report.relations),
        ("mentions", report.captions, report.mentions),
        ("sides", report.captions, report.sides),
        ("objects and backgrounds", report.captions, report.things),
        *((f"relations: {name}", number, score) for name, (number, score) in report.constructions.items()),
    ]
    for name, number, score in named:
        rates = " | ".join(f"{100 * rate:.1f}" for rate in (score.precision, score.recall, score.f1))
        rows.append(f"| {name} | {number} | {score.expected} | {rates} |")
    return "\n".join(rows)


def fuzz_reader(reader: Reader, captions: list[str], count: int, seed: int) -> list[tuple[str, str]]:
    """Texts on which a reader raised, with the error; empty if it bears everything. Spans are checked by `Reading` itself."""
    whole_number(count, "the number of fuzzed captions", least=1)
    failed = []
    for text in fuzzed_captions(captions, count, seed):
        try:
            reader(text)
        except Exception as error:  # whatever it raises is the finding
            failed.append((text, f"{type(error).__name__}: {error}"))
    return failed


def measure_speed(reader: Reader, captions: list[str], words: int = SPEED_WORDS) -> tuple[float, float]:
    """Seconds for so many words as one text, and as single captions; the best of three runs each."""
    chosen: list[str] = []
    while sum(len(caption.split()) for caption in chosen) < words:
        chosen.append(captions[len(chosen) % len(captions)])
    text = " ".join(" ".join(chosen).split()[:words])

    def best(work: Callable[[], object]) -> float:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        return min(times)

    return best(lambda: reader(text)), best(lambda: [reader(caption) for caption in chosen])
