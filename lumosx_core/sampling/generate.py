"""From references and a prompt to a video file: prepare -> denoise -> decode -> write.

Legend: R = references, T, h, w = latent frames and sides, F, H, W = frames and pixels, S = text_len.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lumosx_core
from lumosx_core.drawing.contact_sheet import contact_sheet
from lumosx_core.drawing.relation_graph import draw_relation_graph
from lumosx_core.errors import InputError
from lumosx_core.files.atomic import remove_file, writable_folder
from lumosx_core.files.images import save_image
from lumosx_core.files.names import output_stem
from lumosx_core.files.videos import write_png_frames, write_video
from lumosx_core.model.attention_backends import AttentionBackend, select_attention
from lumosx_core.model.flow import flow_sigmas
from lumosx_core.model.memory import memory_told
from lumosx_core.model.pixels import blank_tokens, to_frames, to_unit_range
from lumosx_core.model.regions import regions_of_references
from lumosx_core.model.token_layout import MAX_VIDEOS, TokenLayout, text_levels
from lumosx_core.model.vae import decode_within_memory, encode_video
from lumosx_core.numbers import seed_number, whole_number
from lumosx_core.progress import Progress
from lumosx_core.references import Sample, prepared_pictures
from lumosx_core.sampling.config import GenerationConfig
from lumosx_core.sampling.guidance import Condition, for_videos, guided_velocity
from lumosx_core.sampling.pipeline import LumosXPipeline
from lumosx_core.sampling.saved_latent import SavedLatent, read_latent, save_latent
from lumosx_core.sampling.solver import solver_named
from lumosx_core.text_spans import BoundPrompt, bind_prompt


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
    batch: int = 1,
    progress: Progress | None = None,
) -> list[Written]:
    """Make one video per seed in the folder `out`, with a contact sheet each and one picture of the relation graph.

    batch: so many seeds are sampled at once; what the model makes of the references is then computed once for all of them.

    The same seed gives the same noise on every device. progress(stage, done, total) is called often and may raise to
    cancel: finished files stay, nothing is left half-written. Seeds, name, folder and words are checked before a model is
    loaded. A finished latent is kept in a file until its video is written. Of several processes that share the videos
    (`LumosXPipeline.shards`) all call this, and the first writes and returns the files. Raises InputError for everything the
    user can mend.
    """
    seeds = tuple(seed_number(seed) for seed in seeds)
    whole_number(batch, "batch", least=1, most=MAX_VIDEOS)
    attention_of(pipeline, config)  # an unavailable choice is known before the long work
    if pipeline.shards is not None and config.regions:
        raise InputError(
            "a video with regions cannot be made by several processes together; share the videos out with --each, or take one "
            "process"
        )
    out = writable_folder(out, output_stem(name)) if pipeline.writes else Path(out)
    bound = bind(pipeline, sample, config)
    layout_of(bound, config, videos=min(batch, len(seeds)))  # so is a size that does not fit
    if pipeline.writes:
        save_image(draw_relation_graph(sample.references, bound), out / f"{name}_relations.png")
    prepared = prepare(pipeline, sample, config, progress, bound=bound)
    written = []
    for start in range(0, len(seeds), batch):
        several = seeds[start : start + batch]
        latents = denoise(pipeline, prepared, config, several, progress).split(1)
        files = {}
        if pipeline.writes:
            for seed, latent in zip(several, latents, strict=True):
                record = _record(pipeline, sample, bound, config, seed)
                files[seed] = save_latent(out / f"{name}_{seed}.latent.safetensors", latent, bound.prompt, record)
        for seed, kept in files.items():
            written.append(finish(pipeline, sample, kept, out, name=f"{name}_{seed}", png=png, progress=progress))
            remove_file(kept)
        if pipeline.shards is not None:
            pipeline.shards.wait()  # a long decoding is no process that is gone
    return written


def finish(
    pipeline: LumosXPipeline,
    sample: Sample,
    latent: Path,
    out: str | Path,
    *,
    name: str,
    png: bool = False,
    progress: Progress | None = None,
) -> Written:
    """The video of a kept latent: decode -> write. The file of the latent stays. Raises InputError if memory runs out even for
    decoding in tiles, and for a file that is no latent."""
    stored = read_latent(latent)
    try:
        frames = decode(pipeline, stored.latent.to(pipeline.device), progress)
    except InputError as error:
        raise InputError(f"{error}; the finished latent is kept: lumosx generate ... --latent {latent}") from error
    return write(pipeline, sample, stored, frames, writable_folder(out, output_stem(name)), name=name, png=png)


def attention_of(pipeline: LumosXPipeline, config: GenerationConfig) -> AttentionBackend:
    """The attention backend that the configuration asks for. Raises InputError if it cannot run here."""
    return select_attention(config.attention, pipeline.device, pipeline.dtype, pipeline.sizes.head_dim)


def bind(pipeline: LumosXPipeline, sample: Sample, config: GenerationConfig) -> BoundPrompt:
    """Who owns which words of the sample's prompt, for this model. No model is loaded. Raises InputError as `bind_prompt`."""
    return bind_prompt(
        sample.prompt,
        sample.references,
        pipeline.tokenizer,
        text_len=pipeline.sizes.text_len,
        on_problem=config.on_problem,
    )


