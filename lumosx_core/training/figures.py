"""What a step tells beside its loss: the loss at each level of noise, the speed, the memory."""

import torch

from lumosx_core.model.memory import peak_bytes
from lumosx_core.training.losses import Draw
from lumosx_core.training.validate import LEVELS


def level_losses(timestep_B: torch.Tensor, samples_B: torch.Tensor) -> dict[str, float]:
    """ "loss/0.06" ... "loss/0.94": the mean loss of a step's samples whose noise is nearest to that level; those that occur.

    timestep_B: in [0, 1000). samples_B: the loss of each sample.
    """
    nearest = (timestep_B.double() / 1000 * len(LEVELS)).long().clamp(0, len(LEVELS) - 1).tolist()
    groups: dict[int, list[float]] = {}
    for level, loss in zip(nearest, samples_B.tolist(), strict=True):
        groups.setdefault(level, []).append(loss)
    return {f"loss/{LEVELS[level]:.2f}": sum(losses) / len(losses) for level, losses in sorted(groups.items())}


def speed_figures(draw: Draw, seconds: float) -> dict[str, float]:
    """ "tokens_per_second" of all samples with their references, and "memory", the peak so far in GiB: of the card, or of the
    process where none is used (left out where the system does not tell it)."""
    figures = {"tokens_per_second": len(draw.timestep) * draw.batch.layout.seq_len / max(seconds, 1e-9)}
    peak = peak_bytes(draw.noise.device)
    return figures | ({} if peak is None else {"memory": peak / 2**30})
