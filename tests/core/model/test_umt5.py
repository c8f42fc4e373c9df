"""The written-out UMT5 encoder is transformers' to the bit."""

from dataclasses import asdict

import pytest
import torch
from transformers import UMT5Config, UMT5EncoderModel

from lumosx_core.errors import InputError
from lumosx_core.model.umt5 import TextConfig, UMT5Encoder, position_buckets

SIZES = {"vocab_size": 100, "d_model": 48, "d_kv": 16, "d_ff": 96, "num_layers": 3, "num_heads": 3}
CONFIG = TextConfig(**SIZES, relative_attention_num_buckets=32)


def their_model() -> UMT5EncoderModel:
    theirs = UMT5EncoderModel(UMT5Config(**asdict(CONFIG), dropout_rate=0.0, feed_forward_proj="gated-gelu")).train(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in theirs.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    return theirs


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("length", "known"), [(1, 1), (7, 3), (300, 150), (300, 300)])
@torch.no_grad()
def test_states_are_those_of_transformers(dtype: torch.dtype, length: int, known: int) -> None:
    theirs, ours = their_model().to(dtype), UMT5Encoder(CONFIG).train(False)
    assert list(theirs.state_dict()) == list(ours.state_dict())
    ours.load_state_dict(theirs.state_dict(), assign=True)
    ids = torch.randint(0, 100, (2, length), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(2, length, dtype=torch.int64)
    mask[1, known:] = 0
    expected = theirs(input_ids=ids, attention_mask=mask).last_hidden_state
    got = ours(ids, mask)
    assert torch.equal(got, expected) and float(got.float().std()) > 0


def test_buckets_by_hand() -> None:
    buckets = position_buckets(200, 32, torch.device("cpu"))
    assert buckets[0, :3].tolist() == [0, 17, 18] and buckets[:3, 0].tolist() == [0, 1, 2]
    assert buckets[0, 7] == 23 and buckets[0, 8] == 24 and buckets[0, 199] == 31 and buckets[199, 0] == 15


def test_too_few_buckets_are_refused() -> None:
    with pytest.raises(InputError, match="relative_attention_num_buckets"):
        TextConfig(**SIZES, relative_attention_num_buckets=3)
