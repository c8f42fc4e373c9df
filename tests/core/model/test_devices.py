"""What names of devices and of types mean, and that every command offers the same ones."""

import argparse

import pytest
import torch

from lumosx_core.cli.main import build_parser
from lumosx_core.errors import InputError
from lumosx_core.model.devices import (
    PRECISIONS,
    STORAGE_TYPES,
    WEIGHTS_TYPES,
    arithmetic,
    check_device,
    free_bytes,
    is_cuda,
    weights_type,
)


def test_names_mean_torchs_types() -> None:
    assert [weights_type(name) for name in WEIGHTS_TYPES] == [torch.float32, torch.bfloat16, torch.float16]
    assert weights_type("fp8_e4m3fn", names=tuple(STORAGE_TYPES)) == torch.float8_e4m3fn
    with pytest.raises(InputError, match="type of weights 'fp8_e4m3fn', expected one of fp32, bf16, fp16"):
        weights_type("fp8_e4m3fn")


@pytest.mark.parametrize(("precision", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_arithmetic_is_of_the_named_precision(precision: str, expected: torch.dtype) -> None:
    layer = torch.nn.Linear(3, 2)
    with arithmetic(precision, "cpu"):
        assert layer(torch.ones(1, 3)).dtype == expected
    assert layer.weight.dtype == torch.float32
    with pytest.raises(InputError, match="precision 'fp16', expected one of fp32, bf16"):
        arithmetic("fp16", "cpu")


def test_devices_that_are_not_there_are_told() -> None:
    check_device("cpu")
    for name in ("cuda:99", "toaster"):
        with pytest.raises(InputError, match=f"device '{name}' cannot be used .*`lumosx doctor`"):
            check_device(name)
    assert not is_cuda("cpu") and is_cuda("cuda:1") and is_cuda(torch.device("cuda"))
    assert free_bytes("cpu") is None


def choices(command: list[str], option: str) -> tuple[str, ...]:
    """What an option of a command takes, as argparse has it."""
    parser = build_parser()
    for word in command:
        deeper = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
        parser = deeper.choices[word]
    return tuple(next(action.choices for action in parser._actions if option in action.option_strings))


def test_commands_offer_the_types_that_there_are() -> None:
    assert choices(["generate"], "--dtype") == choices(["bench"], "--dtype") == WEIGHTS_TYPES
    assert choices(["convert"], "--storage") == tuple(STORAGE_TYPES)
    assert choices(["train", "transformer"], "--precision") == PRECISIONS
