"""Stand-ins for downloaded models: a face detector that answers to coloured squares, and a small Segment Anything."""

from pathlib import Path
from typing import Any

import pytest

MAGENTA, CYAN = (255, 0, 255), (0, 255, 255)
TINY_WIDTH = 32  # of the small Segment Anything's encoder


def write_face_detector(folder: Path) -> Path:
    """An ONNX file with insightface's detector interface (SCRFD: 3 strides x 2 anchors; scores, boxes, landmarks).

    A magenta square of 32 pixels on the 32 grid is a face of that size; a cyan square of 16 pixels on the 16 grid is the top
    left corner of a face of 64. It sees them in pictures of 640 x 640, and only there.
    """
    onnx = pytest.importorskip("onnx", reason="NO ONNX: pip install -e '.[dev]' to test face detection")
    from onnx import TensorProto, helper

    nodes: list[Any] = []
    weights: list[Any] = []
    outputs: list[Any] = []

    def constant(name: str, shape: tuple[int, ...], values: list[float], kind: int = TensorProto.FLOAT) -> str:
        weights.append(helper.make_tensor(name, kind, shape, values))
        return name

    def head(name: str, stride: int, weight: list[float], bias: list[float]) -> None:
        """One output [cells x 2, k] from the mean colour of every cell; the second anchor repeats or is dead."""
        width = len(bias) // 2
        nodes.extend(
            [
                helper.make_node("AveragePool", ["input"], [f"{name}_mean"], kernel_shape=[stride] * 2, strides=[stride] * 2),
                helper.make_node(
                    "Conv",
                    [
                        f"{name}_mean",
                        constant(f"{name}_w", (2 * width, 3, 1, 1), weight),
                        constant(f"{name}_b", (2 * width,), bias),
                    ],
                    [f"{name}_conv"],
                ),
                helper.make_node("Transpose", [f"{name}_conv"], [f"{name}_last"], perm=[0, 2, 3, 1]),
                helper.make_node(
                    "Reshape",
                    [f"{name}_last", constant(f"{name}_s", (2,), [-1, width], TensorProto.INT64)],
                    [f"{name}_flat" if width == 1 else name],
                ),
            ]
        )
        if width == 1:
            nodes.append(helper.make_node("Sigmoid", [f"{name}_flat"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"n{stride}", width]))

    live = {32: ([20.0, -20.0, 20.0], 1.0), 16: ([-20.0, 20.0, 20.0], 4.0)}  # colour, side in cells
    dead = ([0.0, 0.0, 0.0], 1.0)
    for stride in (8, 16, 32):
        colour, _ = live.get(stride, dead)
        head(f"score_{stride}", stride, [*colour, 0.0, 0.0, 0.0], [-50.0, -50.0])
    for stride in (8, 16, 32):
        side = live.get(stride, dead)[1]
        head(f"box_{stride}", stride, [0.0] * 24, [0.0, 0.0, side, side] * 2)
    for stride in (8, 16, 32):
        head(f"points_{stride}", stride, [0.0] * 60, [0.0] * 20)
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])
    graph = helper.make_graph(nodes, "tiny_scrfd", [picture], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder.mkdir(parents=True)
    onnx.save(model, str(folder / "det_tiny.onnx"))
    return folder


def build_tiny_sam() -> Any:
    """A Segment Anything of 64 x 64 pixels with random weights, built as the package builds its own."""
    from functools import partial

    import torch
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    width = TINY_WIDTH
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=64,
            patch_size=16,
            embed_dim=width,
            depth=2,
            num_heads=2,
            out_chans=width,
            qkv_bias=True,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=2,
            global_attn_indexes=(1,),
        ),
        prompt_encoder=PromptEncoder(embed_dim=width, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=16),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer_dim=width,
            iou_head_depth=3,
            iou_head_hidden_dim=width,
            transformer=TwoWayTransformer(depth=2, embedding_dim=width, mlp_dim=64, num_heads=8),
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    ).train(False)
