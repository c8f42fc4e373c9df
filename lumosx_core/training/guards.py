"""What must not enter a run stays out: values that are not finite, and steps whose loss leaps out of what the run has seen."""

import logging
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lumosx_core.errors import InputError

logger = logging.getLogger(__name__)
SHOWN = 4  # tensors or samples named in a message
WINDOW = 200  # steps that are remembered; before there are so many, nothing is a spike
NEAREST = 50  # of them, those that a loss is compared with: at the nearest noise levels; ours
LEAST_SPREAD = 0.05  # of log losses: in a run that hardly moves, half as much again is no spike; ours
MAD = 1.4826  # the median absolute deviation of a normal distribution times this is its standard deviation


def check_finite(tensors: Mapping[str, torch.Tensor], what: str, remedy: str) -> None:
    """Raises InputError, which says how many values of which tensors are not finite, with `remedy` as what to do."""
    spoilt = {name: int((~value.isfinite()).sum()) for name, value in tensors.items() if not bool(value.isfinite().all())}
    if spoilt:
        raise InputError(
            f"{what}: {sum(spoilt.values())} values in {len(spoilt)} of {len(tensors)} tensors are not finite (NaN or "
            f"infinite), in {_some(list(spoilt))}; {remedy}"
        )


class StepGuard:
    """Lets a step count only if its values are finite and its loss is no spike; says which do not, and ends the run after too
    many.

    allowed: so many steps one after the other may be left out; with the last of them the run stops. spike: the robust z above
    which a loss is one, 0: none is. z is the distance of the loss's logarithm from a median, in units of the median absolute
    deviation (as a standard deviation), of those NEAREST of the last WINDOW steps whose noise levels are nearest: at little
    noise the loss is ten times what it is in the middle, which is no fault. A spike does not enter the window. spikes_allowed:
    so many may be in the last WINDOW steps; with one more the run stops, since then the run itself has gone astray. saved: the
    state that a stopped run goes on from, in words.
    """

    def __init__(self, what: str, allowed: int = 5, *, spike: float = 0.0, spikes_allowed: int = 20) -> None:
        self.what, self.allowed, self.spike, self.spikes_allowed = what, allowed, spike, spikes_allowed
        self.saved = ""
        self.in_a_row = 0
        self.samples: dict[str, None] = {}  # of the steps left out in a row, in their order
        self.losses: deque[tuple[float, float]] = deque(
            maxlen=WINDOW
        )  # of steps that counted: noise level, logarithm of the loss
        self.spikes: list[int] = []  # steps, of the last WINDOW

    def counts(
        self, step: int, values: Mapping[str, float], samples: Mapping[str, float] | None = None, *, level: float = 0.5
    ) -> bool:
        """Whether a step counts: if not, leave it out.

        values: such as {"loss": 0.3, "gradient norm": 1.2}; "loss" is what may be a spike. samples: what the step was computed
        from, with the loss of each; those at fault are named where it is left out. level: the step's noise, 0 to 1, on average
        over its samples. Raises InputError after too many.
        """
        loss = values.get("loss", 0.0)
        z = self.deviation(loss, level)
        if not all(map(math.isfinite, values.values())):
            told = ", ".join(f"{name} {value:g}" for name, value in values.items())
            why, blamed = f"its values are not finite ({told})", _not_finite(samples or {})
        elif self.spike and z > self.spike:
            told = f"loss {loss:g}"
            why = f"its loss {loss:g} is a spike ({z:.1f} deviations above those of like noise before, {self.spike:g} allowed)"
            blamed = [max(samples, key=lambda name: samples[name])] if samples else []
            self.spikes = [*self._recent(step), step]
        else:
            self.in_a_row = 0
            self.samples.clear()
            if self.spike and loss > 0:
                self.losses.append((level, math.log(loss)))
            return True
        self.in_a_row += 1
        self.samples |= dict.fromkeys(blamed)
        seen = f"; samples: {_some(blamed)}" if blamed else ""
        logger.warning("%s: step %d is left out, since %s%s", self.what, step + 1, why, seen)
        if self.in_a_row >= self.allowed or len(self.spikes) > self.spikes_allowed:
            self._stop(step, told, by_spike=bool(self.spikes) and self.spikes[-1] == step)
        return False

    def deviation(self, loss: float, level: float = 0.5) -> float:
        """The robust z of a loss against the window; 0 while that is not full, or for a loss that is not above 0."""
        if len(self.losses) < WINDOW or not math.isfinite(loss) or loss <= 0:
            return 0.0
        window = np.array(self.losses)
        near = window[np.argsort(np.abs(window[:, 0] - level), kind="stable")[:NEAREST], 1]
        median = float(np.median(near))
        spread = MAD * float(np.median(np.abs(near - median)))
        return (math.log(loss) - median) / max(spread, LEAST_SPREAD)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs to decide as this one would: plain lists and numbers."""
        return {"losses": [list(pair) for pair in self.losses], "spikes": list(self.spikes), "in_a_row": self.in_a_row}

    def resume(self, state: Mapping[str, Any], where: str) -> None:
        """Go on from what `state` gave. Raises InputError, naming `where`, if it is no such state; {} begins anew."""
        if not state:
            return
        losses, spikes, in_a_row = state.get("losses"), state.get("spikes"), state.get("in_a_row")
        if (
            not isinstance(losses, list)
            or not all(isinstance(pair, list) and len(pair) == 2 and all(map(_finite_float, pair)) for pair in losses)
            or not isinstance(spikes, list)
            or not all(type(step) is int for step in spikes)
            or type(in_a_row) is not int
            or in_a_row < 0
        ):
            raise InputError(
                f"{where}: what it keeps of the last losses is damaged; delete it to begin again, or choose another output "
                "folder"
            )
        self.losses = deque(((level, loss) for level, loss in losses), maxlen=WINDOW)
        self.spikes, self.in_a_row = list(spikes), in_a_row

    def _recent(self, step: int) -> list[int]:
        return [spike for spike in self.spikes if step - spike < WINDOW]

    def _stop(self, step: int, told: str, *, by_spike: bool) -> None:
        seen = f" Samples of these steps: {_some(list(self.samples))}." if self.samples else ""
        last = self.saved or "the last state that was saved"
        if by_spike:
            many = (
                f"{self.in_a_row} steps in a row" if self.in_a_row >= self.allowed else f"{len(self.spikes)} of {WINDOW} steps"
            )
            raise InputError(
                f"{self.what}: {many}, up to step {step + 1}, had a loss far above those before ({told}).{seen} Look at these "
                f"samples, or lower the learning rate; {last} is whole, and the same command goes on from it"
            )
        raise InputError(
            f"{self.what}: {self.in_a_row} steps in a row, up to step {step + 1}, had values that are not finite "
            f"({told}).{seen} Look for NaN in the data, or lower the learning rate; {last} is whole, and the same "
            "command goes on from it"
        )


def _not_finite(samples: Mapping[str, float]) -> list[str]:
    """The samples whose own loss is not finite; all, if it is none of theirs (then a gradient or the model is at fault)."""
    return [name for name, loss in samples.items() if not math.isfinite(loss)] or list(samples)


def _finite_float(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
