"""Memory is counted as tensors live: their own bytes once, until they are gone, at any size."""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lumosx_core.model.live_memory import LiveMemory


def test_tensors_count_once_and_until_they_are_gone() -> None:
    before = torch.zeros(1000)
    with LiveMemory() as memory:
        first = torch.zeros(500)
        assert (memory.live, memory.peak) == (2000, 2000)
        view = first.view(5, 100)[1:]
        assert memory.live == 2000  # a view is no memory of its own
        second = first + 1
        del first
        assert (memory.live, memory.peak) == (4000, 4000)  # the view holds it
        del view
        assert (memory.live, memory.peak) == (2000, 4000)
        second.add_(1)
        assert memory.live == 2000
        memory.hold({"weights": [before, before[10:]], "name": "x"})
        assert (memory.live, memory.peak) == (6000, 6000)
        del second
        memory.forget_peak()
        assert (memory.live, memory.peak) == (4000, 4000)


def test_what_was_there_before_is_not_counted_by_its_use() -> None:
    weight, x = torch.zeros(64, 32), torch.zeros(8, 32)
    with LiveMemory() as memory:
        out = torch.nn.functional.linear(x, weight)  # looks at the weight transposed
        assert out.shape == (8, 64)
        assert memory.live == memory.peak == 8 * 64 * 4
        memory.hold(weight)
        assert memory.live == 8 * 64 * 4 + 64 * 32 * 4


def test_the_peak_lies_within_an_expression() -> None:
    with LiveMemory() as memory:
        x = torch.zeros(250)
        x = (x * 2 + 1) * 3
        assert (memory.live, memory.peak) == (1000, 3000)


def test_fake_tensors_count_as_if_they_were_there() -> None:
    with FakeTensorMode(), LiveMemory() as memory:
        hidden = torch.empty(2**20, 2**10, dtype=torch.bfloat16)
        hidden = hidden.float()
        assert hidden.shape == (2**20, 2**10)
        assert (memory.live, memory.peak) == (4 * 2**30, 6 * 2**30)


def test_gradients_count() -> None:
    weight = torch.zeros(100, requires_grad=True)
    with LiveMemory() as memory:
        loss = (weight * 2).square().sum()
        loss.backward()
        del loss
        assert memory.live == 400  # the gradient alone is left
        assert memory.peak >= 800
