"""What saves memory leaves outputs and gradients as they are; a base of fewer bits is rounded once."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from lumosx_core.model.config import PRESETS
from lumosx_core.model.low_memory import HostRam, StoredLinear, store_frozen
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training.config import DEBUG, LoraConfig, MemoryConfig, TrainingConfig
from lumosx_core.training.fit import fit_model
from lumosx_core.training.lora import trained_weights

SIZES = replace(PRESETS["debug_64"], num_layers=4, text_dim=24, text_len=16)
LAYOUT = TokenLayout(3, 16, 20, kinds=("background", "face", "attribute", "face"), subjects=(None, 0, 0, 1))
RAM = HostRam("cpu")
LORA = LoraConfig(rank=4)
# Of a gradient in parts: that of a weight is a sum over the tokens of two samples, in another order, which every kind of
# processor rounds in its own way.
ROUNDING = torch.finfo(torch.float32).eps * (2 * LAYOUT.seq_len) ** 0.5


def stepped(config: TrainingConfig, change: Callable[[LumosXTransformer], None] | None = None) -> dict[str, torch.Tensor]:
    """The velocity of a forward, under the empty name, and the gradient of everything that learns."""
    torch.manual_seed(3)
    model = LumosXTransformer(SIZES)
    model.initialize_weights()
    for parameter in model.parameters():  # no zeros: everything has a gradient
        torch.nn.init.normal_(parameter, std=0.1)
    generator = torch.Generator().manual_seed(5)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    fit_model(model, config, RAM)
    if change is not None:
        change(model)
    for name, parameter in trained_weights(model).items():
        if name.endswith("lora_B"):
            torch.nn.init.normal_(parameter, std=0.1, generator=generator)
    out = model(
        drawn(2, 16, 3, 32, 40),
        torch.tensor([10.0, 900.0]),
        drawn(2, 16, 24),
        drawn(2, 4, 16, 32, 40),
        LAYOUT,
        drawn(2, 4, 16).sigmoid(),
    )
    (out * drawn(*out.shape)).sum().backward()
    return {"": out.detach()} | {name: p.grad for name, p in trained_weights(model).items() if p.grad is not None}


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((value - other[name]).abs().max() / other[name].abs().max()) for name, value in one.items())


@pytest.mark.parametrize("lora", [None, LORA])
def test_outputs_and_gradients_stay(lora: LoraConfig | None) -> None:
    plain = replace(DEBUG, lora=lora)
    expected = stepped(plain)
    assert len(expected) > 40
    again = replace(plain, gradient_checkpointing=True)
    assert furthest(stepped(again), expected) == 0
    assert furthest(stepped(replace(again, memory=MemoryConfig(inputs_in_ram=True))), expected) == 0
    assert furthest(stepped(replace(again, memory=MemoryConfig(feed_forward_parts=5))), expected) <= ROUNDING
    assert furthest(stepped(replace(plain, memory=MemoryConfig(feed_forward_parts=4))), expected) <= ROUNDING
    if lora is not None:
        assert furthest(stepped(replace(again, memory=MemoryConfig(streamed=True, inputs_in_ram=True))), expected) == 0


def test_a_base_of_fewer_bits_computes_with_its_rounded_weights() -> None:
    """fp8 and streamed fp8 are equal to a bf16 base that holds the rounded weights."""

    def rounded(model: LumosXTransformer) -> None:
        for block in model.blocks:
            for layer in block.modules():
                if type(layer).__name__ == "LoraLinear":
                    store = StoredLinear(layer, fp8=True, ram=None)
                    layer.weight.copy_((store.weight.float() * store.scale).bfloat16())

    configs = {
        name: replace(DEBUG, lora=LORA, gradient_checkpointing=True, memory=MemoryConfig(base=base, streamed=streamed))
        for name, base, streamed in (("bf16", "bf16", False), ("fp8", "fp8", False), ("streamed", "fp8", True))
    }
    expected = stepped(configs["bf16"], rounded)
    assert furthest(stepped(configs["fp8"]), expected) == 0 and furthest(stepped(configs["streamed"]), expected) == 0
    exact = stepped(replace(DEBUG, lora=LORA))
    errors = [float((stepped(configs[name])[""] - exact[""]).norm() / exact[""].norm()) for name in ("bf16", "fp8")]
    assert 0 < errors[0] < 0.01 < errors[1] < 0.03, errors


def test_fp8_rounds_once_and_keeps_every_scale_of_rows() -> None:
    """The relative error of a weight is half a step of three bits, for rows of any size; zeros stay."""
    layer = torch.nn.Linear(256, 5)
    with torch.no_grad():
        layer.weight.uniform_(0.25, 1).mul_(torch.tensor([1e-12, 1e-3, 1.0, 0.0, 3e5])[:, None])
    stored = StoredLinear(layer, fp8=True, ram=None)
    own, exact = stored.weight.float() * stored.scale, layer.weight.detach()
    assert bool((own[3] == 0).all())
    rest = [0, 1, 2, 4]
    assert float(((own - exact)[rest] / exact[rest]).abs().max()) <= 2**-4 + 1e-6
    assert set(torch.log2(stored.scale).frac().abs().flatten().tolist()) == {0.0}


def test_frozen_weights_that_stream_are_not_parameters_and_names_stay() -> None:
    model = LumosXTransformer(SIZES)
    names = set(dict(model.named_parameters()))
    store_frozen(model, "bf16", RAM)
    left = dict(model.named_parameters())
    gone = {f"blocks.{n}.{layer}.weight" for n in range(4) for layer in (
        "self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "cross_attn.q", "cross_attn.k", "cross_attn.v",
        "cross_attn.o", "ffn.0", "ffn.2")}  # fmt: skip
    assert names - set(left) == gone and set(left) <= names
    assert not any(p.requires_grad for p in left.values()) and {p.dtype for p in left.values()} == {torch.bfloat16}
