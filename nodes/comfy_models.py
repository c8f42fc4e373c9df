"""The nano model as the host's own MODEL, CLIP and VAE, so that every node of ComfyUI works with it."""

import json
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.text_encoders.spiece_tokenizer
import comfy.text_encoders.t5
import torch

from lumosx_core.errors import InputError
from lumosx_core.model.checkpoint import StateDict, read_state_dict
from lumosx_core.model.config import TransformerConfig


def host_model(weights: StateDict, config: TransformerConfig) -> Any:
    """A MODEL of the host from a transformer of any size (the host's own loader knows only the published ones), float32."""
    sizes = {
        "image_model": "wan2.1", "model_type": "t2v", "dim": config.dim, "num_heads": config.num_heads,
        "num_layers": config.num_layers, "ffn_dim": config.ffn_dim, "freq_dim": config.freq_dim,
        "text_dim": config.text_dim, "text_len": config.text_len, "in_dim": config.in_dim, "out_dim": config.out_dim,
    }  # fmt: skip
    recipe = comfy.supported_models.WAN21_T2V(sizes)
    recipe.set_inference_dtype(torch.float32, None)
    model = recipe.get_model(weights, "")
    missing, unexpected = model.diffusion_model.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)
    if missing or unexpected:
        raise InputError(f"the weights do not fit the host's Wan model: missing {missing}, not expected {unexpected}")
    patcher = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    management = comfy.model_management
    return patcher(model, load_device=management.get_torch_device(), offload_device=management.unet_offload_device())


def nano_model(folder: Path) -> Any:
    """The transformer of a nano model folder as a MODEL."""
    weights, metadata = read_state_dict(folder / "transformer.safetensors")
    return host_model(weights, TransformerConfig.from_json(metadata["config"]))


def nano_clip(folder: Path, text_len: int) -> Any:
    """The text encoder of a nano model folder as a CLIP; prompts are padded to `text_len` tokens."""
    weights, metadata = read_state_dict(folder / "text_encoder.safetensors")
    sizes = json.loads(metadata["config"])
    config = {**sizes, "dense_act_fn": "gelu_pytorch_tanh", "is_gated_act": True, "model_type": "umt5"}
    vocabulary = (folder / "spiece.model").read_bytes()

    class Tokenizer(comfy.sd1_clip.SDTokenizer):
        def __init__(self, embedding_directory: str | None = None, tokenizer_data: dict | None = None) -> None:
            super().__init__(
                vocabulary, pad_with_end=False, embedding_size=sizes["d_model"], embedding_key="umt5xxl",
                tokenizer_class=comfy.text_encoders.spiece_tokenizer.SPieceTokenizer, has_start_token=False,
                pad_to_max_length=False, max_length=99999999, min_length=text_len, pad_token=0,
                embedding_directory=embedding_directory, tokenizer_data=tokenizer_data or {},
            )  # fmt: skip

    class PromptTokenizer(comfy.sd1_clip.SD1Tokenizer):
        def __init__(self, embedding_directory: str | None = None, tokenizer_data: dict | None = None) -> None:
            super().__init__(embedding_directory, tokenizer_data or {}, clip_name="umt5xxl", tokenizer=Tokenizer)

    class Encoder(comfy.sd1_clip.SDClipModel):
        def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: dict | None = None) -> None:
            super().__init__(
                device=device, layer="last", textmodel_json_config=config, dtype=dtype,
                special_tokens={"end": 1, "pad": 0}, model_class=comfy.text_encoders.t5.T5,
                enable_attention_masks=True, zero_out_masked=True, model_options=model_options or {},
            )  # fmt: skip

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
