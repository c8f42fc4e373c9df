"""The keys and values of references that a patched model keeps between the steps of a sampling."""

from collections.abc import Hashable
from dataclasses import dataclass, field

from lumosx_core.model.relational_attention import ReferenceKeys


@dataclass
class KeptReferences:
    """every: they are computed anew in the first of so many steps. blocks: of the model.

    A host tells no steps: one begins where the noise level changes. Several calls within a step, of other prompts or parts,
    keep their own; one that comes up for the first time is computed, whatever the step.
    """

    every: int
    blocks: int
    _sigma: float | None = None
    _step: int = -1
    _keys: dict[Hashable, list[ReferenceKeys]] = field(default_factory=dict)

    def of(self, sigma: float, call: Hashable) -> list[ReferenceKeys]:
        """One list per block, empty where they are to be computed and put in. call: what tells the calls of a step apart."""
        if sigma != self._sigma:
            self._sigma, self._step = sigma, self._step + 1
            if self._step % self.every == 0:
                self._keys.clear()
        return self._keys.setdefault(call, [[] for _ in range(self.blocks)])

    def clear(self) -> None:
        """Forget everything: a sampling has ended, and nothing of it may stay in memory."""
        self._sigma, self._step = None, -1
        self._keys.clear()
