"""Checking this machine against golden numbers of the published system (inputs, weights and outputs at small sizes).

The folder holds any of `dit_cases.json` with `dit_cases.safetensors` and `dit_weights.safetensors`, `sampler.safetensors`,
`umt5_encoder.safetensors`, `wan_vae.safetensors`; what they contain says `lumosx_core/assets/golden/README.md`.
"""

import json
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.weights import StateDict, read_safetensors, write_safetensors
from lumosx_core.model.attention_backends import Attention, AttentionBackend, sdpa_attention
from lumosx_core.model.checkpoint import check_keys
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.flow import flow_matching_loss, flow_sigmas, timesteps_from_sigmas
from lumosx_core.model.relational_attention import multilevel_bias, relational_self_attention
from lumosx_core.model.rope import apply_rope, rope_table
from lumosx_core.model.text_encoder import infer_text_config, to_transformers_names
from lumosx_core.model.token_layout import TokenLayout, text_levels
from lumosx_core.model.transformer import LumosXTransformer, Relations
from lumosx_core.model.umt5 import TextConfig, UMT5Encoder
from lumosx_core.model.vae import decode_video, encode_video, load_vae
from lumosx_core.references import ReferenceKind
from lumosx_core.sampling.guidance import Condition, guided_velocity
from lumosx_core.sampling.solver import dpmpp_2m
from lumosx_core.text_spans import BoundReference

