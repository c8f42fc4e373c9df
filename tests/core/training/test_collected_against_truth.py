"""The short form of `collected_against_truth.py`: two clips, a small model."""

from pathlib import Path

from collected_against_truth import BAR, compare


def test_collected_clips_teach_as_the_truth_does(tmp_path: Path) -> None:
    found = compare(tmp_path, 2, 24, size="48x48x5", preset="debug_64")
    collected, truth = found["collected"], found["truth"]
    assert collected.clips == truth.clips == 2
    assert collected.last < 0.9 * collected.first and truth.last < 0.9 * truth.first
    assert collected.last <= BAR * truth.last and collected.other <= BAR * truth.other
