"""AdamW for embeddings, norms and the head; Muon or AdamW for the matrices of the blocks."""

import torch

from lumosx_core.model.transformer import LumosXTransformer

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # quintic iteration that drives singular values to about 1 (Jordan et al. 2024)
STEPS = 5


class Muon(torch.optim.Optimizer):
    """Momentum whose matrix updates are orthogonalised (Muon), in float32.

    torch.optim.Muon computes in bfloat16, which processors without bfloat16 units run twenty times slower; this one is for
    training on a CPU. Updates are scaled to the size of AdamW's (factor 0.2 * sqrt(larger side)), so one learning rate
    serves both. Parameters must be matrices [out, in].
    """

    def __init__(self, parameters: list[torch.nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002 - the base's signature
        """One update of every parameter that has a gradient; matrices of one shape are orthogonalised together."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, members in by_shape.items():
                updates = []
                for parameter in members:
                    state = self.state[parameter]
                    if "momentum" not in state:
                        state["momentum"] = torch.zeros_like(parameter)
                    state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                    updates.append(parameter.grad.lerp(state["momentum"], group["momentum"]))
                turned = orthogonalized(torch.stack(updates)) * (0.2 * max(shape) ** 0.5)
                for parameter, update in zip(members, turned, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"])


def orthogonalized(matrices: torch.Tensor) -> torch.Tensor:
    """The nearest semi-orthogonal matrices, roughly, of [N, rows, columns]: singular values between 0.7 and 1.2."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(STEPS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


def build_optimizers(
    model: LumosXTransformer, kind: str, *, learning_rate: float, weight_decay: float, betas: tuple[float, float]
) -> list[torch.optim.Optimizer]:
    """The optimizers of a run. kind: "adamw" for everything, or "muon" for the blocks' matrices and AdamW for the rest.

    Norms, biases and modulations are not decayed: they are scales around which the rest was initialised.
    """
    named = list(model.named_parameters())
    blocks = [p for name, p in named if kind == "muon" and name.startswith("blocks.") and p.ndim == 2]
    mine = {id(p) for p in blocks}
    matrices = [p for _, p in named if p.ndim >= 2 and id(p) not in mine]
    others = [p for _, p in named if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=learning_rate, betas=betas)]
    if blocks:
        optimizers.append(Muon(blocks, lr=learning_rate, weight_decay=weight_decay))
    return optimizers
