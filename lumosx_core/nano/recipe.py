"""The whole nano recipe: puppet clips -> VAE -> text encoder -> latents -> transformer -> a pipeline folder.

Every stage leaves its result as a file in the output folder and is skipped when that file is there, so a run that was
stopped goes on where it was. The embedded model (`lumosx_core/assets/nano`) is the folder `pipeline` of such a run.
"""

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path

import torch

from lumosx_core.data.latent_dataset import LatentDataset
from lumosx_core.errors import InputError
from lumosx_core.files.atomic import copy_file, whole_folder, write_bytes
from lumosx_core.files.weights import read_state_dict
from lumosx_core.model.checkpoint import save_transformer
from lumosx_core.model.config import PRESETS, TransformerConfig
from lumosx_core.model.text_encoder import save_text_encoder
from lumosx_core.model.vae import load_vae, save_vae
from lumosx_core.nano.clips import ShardPlan, render_shards
from lumosx_core.nano.grounding import GroundedLoss
from lumosx_core.nano.latents import EncodingPlan, balance_latents, encode_shards
from lumosx_core.nano.text_encoder import TextRecipe, train_text_encoder
from lumosx_core.nano.vae import VaeRecipe, train_vae
from lumosx_core.nano.vae_refine import RefineRecipe, refine_vae
from lumosx_core.numbers import real_number, seed_number, whole_number
from lumosx_core.puppets.clip import FPS, HEIGHT, WIDTH
from lumosx_core.sampling.config import PipelineDefaults, save_defaults
from lumosx_core.training.config import TrainingConfig
from lumosx_core.training.curves import tensorboard_curves
from lumosx_core.training.optimizers import check_optimizer
from lumosx_core.training.resume import load_state
from lumosx_core.training.train import train
from lumosx_core.workers import worker_count

logger = logging.getLogger(__name__)
STAGES = ("clips", "vae", "refine", "text", "latents", "pictures", "transformer", "export")
MAX_SHARDS = 1_000_000  # and clips of one


@dataclass(frozen=True, kw_only=True)
class NanoRecipe:
    """Every number behind the nano model.

    How the embedded weights came about is told in their model card (`assets/nano/README.md`). A run that starts from nothing
    wants about twice the steps on pictures.
    """

    picture_shards: int = 64
    pictures_per_shard: int = 500  # single frames with their references
    clip_shards: int = 24
    clips_per_shard: int = 200
    frames: tuple[int, ...] = (9, 17)  # pixel frames (4n + 1) of the clips of one shard after the other, in turn
    # Of plain, striped, dotted and checked things worn. Dots and squares are the hardest to draw, so they come more often.
    pattern_shares: tuple[float, ...] | None = (0.14, 0.16, 0.34, 0.36)
    found_share: float = 0.4  # of the people, given by what is found in a photograph of them
    rehearsed_shards: int = 12  # shards of pictures that the training on clips sees too
    seed: int = 1  # of the rendered pictures and clips
    vae_shards: int = 4  # the VAE learns from the first few shards of clips
    vae: VaeRecipe = field(default_factory=VaeRecipe)
    refine: RefineRecipe = field(default_factory=RefineRecipe)
    text: TextRecipe = field(default_factory=TextRecipe)
    preset: str = "nano"
    text_len: int = 80  # tokens that the transformer reads
    # The transformer learns single pictures first: with one video frame a reference of the first person is always one time
    # step away, of the second two, so that who wears what is found soon; and a step is cheap.
    pictures: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            steps=4200,
            batch=16,
            optimizer="muon",
            learning_rate=1.5e-3,
            warmup_steps=100,
            decay_share=0.1,
            ema_decay=0.998,
            timestep_shift=2.5,
            text_dropout=0.05,
            reference_dropout=0.1,
            precision="bf16",
            save_every=200,
            seed=21,
        )
    )
    pictures_loss: GroundedLoss = field(default_factory=lambda: GroundedLoss(grounding=0.2))
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            steps=7500,
            batch=12,
            optimizer="muon",
            learning_rate=1.5e-3,
            warmup_steps=100,
            decay_share=0.6,
            ema_decay=0.998,
            timestep_shift=1.5,
            text_dropout=0.05,
            reference_dropout=0.1,
            precision="bf16",
            save_every=200,
            seed=32,
        )
    )
    training_loss: GroundedLoss = field(default_factory=lambda: GroundedLoss(subject_weight=3.0, grounding=0.1))
    defaults: PipelineDefaults = field(
        default_factory=lambda: PipelineDefaults(
            width=WIDTH,
            height=HEIGHT,
            frames=17,
            fps=FPS,
            steps=16,
            cfg=3.0,
            shift=3.0,
            negative_prompt="",
            negative_references="blank",
            enlarge=6,
        )
    )

    def __post_init__(self) -> None:
        for name, least in (("picture_shards", 0), ("pictures_per_shard", 1), ("clip_shards", 1), ("clips_per_shard", 1)):
            whole_number(getattr(self, name), name, least=least, most=MAX_SHARDS)
        real_number(self.found_share, "found_share", least=0, most=1)
        seed_number(self.seed)


