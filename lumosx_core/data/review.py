"""Review: a page on which somebody corrects what was collected, and applying what they saved."""

from pathlib import Path
from typing import Any

from lumosx_core.data.collect import decide_again, decide_clips, known_clips, records_of
from lumosx_core.data.collected import Clip, CollectReport, report_of
from lumosx_core.data.corrections import (
    add_corrections,
    applied,
    basis_of,
    check_corrections,
    read_corrections,
    undo_corrections,
)
from lumosx_core.data.pack import stored_config
from lumosx_core.data.pages import write_page
from lumosx_core.data.removal import REVIEW_PAGE, finish_removal
from lumosx_core.data.sources import known_sources
from lumosx_core.data.store import WorkStore, check_store, open_store
from lumosx_core.progress import Progress
from lumosx_core.tokenizers import Tokenizer


def write_review(
    dataset: Path, tokenizer: Tokenizer, out: Path | None = None, *, most: int = 120, progress: Progress | None = None
) -> Path:
    """Write the page (default: DATASET/review.html), which opens without a server: at most `most` clips, doubtful ones first.
    Raises InputError if the dataset has no work store, and when the disk refuses."""
    check_store(dataset)
    config = stored_config(dataset)
    with open_store(dataset) as store:
        finish_removal(dataset, store)
        sources = known_sources(store)
        clips = known_clips(sources, store, config)
        decide_clips(clips, dataset, store, config, tokenizer, progress)
        report = report_of(clips, sources, (), store)
        path = out or dataset / REVIEW_PAGE
        return write_page(path, clips, report, store.blobs, config, most=most, corrections=applied(dataset))


def apply_corrections(
    dataset: Path, path: Path, tokenizer: Tokenizer, *, progress: Progress | None = None
) -> tuple[int, CollectReport]:
    """Put what somebody saved on the page over what was found, and make the dataset anew: (how many corrections, the report).

    All of the file or, where anything in it is wrong, nothing. Corrections outlive later runs. Raises InputError for a file
    that does not fit, as `check_corrections` does, if the dataset has no work store, and when the disk refuses.
    """
    check_store(dataset)
    config = stored_config(dataset)
    corrections = read_corrections(path)
    with open_store(dataset) as store:
        known = {clip.clip: clip for clip in known_clips(known_sources(store), store, config)}
        asked = [known[one.clip] for one in corrections if one.clip in known]
        check_corrections(path, corrections, {clip.clip: _found(clip, store) for clip in asked})
        add_corrections(dataset, corrections)
    return len(corrections), decide_again(dataset, config, tokenizer, progress=progress)


def undo(dataset: Path, tokenizer: Tokenizer, *, progress: Progress | None = None) -> tuple[int, CollectReport]:
    """Take back what was applied last: (how many corrections, the report). Raises InputError if there is nothing."""
    check_store(dataset)
    with open_store(dataset):
        count = undo_corrections(dataset)
    return count, decide_again(dataset, stored_config(dataset), tokenizer, progress=progress)


def _found(clip: Clip, store: WorkStore) -> tuple[str, dict[str, Any]]:
    """(basis, records) of a clip; empty ones where a stage is missing."""
    results = store.results(clip.clip)
    records = records_of(results)
    return (basis_of(results) if records else ""), records
