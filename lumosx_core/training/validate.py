"""The loss on clips that a run does not learn from, always with the same noise, at fixed noise levels."""

from dataclasses import dataclass

import torch

from lumosx_core.data.clip_dataset import ClipDataset
from lumosx_core.data.latent_dataset import LatentDataset
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.numbers import whole_number
from lumosx_core.training.lora import put_weights, trained_weights
from lumosx_core.training.losses import Draw, Loss

LEVELS = tuple((2 * k + 1) / 16 for k in range(8))  # noise levels, the middles of eighths


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Clips to be measured. data: those that the training does not read. every: steps between measurements, and at the end.
    batches: of `batch` clips, the same ones each time. Raises InputError for numbers below 1."""

    data: LatentDataset | ClipDataset
    every: int = 500
    batches: int = 2
    batch: int = 2

    def __post_init__(self) -> None:
        for name in ("every", "batches", "batch"):
            whole_number(getattr(self, name), f"validation: {name}", least=1, most=10**9)

    def is_due(self, step: int, steps: int) -> bool:
        """Whether it is measured after this step of `steps`."""
        return (step + 1) % self.every == 0 or step + 1 == steps

    def figures(self, model: LumosXTransformer, weights: dict[str, torch.Tensor], loss: Loss) -> dict[str, float]:
        """ "validation" (the mean) and "validation/0.06" ... "validation/0.94", the loss at each noise level, of the model with
        `weights` in place of its own. The model is left as it was; no random number of the run is used up."""
        device = next(model.parameters()).device
        own = {name: value.detach().clone() for name, value in trained_weights(model).items()}
        try:
            put_weights(model, weights)
            model.train(False)
            with torch.no_grad():
                levels = {level: self._loss_at(level, model, loss, device) for level in LEVELS}
        finally:
            put_weights(model, own)
            model.train()
        figures = {f"validation/{level:.2f}": value for level, value in levels.items()}
        return {"validation": sum(levels.values()) / len(levels)} | figures

    def _loss_at(self, level: float, model: LumosXTransformer, loss: Loss, device: torch.device) -> float:
        total = 0.0
        for index in range(self.batches):
            batch = self.data.batch(self.batch, 0, index).to(device)
            noise = torch.randn(batch.video.shape, generator=torch.Generator().manual_seed(index)).to(device)
            timestep = torch.full((len(batch.video),), 1000 * level, device=device)
            total += float(loss(model, Draw(batch=batch, noise=noise, timestep=timestep)).samples.mean())
        return total / self.batches