GOLDEN_FOLDER = Path(__file__).parent.parent / "assets" / "golden"
BAR, SAMPLER_BAR = 2e-5, 1e-4
BACKEND_BAR = 5e-2  # half precision and 8-bit scores against float32, on outputs of about 1
# Ablations: key of the stored output, layout switches, strength of the bias.
ABLATIONS: dict[str, tuple[dict[str, bool], float | None]] = {
    "output_full": ({}, None),
    "output_no_r2pe": ({"relational_positions": False}, None),
    "output_no_csam": ({"causal_self_attention_mask": False}, None),
    "output_no_mcam": ({}, 0.0),
    "output_ratio_0.1": ({}, 0.1),
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison: the largest absolute deviation from the stored numbers, and what is allowed."""

    name: str
    deviation: float
    bar: float

    @property
    def passed(self) -> bool:
        """Whether the deviation is within the bar (NaN is not)."""
        return self.deviation <= self.bar


@dataclass(frozen=True, kw_only=True)
class GoldenCase:
    """One stored forward pass: its tensors by short name, its references and its layout."""

    name: str
    timestep: int
    references: tuple[BoundReference, ...]
    grid: tuple[int, int, int]
    tensors: StateDict

    def layout(self, **switches: Any) -> TokenLayout:
        """The layout, with switches of the relational mechanisms."""
        return TokenLayout.for_references(self.grid, self.references, **switches)


def run_checks(folder: Path = GOLDEN_FOLDER, *, device: str = "cpu", attention: Attention | None = None) -> Iterator[Check]:
    """Every check that the folder has files for, in float32 on `device`, through that attention callable (None: torch's).

    Raises InputError when the folder holds none of the files.
    """
    folder = Path(folder)
    groups: dict[str, Callable[[Path, str, Attention | None], Iterator[Check]]] = {
        "dit_weights.safetensors": transformer_checks,
        "sampler.safetensors": sampler_checks,
        "umt5_encoder.safetensors": text_encoder_checks,
        "wan_vae.safetensors": vae_checks,
    }
    present = [name for name in groups if (folder / name).exists()]
    if not present:
        raise InputError(f"{folder} holds none of the golden files {', '.join(groups)}")
    for name in present:
        if name == "sampler.safetensors" and "dit_weights.safetensors" not in present:
            continue
        yield from groups[name](folder, device, attention)


def read_cases(folder: Path) -> tuple[TransformerConfig, list[GoldenCase]]:
    """The config and the cases of `dit_cases.json` and `.safetensors`."""
    record = json.loads((folder / "dit_cases.json").read_text("utf-8"))
    names = {"mcam_ratio": "multilevel_ratio", "mcam_pool": "multilevel_pool"}
    config = TransformerConfig(**{names.get(key, key): value for key, value in record["config"].items()})
    tensors, _ = read_safetensors(folder / "dit_cases.safetensors")
    cases = []
    for name, case in record["cases"].items():
        references = tuple(
            BoundReference(
                kind=r["kind"],
                subject=r["subject"],
                phrase=r["phrase"],
                token_spans=tuple(tuple(span) for span in r["token_spans"]),
            )
            for r in case["references"]
        )
        own = {key.split("/")[1]: value for key, value in tensors.items() if key.startswith(f"{name}/")}
        cases.append(
            GoldenCase(name=name, timestep=case["timestep"], references=references, grid=tuple(case["grid"]), tensors=own)
        )
    return config, cases


def golden_transformer(folder: Path, device: str = "cpu") -> LumosXTransformer:
    """The stored transformer, strictly loaded."""
    config, _ = read_cases(folder)
    state, _ = read_safetensors(folder / "dit_weights.safetensors")
    model = LumosXTransformer(config)
    check_keys("dit_weights.safetensors", state, model.state_dict())
    model.load_state_dict(state)
    return model.to(device).train(False)


def deviation(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest absolute difference; infinite if the shapes differ."""
    if got.shape != expected.shape:
        return math.inf
    return float((got.detach().cpu().double() - expected.double()).abs().max())


@torch.no_grad()
def transformer_checks(folder: Path, device: str, attention: Attention | None) -> Iterator[Check]:
    """Whole forward passes with all ablations, then single modules of block 0."""
    model = golden_transformer(folder, device)
    _, cases = read_cases(folder)
    for case in cases:
        levels = text_levels(case.references, model.config.text_len)[None].to(device)
        for key, (switches, ratio) in ABLATIONS.items():
            if key not in case.tensors:
                continue
            out = model(
                case.tensors["latent"].to(device),
                torch.tensor([case.timestep], device=device),
                case.tensors["context"].to(device),
                case.tensors["reference_latents"][None].squeeze(3).to(device),
                case.layout(**switches),
                levels,
                attention=attention,
                ratio=ratio,
            )
            yield Check(name=f"{case.name}: {key}", deviation=deviation(out, case.tensors[key]), bar=BAR)
        yield from module_checks(model, case, levels, attention)


@torch.no_grad()
def module_checks(
    model: LumosXTransformer, case: GoldenCase, levels: torch.Tensor, attention: Attention | None
) -> Iterator[Check]:
    """Rotary positions, self-attention, cross-attention and its bias, as far as the case stores them."""
    config, layout, device = model.config, case.layout(), levels.device
    rope = rope_table(layout, config.head_dim, device)
    stored = {key: value.to(device) for key, value in case.tensors.items()}
    plain = attention or sdpa_attention
    block: Any = model.blocks[0]
    relations = Relations(
        layout=layout, rope=rope, levels=levels, attention=plain, ratio=config.multilevel_ratio, pool_layout="released"
    )

    def check(name: str, got: torch.Tensor, key: str) -> Check:
        return Check(name=f"{case.name}: {name}", deviation=deviation(got, case.tensors[key]), bar=BAR)

    if "rope_in" in stored:
        yield check("rotary positions", apply_rope(stored["rope_in"], rope), "rope_out")
    if "self_attn_in" in stored:
        yield check("self-attention", block.self_attn(stored["self_attn_in"], relations), "self_attn_out")
    if "cross_attn_in" in stored:
        context = stored["cross_attn_context"]
        cross = block.cross_attn(stored["cross_attn_in"], context, relations)
        yield check("cross-attention", cross, "cross_attn_out")
        layer = block.cross_attn
        q = layer.heads(layer.norm_q(layer.q(stored["cross_attn_in"])))[:, layout.video_len :]
        k = layer.heads(layer.norm_k(layer.k(context)))
        bias = multilevel_bias(
            q, k, levels, layout, ratio=config.multilevel_ratio, pool=config.multilevel_pool, pool_layout="released"
        )
        yield check("bias of the reference rows", bias, "cross_attn_bias_reference_rows")


@torch.no_grad()
def backend_check(backend: AttentionBackend, device: str, dtype: torch.dtype) -> Check:
    """Relational self-attention of random tokens through a half-precision backend, against torch in float32."""
    kinds: tuple[ReferenceKind, ...] = ("object", "face", "attribute", "attribute")
    layout = TokenLayout(3, 8, 12, kinds=kinds, subjects=(None, 0, 0, 0))
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, layout.seq_len, 2, 128, generator=generator) for _ in range(3))
    expected = relational_self_attention(q, k, v, layout, sdpa_attention)
    q, k, v = (x.to(device, dtype) for x in (q, k, v))
    got = relational_self_attention(q, k, v, layout, backend)
    name = f"relational self-attention through {backend.name} in {str(dtype).removeprefix('torch.')}"
    return Check(name=name, deviation=deviation(got.float(), expected), bar=BACKEND_BAR)


