"""Small models with random weights in folders, as transformers saves them: they see nothing, but by the library's own ways."""

from pathlib import Path
from typing import Any

import torch

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "red", "jacket", "hat"]
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
LETTERS = ["!", "<|startoftext|>", "<|endoftext|>", *_ALPHABET, *(f"{letter}</w>" for letter in _ALPHABET)]
_LAYERS = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
SMALL_CLIP: dict[str, Any] = {  # of 32 x 32 pixels, whose words are letters
    "text_config": {
        **_LAYERS, "vocab_size": len(LETTERS), "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": 0,
    },
    "vision_config": {**_LAYERS, "image_size": 32, "patch_size": 8},
}  # fmt: skip


def write_people_detector(folder: Path, classes: tuple[str, ...] = ("dog", "person"), kind: str = "rt_detr_v2") -> Path:
    """RT-DETR, RT-DETRv2 or D-FINE with 12 queries for pictures of 64 x 64."""
    from transformers import AutoConfig, AutoModelForObjectDetection, HGNetV2Config, RTDetrImageProcessor, RTDetrResNetConfig

    torch.manual_seed(0)
    stages: dict = {"depths": [1, 1, 1, 1], "out_features": ["stage2", "stage3", "stage4"]}
    if kind == "d_fine":
        backbone = HGNetV2Config(
            stem_channels=[3, 8, 8],
            stage_in_channels=[8, 16, 16, 16],
            stage_mid_channels=[8] * 4,
            hidden_sizes=[16] * 4,
            stage_out_channels=[16] * 4,
            stage_num_blocks=[1] * 4,
            stage_numb_of_layers=[1] * 4,
            embedding_size=8,
            **stages,
        )
    else:
        backbone = RTDetrResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 16], layer_type="basic", **stages)
    config = AutoConfig.for_model(
        kind,
        backbone_config=backbone,
        encoder_hidden_dim=16,
        encoder_in_channels=[16, 16, 16],
        encoder_layers=1,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        d_model=16,
        num_queries=12,
        decoder_in_channels=[16, 16, 16],
        decoder_ffn_dim=16,
        decoder_layers=2,
        decoder_attention_heads=2,
        decoder_n_points=2,
        num_denoising=0,
        anchor_image_size=None,
        id2label=dict(enumerate(classes)),
        label2id={name: i for i, name in enumerate(classes)},
    )
    model = AutoModelForObjectDetection.from_config(config)
    for head in model.model.decoder.class_embed:  # so that both classes come out on top somewhere
        torch.nn.init.normal_(head.weight[:1], std=0.5)
        head.weight.data[1:] = head.weight.data[:1] + 0.02 * torch.randn_like(head.weight[1:])
        torch.nn.init.zeros_(head.bias)
    model.save_pretrained(folder)
    RTDetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def letter_tokenizer(most: int) -> Any:
    """CLIP's tokenizer of single letters, so many at most."""
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer(vocab={word: i for i, word in enumerate(LETTERS)}, merges=[], pad_token="!")
    tokenizer.model_max_length = most
    return tokenizer


def write_owlv2(folder: Path) -> Path:
    """OWLv2 of 32 x 32 pixels, 16 places."""
    from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor, Owlv2Processor

    torch.manual_seed(0)
    config = Owlv2Config(**SMALL_CLIP, projection_dim=16)
    model = Owlv2ForObjectDetection(config)
    # Ids begin with the filling: a phrase that begins with number 0 counts as none. The heads' own start saturates boxes.
    for name, weight in model.named_parameters():
        if "_head." in name:
            weight.data *= 0.1
    model.save_pretrained(folder)
    tokenizer = letter_tokenizer(16)
    images = Owlv2ImageProcessor(size={"height": 32, "width": 32})
    Owlv2Processor(images, tokenizer).save_pretrained(folder)
    return folder


def write_grounding_dino(folder: Path) -> Path:
    """GroundingDINO: a Swin of 4 stages, a BERT of one layer, 10 queries."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        BertConfig,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        PreTrainedTokenizerFast,
        SwinConfig,
    )

    torch.manual_seed(0)
    ids = {word: i for i, word in enumerate(WORDS)}
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(
            image_size=64,
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 2, 2],
            window_size=2,
            out_features=["stage2", "stage3", "stage4"],
        ),
        text_config=BertConfig(
            vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        ),
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=10,
        max_text_len=16,
        encoder_n_points=2,
        decoder_n_points=2,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    wordpiece = Tokenizer(models.WordPiece(vocab=ids, unk_token="[UNK]"))
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    wordpiece.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=wordpiece,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=16,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    images = GroundingDinoImageProcessor(size={"shortest_edge": 128, "longest_edge": 192})
    GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def write_sam2(folder: Path) -> Path:
    """Segment Anything 2 of 64 x 64 pixels."""
    from transformers import Sam2Config, Sam2ImageProcessor, Sam2Model, Sam2Processor

    torch.manual_seed(0)
    config = Sam2Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam2_hiera_det_model", "hidden_size": 8, "num_attention_heads": 1, "image_size": [64, 64],
                "blocks_per_stage": [1, 2, 2, 1], "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 1, 2, 2], "window_size_per_stage": [8, 4, 4, 2],
                "global_attention_blocks": [4], "window_positional_embedding_background_size": [4, 4],
            },
            "backbone_channel_list": [64, 32, 16, 8], "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": 32,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": 64, "patch_size": 16},
        mask_decoder_config={
            "hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32,
            "attention_downsample_rate": 2,
        },
    )  # fmt: skip
    Sam2Model(config).save_pretrained(folder)
    Sam2Processor(Sam2ImageProcessor(size={"height": 64, "width": 64}, mask_size={"height": 16, "width": 16})).save_pretrained(
        folder
    )
    return folder


def write_sam3(folder: Path) -> Path:
    """Segment Anything 3 of 56 x 56 pixels with 8 queries."""
    from transformers import Sam3Config, Sam3ImageProcessor, Sam3Model, Sam3Processor

    torch.manual_seed(0)
    inner = {"hidden_size": 32, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = Sam3Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam3_vit_model", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2,
                "num_attention_heads": 2, "image_size": 56, "patch_size": 14, "window_size": 2, "global_attn_indexes": [1],
                "pretrain_image_size": 56,
            },
            "fpn_hidden_size": 32, "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        text_config={
            "vocab_size": len(LETTERS), "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 32, "projection_dim": 32, "bos_token_id": 1, "eos_token_id": 2,
            "pad_token_id": 0,
        },
        geometry_encoder_config=inner, detr_encoder_config=inner, detr_decoder_config=inner | {"num_queries": 8},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )  # fmt: skip
    Sam3Model(config).save_pretrained(folder)
    tokenizer = letter_tokenizer(32)
    Sam3Processor(Sam3ImageProcessor(size={"height": 56, "width": 56}), tokenizer).save_pretrained(folder)
    return folder


def write_dinov2(folder: Path) -> Path:
    """DINOv2 of 28 x 28 pixels."""
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=28, patch_size=14
    )
    Dinov2Model(config).save_pretrained(folder)
    size = {"height": 28, "width": 28}
    BitImageProcessor(size={"shortest_edge": 32}, crop_size=size).save_pretrained(folder)
    return folder


def write_clip(folder: Path) -> Path:
    """CLIP of 32 x 32 pixels whose words are letters."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    torch.manual_seed(0)
    config = CLIPConfig(**SMALL_CLIP, projection_dim=12)
    CLIPModel(config).save_pretrained(folder)
    tokenizer = letter_tokenizer(16)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(images, tokenizer).save_pretrained(folder)
    return folder
