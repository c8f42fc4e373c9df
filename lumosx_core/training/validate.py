"""The loss on clips that a run does not learn from, always with the same noise, at fixed noise levels; and whether the model
tells whose things are whose, which needs neither sampling nor a judge."""

from dataclasses import dataclass, field, replace

import torch

from lumosx_core.data.clip_dataset import ClipDataset
from lumosx_core.data.latent_dataset import Batch, LatentDataset
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.numbers import whole_number
from lumosx_core.training.ema import with_weights
from lumosx_core.training.losses import Draw, Loss
from lumosx_core.training.parallelize import ALONE, Processes

LEVELS = tuple((2 * k + 1) / 16 for k in range(8))  # noise levels, the middles of eighths


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Clips to be measured. data: those that the training does not read. every: steps between measurements, and at the end.
    batches: of `batch` clips, the same ones each time. Raises InputError for numbers below 1."""

    data: LatentDataset | ClipDataset
    every: int = 500
    batches: int = 2
    batch: int = 2
    drawn: list[tuple[Batch, Batch | None]] = field(
        default_factory=list
    )  # those batches, and exchanged; read when first needed

    def __post_init__(self) -> None:
        for name in ("every", "batches", "batch"):
            whole_number(getattr(self, name), f"validation: {name}", least=1, most=10**9)

    def is_due(self, step: int, steps: int) -> bool:
        """Whether it is measured after this step of `steps`."""
        return (step + 1) % self.every == 0 or step + 1 == steps

    def figures(
        self,
        model: LumosXTransformer,
        weights: dict[str, torch.Tensor],
        loss: Loss,
        *,
        precision: str = "fp32",
        processes: Processes = ALONE,
    ) -> dict[str, float]:
        """ "validation" (the mean) and "validation/0.06" ... "validation/0.94", the loss at each noise level, of the model with
        `weights` in place of its own; and "binding_margin", if two subjects with attributes are among the clips: by how much
        the loss is larger, on average over the levels, when they have each other's (`exchanged`), with the same noise.
        0: the model does not tell whose things are whose. Several processes share the clips of each batch. The model is left as
        it was; no random number of the run is used up.
        """
        self.drawn.extend(
            (batch, exchanged(batch))
            for batch in (self.data.batch(self.batch, 0, index) for index in range(len(self.drawn), self.batches))
        )
        with with_weights(model, weights):
            right, margins = zip(*(self._at(level, model, loss, precision, processes) for level in LEVELS), strict=True)
        figures = {f"validation/{level:.2f}": value for level, value in zip(LEVELS, right, strict=True)}
        told = [margin for margin in margins if margin is not None]
        margin = {"binding_margin": sum(told) / len(told)} if told else {}
        return {"validation": sum(right) / len(right)} | figures | margin

    def _at(
        self, level: float, model: LumosXTransformer, loss: Loss, precision: str, processes: Processes
    ) -> tuple[float, float | None]:
        """The loss at a noise level, and the binding margin there, if there is any."""
        total, margins, device = 0.0, [], next(model.parameters()).device
        for index, (given, wrong) in enumerate(self.drawn):
            batch = given.to(device)
            noise = torch.randn(batch.video.shape, generator=torch.Generator().manual_seed(index)).to(device)
            timestep = torch.full((len(batch.video),), 1000 * level, device=device)
            draw = Draw(batch=batch, noise=noise, timestep=timestep, precision=precision)
            value = _mean(model, loss, draw, processes)
            total += value
            if wrong is not None:
                margins.append(_mean(model, loss, replace(draw, batch=wrong.to(device)), processes) - value)
        return total / self.batches, sum(margins) / len(margins) if margins else None


def _mean(model: LumosXTransformer, loss: Loss, draw: Draw, processes: Processes) -> float:
    """The mean loss of a draw, of which every process computes its share."""
    own, share = processes.share(draw)
    return processes.sum({"loss": share * float(loss(model, own).samples.mean())})["loss"]


def exchanged(batch: Batch) -> Batch | None:
    """The batch in which the first two subjects with attributes have each other's: the pictures, with the words that are
    theirs, change places between the groups, as many as both have. None without two such subjects. A model without relations
    between tokens sees the same pictures in another order."""
    places: dict[int, list[int]] = {}
    for number, (kind, subject) in enumerate(zip(batch.layout.kinds, batch.layout.subjects, strict=True)):
        if kind == "attribute" and subject is not None:
            places.setdefault(subject, []).append(number)
    if len(places) < 2:
        return None
    one, other = list(places.values())[:2]
    order = list(range(len(batch.layout.kinds)))
    for mine, theirs in zip(one, other, strict=False):
        order[mine], order[theirs] = theirs, mine
    return replace(batch, references=batch.references[:, order], levels=batch.levels[:, order])
