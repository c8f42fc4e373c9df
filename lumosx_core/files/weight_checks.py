"""What is checked before weights are used: which model they are of, that all of them are numbers, and that they fit a type."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.stored import AT_ONCE, StoredTensor

log = logging.getLogger(__name__)
SHOWN = 4  # tensors named in a message
OURS = TRANSFORMER, TEXT_ENCODER, VAE = "a Wan transformer", "a UMT5 text encoder", "a VAE"  # of a pipeline
# Whole names or parts of names -> what has them. The first that fits is said.
KINDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("lora_A", "lora_down", "lora_B", "lora_up"), "a LoRA, not a whole model"),
    (("vace_blocks.",), "Wan VACE, which LumosX is not built on; it needs Wan2.1 text-to-video weights"),
    (("img_emb.",), "a Wan image-to-video model, which LumosX is not built on; it needs Wan2.1 text-to-video weights"),
    (("control_adapter.", "ref_conv."), "a Wan Fun control model, which LumosX is not built on; it needs Wan2.1 text-to-video"),
    (
        ("condition_embedder.",),
        "a Wan transformer in diffusers' names; get the one with original names (blocks.0.self_attn...)",
    ),
    (("blocks.0.self_attn.q.weight", "blocks.0.cross_attn.q.weight"), TRANSFORMER),
    (("token_embedding.weight", "shared.weight"), TEXT_ENCODER),
    (("encoder.conv1.weight", "decoder.conv_in.weight", "encoder.conv_in.weight"), VAE),
    (("image_encoder.pos_embed",), "a Segment Anything model"),
    (("first_stage_model.", "text_encoders."), "a checkpoint of several models in one file; get the single files"),
    (("double_blocks.", "input_blocks.", "transformer_blocks."), "another image or video model"),
    (("visual.", "vision_model."), "a CLIP vision model"),
)


def kind_of(names: Iterable[str]) -> str:
    """What has tensors of these names ("a UMT5 text encoder"), for messages."""
    names = list(names)
    for parts, kind in KINDS:
        if any(
            name == part or (part[-1] == "." and name.startswith(part)) or (part[:4] == "lora" and part in name)
            for part in parts
            for name in names
        ):
            return kind
    return f"something unknown, with tensors such as {', '.join(name[:60] for name in sorted(names)[:3])}"


def check_kind(what: str, names: Iterable[str], kind: str, noun: str) -> None:
    """Raises InputError, which says what it is, if weights with these names are of another model than `kind`, one of OURS.

    noun: names the kind in messages ("Wan2.1 VAE").
    """
    found = kind_of(names)
    if found != kind:
        exchanged = "; are two files exchanged?" if found in OURS else ""
        raise InputError(f"{what} is no {noun}: it is {found}{exchanged}")


def check_layers(what: str, names: Iterable[str], prefix: str, layers: int) -> None:
    """Raises InputError if the numbers after `prefix` in the names are not 0 ... layers - 1: before such a model is built."""
    found = {name[len(prefix) :].split(".", 1)[0] for name in names if name.startswith(prefix)}
    if len(found) != layers or not all(number.isascii() and number.isdigit() and int(number) < layers for number in found):
        raise InputError(f"{what} has {len(found)} layers, its sizes ask for {layers} numbered from 0; get the whole file")


def count_layers(names: Iterable[str], prefix: str) -> int:
    """How many numbers follow `prefix` in the names."""
    return len({name[len(prefix) :].split(".", 1)[0] for name in names if name.startswith(prefix)})


def check_types(what: str, state: Mapping[str, StoredTensor]) -> None:
    """Raises InputError if a weight is stored as whole numbers, as int8 quantisation does."""
    wrong = [
        f"{key[:100]} ({str(value.dtype).removeprefix('torch.')})"
        for key, value in state.items()
        if not value.dtype.is_floating_point
    ]
    if wrong:
        raise InputError(
            f"{what} holds {len(wrong)} tensors that are no floating point numbers: {', '.join(wrong[:SHOWN])}; it was "
            "quantised for another program, get the bf16, fp16 or fp32 weights"
        )


def say_rounded(what: str, state: Mapping[str, StoredTensor], storage: torch.dtype) -> None:
    """Log that fp8 weights stay as exact as fp8 is, if they are stored as a larger type."""
    count = sum(value.dtype.itemsize == 1 for value in state.values())
    if count and storage.itemsize > 1:
        log.warning("%s stores %d tensors as fp8: a larger type does not bring back what was rounded away", what, count)


class FiniteCheck:
    """Looks at weights as they pass and remembers which hold NaN or infinite numbers, or leave the range of their new type."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.bad: dict[str, int] = {}
        self.beyond: dict[str, int] = {}

    def converted(self, name: str, value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """The tensor, or a part of it, in another type, after both were looked at."""
        if count := non_finite(value):
            self.bad[name] = self.bad.get(name, 0) + count
            return value.to(dtype)
        result = value.to(dtype)
        if dtype == torch.float16 and (count := non_finite(result)):
            self.beyond[name] = self.beyond.get(name, 0) + count
        return result

    def finish(self) -> None:
        """Raises InputError if something was found."""
        if self.bad:
            raise InputError(
                f"{self.what} holds {sum(self.bad.values())} NaN or infinite weights in {_named(self.bad)}; it is damaged or "
                "its training went wrong, get it again"
            )
        if self.beyond:
            raise InputError(
                f"{self.what} holds {sum(self.beyond.values())} weights beyond the range of fp16 (65504) in "
                f"{_named(self.beyond)}; store them as bf16 or fp32"
            )


def non_finite(value: torch.Tensor) -> int:
    """How many numbers are NaN or infinite; few bytes beside the tensor's own are used."""
    flat = value.detach().reshape(-1)
    count = 0
    for start in range(0, flat.numel(), AT_ONCE):
        part = flat[start : start + AT_ONCE]
        if part.dtype.itemsize == 1:
            part = part.to(torch.float16)
        least, most = torch.aminmax(part)
        if not (torch.isfinite(least) and torch.isfinite(most)):
            count += int((~torch.isfinite(part)).sum())
    return count


def loaded(
    what: str, state: Mapping[str, StoredTensor], dtype: torch.dtype, device: str | torch.device
) -> dict[str, torch.Tensor]:
    """The tensors on a device in a type, read one after another. Raises InputError for numbers that are none or do not fit."""
    check_types(what, state)
    check = FiniteCheck(what)
    result = {key: check.converted(key, value.read(), dtype).to(device) for key, value in state.items()}
    check.finish()
    return result


def _named(found: Mapping[str, Any]) -> str:
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(f"{name[:100]} ({count})" for name, count in list(found.items())[:SHOWN]) + more
