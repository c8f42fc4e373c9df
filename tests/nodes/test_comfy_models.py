"""The nano model in the host: the same numbers as in the core."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from lumosx_core.errors import InputError
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.vae import encode_video, load_vae, save_vae
from lumosx_core.model.wan_vae import VaeConfig, WanVae
from lumosx_core.puppets.clip import sample_clip
from lumosx_core.puppets.render import render_clip
from lumosx_core.sampling.pipeline import NANO_FOLDER, LumosXPipeline, load_pipeline

Nano = tuple[Any, Any, Any]  # MODEL, CLIP, VAE
BAR = 3e-5


@pytest.fixture(scope="module")
def core() -> LumosXPipeline:
    return load_pipeline()


def deviation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


@pytest.mark.parametrize("prompt", ["A girl wearing a red hat next to a kid in a dress waving in the park.", ""])
def test_text_encoder_gives_the_same_states(nano: Nano, core: LumosXPipeline, prompt: str) -> None:
    states = nano[1].encode_from_tokens(nano[1].tokenize(prompt))
    assert deviation(states, core.text_encoder.encode([prompt], core.transformer.config.text_len)) <= BAR


def test_transformer_gives_the_same_velocity(nano: Nano, core: LumosXPipeline) -> None:
    import comfy.model_management

    model, config = nano[0], core.transformer.config
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(1, 16, 3, 10, 16, generator=generator)
    context = torch.randn(1, config.text_len, config.text_dim, generator=generator)
    comfy.model_management.load_models_gpu([model])
    with torch.no_grad():
        expected = core.transformer(latent, torch.tensor([700]), context, None, TokenLayout(3, 5, 8), None)
        out = model.model.diffusion_model(latent, torch.tensor([700.0]), context)
    assert deviation(out, expected) <= BAR


def test_schedule_has_the_shift_of_the_pipeline(nano: Nano, core: LumosXPipeline) -> None:
    sampling = nano[0].get_model_object("model_sampling")
    half = core.defaults.shift * 0.5 / (1 + (core.defaults.shift - 1) * 0.5)
    assert core.defaults.shift == 3.0
    assert float(sampling.percent_to_sigma(0.5)) == pytest.approx(half)


def test_vae_gives_the_same_raw_latents_and_frames(nano: Nano, core: LumosXPipeline) -> None:
    video = torch.rand(1, 3, 9, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        raw = core.vae.encode(video * 2 - 1).latent_dist.mode()
        frames = (core.vae.decode(raw).sample[0].permute(1, 2, 3, 0) + 1) / 2
        assert raw.abs().mean() > 0.1
        assert deviation(nano[2].encode(video[0].permute(1, 2, 3, 0)), raw) <= 2e-5
        assert deviation(nano[2].decode(raw)[0], frames.clamp(0, 1)) <= 2e-5


def test_vae_of_the_host_s_own_depth_is_loaded_too(models: ModuleType, tmp_path: Path) -> None:
    torch.manual_seed(0)
    deep = WanVae(VaeConfig(base_dim=4, num_res_blocks=2)).train(False)
    host = models.nano_vae(save_vae(tmp_path / "vae.safetensors", deep))
    picture = torch.rand(1, 16, 16, 3)
    with torch.no_grad():
        raw = deep.encode(picture.permute(3, 0, 1, 2)[None] * 2 - 1).latent_dist.mode()
        assert deviation(host.encode(picture), raw) <= 2e-5


def test_vae_of_other_sizes_is_refused(models: ModuleType, tmp_path: Path) -> None:
    path = save_vae(tmp_path / "vae.safetensors", WanVae(VaeConfig(base_dim=4, num_res_blocks=1, z_dim=8)))
    with pytest.raises(InputError, match="z_dim 8"):
        models.nano_vae(path)


def test_every_weight_of_the_nano_vae_has_its_own_place(models: ModuleType) -> None:
    keys = load_vae(NANO_FOLDER / "vae.safetensors").state_dict()
    assert len({models.host_vae_key(key, 1) for key in keys}) == len(keys)
    assert models.host_vae_key("decoder.up_blocks.1.upsamplers.0.time_conv.bias", 1) == "decoder.upsamples.7.time_conv.bias"
    assert models.host_vae_key("encoder.down_blocks.3.resample.1.weight", 1) == "encoder.downsamples.5.resample.1.weight"
    assert models.host_vae_key("encoder.down_blocks.5.resample.1.weight", 2) == "encoder.downsamples.5.resample.1.weight"


def test_previews_of_nano_look_like_its_puppets(nano: Nano, core: LumosXPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the host draws them while sampling, beside the pixels that the latents were made of; Wan's own factors do not."""
    import comfy.latent_formats
    import latent_preview

    monkeypatch.setattr(latent_preview.args, "preview_method", latent_preview.LatentPreviewMethod.Latent2RGB)
    frames = render_clip(sample_clip(np.random.default_rng(1000))).frames[:1]
    video = torch.from_numpy(frames).permute(3, 0, 1, 2)[None] / 127.5 - 1
    latent = encode_video(core.vae, video)
    pixels = torch.nn.functional.avg_pool2d((video[0, :, 0] + 1) / 2, 8).permute(1, 2, 0)  # of 8 x 8 each, 0..1
    off = []
    for latent_format in (nano[0].model.latent_format, comfy.latent_formats.Wan21()):
        shown = latent_preview.get_previewer("cpu", latent_format).decode_latent_to_preview(latent)
        off.append(float((torch.from_numpy(np.asarray(shown)) / 255 - pixels).abs().mean()))
    assert off[0] < 0.05 < 0.2 < off[1]
