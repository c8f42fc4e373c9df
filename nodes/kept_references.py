"""The keys and values of references that a patched model keeps between the steps of a sampling."""

import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import torch

from lumosx_core.model.devices import GIB
from lumosx_core.model.relational_attention import ReferenceKeys

log = logging.getLogger(__name__)

SIGMA_TOLERANCE = 1e-4  # of a noise level against the schedule's: samplers compute some anew


@dataclass(frozen=True)
class CallKeys:
    """Those for one call of the model. prompts: of every prompt in its batch, one list per block. filled: they are there and
    the rows of the references are not computed; else they are empty and to be put in."""

    prompts: list[list[ReferenceKeys]]
    filled: bool

    def of(self, block: int) -> ReferenceKeys:
        """Those of a block for the whole batch; empty where they are to be computed."""
        if not self.filled or len(self.prompts) == 1:
            return list(self.prompts[0][block]) if self.filled else []
        return [torch.cat(each) for each in zip(*(prompt[block] for prompt in self.prompts), strict=True)]

    def put(self, block: int, keys: ReferenceKeys) -> None:
        """Keep a block's of the whole batch, each prompt's by itself."""
        count = len(self.prompts)
        for index, prompt in enumerate(self.prompts):
            prompt[block][:] = keys if count == 1 else [x.chunk(count)[index].clone() for x in keys]


@dataclass
class KeptReferences:
    """every: they are computed anew in the first of so many steps. blocks: of the model.

    A host calls as often in a step as it likes, and puts the prompts into its calls as memory allows. So every prompt has keys
    of its own; one that comes up for the first time is computed, whatever the step.
    """

    every: int
    blocks: int
    _sigma: float | None = None
    _changes: int = -1  # of the noise level: counts the steps where no schedule is told
    _first: int | None = None  # the step that the keys are of
    _told: bool = False
    _keys: dict[Hashable, list[ReferenceKeys]] = field(default_factory=dict)

    def of(self, sigma: float, schedule: torch.Tensor | None, prompts: Sequence[Hashable], kind: Hashable) -> CallKeys:
        """Those of a call at that noise level. schedule: the noise levels of the whole sampling [steps + 1], None where the
        host tells none. kind: what beside the prompt tells keys apart: layout, rows of a prompt, device."""
        if sigma != self._sigma:
            self._sigma, self._changes = sigma, self._changes + 1
        step = self._changes if schedule is None else step_of(sigma, schedule)
        first = self._first
        if first is None or step < first - self.every:  # a step back of a sampler within the schedule is none
            first = step
        first += (step - first) // self.every * self.every if step >= first else 0
        if self._first is not None and step != self._first and not self._told:
            self._told = True
            log.info("reference_refresh %d keeps %.2f GiB of keys and values", self.every, self.held_bytes / GIB)
        if first != self._first:
            self._keys.clear()
            self._first = first
        lists = [self._keys.setdefault((prompt, kind), [[] for _ in range(self.blocks)]) for prompt in prompts]
        return CallKeys(lists, all(each[-1] for each in lists))

    @property
    def held_bytes(self) -> int:
        """What is kept now."""
        return sum(x.nbytes for prompt in self._keys.values() for block in prompt for x in block)

    def clear(self) -> None:
        """Forget everything: a sampling has ended, and nothing of it may stay in memory."""
        self._sigma, self._changes, self._first, self._told = None, -1, None, False
        self._keys.clear()


def step_of(sigma: float, schedule: torch.Tensor) -> int:
    """In which step of a schedule [steps + 1] that noise level is, from 0: samplers look between two levels of it as well. The
    levels fall, or rise where a video is turned into noise."""
    if schedule[0] >= schedule[-1]:
        begun = schedule >= sigma * (1 - SIGMA_TOLERANCE)
    else:
        begun = schedule <= sigma * (1 + SIGMA_TOLERANCE)
    return max(0, int(begun.sum()) - 1)