# Seconds on a CPU: for tests and for trying a change of the recipe. Its pictures mean nothing.
DEBUG_RECIPE = NanoRecipe(
    picture_shards=1,
    pictures_per_shard=8,
    clip_shards=1,
    clips_per_shard=8,
    frames=(5,),
    vae_shards=1,
    vae=VaeRecipe(
        base_dim=12,
        picture_steps=2,
        decoder_steps=1,
        clip_steps=1,
        picture_batch=2,
        clip_batch=1,
        clip_frames=5,
        crop=32,
    ),
    refine=RefineRecipe(steps=2, batch=1, frames=5, precision="fp32"),
    text=TextRecipe(vocabulary=300, dim=24, layers=1, heads=2, ffn_dim=32, captions=400, steps=2, batch=4),
    preset="debug",
    pictures=TrainingConfig(steps=2, batch=2, warmup_steps=1, save_every=1),
    pictures_loss=GroundedLoss(grounding=0.3, blocks=(1,)),
    training=TrainingConfig(steps=2, batch=2, warmup_steps=1, save_every=1),
    training_loss=GroundedLoss(),
)


def train_nano(
    out: str | Path,
    recipe: NanoRecipe | None = None,
    *,
    stages: tuple[str, ...] = STAGES,
    workers: int | None = None,
    device: str = "cpu",
    curves: bool = False,
    start_from: Path | None = None,
    log: Callable[[str], None] = logger.info,
) -> Path:
    """Run the stages of the recipe that are not done yet; returns the pipeline folder `<out>/pipeline`.

    out: gets clips/, vae.safetensors, vae-refined.safetensors, text_encoder.safetensors, spiece.model, latents/, pipeline/,
    and states that are resumed: vae-state.pt, refine-state.pt, pictures/states, transformer/states.
    stages: only these, in the recipe's order. workers: processes that render, by default one per core.
    device: of the transformer's training, "cpu" or "cuda". curves: write TensorBoard files into curves/.
    start_from: a model folder whose VAE, text encoder and transformer are taken over. The VAE is trained further unless the
    stage `refine` is left out, the transformer always, on clips alone if the stage `pictures` is left out.
    log: called with lines of progress.
    Raises InputError for an unknown stage, one whose input is missing, or an optimizer that this torch does not have.
    """
    recipe = recipe or NanoRecipe()
    out = Path(out)
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown:
        raise InputError(f"unknown stage {', '.join(unknown)}; the stages are {', '.join(STAGES)}")
    for config in (recipe.pictures, recipe.training):
        check_optimizer(config)  # before the long stages, not after them
    run = _Run(recipe, out, worker_count(workers), device, curves, start_from, log)
    for stage in STAGES:
        if stage in stages:
            started = time.monotonic()
            getattr(run, stage)()
            log(f"{stage}: done in {time.monotonic() - started:.0f} s")
    return out / "pipeline"


