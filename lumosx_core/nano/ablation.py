"""The ablation of the method: small transformers that differ in nothing but which relations they are built with.

All learn from the same rendered clips, with the same number of steps; one seed is the same weights at the start, the same
order of clips and the same noise for all settings. Grounding is off, since it tells what is to be learnt; two settings have it
once more. Without relations the order of the pictures alone gives away what belongs together, so one setting learns with
another order in every step.

<out>/data, <out>/validation      rendered and encoded clips (`recipe.py`)
<out>/<setting>-<seed>/           states, log.jsonl (every step), figures.json (loss and binding margin), model/
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import torch

from lumosx_core.data.latent_dataset import Batch, LatentDataset
from lumosx_core.errors import InputError
from lumosx_core.files.atomic import copy_file, whole_folder, writable_folder
from lumosx_core.files.json import read_json, write_json
from lumosx_core.model.checkpoint import save_transformer
from lumosx_core.model.config import PRESETS
from lumosx_core.model.relational_options import RelationalOptions
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.nano.grounding import GroundedLoss
from lumosx_core.nano.recipe import NanoRecipe, train_nano
from lumosx_core.numbers import seed_number, whole_number
from lumosx_core.sampling.config import read_defaults, save_defaults
from lumosx_core.training.config import TrainingConfig
from lumosx_core.training.lora import trained_weights
from lumosx_core.training.losses import Draw, Loss, PublishedLoss, StepLoss
from lumosx_core.training.step_log import StepLog
from lumosx_core.training.train import train
from lumosx_core.training.validate import Validation

PLAN, FIGURES, MODEL = "plan.json", "figures.json", "model"
RELATIONS_OFF = RelationalOptions(relational_positions=False, causal_self_attention_mask=False, ratio=0.0)
PARTS = ("vae.safetensors", "text_encoder.safetensors", "spiece.model")  # of the embedded model, beside its transformer


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What one transformer is built with. title: for tables. grounding: weight of the second loss (`grounding.py`). shuffled:
    the pictures come in another order in every step of the training."""

    title: str
    options: RelationalOptions
    grounding: float = 0.0
    shuffled: bool = False


_MASKED = RelationalOptions(ratio=0.0)
_FULL = RelationalOptions(ratio=0.5)
SETTINGS: dict[str, Setting] = {
    "none": Setting(title="no relations", options=RELATIONS_OFF),
    "none_shuffled": Setting(title="no relations, order shuffled", options=RELATIONS_OFF, shuffled=True),
    "positions": Setting(title="relational positions", options=replace(_MASKED, causal_self_attention_mask=False)),
    "positions_mask": Setting(title="+ causal self-attention mask", options=_MASKED),
    "weak": Setting(title="+ multilevel mask at 0.1", options=replace(_FULL, ratio=0.1)),
    "full": Setting(title="+ multilevel mask at 0.5 (full)", options=_FULL),
    "strong": Setting(title="+ multilevel mask at 1.0", options=replace(_FULL, ratio=1.0)),
    "aligned": Setting(title="full, aligned pooling", options=replace(_FULL, pool_layout="aligned")),
    "multilevel": Setting(title="multilevel mask at 0.5 alone", options=replace(RELATIONS_OFF, ratio=0.5)),
    "none_grounded": Setting(title="no relations, grounded", options=RELATIONS_OFF, grounding=0.2),
    "full_grounded": Setting(title="full, grounded", options=_FULL, grounding=0.2),
}


