"""The short form of `rerun_cost.py`: a dozen clips that are done already, and another threshold, ask no worker for anything."""

from pathlib import Path

from rerun_cost import measure
from small_collection import COUNT, Collected

from lumosx_core.data.collect_config import PUPPETS


def test_what_is_done_is_not_done_again(collected: Collected, tmp_path: Path) -> None:
    cost = measure(collected.videos, collected.out, tmp_path, 4 * COUNT, COUNT, shots=4 * COUNT)
    assert cost.jobs == 0 and cost.samples == (4 * COUNT, 4 * COUNT, 4 * (COUNT - 1))
    assert cost.views == 4 * sum(len(spec.puppets) for spec in collected.specs) * PUPPETS.pairs.views
