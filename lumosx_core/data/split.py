"""Training, validation and test: fixed by the source, so that a split stays when data are added."""

from typing import Literal

from lumosx_core.data.records import digest_of

Split = Literal["train", "val", "test"]
VALIDATION, TEST = 0.05, 0.05  # shares of the sources


def split_of(source: str) -> Split:
    """Where all clips of a source belong, by its content alone."""
    share = int(digest_of(["split", source])[:12], 16) / 16**12
    return "val" if share < VALIDATION else "test" if share < VALIDATION + TEST else "train"