class _Run:
    """The stages as methods; each does nothing when its files are there."""

    def __init__(
        self,
        recipe: NanoRecipe,
        out: Path,
        workers: int,
        device: str,
        curves: bool,
        start_from: Path | None,
        log: Callable[[str], None],
    ) -> None:
        self.recipe, self.out, self.workers, self.device = recipe, out, workers, device
        self.curves, self.start_from, self.log = curves, start_from, log

    def _plans(self) -> list[ShardPlan]:
        """The shards of pictures, then those of clips."""
        recipe, folder = self.recipe, self.out / "clips"
        pictures = [
            ShardPlan(
                folder=folder,
                index=n,
                seed=recipe.seed,
                count=recipe.pictures_per_shard,
                frames=1,
                pattern_shares=recipe.pattern_shares,
                found_share=recipe.found_share,
            )
            for n in range(recipe.picture_shards)
        ]
        lengths = [recipe.frames[n % len(recipe.frames)] for n in range(recipe.clip_shards)]
        return pictures + [
            ShardPlan(
                folder=folder,
                index=n,
                seed=recipe.seed,
                count=recipe.clips_per_shard,
                frames=length,
                pattern_shares=recipe.pattern_shares,
                found_share=recipe.found_share,
            )
            for n, length in enumerate(lengths)
        ]

    def _latents(self, plan: ShardPlan) -> Path:
        """Where the encoded shard lies."""
        return self.out / "latents" / plan.kind / f"latents-{plan.index:04d}.safetensors"

    def _need(self, path: Path, stage: str) -> Path:
        if not path.exists():
            raise InputError(f"{path} is missing; run the stage {stage!r} first")
        return path

    def _trained(self, stage: str, state: dict | None) -> dict:
        if state is None:
            raise InputError(f"{self.out / stage} holds no state of a training; run the stage {stage!r} first")
        return state

    def clips(self) -> None:
        """Render the shards of pictures and clips."""
        plans = self._plans()
        done = count(1)
        render_shards(plans, self.workers, lambda path: self.log(f"clips: {next(done)}/{len(plans)} {path.name}"))

    def vae(self) -> None:
        """Train the VAE and put its latents in order."""
        target = self.out / "vae.safetensors"
        if target.exists():
            return
        if self.start_from is not None:
            save_vae(target, load_vae(self.start_from / "vae.safetensors"))
            return
        clips = [plan for plan in self._plans() if plan.kind == "clips"]
        shards = [self._need(plan.path, "clips") for plan in clips[: self.recipe.vae_shards]]
        vae = train_vae(self.recipe.vae, shards, self.out / "vae-state.pt", lambda line: self.log(f"vae: {line}"))
        balance_latents(vae.train(False), shards[0])
        save_vae(target, vae)

    def refine(self) -> None:
        """Train the VAE further, so that its latents keep patterns."""
        target = self.out / "vae-refined.safetensors"
        if target.exists():
            return
        vae = load_vae(self._need(self.out / "vae.safetensors", "vae"))
        clips = [plan for plan in self._plans() if plan.kind == "clips"][: self.recipe.refine.shards]
        shards = [self._need(plan.path, "clips") for plan in clips]
        state = self.out / "refine-state.pt"
        refine_vae(self.recipe.refine, vae, shards, state, lambda line: self.log(f"refine: {line}"))
        save_vae(target, vae)

    def _final_vae(self) -> Path:
        """The refined VAE or, without that stage, the given one."""
        refined, given = self.out / "vae-refined.safetensors", self.out / "vae.safetensors"
        if self.start_from is not None and not refined.exists():
            return self._need(given, "vae")
        return self._need(refined, "refine")

    def text(self) -> None:
        """Train vocabulary and text encoder."""
        target = self.out / "text_encoder.safetensors"
        if target.exists():
            return
        if self.start_from is not None:
            for name in ("spiece.model", "text_encoder.safetensors"):
                copy_file(self.start_from / name, self.out / name)
            return
        encoder, vocabulary = train_text_encoder(self.recipe.text, self.log)
        write_bytes(self.out / "spiece.model", vocabulary)  # before the file that says that this stage is done
        save_text_encoder(target, encoder)

    def latents(self) -> None:
        """Encode pictures, clips, references and captions."""
        plans = [
            EncodingPlan(
                clips=self._need(plan.path, "clips"),
                target=self._latents(plan),
                vae=self._final_vae(),
                text_encoder=self._need(self.out / "text_encoder.safetensors", "text"),
                tokenizer=self.out / "spiece.model",
                text_len=self.recipe.text_len,
            )
            for plan in self._plans()
        ]
        done = count(1)
        encode_shards(plans, self.workers, lambda _: self.log(f"latents: {next(done)}/{len(plans)}"))

    def pictures(self) -> None:
        """Train the transformer on single pictures."""
        self._train("pictures", self.recipe.pictures, self.recipe.pictures_loss, self._given_weights())

    def transformer(self) -> None:
        """Train the transformer on clips, from what it learnt of pictures or, without that stage, from the given weights."""
        learnt = load_state(self.out / "pictures", None)
        if self.start_from is not None and learnt is None:
            initial = self._given_weights()
        else:
            initial = self._trained("pictures", learnt)["ema"]
        self._train("transformer", self.recipe.training, self.recipe.training_loss, initial)

    def _given_weights(self) -> dict[str, torch.Tensor] | None:
        if self.start_from is None:
            return None
        return read_state_dict(self.start_from / "transformer.safetensors")[0]

    def _train(self, stage: str, config: TrainingConfig, loss: GroundedLoss, initial: dict[str, torch.Tensor] | None) -> None:
        pictures = [self._latents(plan) for plan in self._plans() if plan.kind == "pictures"]
        if stage == "pictures":
            data = LatentDataset(self.out / "latents" / "pictures")
        else:
            data = LatentDataset(self.out / "latents" / "clips", also=pictures[: self.recipe.rehearsed_shards])
        started = time.monotonic()
        recent: list[float] = []
        curves = tensorboard_curves(self.out / "curves" / stage) if self.curves else None

        def on_step(step: int, figures: dict[str, float]) -> None:
            if curves is not None:
                curves(step, figures)
            if math.isfinite(figures["loss"]):  # a step that is left out says nothing
                recent.append(figures["loss"])
            if (step + 1) % 50 == 0 or step + 1 == config.steps:
                left = (config.steps - step - 1) * figures["seconds"] / 60
                self.log(
                    f"{stage}: step {step + 1}/{config.steps} loss {sum(recent[-50:]) / max(1, len(recent[-50:])):.4f} "
                    f"grounding {figures.get('grounding', 0.0):.3f} norm {figures['norm']:.2f} "
                    f"{figures['seconds']:.2f} s/step, {len(data)} clips, "
                    f"{(time.monotonic() - started) / 60:.0f} min so far, about {left:.0f} left"
                )

        preset = PRESETS[self.recipe.preset]
        text_dim = data.empty_context.shape[-1]
        train(
            config,
            replace(preset, text_dim=text_dim, text_len=self.recipe.text_len),
            data,
            self.out / stage,
            loss=loss,
            device=self.device,
            initial=initial,
            on_step=on_step,
        )

    def export(self) -> None:
        """Write the pipeline folder: averaged weights in half precision, the other models, defaults and the recipe."""
        state = self._trained("transformer", load_state(self.out / "transformer", None))
        model_config = TransformerConfig.from_json(state["model_config"])
        metadata = {"recipe": json.dumps(asdict(self.recipe)), "steps": str(state["step"])}
        vae = load_vae(self._final_vae())
        texts = [self._need(self.out / name, "text") for name in ("text_encoder.safetensors", "spiece.model")]
        with whole_folder(self.out / "pipeline", "the model folder") as folder:
            save_transformer(
                folder / "transformer.safetensors", state["ema"], model_config, storage="fp16", extra_metadata=metadata
            )
            save_vae(folder / "vae.safetensors", vae, dtype=torch.float16)
            for path in texts:
                copy_file(path, folder / path.name)
            save_defaults(folder, self.recipe.defaults)