@torch.no_grad()
def sampler_checks(folder: Path, device: str, attention: Attention | None) -> Iterator[Check]:
    """Schedule, guided sampling of the first case in 4 and 8 steps, training loss."""
    stored, _ = read_safetensors(folder / "sampler.safetensors")
    for steps in (4, 8, 50):
        sigmas = flow_sigmas(steps)
        yield Check(name=f"schedule of {steps}: sigmas", deviation=deviation(sigmas, stored[f"sigmas_{steps}"]), bar=1e-6)
        timesteps = timesteps_from_sigmas(sigmas)
        yield Check(
            name=f"schedule of {steps}: timesteps", deviation=deviation(timesteps, stored[f"timesteps_{steps}"]), bar=0.0
        )
    model = golden_transformer(folder, device)
    case = read_cases(folder)[1][0]
    levels = text_levels(case.references, model.config.text_len)[None].to(device)
    references = stored["reference_latents"][None].squeeze(3).to(device)
    layout = case.layout()
    positive = Condition(context=stored["context"].to(device), reference_latents=references, layout=layout, levels=levels)
    negative = Condition(
        context=stored["negative_context"].to(device), reference_latents=references, layout=layout, levels=levels
    )
    for steps in (4, 8):
        for batched in (True, False):
            velocity = guided_velocity(model, positive, negative, scale=6.0, batched=batched, attention=attention)
            out = dpmpp_2m(velocity, stored["initial_noise"].to(device), flow_sigmas(steps))
            how = "one batch" if batched else "in sequence"
            yield Check(
                name=f"sampled in {steps} steps, guidance {how}",
                deviation=deviation(out, stored[f"sampled_{steps}"]),
                bar=SAMPLER_BAR,
            )
    for key in sorted(k for k in stored if k.startswith("train_loss_t")):
        timestep = torch.tensor([float(key.removeprefix("train_loss_t"))], device=device)

        def velocity_of(noisy: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return model(noisy, t, positive.context, references, layout, levels, attention=attention)

        loss = flow_matching_loss(velocity_of, stored["train_x0"].to(device), stored["train_noise"].to(device), timestep)
        yield Check(name=f"training loss at t = {float(timestep):g}", deviation=deviation(loss, stored[key]), bar=BAR)


@torch.no_grad()
def text_encoder_checks(folder: Path, device: str, attention: Attention | None) -> Iterator[Check]:  # noqa: ARG001
    """UMT5 weights under their original names through the converter."""
    stored, _ = read_safetensors(folder / "umt5_encoder.safetensors")
    original = {key.removeprefix("weights."): value for key, value in stored.items() if key.startswith("weights.")}
    state = to_transformers_names(original)
    config = infer_text_config(folder, state)
    state["encoder.embed_tokens.weight"] = state["shared.weight"]
    model = UMT5Encoder(TextConfig(**config))
    check_keys("umt5_encoder.safetensors", state, model.state_dict())
    model.load_state_dict(state)
    mask = stored["attention_mask"]
    out = model.to(device).train(False)(stored["input_ids"].to(device), mask.to(device)).cpu()
    known = mask.bool()
    yield Check(name="UMT5 encoder", deviation=deviation(out[known], stored["hidden_states"][known]), bar=BAR)


@torch.no_grad()
def vae_checks(folder: Path, device: str, attention: Attention | None) -> Iterator[Check]:  # noqa: ARG001
    """VAE weights under their original names through the converter: a picture, a clip, and decoding (clamped)."""
    stored, _ = read_safetensors(folder / "wan_vae.safetensors")
    original = {key.removeprefix("weights."): value for key, value in stored.items() if key.startswith("weights.")}
    with tempfile.TemporaryDirectory() as scratch:
        vae = load_vae(write_safetensors(Path(scratch) / "vae.safetensors", original, {}), device=device)
    for name in ("image", "video"):
        latent = encode_video(vae, stored[name].to(device))
        yield Check(name=f"VAE: {name} to latent", deviation=deviation(latent, stored[f"{name}_latent"]), bar=BAR)
    decoded = decode_video(vae, stored["video_latent"].to(device))
    expected = stored["video_decoded"].clamp(-1, 1)
    yield Check(name="VAE: latent to video", deviation=deviation(decoded, expected), bar=BAR)
