"""What a video needs on its device, told before anything is loaded; and the mildest choice that fits.

Nothing is estimated by formula but decoding in tiles: the transformer and the VAE themselves run on tensors without content at
the true width, and every tensor is counted while it lives. From the third block on every block adds the same, so that three and
four blocks give all of them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lumosx_core.errors import InputError
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.devices import GIB, is_cuda, storage_name
from lumosx_core.model.live_memory import LiveMemory
from lumosx_core.model.low_memory import NoRam, store_frozen
from lumosx_core.model.memory import USABLE, from_three_and_four, weights_bytes
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import LumosXTransformer, reference_keys_bytes
from lumosx_core.model.vae import TILE_PIXELS, decode_video, encode_video, fallbacks_of, open_vae
from lumosx_core.model.wan_vae import VaeConfig, WanVae
from lumosx_core.sampling.config import GenerationConfig
from lumosx_core.sampling.pipeline import FILES, TEXT_MARGIN_BYTES, GenerationMemory

LATENTS = 8  # of the size of the noise, in float32: what the solver and the guidance keep beside a forward
TILED_VIDEOS = 5  # decoding in tiles holds the overlapping tiles, their rows and the video: so many times the video, about
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class GenerationPlan:
    """memory: what is chosen. stages: bytes on the device at most, by stage. told: how each is done, in words."""

    memory: GenerationMemory
    stages: dict[str, int]
    told: dict[str, str]

    @property
    def peak(self) -> int:
        """The most of all stages: the models of the others are not on the device then."""
        return max(self.stages.values())


def planned(
    folder: Path,
    sizes: TransformerConfig,
    config: GenerationConfig,
    layout: TokenLayout,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
    gib: float,
) -> GenerationPlan:
    """The mildest choice for videos of that layout and a model folder that fits so many GiB, of which USABLE may be filled.

    dtype: of transformer and text encoder. On a card the text encoder works in the machine's memory where it does not fit, and
    streamed matrices wait there; without a card all of it is one memory. Raises InputError, with the least that works, if
    nothing fits.
    """
    usable, card = gib * GIB * USABLE, is_cuda(device)
    text = weights_bytes(folder / FILES["text_encoder"], dtype) + TEXT_MARGIN_BYTES
    vae = open_vae(folder / FILES["vae"])[1].config
    passes = 1 if config.cfg == 1 else 2

    def sampling(choice: tuple[bool, bool]) -> int:
        batched, streamed = choice
        work = _sampling_bytes(sizes, layout, passes if batched else 1, passes, dtype, streamed)
        kept = reference_keys_bytes(sizes, layout, passes, dtype) if config.reference_refresh > 1 else 0
        return work + kept

    ways = [(config.cfg_batched, False), (False, False), *([(False, True)] if card else [])]
    (batched, streamed), denoising = _mildest_that_fits(list(dict.fromkeys(ways)), sampling, usable)
    tries = fallbacks_of(torch.device(device))
    start, decoding = _mildest_that_fits(range(len(tries)), lambda number: _decoding_bytes(vae, layout, *tries[number]), usable)
    stages = {"references": _encoding_bytes(vae, layout), "sampling": denoising, "decoding": decoding}
    text_on_cpu = card and text > usable
    if not text_on_cpu:
        stages = {"text encoding": text, **stages}
    if max(stages.values()) > usable:
        least = max(stages.values()) / GIB / USABLE
        worst = max(stages, key=lambda name: stages[name])
        raise InputError(
            f"--memory {gib:g}: no plan fits; with everything that saves memory this video takes {stages[worst] / GIB:.2f} GiB "
            f"({worst}), so --memory {math.ceil(10 * least) / 10:g} works; or take fewer --frames, a smaller --width and "
            "--height, fewer references, or a smaller --batch"
        )
    half, tiles = tries[start]
    told = {
        "text encoding": "on the CPU, once" if text_on_cpu else "on the device, and gone before the next",
        "references": "VAE on the device, one picture at a time",
        "sampling": ("both passes at once" if batched and passes == 2 else "one pass at a time")
        + (", matrices of the blocks in RAM" if streamed else ""),
        "decoding": ("bf16" if half else "float32") + (", in tiles" if tiles else ""),
    }
    memory = GenerationMemory(cfg_batched=batched, text_on_cpu=text_on_cpu, streamed=streamed, decode_from=start)
    return GenerationPlan(memory=memory, stages=stages, told=told)


def _mildest_that_fits(choices: Sequence[T], need: Callable[[T], int], usable: float) -> tuple[T, int]:
    """The first choice that fits, else the last, with the bytes that it needs."""
    for choice in choices:
        if (need_bytes := need(choice)) <= usable:
            break
    return choice, need_bytes


def _sampling_bytes(
    sizes: TransformerConfig, layout: TokenLayout, batch: int, passes: int, dtype: torch.dtype, streamed: bool
) -> int:
    """Weights and work of a forward of `batch` passes of all `passes`, whose keys of the text are there."""

    def counted(layers: int) -> int:
        return _forward_bytes(replace(sizes, num_layers=layers), layout, batch, passes, dtype, streamed)

    latent = 4 * sizes.in_dim * layout.videos * layout.frames * 4 * layout.tokens_per_frame
    return from_three_and_four(counted, sizes.num_layers) + LATENTS * latent


@lru_cache(maxsize=64)
def _forward_bytes(
    sizes: TransformerConfig, layout: TokenLayout, batch: int, passes: int, dtype: torch.dtype, streamed: bool
) -> int:
    sides = (2 * layout.height, 2 * layout.width)
    pictures = len(layout.kinds)
    with FakeTensorMode(), torch.no_grad():
        model = LumosXTransformer(sizes)
        store_frozen(model, storage_name(dtype), NoRam() if streamed else None)
        with LiveMemory() as memory:
            memory.hold(list(model.parameters()))
            words = torch.empty(batch, sizes.text_len, sizes.text_dim, dtype=dtype)
            texts = [model.text_keys(words) for _ in range(passes // batch)]
            model(
                torch.empty(batch, sizes.in_dim, layout.videos * layout.frames, *sides),
                torch.empty(batch),
                texts[0],
                torch.empty(batch, pictures, sizes.in_dim, *sides) if pictures else None,
                layout,
                torch.empty(batch, pictures, sizes.text_len) if pictures else None,
            )
        return memory.peak


@lru_cache(maxsize=16)
def _encoding_bytes(vae: VaeConfig, layout: TokenLayout) -> int:
    """Of one picture; the latents of the others are small."""
    with FakeTensorMode(), torch.no_grad():
        model = WanVae(vae)
        with LiveMemory() as memory:
            memory.hold(list(model.parameters()))
            encode_video(model, torch.empty(1, 3, 1, 16 * layout.height, 16 * layout.width))
        return memory.peak


def _decoding_bytes(vae: VaeConfig, layout: TokenLayout, half: bool, tiles: bool) -> int:
    """Weights and work; from the third frame of the latent on every one adds the same."""
    height, width = 2 * layout.height, 2 * layout.width
    tile = TILE_PIXELS // 8
    sides = (min(height, tile), min(width, tile)) if tiles else (height, width)
    work = from_three_and_four(lambda frames: _decoded_bytes(vae, frames, sides, half), layout.frames)
    video = 3 * (4 * layout.frames - 3) * 64 * height * width * (2 if half else 4)
    return work + (TILED_VIDEOS * video if tiles else 0)


@lru_cache(maxsize=64)
def _decoded_bytes(vae: VaeConfig, frames: int, sides: tuple[int, int], half: bool) -> int:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if half else torch.float32)
    try:
        with FakeTensorMode(), torch.no_grad():
            model = WanVae(vae)  # made in its type: tensors without content cannot be given another one in their module
            with LiveMemory() as memory:
                memory.hold(list(model.parameters()))
                decode_video(model, torch.empty(1, vae.z_dim, frames, *sides))
            return memory.peak
    finally:
        torch.set_default_dtype(before)
