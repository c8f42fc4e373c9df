"""Is everybody who should be seen, in their own things? For videos of the puppet world, by `puppets/scorer.py`."""

from pathlib import Path

import numpy as np

from lumosx_core.puppets.samples import read_truth
from lumosx_core.puppets.scorer import score_clip


def score(video: np.ndarray, sample: Path) -> dict:
    """What the video shows of the sample's people.

    video: uint8 frames [F, H, W, 3]. sample: a sample folder with the truth about its puppets. Returns `identities`, one bool
    for every person, and `outcomes`, [person, kind of thing, bound | swapped | wrong | hidden] for every thing. Raises
    InputError for a sample without truth.
    """
    found = score_clip(video, read_truth(sample))
    return {
        "identities": list(found.identities),
        "outcomes": [[each.subject, each.kind, each.outcome] for each in found.attributes],
    }
