"""Curves of a run for TensorBoard."""

from collections.abc import Callable
from pathlib import Path

from lumosx_core.errors import InputError


def tensorboard_curves(folder: Path) -> Callable[[int, dict[str, float]], None]:
    """A function on_step(step, figures) for `train` that writes event files into `folder`; a resumed run goes on in it.

    Raises InputError if tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError("curves need tensorboard: pip install 'lumosx[train]'") from error
    writer = SummaryWriter(str(folder))

    def on_step(step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(f"train/{name}", value, step)

    return on_step
