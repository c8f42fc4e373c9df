"""What people say about clips that they looked at: kept beside the dataset, put over what was found, taken back if wanted.

    DATASET/corrections.jsonl    a line per clip and time that it was looked at; of several the last counts

A correction names its clip and the `basis` that was shown: a digest of who was found, how the caption was read and where
things are. It holds as long as these are the same, so it outlives other thresholds; where they changed it is told as stale and
not used, but for a clip that was rejected.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lumosx_core.data.records import digest_of
from lumosx_core.data.relations.reading import Reading, Span
from lumosx_core.data.stage import ClipWork
from lumosx_core.data.stages.relations import match_relations
from lumosx_core.data.store import StageResult
from lumosx_core.errors import InputError, quoted
from lumosx_core.files.atomic import write_text
from lumosx_core.files.json import parse_json, parse_record
from lumosx_core.files.json_lines import read_records

FILE_NAME = "corrections.jsonl"
SHOWN = ("people", "reading", "grounding")  # the stages whose results a reviewer judges
SURELY = 10.0  # weight of who a person says somebody is; far above what things and sides say
FAULTS_TOLD = 20

Verdict = Literal["", "accept", "reject"]


@dataclass(frozen=True, kw_only=True)
class PhraseCorrection:
    """phrase: its number in the reading. verdict: whether it is that person's, and seen in the pictures. owner: the number of
    the mention that it belongs to; None as it was read. words: others of the caption, "" as they were read."""

    phrase: int
    verdict: Verdict = ""
    owner: int | None = None
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What was said of a clip. verdict: "accept" for everything that is shown of it, "reject" for no sample. people: the track
    of every mention, empty as they were matched. batch: the how-manieth time that corrections were applied."""

    clip: str
    basis: str
    verdict: Verdict = ""
    people: tuple[int | None, ...] = ()
    phrases: tuple[PhraseCorrection, ...] = ()
    batch: int = 0


def basis_of(results: Mapping[str, StageResult]) -> str:
    """What a reviewer of a clip is shown, as 16 hex digits."""
    return digest_of([results[name].record for name in SHOWN])[:16]


def applied(dataset: Path) -> dict[str, Correction]:
    """The correction of every clip that has one."""
    return {one.clip: one for one in read_records(dataset / FILE_NAME, Correction)}


