"""Values that are not finite (NaN, infinite) stay out of a run: out of its steps, and out of everything it writes."""

import logging
import math
from collections.abc import Mapping, Sequence

import torch

from lumosx_core.errors import InputError

logger = logging.getLogger(__name__)
SHOWN = 4  # tensors or samples named in a message


def check_finite(tensors: Mapping[str, torch.Tensor], what: str, remedy: str) -> None:
    """Raises InputError, which says how many values of which tensors are not finite, with `remedy` as what to do."""
    spoilt = {name: int((~value.isfinite()).sum()) for name, value in tensors.items() if not bool(value.isfinite().all())}
    if spoilt:
        raise InputError(
            f"{what}: {sum(spoilt.values())} values in {len(spoilt)} of {len(tensors)} tensors are not finite (NaN or "
            f"infinite), in {_some(list(spoilt))}; {remedy}"
        )


class FiniteSteps:
    """Lets a step count only if its loss and gradient are finite; says which do not, and ends the run after too many.

    allowed: so many steps in a row may be left out; with the last of them the run stops.
    """

    def __init__(self, what: str, allowed: int = 5) -> None:
        self.what, self.allowed = what, allowed
        self.in_a_row = 0
        self.samples: dict[str, None] = {}  # of the steps left out in a row, in their order

    def counts(self, step: int, losses: Mapping[str, float], samples: Sequence[str] = ()) -> bool:
        """Whether the step's values, such as {"loss": 0.3, "gradient norm": 1.2}, are finite: if not, leave it out.

        samples: what it was computed from, named where it is left out. Raises InputError after `allowed` such steps in a row.
        """
        if all(map(math.isfinite, losses.values())):
            self.in_a_row = 0
            self.samples.clear()
            return True
        self.in_a_row += 1
        self.samples |= dict.fromkeys(samples)
        values = ", ".join(f"{name} {value:g}" for name, value in losses.items())
        seen = f"; samples: {_some(list(dict.fromkeys(samples)))}" if samples else ""
        logger.warning("%s: step %d is left out, since its values are not finite (%s)%s", self.what, step + 1, values, seen)
        if self.in_a_row >= self.allowed:
            seen = f" Samples of these steps: {_some(list(self.samples))}." if self.samples else ""
            raise InputError(
                f"{self.what}: {self.in_a_row} steps in a row, up to step {step + 1}, had values that are not finite "
                f"({values}).{seen} Look for NaN in the data, or lower the learning rate; the last state that was saved is "
                "whole, and the same command goes on from it"
            )
        return False


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
