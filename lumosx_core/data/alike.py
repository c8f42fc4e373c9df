"""Frames that look the same among many, without comparing each with each.

Hashes of frames (`looks_of`) are cut into bands, half as many as bits that make a difference. Two that look the same cannot
differ in two bits of every band, so there is one in which they differ in one bit at most (multi-index hashing, Norouzi et al.
2012). So a hash is looked up in every band, as it is and with each of its bits turned.
"""

from collections import defaultdict
from itertools import pairwise

BITS = 64
MOST_BANDS = 6  # with more a band is so narrow that most hashes have to be compared anyway


class Looks:
    """Hashes of frames that grow in number, asked for those in which fewer than `alike` bits differ from a given one."""

    def __init__(self, alike: int) -> None:
        self.alike = alike
        bands = (alike + 1) // 2
        self._all: dict[int, str] = {}
        self._banded = bands <= MOST_BANDS
        borders = [BITS * band // bands for band in range(bands + 1)] if bands and self._banded else []
        self._bands = [
            (low, (1 << high - low) - 1, [0, *(1 << bit for bit in range(high - low))], defaultdict[int, list[int]](list))
            for low, high in pairwise(borders)
        ]

    def add(self, look: str) -> None:
        """Take a hash in, 16 hex digits; once is enough."""
        value = int(look, 16)
        if value not in self._all:
            self._all[value] = look
            for low, ones, _, places in self._bands:
                places[value >> low & ones].append(value)

    def near(self, look: str) -> list[str]:
        """Those taken in that differ from this hash in fewer than `alike` bits, in no order."""
        value = int(look, 16)
        return [self._all[other] for other in self._candidates(value) if (value ^ other).bit_count() < self.alike]

    def _candidates(self, value: int) -> set[int] | dict[int, str]:
        if not self._banded:
            return self._all
        found: set[int] = set()
        for low, ones, turned, places in self._bands:
            key = value >> low & ones
            for bit in turned:
                if (others := places.get(key ^ bit)) is not None:
                    found.update(others)
        return found
