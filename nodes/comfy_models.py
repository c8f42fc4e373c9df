"""The nano model as the host's own MODEL, CLIP and VAE, so that every node of ComfyUI works with it."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import comfy.ldm.wan.vae
import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.text_encoders.spiece_tokenizer
import comfy.text_encoders.t5
import torch

from lumosx_core.errors import InputError
from lumosx_core.files.weights import StateDict, read_state_dict
from lumosx_core.model.checkpoint import check_keys
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.vae import load_vae
from lumosx_core.sampling.config import read_defaults

# Names of weights in diffusers' AutoencoderKLWan -> in the original Wan VAE, which the host's is.
VAE_NAMES = {"quant_conv": "conv1", "post_quant_conv": "conv2", "conv_in": "conv1", "norm_out": "head.0", "conv_out": "head.2"}
VAE_MIDDLE = {"mid_block.resnets.0": "middle.0", "mid_block.attentions.0": "middle.1", "mid_block.resnets.1": "middle.2"}
VAE_INSIDE_BLOCK = {
    "norm1": "residual.0", "conv1": "residual.2", "norm2": "residual.3", "conv2": "residual.6", "conv_shortcut": "shortcut",
}  # fmt: skip
# Colours of the embedded VAE's normalised latents, for previews while sampling: per channel red, green, blue in -1..1, and what
# is added to their sum. A least squares fit to the pixels of 16 puppet clips; Wan's own factors show noise.
NANO_RGB = (
    (-0.193, -0.205, -0.208), (-0.139, 0.007, 0.12), (-0.012, 0.006, 0.009), (0.001, 0.004, 0.0), (0.046, -0.103, 0.06),
    (-0.005, 0.046, -0.019), (-0.004, -0.005, -0.001), (0.001, -0.004, -0.001), (-0.008, 0.002, 0.0), (-0.005, -0.004, -0.009),
    (-0.002, 0.0, -0.002), (0.001, -0.001, 0.005), (-0.004, -0.003, -0.004), (-0.003, -0.003, 0.0), (0.005, -0.001, 0.007),
    (-0.002, 0.0, -0.001),
)  # fmt: skip
NANO_RGB_BIAS = (0.323, 0.25, 0.213)
HOST_DEPTH = 2  # residual blocks per level of the encoder in the host's VAE; its decoder has one more


def nano_models(folder: Path) -> tuple[Any, Any, Any]:
    """MODEL, CLIP and VAE of a nano model folder."""
    weights, metadata = read_state_dict(folder / "transformer.safetensors")
    config = TransformerConfig.from_json(metadata["config"])
    defaults = read_defaults(folder)
    model = host_model(weights, config, shift=defaults.shift)
    model.model.latent_format.latent_rgb_factors = [list(channel) for channel in NANO_RGB]
    model.model.latent_format.latent_rgb_factors_bias = list(NANO_RGB_BIAS)
    return model, nano_clip(folder, config.text_len), nano_vae(folder / "vae.safetensors")


def host_model(weights: StateDict, config: TransformerConfig, *, shift: float = 8.0) -> Any:
    """A MODEL of the host from a transformer of any size (the host's own loader knows only the published ones), float32.
    shift: of its default schedule."""
    sizes = {
        "image_model": "wan2.1",
        "model_type": "t2v",
        "dim": config.dim,
        "num_heads": config.num_heads,
        "num_layers": config.num_layers,
        "ffn_dim": config.ffn_dim,
        "freq_dim": config.freq_dim,
        "text_dim": config.text_dim,
        "text_len": config.text_len,
        "in_dim": config.in_dim,
        "out_dim": config.out_dim,
    }
    recipe = comfy.supported_models.WAN21_T2V(sizes)
    recipe.sampling_settings = {**recipe.sampling_settings, "shift": shift}
    recipe.set_inference_dtype(torch.float32, None)
    model = recipe.get_model(weights, "")
    missing, unexpected = model.diffusion_model.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)
    if missing or unexpected:
        raise InputError(f"the weights do not fit the host's Wan model: missing {missing}, not expected {unexpected}")
    patcher = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    management = comfy.model_management
    return patcher(model, load_device=management.get_torch_device(), offload_device=management.unet_offload_device())


def nano_clip(folder: Path, text_len: int) -> Any:
    """The text encoder of a nano model folder as a CLIP; prompts are padded to `text_len` tokens."""
    weights, metadata = read_state_dict(folder / "text_encoder.safetensors")
    sizes = json.loads(metadata["config"])
    config = {**sizes, "dense_act_fn": "gelu_pytorch_tanh", "is_gated_act": True, "model_type": "umt5"}
    vocabulary = (folder / "spiece.model").read_bytes()

    class Tokenizer(comfy.sd1_clip.SDTokenizer):
        def __init__(self, embedding_directory: str | None = None, tokenizer_data: dict | None = None) -> None:
            super().__init__(
                vocabulary,
                pad_with_end=False,
                embedding_size=sizes["d_model"],
                embedding_key="umt5xxl",
                tokenizer_class=comfy.text_encoders.spiece_tokenizer.SPieceTokenizer,
                has_start_token=False,
                pad_to_max_length=False,
                max_length=99999999,
                min_length=text_len,
                pad_token=0,
                embedding_directory=embedding_directory,
                tokenizer_data=tokenizer_data or {},
            )

    class PromptTokenizer(comfy.sd1_clip.SD1Tokenizer):
        def __init__(self, embedding_directory: str | None = None, tokenizer_data: dict | None = None) -> None:
            super().__init__(embedding_directory, tokenizer_data or {}, clip_name="umt5xxl", tokenizer=Tokenizer)

    class Encoder(comfy.sd1_clip.SDClipModel):
        def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: dict | None = None) -> None:
            super().__init__(
                device=device,
                layer="last",
                textmodel_json_config=config,
                dtype=dtype,
                special_tokens={"end": 1, "pad": 0},
                model_class=comfy.text_encoders.t5.T5,
                enable_attention_masks=True,
                zero_out_masked=True,
                model_options=model_options or {},
            )

    class PromptEncoder(comfy.sd1_clip.SD1ClipModel):
        def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: dict | None = None) -> None:
            super().__init__(device, dtype, model_options or {}, name="umt5xxl", clip_model=Encoder)

    target = comfy.supported_models_base.ClipTarget(PromptTokenizer, PromptEncoder)
    clip = comfy.sd.CLIP(target, model_options={"dtype": torch.float32})
    state = {key: value.float() for key, value in weights.items()}
    missing, unexpected = clip.cond_stage_model.umt5xxl.transformer.load_state_dict(state, strict=False)
    if missing or unexpected:
        raise InputError(f"the text encoder does not fit the host's UMT5: missing {missing}, not expected {unexpected}")
    return clip


def nano_vae(path: Path) -> Any:
    """A VAE of the host from a file of `lumosx_core.model.vae.save_vae`, float32.

    The host builds Wan's depth and reads only the width off the weights. What a shallower VAE lacks is filled with blocks
    whose weights are zero: they add nothing to what passes through them. Raises InputError if the file is damaged, or its
    sizes are not Wan's in other ways.
    """
    loaded = load_vae(path)
    config, depth = loaded.config, loaded.config.num_res_blocks
    sizes = {"z_dim": 16, "dim_mult": [1, 2, 4, 4], "attn_scales": [], "temperal_downsample": [False, True, True]}
    has = asdict(config)
    other = [f"{key} {has[key]}" for key, value in sizes.items() if json.dumps(has[key]) != json.dumps(value)]
    if other or depth > HOST_DEPTH:
        raise InputError(
            f"the VAE {path} has {', '.join(other) or f'{depth} residual blocks per level'}, which the host's Wan VAE cannot "
            f"have; expected {sizes} and at most {HOST_DEPTH} residual blocks"
        )
    with torch.device("meta"):
        expected = comfy.ldm.wan.vae.WanVAE(dim=config.base_dim, num_res_blocks=HOST_DEPTH, **sizes).state_dict()
    zeros = {key: torch.zeros(value.shape) for key, value in expected.items()}
    state = zeros | {host_vae_key(key, depth): value for key, value in loaded.state_dict().items()}
    check_keys(str(path), state, expected)
    return comfy.sd.VAE(sd=state, dtype=torch.float32)


def host_vae_key(key: str, depth: int) -> str:
    """The host's name of one of diffusers' VAE weights, for `depth` residual blocks per level."""
    blocks = r"(encoder|decoder)\.(mid_block\.\w+\.\d|down_blocks\.\d+|up_blocks\.\d+\.\w+\.\d+)\.([^.]+)(.*)"
    match = re.fullmatch(blocks, key)
    if match is None:
        return ".".join(VAE_NAMES.get(part, part) for part in key.split("."))
    side, block, inside, rest = match.groups()
    return f"{side}.{_host_block(block, depth)}.{VAE_INSIDE_BLOCK.get(inside, inside)}{rest}"


def _host_block(block: str, depth: int) -> str:
    """diffusers' levels are lists of blocks in the decoder, in the host all blocks of all levels are one list."""
    if block in VAE_MIDDLE:
        return VAE_MIDDLE[block]
    numbers = [int(number) for number in re.findall(r"\d+", block)]
    if block.startswith("down_blocks"):
        level, place = divmod(numbers[0], depth + 1)
        return f"downsamples.{level * (HOST_DEPTH + 1) + (HOST_DEPTH if place == depth else place)}"
    level, place = numbers
    return f"upsamples.{level * (HOST_DEPTH + 2) + (HOST_DEPTH + 1 if 'upsamplers' in block else place)}"


class WholeModelPatcher(comfy.model_patcher.ModelPatcher):
    """A network that is none of the host's, in the host's memory manager: on the device whole, or not at all, since its layers
    cannot compute with a part of the weights elsewhere."""

    def partially_unload(self, *_: Any, **__: Any) -> int:
        """Frees no byte, so that the host unloads the whole network."""
        return 0


class NetworkLender:
    """Puts a network on the host's device before each use, and lets go of it as soon as the host unloads models.

    let_go: drops what else holds the network. room: bytes that it needs on the device besides its weights.
    """

    def __init__(self, let_go: Callable[[], None], room: int) -> None:
        self.let_go, self.room = let_go, room
        self.patcher: Any = None

    def __call__(self, network: torch.nn.Module) -> None:
        """The network, and room for it, on the device."""
        management = comfy.model_management
        if self.patcher is None or network not in self.patcher.model.children():
            # In a module of its own: the host writes attributes to it that a network may have as properties.
            self.patcher = WholeModelPatcher(
                torch.nn.Sequential(network), load_device=management.get_torch_device(), offload_device=torch.device("cpu")
            )
            self.patcher.add_callback(comfy.patcher_extension.CallbacksMP.ON_DETACH, self._unloaded)
        management.load_models_gpu([self.patcher], memory_required=self.room, force_full_load=True)

    def drop(self) -> None:
        """Lets go of the network, if one is loaded, without waiting for the host."""
        if self.patcher is not None:
            self.patcher.detach()
            self.patcher = None

    def _unloaded(self, patcher: Any, unpatch_all: bool) -> None:
        # Not where the host only takes a loaded one out of its list, to put it back in front; nor a second time.
        if unpatch_all and len(patcher.model):
            del patcher.model[0]  # the host still looks at the patcher itself
            self.let_go()