def read_corrections(path: Path) -> list[Correction]:
    """The lines that a page of review saved. Raises InputError that lists the lines that are none."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read the corrections {path} ({error}); give the file that the page of review saved"
        ) from error
    found, faults = [], []
    for number, line in enumerate(lines, start=1):
        source = f"line {number}"
        if line.strip():
            try:
                found.append(parse_record(Correction, parse_json(line, source), source))
            except InputError as error:
                faults.append(str(error))
    if not found and not faults:
        faults = ["it is empty"]
    _raise(path, faults)
    return found


def check_corrections(
    path: Path, corrections: Sequence[Correction], known: Mapping[str, tuple[str, Mapping[str, Any]]]
) -> None:
    """known: of every clip its basis and records. Raises InputError that lists whatever does not fit them: nothing may be
    applied of a file in which something is wrong."""
    faults = []
    for one in corrections:
        basis, records = known.get(one.clip, ("", {}))
        if not records:
            faults.append(f"{quoted(one.clip)} is no clip of this dataset that was looked at to its end")
        elif basis != one.basis:
            faults.append(
                f"{one.clip} was collected again since the page was made; make the page again with lumosx dataset review"
            )
        else:
            faults += [f"{one.clip}: {fault}" for fault in _faults(one, records)]
    _raise(path, faults)


def add_corrections(dataset: Path, corrections: Sequence[Correction]) -> int:
    """Keep these as one batch behind the others; its number. The last batch once more, as by a command that was killed and is
    given again, stays one."""
    old = read_records(dataset / FILE_NAME, Correction)
    last = max((one.batch for one in old), default=0)
    if corrections and [replace(one, batch=last) for one in corrections] == [one for one in old if one.batch == last]:
        return last
    batch = last + 1
    _write(dataset, [*old, *(replace(one, batch=batch) for one in corrections)])
    return batch


def undo_corrections(dataset: Path) -> int:
    """Take the last batch back; how many corrections it had. Raises InputError if there is none."""
    old = read_records(dataset / FILE_NAME, Correction)
    if not old:
        raise InputError(f"{dataset} has no corrections that could be taken back")
    last = max(one.batch for one in old)
    _write(dataset, [one for one in old if one.batch < last])
    return sum(one.batch == last for one in old)


def forget_corrections(dataset: Path, is_removed: Callable[[str], bool]) -> None:
    """Delete what was said of clips that were removed."""
    old = read_records(dataset / FILE_NAME, Correction)
    kept = [one for one in old if not is_removed(one.clip)]
    if len(kept) < len(old):
        _write(dataset, kept)


def corrected(records: dict[str, Any], correction: Correction, work: ClipWork) -> tuple[dict[str, Any], dict[int, Verdict]]:
    """(the records as somebody corrected them, what was said of each phrase). The evidence is counted anew for the corrected
    owners; the correction must have been checked. work: of the clip (`stored_work`)."""
    reading: Reading = records["reading"]
    phrases = list(reading.phrases)
    for change in correction.phrases:
        phrase = phrases[change.phrase]
        span = _place(reading.caption, change.words, phrase.span) if change.words else phrase.span
        owner = change.owner if change.owner is not None else phrase.owner
        phrases[change.phrase] = replace(phrase, span=span or phrase.span, owner=owner)
    people = correction.people or records["relations"].people
    sure = correction.people or correction.verdict == "accept"
    told = tuple(None if track is None else track + 1 for track in people) if sure else reading.boxes
    read = replace(reading, phrases=tuple(phrases), boxes=told)
    if read != reading:
        config = work.config
        weight = replace(config.relations, told=SURELY) if sure else config.relations
        again = replace(work, config=replace(config, relations=weight), records={**records, "reading": read})
        records = {**records, "reading": read, "relations": match_relations(again)}
    verdicts: dict[int, Verdict] = {}
    if correction.verdict == "accept":
        verdicts = dict.fromkeys(range(len(phrases)), "accept")
    return records, verdicts | {change.phrase: change.verdict for change in correction.phrases if change.verdict}


def _faults(one: Correction, records: Mapping[str, Any]) -> list[str]:
    reading: Reading = records["reading"]
    tracks = len(records["people"].tracks)
    faults = []
    if one.people:
        named = [track for track in one.people if track is not None]
        if len(one.people) != len(reading.mentions) or len(set(named)) != len(named):
            faults.append(f"people are {list(one.people)}, expected {len(reading.mentions)} different ones")
        elif any(not 0 <= track < tracks for track in named):
            faults.append(f"people are {list(one.people)}, expected numbers from 0 to {tracks - 1}")
    for change in one.phrases:
        if not 0 <= change.phrase < len(reading.phrases):
            faults.append(f"there is no phrase {change.phrase}; the caption has {len(reading.phrases)}")
            continue
        phrase = reading.phrases[change.phrase]
        told = quoted(phrase.span.of(reading.caption))
        if change.owner is not None and phrase.kind != "attribute":
            faults.append(f"{told} is {phrase.kind}, which has no owner")
        elif change.owner is not None and not 0 <= change.owner < len(reading.mentions):
            faults.append(f"{told} cannot belong to {change.owner}; people are numbered from 0 to {len(reading.mentions) - 1}")
        if change.words and _place(reading.caption, change.words, phrase.span) is None:
            faults.append(f"{quoted(change.words)} does not stand in the caption, word for word")
    return faults


def _place(caption: str, words: str, old: Span) -> Span | None:
    """Where these words stand, of several places the nearest to the old one."""
    starts = [start for start in range(len(caption)) if caption.startswith(words.strip(), start)]
    best = min(starts, key=lambda start: abs(start - old.start), default=None) if words.strip() else None
    return None if best is None else Span(start=best, end=best + len(words.strip()))


def _write(dataset: Path, corrections: Sequence[Correction]) -> None:
    lines = [json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in corrections]
    write_text(dataset / FILE_NAME, "".join(lines))


def _raise(path: Path, faults: Sequence[str]) -> None:
    if faults:
        more = f"\n  ... and {len(faults) - FAULTS_TOLD} more" if len(faults) > FAULTS_TOLD else ""
        told = "".join(f"\n  {fault}" for fault in faults[:FAULTS_TOLD])
        raise InputError(f"nothing of {path} was applied, it has these faults:{told}{more}")
