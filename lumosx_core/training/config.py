"""Every number of a training run, in one frozen record that is stored with its checkpoints; what each means, and whether it was
published (LumosX, arXiv 2603.20192, as told in docs/method.md section 9) or is ours."""

import dataclasses
import re
from dataclasses import dataclass
from typing import get_args

from lumosx_core.data.settings import check_section, setting
from lumosx_core.errors import InputError
from lumosx_core.model.devices import PRECISIONS
from lumosx_core.model.flow import Density
from lumosx_core.numbers import real_number, whole_number

DENSITIES: tuple[Density, ...] = get_args(Density)
MAX_COUNT = 10**9  # steps, samples of a step, and the like
MAX_RANK = 4096  # above every width of a layer a LoRA only wastes memory
MAX_WEIGHT = 1e6  # learning rates, weights of losses, norms
# Layers of a block that can get factors, by Wan's names; by default all of them do.
LORA_LAYERS = (*(f"{attention}.{layer}" for attention in ("self_attn", "cross_attn") for layer in "qkvo"), "ffn.0", "ffn.2")
BASES = ("fp32", "bf16", "fp8")
OPTIMIZERS = ("adamw", "muon", "adamw_8bit", "prodigy")
OPTIMIZER_CLASS, OPTIMIZER_OPTION = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", r"[A-Za-z_]\w*=.+"


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Train small factors beside frozen weights. Raises InputError on construction for values out of range."""

    rank: int = setting(32, "width of the factors; ours", least=1, most=MAX_RANK)
    alpha: float = setting(
        0.0, "what is learnt counts alpha / rank; 0: as the rank, so that it counts fully; ours", least=0, most=MAX_WEIGHT
    )
    layers: tuple[str, ...] = setting(LORA_LAYERS, "layers of every block that get factors; ours", choices=LORA_LAYERS)
    train_norms: bool = setting(False, "train norms too; ours")

    def __post_init__(self) -> None:
        object.__setattr__(self, "rank", whole_number(self.rank, "lora: rank", least=1, most=MAX_RANK))
        object.__setattr__(self, "alpha", real_number(self.alpha, "lora: alpha", least=0, most=MAX_WEIGHT))
        object.__setattr__(self, "layers", tuple(self.layers))
        strange = [layer for layer in self.layers if layer not in LORA_LAYERS]
        if strange or not self.layers or len(set(self.layers)) < len(self.layers):
            raise InputError(f"lora: layers are {', '.join(self.layers) or 'none'}, expected some of {', '.join(LORA_LAYERS)}")

    @property
    def scale(self) -> float:
        """What the product of the factors is multiplied by."""
        return self.full_alpha / self.rank

    @property
    def full_alpha(self) -> float:
        """alpha, or what it is where none is given."""
        return self.alpha or float(self.rank)


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """What makes a training fit a card (model/low_memory.py); chosen by `--memory`, or by hand. Raises InputError for
    values out of range.

    None of it is part of what is learnt: a run may go on with another choice.
    """

    base: str = setting(
        "fp32", "type of a LoRA's frozen weights; fp8: the matrices of the blocks, the rest bf16; ours", choices=BASES
    )
    streamed: bool = setting(False, "a LoRA's frozen matrices stay in RAM and visit the card block by block; ours")
    inputs_in_ram: bool = setting(False, "what is kept for the backward (the inputs of the blocks) waits in RAM; ours")
    average_in_ram: bool = setting(False, "the average of the weights is kept in RAM; ours")
    feed_forward_parts: int = setting(1, "parts that the feed-forward is computed in; ours", least=1, most=64)

    def __post_init__(self) -> None:
        check_section(self)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the transformer is trained. Raises InputError on construction for values out of range."""

    steps: int = setting(
        dataclasses.MISSING,
        "optimizer steps of the whole run; published: 15,000 on single people, then 16,000 on the mix",
        least=1,
        most=MAX_COUNT,
    )
    batch: int = setting(
        dataclasses.MISSING, "samples of one step, all of the same token layout; not published, ours", least=1, most=MAX_COUNT
    )
    optimizer: str = setting(
        "adamw",
        "adamw; muon for the matrices inside the blocks and AdamW for the rest; adamw_8bit (bitsandbytes); prodigy "
        "(prodigyopt, with learning_rate 1); or module:Class; ours",
        choices=OPTIMIZERS,
        form=(OPTIMIZER_CLASS, "module:Class"),
    )
    optimizer_options: tuple[str, ...] = setting(
        (),
        "further arguments of the optimizer, each NAME=VALUE, such as d_coef=2.0; ours",
        form=(OPTIMIZER_OPTION, "NAME=VALUE"),
    )
    learning_rate: float = setting(1e-4, "peak, after warm-up; not published, ours", least=0, most=MAX_WEIGHT)
    warmup_steps: int = setting(200, "steps in which the rate rises from 0; ours", least=0, most=MAX_COUNT)
    decay_share: float = setting(0.25, "last part of the run, in which the rate falls linearly to 0; ours", least=0, most=1)
    weight_decay: float = setting(0.01, "decay of matrices per step, times the rate; ours", least=0, most=MAX_WEIGHT)
    betas: tuple[float, float] = setting((0.9, 0.99), "how long AdamW remembers gradients and squares; ours", least=0, most=1)
    clip_norm: float = setting(1.0, "largest gradient norm; ours", least=0, most=MAX_WEIGHT)
    frames: tuple[int, ...] = setting(
        (),
        "latent frames to keep, drawn anew for every step, such as 3, 3, 5; empty: all, as published",
        least=1,
        most=MAX_COUNT,
    )
    timestep_shift: float = setting(
        1.0, "1: timesteps uniform, as published; above: more noise, where binding is decided", least=0, most=MAX_WEIGHT
    )
    timesteps: Density = setting(
        "uniform", "uniform, as published, or logit_normal: more of the middle (shifted afterwards)", choices=DENSITIES
    )
    micro_batch: int = setting(
        0, "so many samples of a step are computed at once, and gradients added up; 0: all; ours", least=0, most=MAX_COUNT
    )
    text_dropout: float = setting(
        0.1, "share of samples that get the empty prompt alone, for guidance; not published, ours", least=0, most=1
    )
    reference_dropout: float = setting(
        0.0, "share of samples that get the empty prompt and blank references; not published, ours", least=0, most=1
    )
    ema_decay: float = setting(0.999, "of the averaged weights, which are the result; ours", least=0, most=1)
    precision: str = setting("fp32", "fp32, or bf16: autocast, weights stay float32; ours", choices=PRECISIONS)
    gradient_checkpointing: bool = setting(False, "compute blocks again instead of keeping what they held; ours")
    save_every: int = setting(500, "steps between checkpoints; ours", least=1, most=MAX_COUNT)
    keep_last: int = setting(1, "so many checkpoints are kept, the last ones; ours", least=1, most=MAX_COUNT)
    keep_every: int = setting(0, "those of every so many steps are kept too, 0: none; ours", least=0, most=MAX_COUNT)
    skipped_in_a_row: int = setting(
        5, "so many steps left out one after the other (not finite, or a spike) end the run; ours", least=1, most=MAX_COUNT
    )
    spike: float = setting(
        8.0,
        "a loss so many robust deviations above the last 200 is left out (training/guards.py), 0: none; ours",
        least=0,
        most=MAX_WEIGHT,
    )
    spikes_allowed: int = setting(20, "of the last 200 steps; more end the run; ours", least=0, most=MAX_COUNT)
    seed: int = setting(0, "of weights, order, draws and noise; ours", least=0, most=2**63 - 1)
    memory: MemoryConfig = MemoryConfig()  # what makes it fit a card
    lora: LoraConfig | None = None  # train factors beside frozen weights; None: all weights, as published

    def __post_init__(self) -> None:
        def put(name: str, number: float) -> None:
            object.__setattr__(self, name, number)

        for name in ("steps", "batch", "save_every", "keep_last", "skipped_in_a_row"):
            put(name, whole_number(getattr(self, name), f"training: {name}", least=1, most=MAX_COUNT))
        for name in ("keep_every", "spikes_allowed", "micro_batch", "warmup_steps"):
            put(name, whole_number(getattr(self, name), f"training: {name}", least=0, most=MAX_COUNT))
        if self.timesteps not in DENSITIES:
            raise InputError(f"training: timesteps is {self.timesteps!r}, expected {' or '.join(map(repr, DENSITIES))}")
        put("seed", whole_number(self.seed, "training: seed", least=0, most=2**63 - 1))
        for name in ("learning_rate", "weight_decay", "spike"):
            put(name, real_number(getattr(self, name), f"training: {name}", least=0, most=MAX_WEIGHT))
        for name in ("clip_norm", "timestep_shift"):
            put(name, real_number(getattr(self, name), f"training: {name}", above=0, most=MAX_WEIGHT))
        for name in ("decay_share", "text_dropout", "reference_dropout", "ema_decay"):
            put(name, real_number(getattr(self, name), f"training: {name}", least=0, most=1))
            if getattr(self, name) == 1:
                raise InputError(f"training: {name} is {getattr(self, name)}, expected 0 <= {name} < 1")
        if len(self.betas) != 2:
            raise InputError(f"training: betas has {len(self.betas)} numbers, expected 2")
        for beta in self.betas:
            real_number(beta, "training: betas", least=0, most=1 - 1e-9)
        for frames in self.frames:
            whole_number(frames, "training: frames", least=1, most=MAX_COUNT)
        if self.precision not in PRECISIONS:
            raise InputError(f"training: precision is {self.precision!r}, expected {' or '.join(map(repr, PRECISIONS))}")
        if self.optimizer not in OPTIMIZERS and not re.fullmatch(OPTIMIZER_CLASS, str(self.optimizer)):
            raise InputError(
                f"training: optimizer is {self.optimizer!r}, expected {' or '.join(map(repr, OPTIMIZERS))} or module:Class"
            )
        object.__setattr__(self, "optimizer_options", tuple(self.optimizer_options))
        for option in self.optimizer_options:
            if not re.fullmatch(OPTIMIZER_OPTION, str(option)):
                raise InputError(f"training: optimizer_options has {option!r}, expected NAME=VALUE, such as d_coef=2.0")
        if self.lora is None and (self.memory.base != "fp32" or self.memory.streamed):
            raise InputError(
                "training: base and streamed are of frozen weights, and without a LoRA all weights learn; train a LoRA, or "
                "leave base at 'fp32' and streamed at false"
            )
        if self.memory.inputs_in_ram and not self.gradient_checkpointing:
            raise InputError("training: inputs_in_ram needs gradient_checkpointing; without it everything would go to RAM")
        if self.text_dropout + self.reference_dropout > 1:
            raise InputError("training: text_dropout and reference_dropout are more than 1 together")

    def rate_at(self, step: int) -> float:
        """The learning rate of a step: linear warm-up, a plateau, linear decay to zero."""
        decay_steps = max(1, round(self.decay_share * self.steps))
        return self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup_steps), (self.steps - step) / decay_steps)


# A run of a few seconds on a CPU, for tests and for trying a change.
DEBUG = TrainingConfig(steps=4, batch=2, learning_rate=1e-3, warmup_steps=2, save_every=2)
