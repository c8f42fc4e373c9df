"""What every metric offers: a module of this folder, or an object that holds the models of one."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np

Figure = tuple[float, float]  # hits, asked
Matrix = list[list[float | None]]  # square, a row and a column for every person; None: nothing is known


class Metric(Protocol):
    """Values are plain data that JSON holds: raw ones of every frame and subject, from which figures are made.

    VERSION counts up when the values of the same video change. FAULTS: figures of which less is better.
    """

    VERSION: int
    FAULTS: frozenset[str]

    def score(self, video: np.ndarray, sample: Path) -> dict[str, Any]:
        """The values of a video, uint8 [F, H, W, 3], of what a sample folder asks for."""
        ...

    def missing(self, sample: Path) -> dict[str, Any]:
        """The values where there is no video: all that was asked for is missing."""
        ...

    def figures(self, values: dict[str, Any]) -> dict[str, Figure]:
        """The case's part of every figure, the one that counts most first."""
        ...

    def details(self, values: dict[str, Any]) -> dict[str, Figure]:
        """The first figure once more, for kinds of what was asked; nothing where there are none."""
        del values
        return {}

    def matrices(self, values: dict[str, Any]) -> dict[str, Matrix]:
        """Who is seen as whom: row = the person, column = whom it is like; 0 is as it should be. Nothing where nobody is
        compared with anybody."""
        del values
        return {}

    def note(self, values: dict[str, Any]) -> str:
        """The outcome in a line for people."""
        ...