def blank_of(pictures: Sequence[np.ndarray], config: GenerationConfig) -> tuple[bytes, ...]:
    """Which tokens of every prepared picture `layout_of` leaves out: none unless the configuration drops what is blank."""
    return tuple(map(blank_tokens, pictures)) if config.blank_tokens == "drop" else ()


def layout_of(bound: BoundPrompt, config: GenerationConfig, videos: int = 1, blank: tuple[bytes, ...] = ()) -> TokenLayout:
    """Where the tokens of the videos and of the references lie, without those that are `blank`. Raises InputError if the size
    needs positions that are none, and for several videos where the references see the video."""
    layout = TokenLayout.for_references(
        config.size.grid,
        bound.references,
        relational_positions=config.relational_positions,
        causal_self_attention_mask=config.causal_self_attention_mask,
        blank=blank,
        regions=regions_of_references(config.region_tokens, [reference.subject for reference in bound.references]),
    )
    return replace(layout, videos=videos)


def prepare(
    pipeline: LumosXPipeline,
    sample: Sample,
    config: GenerationConfig,
    progress: Progress | None = None,
    *,
    bound: BoundPrompt | None = None,
) -> Prepared:
    """Bind the prompt (or take it as it is bound), encode both prompts and the references, lay out the tokens."""
    bound = bound or bind(pipeline, sample, config)
    text_len = pipeline.sizes.text_len
    pictures = prepared_pictures(sample.references.references(), config.width, config.height)
    layout = layout_of(bound, config, blank=blank_of(pictures, config))
    levels = text_levels(bound.references, text_len)[None].to(pipeline.device) if bound.references else None
    prompts = [bound.prompt] if config.cfg == 1 else [bound.prompt, config.negative_prompt]
    states = encode_prompts(pipeline, prompts, progress)
    references = encode_references(pipeline, pictures, progress)
    condition = Condition(context=states[:1], reference_latents=references, layout=layout, levels=levels)
    negative = None
    if config.cfg != 1:
        kept = levels if config.negative_spans == "positive" else None
        shown = references
        if references is not None and config.negative_references == "blank":
            shown = torch.zeros_like(references)
        negative = Condition(context=states[1:], reference_latents=shown, layout=layout, levels=kept)
    return Prepared(bound=bound, condition=condition, negative=negative)


def encode_prompts(pipeline: LumosXPipeline, prompts: list[str], progress: Progress | None = None) -> torch.Tensor:
    """[B, S, text_dim]: the text states of the prompts on the pipeline's device, in its type."""
    if progress is not None:
        progress("text encoding", 0, 1)
    with memory_told("encoding the prompt", pipeline.device), pipeline.at_work("text_encoder") as encoder:
        return encoder.encode(prompts, pipeline.sizes.text_len).to(pipeline.device, pipeline.dtype)


