"""From references and a prompt to a video file: prepare -> denoise -> decode -> write.

Legend: R = references, T, h, w = latent frames and sides, F, H, W = frames and pixels, S = text_len.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

import lumosx_core
from lumosx_core.contact_sheet import contact_sheet
from lumosx_core.errors import InputError
from lumosx_core.files.atomic import writable_folder
from lumosx_core.files.images import save_image
from lumosx_core.files.names import output_stem
from lumosx_core.files.videos import write_png_frames, write_video
from lumosx_core.model.attention_backends import AttentionBackend, select_attention
from lumosx_core.model.relational_attention import PoolLayout
from lumosx_core.model.token_layout import TokenLayout, text_levels
from lumosx_core.model.vae import decode_video, encode_video
from lumosx_core.numbers import seed_number
from lumosx_core.references import Sample, prepare_reference_image, to_unit_range
from lumosx_core.relation_graph import draw_relation_graph
from lumosx_core.sampling.guidance import Condition, guided_velocity
from lumosx_core.sampling.limits import checked_numbers
from lumosx_core.sampling.pipeline import LumosXPipeline, PipelineDefaults
from lumosx_core.sampling.schedule import flow_sigmas
from lumosx_core.sampling.solver import solver_named
from lumosx_core.text_spans import BoundPrompt, bind_prompt

Progress = Callable[[str, int, int], None]  # (what is being done, steps done, steps in all)


@dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """How to sample. Raises InputError on construction for values out of range."""

    width: int  # pixels, a multiple of 16
    height: int
    frames: int  # 4n + 1
    steps: int = 50
    cfg: float = 6.0  # guidance scale; 1 leaves the negative pass out
    shift: float = 8.0
    solver: str = "dpmpp_2m"
    fps: int = 16
    negative_prompt: str = ""
    negative_spans: str = "positive"  # the negative pass keeps the bias of the positive prompt's words, or "none"
    negative_references: str = "kept"  # the negative pass sees the references as published, or "blank" ones
    cfg_batched: bool = True  # both passes in one batch, or one after the other in half the memory
    attention: str = "auto"
    ratio: float | None = None  # strength of the multilevel mask; None: the model's own
    pool_layout: PoolLayout = "released"
    relational_positions: bool = True
    causal_self_attention_mask: bool = True
    on_problem: str = "error"  # a phrase that is not in the prompt: "error" or "warn"

    def __post_init__(self) -> None:
        for name, number in checked_numbers(vars(self)).items():
            object.__setattr__(self, name, number)
        for name, allowed in (
            ("negative_spans", ("positive", "none")),
            ("negative_references", ("kept", "blank")),
            ("pool_layout", ("released", "aligned")),
            ("on_problem", ("error", "warn")),
        ):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} is {getattr(self, name)!r}, expected {' or '.join(allowed)}")
        solver_named(self.solver)


def default_config(defaults: PipelineDefaults) -> GenerationConfig:
    """The configuration of a pipeline's own defaults."""
    return GenerationConfig(
        width=defaults.width,
        height=defaults.height,
        frames=defaults.frames,
        steps=defaults.steps,
        cfg=defaults.cfg,
        shift=defaults.shift,
        fps=defaults.fps,
        negative_prompt=defaults.negative_prompt,
        negative_references=defaults.negative_references,
    )


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A sample ready for denoising: the bound prompt and what steers both passes."""

    bound: BoundPrompt
    condition: Condition
    negative: Condition | None


@dataclass(frozen=True, kw_only=True)
class Written:
    """The files of one seed."""

    seed: int
    video: Path
    contact_sheet: Path
    png_folder: Path | None


def generate(
    pipeline: LumosXPipeline,
    sample: Sample,
    config: GenerationConfig,
    out: str | Path,
    *,
    seeds: tuple[int, ...] = (0,),
    name: str = "video",
    png: bool = False,
    progress: Progress | None = None,
) -> list[Written]:
    """Make one video per seed in the folder `out`, with a contact sheet each and one picture of the relation graph.

    The same seed gives the same noise on every device. progress(stage, done, total) is called often and may raise to
    cancel: finished files stay, nothing is left half-written. Seeds, name and folder are checked before anything is made.
    Raises InputError for everything the user can mend.
    """
    seeds = tuple(seed_number(seed) for seed in seeds)
    attention_of(pipeline, config)  # an unavailable choice is known before the long work
    out = writable_folder(out, output_stem(name))
    prepared = prepare(pipeline, sample, config, progress)
    save_image(draw_relation_graph(sample.references, prepared.bound), out / f"{name}_relations.png")
    written = []
    for seed in seeds:
        latent = denoise(pipeline, prepared, config, seed, progress)
        frames = decode(pipeline, latent, progress)
        written.append(write(pipeline, sample, prepared, config, frames, out, name=f"{name}_{seed}", seed=seed, png=png))
    return written


def attention_of(pipeline: LumosXPipeline, config: GenerationConfig) -> AttentionBackend:
    """The attention backend that the configuration asks for. Raises InputError if it cannot run here."""
    model = pipeline.transformer
    return select_attention(config.attention, pipeline.device, model.patch_embedding.weight.dtype, model.config.head_dim)


def prepare(pipeline: LumosXPipeline, sample: Sample, config: GenerationConfig, progress: Progress | None = None) -> Prepared:
    """Bind the prompt, encode the references and both prompts, lay out the tokens."""
    model, text_len = pipeline.transformer, pipeline.transformer.config.text_len
    bound = bind_prompt(
        sample.prompt,
        sample.references,
        pipeline.text_encoder.tokenizer,
        text_len=text_len,
        on_problem="warn" if config.on_problem == "warn" else "error",
    )
    grid = ((config.frames + 3) // 4, config.height // 16, config.width // 16)
    layout = TokenLayout.for_references(
        grid,
        bound.references,
        relational_positions=config.relational_positions,
        causal_self_attention_mask=config.causal_self_attention_mask,
    )
    references = encode_references(pipeline, sample, config.width, config.height, progress)
    levels = text_levels(bound.references, text_len)[None].to(pipeline.device) if bound.references else None
    prompts = [bound.prompt] if config.cfg == 1 else [bound.prompt, config.negative_prompt]
    states = pipeline.text_encoder.encode(prompts, text_len).to(model.patch_embedding.weight.dtype)
    condition = Condition(context=states[:1], reference_latents=references, layout=layout, levels=levels)
    negative = None
    if config.cfg != 1:
        kept = levels if config.negative_spans == "positive" else None
        shown = references
        if references is not None and config.negative_references == "blank":
            shown = torch.zeros_like(references)
        negative = Condition(context=states[1:], reference_latents=shown, layout=layout, levels=kept)
    return Prepared(bound=bound, condition=condition, negative=negative)


def encode_references(
    pipeline: LumosXPipeline, sample: Sample, width: int, height: int, progress: Progress | None = None
) -> torch.Tensor | None:
    """[1, R, 16, 1, h, w]: every reference as its own one-frame video; None without references."""
    references = sample.references.references()
    latents = []
    for index, reference in enumerate(references):
        if progress is not None:
            progress("references", index, len(references))
        image = to_unit_range(prepare_reference_image(reference.image, width, height))
        latents.append(encode_video(pipeline.vae, torch.from_numpy(image)[None, :, None])[0])
    return torch.stack(latents)[None].to(pipeline.device) if latents else None


def denoise(
    pipeline: LumosXPipeline, prepared: Prepared, config: GenerationConfig, seed: int, progress: Progress | None = None
) -> torch.Tensor:
    """The clean latent [1, 16, T, h, w] from the noise of that seed."""
    channels = pipeline.transformer.config.in_dim
    shape = (1, channels, prepared.condition.layout.frames, config.height // 8, config.width // 8)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(pipeline.device)
    velocity = guided_velocity(
        pipeline.transformer,
        prepared.condition,
        prepared.negative,
        scale=config.cfg,
        batched=config.cfg_batched,
        attention=attention_of(pipeline, config),
        ratio=config.ratio,
        pool_layout=config.pool_layout,
    )

    def callback(step: int, steps: int, clean: torch.Tensor) -> None:  # noqa: ARG001 - the solvers' signature
        if progress is not None:
            progress(f"seed {seed}", step + 1, steps)

    return solver_named(config.solver)(velocity, noise, flow_sigmas(config.steps, config.shift), callback)


def decode(pipeline: LumosXPipeline, latent: torch.Tensor, progress: Progress | None = None) -> np.ndarray:
    """uint8 frames [F, H, W, 3] of a latent [1, 16, T, h, w]."""
    if progress is not None:
        progress("decoding", 0, 1)
    video = decode_video(pipeline.vae, latent)[0]
    return ((video.permute(1, 2, 3, 0).float().cpu() + 1) * 127.5).round().clamp(0, 255).byte().numpy()


def write(
    pipeline: LumosXPipeline,
    sample: Sample,
    prepared: Prepared,
    config: GenerationConfig,
    frames: np.ndarray,
    out: Path,
    *,
    name: str,
    seed: int,
    png: bool,
) -> Written:
    """The video with its metadata, a contact sheet, and PNG frames if asked for."""
    metadata = {
        "prompt": sample.prompt,
        "relations": [asdict(reference) for reference in prepared.bound.references],
        "seed": seed,
        "config": asdict(config),
        "versions": {"lumosx": lumosx_core.__version__, "torch": torch.__version__},
    }
    enlarge = pipeline.defaults.enlarge
    video = write_video(out / f"{name}.mp4", frames, config.fps, metadata, enlarge=enlarge)
    picture = contact_sheet(sample.references, frames, prompt=prepared.bound.prompt, note=f"seed {seed}")
    sheet = save_image(picture, out / f"{name}_sheet.png")
    folder = None
    if png:
        folder = out / f"{name}_frames"
        write_png_frames(folder, frames, overwrite=True)
    return Written(seed=seed, video=video, contact_sheet=sheet, png_folder=folder)
