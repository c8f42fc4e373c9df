"""How ComfyUI's own Wan model gets the three relational mechanisms.

Only the files of this folder that are called comfy_* touch the insides of the host.

Three public hooks, nothing forked: a wrapper around the diffusion model appends the reference latents as further frames,
a replacement of every block exchanges the rotary positions, and an override of the attention function calls
`lumosx_core.model.relational_attention`. LoRA, quantised weights, offloading and the host's choice of an attention kernel
stay as they are. All of it hangs on a clone: the model that came in is not changed.

Legend: B = batch, R = references, T, h, w = latent frames and sides, L = tokens, S = text positions, n = heads, d = head
width, D = n * d.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import comfy.model_base
import comfy.patcher_extension
import torch
import torch.nn.functional as F

from lumosx_core.errors import InputError
from lumosx_core.model.attention_backends import Attention, AttentionBackend, select_attention, why_unavailable
from lumosx_core.model.attention_shares import AttentionRecord, attention_shares
from lumosx_core.model.devices import GIB
from lumosx_core.model.relational_attention import (
    relational_cross_attention,
    relational_self_attention,
    with_reference_keys,
)
from lumosx_core.model.relational_options import RelationalOptions
from lumosx_core.model.token_layout import TokenLayout

from .block_ends import BlockEnds
from .comfy_memory import frames_of_bytes
from .comfy_prompts import check_conditioning
from .comfy_windows import check_windows
from .io_types import EncodedReferences
from .kept_references import CallKeys, KeptReferences
from .token_rows import computed_rows, whole_rows

log = logging.getLogger(__name__)

KEY = "lumosx"  # of our wrappers and of our entry in transformer_options
COND = 0  # how the host marks the rows of the positive prompt in cond_or_uncond
HOST_ATTENTION = "host"
RELEASED_RATIO = 0.5  # of the multilevel mask
POOL = 8  # side of the multilevel mask's pooling cells in the released model, tokens
TIMESTEP_TOLERANCE = 1e-3  # sigma is float32 in the host: an exact 942 arrives as 941.99994


@dataclass(frozen=True, kw_only=True)
class PatchOptions(RelationalOptions):
    """Switches of one patched model: those of the method, and what only a host has.

    start_percent, end_percent: the part of the sampling in which references are there at all. attention: "host" (what ComfyUI
    was started with), or a backend of the core ("sdpa", "sage", "flash"). Raises InputError for an empty part, and as
    `RelationalOptions` does.
    """

    ratio: float | None = RELEASED_RATIO  # the host's models carry none
    start_percent: float = 0.0
    end_percent: float = 1.0
    attention: str = HOST_ATTENTION

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.start_percent < self.end_percent <= 1:
            raise InputError(
                f"start_percent is {self.start_percent} and end_percent {self.end_percent}; the start must come before the "
                "end, both in 0..1"
            )


@dataclass
class _Forward:
    """What the hooks of one call of the model share."""

    layout: TokenLayout
    levels: torch.Tensor  # [B, R, S]
    rope: torch.Tensor
    note: Callable[[torch.Tensor, torch.Tensor], None] | None  # takes q, k [B, L, n, d] of the self-attention of some blocks
    keys: CallKeys | None = None  # of the references; None where they are computed in every step
    video_only: bool = False  # the keys are those of an earlier step
    block: int = field(default=0)
    calls: int = field(default=0)  # attention calls in this block: the first is self-attention, the second cross-attention


def apply_relations(
    model: Any, references: EncodedReferences, options: PatchOptions, record: AttentionRecord | None = None
) -> Any:
    """A clone of the MODEL (a ModelPatcher) that sees these references. record: is filled anew by every sampling with it.
    Raises InputError for a model that is no Wan2.1 text-to-video model, for one that has references already, and for an
    attention that cannot run on its device."""
    check_model(model)
    network = model.model.diffusion_model
    _backend(options.attention, model.load_device, torch.float16, network.dim // network.num_heads)  # told before any work
    patched = model.clone()
    wrappers = comfy.patcher_extension.WrappersMP
    present = patched.model_options["transformer_options"].get("patches_replace", {}).get("dit", {})
    hooks = _Hooks(patched, references, options, record, alone=not present)
    patched.add_wrapper_with_key(wrappers.DIFFUSION_MODEL, KEY, hooks.diffusion_model)
    patched.add_wrapper_with_key(wrappers.PREPARE_SAMPLING, KEY, hooks.prepare_sampling)
    if hooks.kept is not None:
        callbacks = comfy.patcher_extension.CallbacksMP
        patched.add_callback_with_key(callbacks.ON_CLEANUP, KEY, lambda patcher: hooks.kept.clear())  # noqa: ARG005
    count = len(patched.model.diffusion_model.blocks)
    for index in range(count):
        block = _with_relational_positions(index, index == count - 1, present.get(("double_block", index)))
        patched.set_model_patch_replace(block, "dit", "double_block", index)
        if index in (0, count - 1):
            hooks.ends.blocks[index] = block
    return patched


def check_model(model: Any) -> None:
    """Raises InputError, naming what was loaded, unless the MODEL is a Wan2.1 text-to-video model without references."""
    base, network = model.model, model.model.diffusion_model
    kind = getattr(network, "model_type", None)
    if type(base) is not comfy.model_base.WAN21 or kind != "t2v" or network.in_dim != network.out_dim:
        raise InputError(
            f"this model is {type(base).__name__}{f' ({kind})' if kind else ''}; LumosX works inside Wan2.1 text-to-video "
            "models: load the LumosX 1.3B weights with Load Diffusion Model, or use the LumosX Nano node"
        )
    if KEY in model.wrappers.get(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, {}):
        raise InputError(
            "this model has LumosX references already, and a second set cannot be stacked on it; connect the model as it "
            "was before the first LumosX node, and put all subjects into one relation graph"
        )


def check_size(references: EncodedReferences, height: int, width: int) -> None:
    """Raises InputError unless the references were encoded for latents of these sides."""
    sides = tuple(references.latents.shape[-2:])
    if (height, width) != sides:
        raise InputError(
            f"the references were encoded for a video of {8 * sides[1]} x {8 * sides[0]} pixels, the latent is for "
            f"{8 * width} x {8 * height}; take the latent from the same LumosX Encode References node"
        )


class _Hooks:
    """The wrappers of one patched model."""

    def __init__(
        self,
        patcher: Any,
        references: EncodedReferences,
        options: PatchOptions,
        record: AttentionRecord | None,
        *,
        alone: bool,
    ) -> None:
        self.references, self.options, self.record = references, options, record
        self.alone = alone  # no other node has a hand in the blocks
        self.ends = BlockEnds()
        self.dropping = options.blank_tokens == "drop" and bool(references.kinds)
        self.base = patcher.model
        blocks = len(self.base.diffusion_model.blocks)
        self.recorded = {blocks // 4, blocks // 2, 3 * blocks // 4}
        refresh = options.reference_refresh
        self.kept = KeptReferences(refresh, blocks) if refresh > 1 and references.kinds else None

    def prepare_sampling(self, executor: Callable, model: Any, noise_shape: Any, conds: Any, *args: Any, **kwargs: Any) -> Any:
        """Every part of the prompt must be that of the references, and context windows must be able to work. The host reserves
        memory by the shape of the noise: count the references as frames. A record begins anew."""
        check_conditioning(conds.get("positive") or (), self.references)
        model_options = kwargs.get("model_options") or {}
        recorded, frames = self.record is not None, self.references.frames
        check_windows(model_options, frames=frames, reserved=noise_shape[2], recorded=recorded)
        if self.kept is not None or self.dropping:
            self.ends.check(model_options.get("transformer_options") or {})
        if self.record is not None:
            self.record.clear()
        shape = list(noise_shape)
        if self.references.kinds:
            layout = self._layout(noise_shape)
            shape[2] += math.ceil(layout.reference_len / layout.tokens_per_frame)
            if self.kept is not None:
                self.kept.clear()
                size = self._kept_bytes(sum(len(each or ()) for each in conds.values()), shape[0], layout)
                log.info("reference_refresh %d will keep up to %.2f GiB of keys and values", self.kept.every, size / GIB)
                shape[2] += frames_of_bytes(self.base, shape, size)
        return executor(model, shape, conds, *args, **kwargs)

    def _kept_bytes(self, prompts: int, videos: int, layout: TokenLayout) -> int:
        """What keys and values of so many prompts take at most, for each of so many videos where these cannot share them. A
        negative prompt counts also where the guidance will leave it out, which the host does not tell beforehand."""
        network = self.base.diffusion_model
        rows = prompts * (1 if self._sharing else videos) * layout.reference_len
        dtype: torch.dtype = self.base.manual_cast_dtype or self.base.get_dtype()
        return 2 * rows * network.dim * len(network.blocks) * dtype.itemsize

    @property
    def _sharing(self) -> bool:
        """Whether videos of a prompt can share the rows of the references, as far as the nodes tell."""
        return self.alone and self.record is None and self.options.causal_self_attention_mask

    def diffusion_model(
        self,
        executor: Any,  # the host's WrapperExecutor
        x: torch.Tensor,
        timestep: torch.Tensor,
        context: torch.Tensor,
        clip_fea: Any = None,
        time_dim_concat: torch.Tensor | None = None,
        transformer_options: dict | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Append the references to x [B, 16, T, h, w] and hand the other hooks what they need."""
        options = dict(transformer_options or {})
        if not self._active(options):
            return executor(x, timestep, context, clip_fea, time_dim_concat, options, **kwargs)
        if time_dim_concat is not None:
            raise InputError(
                "another node appends frames to this model as LumosX does (time_dim_concat); remove one of the two"
            )
        if self.kept is not None or self.dropping:
            self.ends.check(options)
        together = self._videos_together(x, timestep, context, options)
        layout = replace(self._layout(x.shape), videos=together)
        keys = self._keys(options, timestep, layout, x)
        frames = self.references.latents.transpose(0, 1)[None].to(x.device, torch.float32)  # [1, 16, R, h, w]
        shown = self._kept_rows(options, len(x), self.options.negative_references == "kept").to(x)
        stills = self.base.process_latent_in(frames).to(x.dtype) * shown[:, None, None, None, None]
        options[KEY] = _Forward(
            layout=layout,
            levels=self._levels(options, len(x) // together, context.shape[1]).to(x.device),
            rope=_rope(executor.class_obj, layout, x.device, options.get("rope_options") or {}),
            note=self._note(options, len(x), layout),
            keys=keys,
            video_only=keys is not None and keys.filled,
        )
        options["optimized_attention_override"] = self._attention(options.get("optimized_attention_override"))
        whole = torch.floor(timestep.float() + TIMESTEP_TOLERANCE).to(timestep.dtype)
        return executor(x, whole, context, clip_fea, stills, options, **kwargs)

    def _active(self, transformer_options: dict) -> bool:
        if not self.references.kinds:
            return False
        sigmas = transformer_options.get("sigmas")
        if sigmas is None:
            return True
        # The noise levels of the sampling that runs: a node after this one may have changed its shift.
        sampling, options = self.base.model_sampling, self.options
        highest, lowest = (float(sampling.percent_to_sigma(part)) for part in (options.start_percent, options.end_percent))
        return lowest <= float(sigmas[0]) <= highest

    def _videos_together(self, x: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor, options: dict) -> int:
        """How many videos of the batch, one after the other, can share the rows of the references: all those of one prompt, if
        nothing differs between them but their noise and nobody else looks into the blocks."""
        videos = len(x) // len(options.get("cond_or_uncond") or [COND])
        free = not options.get("patches") and timestep.ndim == 1 and self.ends.are_there(options)
        if videos < 2 or not free or not self._sharing:
            return 1
        same = all(
            len(each) == len(x) and bool((each.unflatten(0, (-1, videos)) == each[::videos, None]).all())
            for each in (timestep, context)
        )
        return videos if same else 1

    def _keys(self, transformer_options: dict, timestep: torch.Tensor, layout: TokenLayout, x: torch.Tensor) -> CallKeys | None:
        """Where the keys and values of this call's references are kept; None where they are computed in every step."""
        if self.kept is None:
            return None
        sigmas = transformer_options.get("sigmas")
        sigma = float((timestep if sigmas is None else sigmas).flatten()[0])
        prompts = transformer_options.get("uuids") or transformer_options.get("cond_or_uncond") or [COND]
        rows = len(x) // layout.videos // len(prompts)
        return self.kept.of(sigma, transformer_options.get("sample_sigmas"), prompts, (layout, rows, x.device))

    def _layout(self, shape: Sequence[int]) -> TokenLayout:
        frames, height, width = shape[2:]
        check_size(self.references, height, width)
        return TokenLayout(
            frames,
            height // 2,
            width // 2,
            kinds=self.references.kinds,
            subjects=self.references.subjects,
            relational_positions=self.options.relational_positions,
            causal_self_attention_mask=self.options.causal_self_attention_mask,
            strengths=self.references.strengths,
            blank=self.references.blank if self.options.blank_tokens == "drop" else (),
            regions=self.references.regions,
        )

    def _levels(self, transformer_options: dict, batch: int, text_len: int) -> torch.Tensor:
        """[B, R, S]: the levels of the prompt's rows, and of the negative prompt's if they are wanted there."""
        levels = self.references.levels
        levels = F.pad(levels, (0, max(0, text_len - levels.shape[1])))[:, :text_len]
        return self._kept_rows(transformer_options, batch, self.options.negative_spans == "positive")[:, None, None] * levels

    def _kept_rows(self, transformer_options: dict, batch: int, in_negative: bool) -> torch.Tensor:
        """[B]: 1 for the rows of the prompt, and for those of the negative prompt, as the host says which they are, 1 with
        `in_negative` and else 0."""
        passes = transformer_options.get("cond_or_uncond") or [COND]
        keep = [1.0 if kind == COND or in_negative else 0.0 for kind in passes]
        return torch.tensor(keep).repeat_interleave(batch // len(passes))

    def _note(self, transformer_options: dict, batch: int, layout: TokenLayout) -> Callable | None:
        """What records the first video of the batch under the prompt, where that is asked for."""
        passes = transformer_options.get("cond_or_uncond") or [COND]
        record, sigmas = self.record, transformer_options.get("sigmas")
        if record is None or sigmas is None or COND not in passes:
            return None
        row = passes.index(COND) * (batch // len(passes))
        sigma, record.layout = float(sigmas[0]), layout

        def note(q_BLnd: torch.Tensor, k_BLnd: torch.Tensor) -> None:
            shares = attention_shares(q_BLnd[row : row + 1], k_BLnd[row : row + 1], layout)[0]
            record.add(sigma, shares.unflatten(0, (layout.frames, layout.height, layout.width)))

        return note

    def _attention(self, present: Callable | None) -> Callable:
        """The override of the host's attention function; an override that is there already does the plain calls."""
        options, chosen, recorded = self.options, self.options.attention, self.recorded
        strength = RELEASED_RATIO if options.ratio is None else options.ratio

        def override(
            func: Callable, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, *args: Any, **kwargs: Any
        ) -> torch.Tensor:
            def host(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
                flat = (x.flatten(2) for x in (q, k, v))
                if present is not None:
                    return present(func, *flat, heads, *args, **kwargs).unflatten(2, (heads, -1))
                return func(*flat, heads, *args, **kwargs).unflatten(2, (heads, -1))

            forward: _Forward = kwargs["transformer_options"][KEY]
            forward.calls += 1
            plain = _backend(chosen, q.device, q.dtype, q.shape[-1] // heads) or host
            q, k, v = (x.unflatten(2, (heads, -1)) for x in (q, k, v))
            if forward.calls == 1:
                keys = None if forward.keys is None else forward.keys.of(forward.block)
                k, v = with_reference_keys(k, v, forward.layout, keys)
                if forward.keys is not None and keys and not forward.keys.filled:
                    forward.keys.put(forward.block, keys)
                if forward.note is not None and forward.block in recorded:
                    forward.note(q, k)
                out = relational_self_attention(q, k, v, forward.layout, plain, video_only=forward.video_only)
            else:
                out = relational_cross_attention(
                    q,
                    k,
                    v,
                    forward.layout,
                    forward.levels,
                    plain,
                    ratio=strength,
                    pool=POOL,
                    pool_layout=options.pool_layout,
                )
            return out.flatten(2)

        return override


def _backend(name: str, device: torch.device, dtype: torch.dtype, head_dim: int) -> AttentionBackend | Attention | None:
    """The core's backend of that name; None for the host's. Raises InputError if it cannot run there."""
    if name == HOST_ATTENTION:
        return None
    if reason := why_unavailable(name, device, dtype, head_dim):
        others = " or ".join(repr(other) for other in (HOST_ATTENTION, "sdpa") if other != name)
        raise InputError(f"the attention {name!r} is not available: {reason}; choose {others}")
    return select_attention(name, device, dtype, head_dim)


def _rope(network: Any, layout: TokenLayout, device: torch.device, changes: Mapping[str, float]) -> torch.Tensor:
    """The host's rotary table at the relational positions. changes: of the host's ScaleROPE node, as its own Wan applies them
    to the positions of a video: scale_t and shift_t, and so for y and x."""
    positions = layout.positions()[None].to(device, torch.float32)
    scale = positions.new_tensor([changes.get(f"scale_{axis}", 1.0) for axis in "tyx"])
    shift = positions.new_tensor([changes.get(f"shift_{axis}", 0.0) for axis in "tyx"])
    return network.rope_embedder(positions * scale + shift).movedim(1, 2)


def _with_relational_positions(index: int, last: bool, present: Callable | None) -> Callable:
    """A replacement of a transformer block that exchanges the rotary table, around one that is there already. Before the first
    block videos that share their references come together and tokens leave that are not computed; after the last the videos
    part, and zeros are where tokens were."""

    def block(args: dict, extra: dict) -> dict:
        forward: _Forward | None = args["transformer_options"].get(KEY)
        call = extra["original_block"] if present is None else lambda given: present(given, extra)
        if forward is None:
            return call(args)
        forward.block, forward.calls = index, 0
        layout, rows = forward.layout, {"video_only": forward.video_only}
        img = args["img"] if index else computed_rows(args["img"], layout, **rows)
        args = {**args, "img": img, "pe": forward.rope[:, : img.shape[1]]}
        if layout.videos > 1:
            args |= {name: args[name][:: layout.videos] for name in ("txt", "vec")}
        out = call(args)
        return {**out, "img": whole_rows(out["img"], layout, **rows)} if last else out

    return block
