"""The average of the weights over a run, which is its result: exponential, in float32 whatever the weights are."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from lumosx_core.training.lora import put_weights, trained_weights
from lumosx_core.training.parallelize import leave_shares, local


def begin_average(weights: Mapping[str, torch.Tensor], *, in_ram: bool = False) -> dict[str, torch.Tensor]:
    """float32 copies of the weights, by name; where they are, or in the machine's memory."""
    return {
        name: value.detach().to("cpu" if in_ram else value.device, torch.float32, copy=True) for name, value in weights.items()
    }


def move_average(average: dict[str, torch.Tensor], weights: Mapping[str, torch.Tensor], decay: float, step: int) -> None:
    """Move the average towards the weights after step `step`, counted from 0.

    The part that stays is `decay`, but at most (step + 1) / (step + 10): the average starts short and grows, so that it forgets
    the random beginning.
    """
    share = min(decay, (step + 1) / (step + 10))
    with torch.no_grad():
        torch._foreach_lerp_(
            [local(value) for value in average.values()],
            [local(weights[name].detach()).to(value.device, torch.float32) for name, value in average.items()],
            1 - share,
        )


@contextmanager
def with_weights(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """A block in which a model that is trained has these weights in place of what it has learnt, and computes no gradients."""
    own = {name: value.detach().clone() for name, value in trained_weights(model).items()}
    try:
        put_weights(model, weights)
        model.train(False)
        with torch.no_grad():
            yield
    finally:
        leave_shares(model)
        put_weights(model, own)
        model.train()
