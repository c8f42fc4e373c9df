"""The binding margin: what is exchanged, and that validation tells it."""

from pathlib import Path

import pytest
import torch
from test_recipes import latents

from lumosx_core.data.latent_dataset import Batch, LatentDataset
from lumosx_core.model.config import PRESETS
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.references import ReferenceKind
from lumosx_core.training.losses import Draw, PublishedLoss
from lumosx_core.training.validate import LEVELS, Validation, exchanged

KINDS: tuple[ReferenceKind, ...] = ("object", "face", "attribute", "attribute", "face", "face", "attribute")
SUBJECTS = (None, 0, 0, 0, 1, 2, 2)


def batch(kinds: tuple[ReferenceKind, ...] = KINDS, subjects: tuple[int | None, ...] = SUBJECTS) -> Batch:
    generator = torch.Generator().manual_seed(3)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return Batch(
        video=drawn(2, 16, 2, 4, 6),
        references=drawn(2, len(kinds), 16, 4, 6),
        context=drawn(2, 80, 96),
        levels=drawn(2, len(kinds), 80).sigmoid(),
        owners=torch.zeros(2, 2, 2, 3, dtype=torch.int8),
        layout=TokenLayout(2, 2, 3, kinds=kinds, subjects=subjects),
        samples=("a", "b"),
    )


class OneBatch:
    """The data of a validation: this batch, always."""

    def __init__(self, only: Batch) -> None:
        self.only = only

        self.asked: list[int] = []

    def batch(self, size: int, seed: int, step: int) -> Batch:  # noqa: ARG002
        self.asked.append(step)
        return self.only


@pytest.fixture
def model() -> LumosXTransformer:
    torch.manual_seed(0)
    model = LumosXTransformer(PRESETS["debug_64"])
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def loss_of(model: LumosXTransformer, of: Batch, level: float) -> float:
    noise = torch.randn(of.video.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        draw = Draw(batch=of, noise=noise, timestep=torch.full((2,), 1000 * level))
        return float(PublishedLoss()(model, draw).samples.mean())


def test_things_change_places_with_their_words_between_two_subjects() -> None:
    right = batch()
    wrong = exchanged(right)
    assert wrong is not None and wrong.layout == right.layout
    order = [0, 1, 6, 3, 4, 5, 2]  # the first thing of subject 0 and the only one of subject 2
    assert torch.equal(wrong.references, right.references[:, order]) and torch.equal(wrong.levels, right.levels[:, order])
    assert torch.equal(wrong.video, right.video) and torch.equal(wrong.context, right.context)
    assert exchanged(batch(KINDS[:5], SUBJECTS[:5])) is None  # one has things, the other none


def test_validation_tells_the_margin_and_leaves_it_out_where_there_is_none(model: LumosXTransformer, tmp_path: Path) -> None:
    right = batch()
    wrong = exchanged(right)
    assert wrong is not None
    weights = dict(model.named_parameters())
    data = OneBatch(right)
    validation = Validation(data=data, batches=1)  # type: ignore[arg-type]
    told = validation.figures(model, weights, PublishedLoss())
    assert validation.figures(model, weights, PublishedLoss()) == told and data.asked == [0]  # read once, for all levels
    by_hand = sum(loss_of(model, wrong, level) - loss_of(model, right, level) for level in LEVELS) / len(LEVELS)
    assert abs(by_hand) > 1e-3 and told["binding_margin"] == pytest.approx(by_hand, rel=1e-3)
    alone = LatentDataset(latents(tmp_path / "data"))  # one subject
    assert "binding_margin" not in Validation(data=alone, batches=1).figures(model, weights, PublishedLoss())