def encode_references(
    pipeline: LumosXPipeline, pictures: Sequence[np.ndarray], progress: Progress | None = None
) -> torch.Tensor | None:
    """[1, R, 16, h, w]: every prepared picture as its own one-frame video; None without any."""
    if not pictures:
        return None
    latents = []
    with memory_told("encoding the references", pipeline.device), pipeline.at_work("vae") as vae:
        for index, picture in enumerate(pictures):
            if progress is not None:
                progress("references", index, len(pictures))
            latents.append(encode_video(vae, to_unit_range(picture[None, None]))[0, :, 0])
        if progress is not None:
            progress("references", len(pictures), len(pictures))
    return torch.stack(latents)[None].to(pipeline.device)


def denoise(
    pipeline: LumosXPipeline,
    prepared: Prepared,
    config: GenerationConfig,
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> torch.Tensor:
    """The clean latents [seeds, 16, T, h, w] from the noise of each seed: that of one seed is the same in every company, up to
    rounding."""
    shape = (1, pipeline.sizes.in_dim, *config.size.latent)
    noises = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    noise = torch.cat(noises).to(pipeline.device)
    what = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"
    if progress is not None:
        progress(what, 0, config.steps)

    def callback(step: int, steps: int, clean: torch.Tensor) -> None:  # noqa: ARG001 - the solvers' signature
        if progress is not None:
            progress(what, step + 1, steps)

    with memory_told(f"sampling {what}", pipeline.device), pipeline.at_work("transformer") as transformer:
        velocity = guided_velocity(
            transformer,
            for_videos(prepared.condition, len(seeds)),
            None if prepared.negative is None else for_videos(prepared.negative, len(seeds)),
            scale=config.cfg,
            batched=config.cfg_batched,
            attention=attention_of(pipeline, config),
            ratio=config.ratio,
            pool_layout=config.pool_layout,
            reference_refresh=config.reference_refresh,
        )
        return solver_named(config.solver)(velocity, noise, flow_sigmas(config.steps, config.shift), callback)


def decode(pipeline: LumosXPipeline, latent: torch.Tensor, progress: Progress | None = None) -> np.ndarray:
    """uint8 frames [F, H, W, 3] of a latent [1, 16, T, h, w].

    Where memory runs out it is tried again in bf16, then in bf16 and tiles; the log says so.
    """
    if progress is not None:
        progress("decoding", 0, 1)
    with memory_told("decoding the video, even in tiles", pipeline.device), pipeline.at_work("vae") as vae:
        start = 0 if pipeline.memory is None else pipeline.memory.decode_from
        video = decode_within_memory(vae, latent, start)[0]
        if vae.dtype != torch.float32:  # its weights were rounded: the next one starts from the file
            pipeline.forget("vae")
    if progress is not None:
        progress("decoding", 1, 1)
    return to_frames(video)


def write(
    pipeline: LumosXPipeline, sample: Sample, stored: SavedLatent, frames: np.ndarray, out: Path, *, name: str, png: bool
) -> Written:
    """The video with its metadata, a contact sheet, and PNG frames if asked for."""
    seed, fps = stored.record["seed"], stored.record["config"]["fps"]
    video = write_video(out / f"{name}.mp4", frames, fps, stored.record, enlarge=pipeline.defaults.enlarge)
    picture = contact_sheet(sample.references, frames, prompt=stored.prompt, note=f"seed {seed}")
    sheet = save_image(picture, out / f"{name}_sheet.png")
    folder = None
    if png:
        folder = out / f"{name}_frames"
        write_png_frames(folder, frames, overwrite=True)
    return Written(seed=seed, video=video, contact_sheet=sheet, png_folder=folder)


def _record(
    pipeline: LumosXPipeline, sample: Sample, bound: BoundPrompt, config: GenerationConfig, seed: int
) -> dict[str, Any]:
    """What the video's metadata says: everything that it can be made from again."""
    loras = [{"file": Path(lora.name).name, "strength": strength} for lora, strength in pipeline.loras]
    return {
        "prompt": sample.prompt,
        **({"loras": loras} if loras else {}),
        "relations": [asdict(reference) for reference in bound.references],
        "seed": seed,
        "config": asdict(config),
        "versions": {"lumosx": lumosx_core.__version__, "torch": torch.__version__},
    }
