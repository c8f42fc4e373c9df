"""What a training writes, told before it starts, and whether the disk has room for it."""

from dataclasses import dataclass
from math import lcm
from pathlib import Path

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.room import free_bytes_at, gib
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training.config import TrainingConfig
from lumosx_core.training.lora import add_lora, trained_weights
from lumosx_core.training.optimizers import OPTIMIZER_BYTES, OTHER_OPTIMIZER
from lumosx_core.training.samples import FOLDER as SAMPLES
from lumosx_core.training.samples import Samples
from lumosx_core.training.state_folder import STATES, states_of


@dataclass(frozen=True, kw_only=True)
class DiskNeed:
    """Bytes that a whole run writes. state: one of its states; states: how many lie there at once, at most. result: its
    weights. samples: all videos and sheets made on the way, about."""

    state: int
    states: int
    result: int
    samples: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.state * self.states + self.result + self.samples

    def words(self) -> str:
        """ "17.3 GiB: 2 states of 7.9 each, the result 1.3, samples about 0.1"."""
        many = "1 state" if self.states == 1 else f"{self.states} states"
        parts = [f"{many} of {gib(self.state)} each", f"the result {gib(self.result)}"]
        parts += [f"samples about {gib(self.samples)}"] if self.samples else []
        return f"{gib(self.total)} GiB: {', '.join(parts)}"


def disk_need(model_config: TransformerConfig, config: TrainingConfig, samples: Samples | None = None) -> DiskNeed:
    """What that training writes; nothing is loaded. A state is there before those that it replaces go."""
    with torch.device("meta"):
        model = LumosXTransformer(model_config)
        if config.lora is not None:
            add_lora(model, config.lora)
    learning = sum(parameter.numel() for parameter in trained_weights(model).values())
    keeps, _ = OPTIMIZER_BYTES.get(config.optimizer, OTHER_OPTIMIZER)
    saves = -(-config.steps // config.save_every)
    lasting = config.steps // lcm(config.save_every, config.keep_every) if config.keep_every else 0
    return DiskNeed(
        state=int((4 + 4 + keeps) * learning),
        states=min(saves, config.keep_last + 1 + lasting),
        result=2 * learning if config.lora is None else 4 * learning,
        samples=0 if samples is None else samples.disk_bytes() * -(-config.steps // samples.every),
    )


def check_disk(run: Path, config: TrainingConfig, need: DiskNeed) -> int | None:
    """How many bytes are free where a run is written; None where the disk does not tell.

    Raises InputError, with the figures, if what is still to be written does not fit: what lies in the run already counts, and
    one whose last step is done needs nothing.
    """
    free = free_bytes_at(run)
    done = max(states_of(run), default=0)
    there = sum(path.stat().st_size for name in (STATES, SAMPLES) for path in (run / name).rglob("*") if path.is_file())
    missing = max(need.total - there, need.state)  # a state is always written before an older one goes
    if free is not None and free < missing and done < config.steps:
        already = f", of which {gib(there)} are there" if there else ""
        raise InputError(
            f"this training writes {need.words()}{already}; {gib(free)} GiB are free where {run} is. Free some space, choose "
            "another output folder, keep fewer states (keep_last, keep_every), or train a LoRA, whose states are small"
        )
    return free