@dataclass(frozen=True, kw_only=True)
class AblationPlan:
    """What all settings have in common; stored in the folder, so that results of two plans are never in one table.

    pool: side of the multilevel mask's cells, tokens; at the published 8 a picture of 5 x 6 tokens is one cell, and both ways
    of pooling are the same, as they are where the side divides the width. recipe, validation: of the rendered clips. training:
    its seed is replaced by that of the run. blocks: those that are grounded where grounding is on. frames: of the videos that
    are sampled; cases: of the suite; steps: of the sampler. batches: of `validation_batch` clips, at eight noise levels each.
    """

    preset: str = "small"
    pool: int = 4
    recipe: NanoRecipe = field(
        default_factory=lambda: NanoRecipe(picture_shards=12, clip_shards=16, frames=(5,), found_share=0.0, seed=41)
    )
    validation: NanoRecipe = field(
        default_factory=lambda: NanoRecipe(picture_shards=1, clip_shards=1, frames=(5,), found_share=0.0, seed=42)
    )
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            steps=3000,
            batch=8,
            optimizer="muon",
            learning_rate=1.5e-3,
            warmup_steps=100,
            decay_share=0.3,
            ema_decay=0.998,
            timestep_shift=2.0,
            text_dropout=0.05,
            reference_dropout=0.1,
            save_every=200,
        )
    )
    blocks: tuple[int, ...] = (1, 2)
    frames: int = 5
    cases: int = 60
    steps: int = 16
    batches: int = 12
    validation_batch: int = 8

    def __post_init__(self) -> None:
        for name in ("pool", "frames", "cases", "steps", "batches", "validation_batch"):
            whole_number(getattr(self, name), f"ablation: {name}", least=1, most=10_000)

    def begin(self, out: Path) -> None:
        """Note the plan in a folder. Raises InputError if another one was begun there."""
        path, told = out / PLAN, asdict(self)
        if path.exists() and read_json(path, "the plan of the ablation") != _as_json(told):
            raise InputError(f"{out} holds an ablation with other numbers ({PLAN}); choose another output folder")
        write_json(path, told, "the plan of the ablation")


# Seconds on a CPU. Its figures mean nothing.
DEBUG_PLAN = AblationPlan(
    preset="debug_64",
    recipe=NanoRecipe(
        picture_shards=1, pictures_per_shard=4, clip_shards=1, clips_per_shard=4, frames=(5,), found_share=0.0, seed=41
    ),
    validation=NanoRecipe(picture_shards=0, clip_shards=1, clips_per_shard=4, frames=(5,), found_share=0.0, seed=42),
    training=TrainingConfig(steps=2, batch=2, warmup_steps=1, save_every=2),
    cases=3,
    steps=2,
    batches=1,
    validation_batch=2,
)


@dataclass(frozen=True, kw_only=True)
class AblatedLoss:
    """A loss of a model that is built with these relations: the layout of every batch and the pooling follow them. The ratio is
    the model's own. shuffled: another order of the pictures in every draw, a function of its noise; for models to which kinds
    and owners of the pictures mean nothing."""

    options: RelationalOptions
    inner: Loss
    shuffled: bool = False
    in_parts: ClassVar[bool] = False  # one order for the whole batch

    def check(self, model: LumosXTransformer, *, gradient_checkpointing: bool) -> None:
        """As the inner loss, and InputError where the order could not be shuffled without exchanging who owns what."""
        if self.shuffled and (self.options.relational_positions or self.options.causal_self_attention_mask):
            raise InputError("the order of the pictures is shuffled only without relations, which follow it")
        self.inner.check(model, gradient_checkpointing=gradient_checkpointing)

    def __call__(self, model: LumosXTransformer, draw: Draw) -> StepLoss:
        """The inner loss of the changed draw."""
        batch = with_relations(draw.batch, self.options)
        if self.shuffled:
            generator = torch.Generator().manual_seed(int(draw.noise.flatten()[0].view(torch.int32)) & 0x7FFFFFFF)
            order = torch.randperm(batch.references.shape[1], generator=generator)
            batch = replace(batch, references=batch.references[:, order], levels=batch.levels[:, order])
        return self.inner(model, replace(draw, batch=batch, pool_layout=self.options.pool_layout))


def with_relations(batch: Batch, options: RelationalOptions) -> Batch:
    """The batch with positions and mask as the options say."""
    layout = replace(
        batch.layout,
        relational_positions=options.relational_positions,
        causal_self_attention_mask=options.causal_self_attention_mask,
    )
    return replace(batch, layout=layout)


