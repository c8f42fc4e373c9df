"""Optimizers of a transformer: which parameters get which rule."""

import torch

from lumosx_core.errors import InputError
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training.config import TrainingConfig
from lumosx_core.training.lora import trained_weights


def check_optimizer(config: TrainingConfig) -> None:
    """Raises InputError for Muon with a torch that has none (before 2.9)."""
    if config.optimizer == "muon" and not hasattr(torch.optim, "Muon"):
        raise InputError(f"training: optimizer 'muon' needs torch 2.9 or newer, this is {torch.__version__}; update torch")


def make_optimizers(model: LumosXTransformer, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """The optimizers of a run: AdamW, and with `config.optimizer == "muon"` Muon for the matrices inside the blocks.

    Muon (Jordan 2024, torch.optim.Muon) makes the step of a matrix orthogonal, its size matched to AdamW's, so that both
    run at the same rate. Frozen weights get none. Norms and biases are not decayed. Raises InputError as
    `check_optimizer` does.
    """
    check_optimizer(config)
    inside, matrices, others = [], [], []
    for name, parameter in trained_weights(model).items():
        if config.optimizer == "muon" and parameter.ndim == 2 and name.startswith("blocks."):
            inside.append(parameter)
        elif parameter.ndim >= 2:
            matrices.append(parameter)
        else:
            others.append(parameter)
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas)]
    if inside:
        optimizers.append(
            torch.optim.Muon(inside, lr=config.learning_rate, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw")
        )
    return optimizers
