"""The written-out Wan VAE is diffusers' to the bit: gradients, fresh weights, names, values but for float32 on a CPU, which are
within rounding."""

from dataclasses import asdict
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan

from lumosx_core.errors import InputError
from lumosx_core.model.wan_vae import VaeConfig, WanVae

SIZES: list[dict[str, Any]] = [{"base_dim": 8}, {"base_dim": 8, "num_res_blocks": 1, "decoder_base_dim": 4}]


def both(sizes: dict[str, Any]) -> tuple[AutoencoderKLWan, WanVae]:
    made = []
    for make in (lambda: AutoencoderKLWan(**sizes), lambda: WanVae(VaeConfig(**sizes))):
        torch.manual_seed(0)
        made.append(make().train(False))
    return made[0], made[1]


def test_the_config_is_that_of_diffusers() -> None:
    theirs = {key: value for key, value in dict(AutoencoderKLWan().config).items() if not key.startswith("_")}
    ours = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(VaeConfig()).items()}
    assert ours == theirs and list(ours) == list(theirs)


@pytest.mark.parametrize("sizes", SIZES)
def test_fresh_weights_and_names_are_those_of_diffusers(sizes: dict[str, Any]) -> None:
    theirs, ours = (vae.state_dict() for vae in both(sizes))
    assert list(theirs) == list(ours) and all(torch.equal(theirs[name], ours[name]) for name in theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("frames", [1, 5, 13])
@pytest.mark.parametrize("sizes", SIZES)
@torch.no_grad()
def test_values_are_those_of_diffusers(sizes: dict[str, Any], frames: int, dtype: torch.dtype) -> None:
    theirs, ours = (vae.to(dtype) for vae in both(sizes))
    video = (torch.rand(2, 3, frames, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1).to(dtype)
    expected, got = theirs.encode(video).latent_dist, ours.encode(video).latent_dist
    videos = theirs.decode(got.mode()).sample, ours.decode(got.mode()).sample
    assert got.mode().shape == (2, 16, (frames + 3) // 4, 4, 6) and float(got.mode().std()) > 0
    for their, our in ((expected.mode(), got.mode()), (expected.var, got.var), videos):
        assert float((their - our).abs().max()) <= (2e-5 if dtype == torch.float32 else 0) * float(their.abs().max())


def test_gradients_are_those_of_diffusers() -> None:
    models = both(SIZES[0])
    video = torch.rand(1, 3, 5, 16, 16, generator=torch.Generator().manual_seed(1))
    for vae in models:
        torch.manual_seed(2)  # of the drawn latents
        posterior = vae.encode(video).latent_dist
        (vae.decode(posterior.sample()).sample.square().mean() + posterior.var.mean()).backward()
    pairs = list(zip(*(vae.named_parameters() for vae in models), strict=True))
    assert all(torch.equal(expected.grad, got.grad) for (_, expected), (_, got) in pairs)
    assert any(float(got.grad.abs().max()) > 0 for _, (_, got) in pairs)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"is_residual": True}, "is_residual True is none of Wan2.1's VAE"),
        ({"patch_size": 2}, "patch_size 2 is none"),
        ({"attn_scales": [1.0]}, "attn_scales"),
        ({"dim_mult": [1, 2]}, "expected one level more than steps"),
        ({"dim_mult": 4}, "dim_mult is '4', expected a list"),
    ],
)
def test_configs_of_other_models_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        VaeConfig(**change)