def ablated_loss(setting: Setting, plan: AblationPlan) -> AblatedLoss:
    """What a setting is trained on."""
    inner: Loss = GroundedLoss(grounding=setting.grounding, blocks=plan.blocks) if setting.grounding else PublishedLoss()
    return AblatedLoss(options=setting.options, inner=inner, shuffled=setting.shuffled)


def known_settings(names: list[str] | None) -> list[str]:
    """The settings of these names, all without any, in the table's order. Raises InputError for an unknown one."""
    if unknown := [name for name in names or () if name not in SETTINGS]:
        raise InputError(f"unknown setting {unknown[0]!r}; the settings are {', '.join(SETTINGS)}")
    return [name for name in SETTINGS if not names or name in names]


def prepare_clips(plan: AblationPlan, out: Path, nano: Path, workers: int, log: Callable[[str], None]) -> None:
    """Render and encode the clips that are not there yet, for the VAE and the text encoder of the model folder `nano`."""
    stages = ("clips", "vae", "text", "latents")
    for name, recipe in (("data", plan.recipe), ("validation", plan.validation)):
        train_nano(out / name, recipe, stages=stages, workers=workers, start_from=nano, log=log)


@dataclass(frozen=True, kw_only=True)
class AblationRun:
    """One setting with one seed, to be trained in a process of its own. out: of the whole ablation; nano: the model folder
    whose other parts it uses."""

    plan: AblationPlan
    setting: str
    seed: int
    out: Path
    nano: Path

    @property
    def folder(self) -> Path:
        """Where everything of it lies."""
        return self.out / f"{self.setting}-{seed_number(self.seed)}"


def train_run(run: AblationRun) -> AblationRun:
    """Train, measure loss and binding margin, and write the model folder, unless that is there; goes on from its last state."""
    if (run.folder / MODEL).exists():
        return run
    plan, setting = run.plan, SETTINGS[run.setting]
    data = _clips(run.out / "data")
    config = replace(PRESETS[plan.preset], text_dim=data.empty_context.shape[-1], text_len=plan.recipe.text_len)
    config = replace(config, multilevel_ratio=setting.options.ratio or 0.0, multilevel_pool=plan.pool)
    loss = ablated_loss(setting, plan)
    training = replace(plan.training, seed=run.seed)
    model = train(training, config, data, run.folder, loss=loss, on_step=StepLog(writable_folder(run.folder) / "log.jsonl"))
    measured = replace(loss, inner=PublishedLoss())
    validation = Validation(data=_clips(run.out / "validation"), batches=plan.batches, batch=plan.validation_batch)
    figures = validation.figures(model, dict(trained_weights(model)), measured)
    write_json(run.folder / FIGURES, figures, "the figures of the run")
    options = setting.options  # the ratio lies in the config of the weights
    defaults = replace(
        read_defaults(run.nano),
        steps=plan.steps,
        relational_positions=options.relational_positions,
        causal_self_attention_mask=options.causal_self_attention_mask,
        pool_layout=options.pool_layout,
    )
    with whole_folder(run.folder / MODEL, "the model folder") as folder:
        save_transformer(folder / "transformer.safetensors", model.state_dict(), config, storage="fp16")
        for name in PARTS:
            copy_file(run.nano / name, folder / name, name)
        save_defaults(folder, defaults)
    return run


def _clips(folder: Path) -> LatentDataset:
    """Clips and pictures together."""
    latents = folder / "latents"
    return LatentDataset(latents / "clips", also=sorted((latents / "pictures").glob("latents-*.safetensors")))


def _as_json(told: object) -> object:
    """As it is read back: tuples as lists."""
    if isinstance(told, dict):
        return {name: _as_json(value) for name, value in told.items()}
    return [_as_json(value) for value in told] if isinstance(told, (list, tuple)) else told
