"""What tests of the transformer share."""

import pytest
import torch

from lumosx_core.model.config import PRESETS
from lumosx_core.model.transformer import LumosXTransformer


@pytest.fixture(scope="module")
def model() -> LumosXTransformer:
    """The debug model with random weights, all large enough to matter."""
    torch.manual_seed(0)
    model = LumosXTransformer(PRESETS["debug"])
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.train(False)
