"""Every number of a training run, in one frozen record that is stored with its checkpoints."""

from dataclasses import dataclass

from lumosx_core.errors import InputError
from lumosx_core.model.devices import PRECISIONS
from lumosx_core.numbers import real_number, whole_number

MAX_COUNT = 10**9  # steps, samples of a step, and the like
MAX_RANK = 4096  # above every width of a layer a LoRA only wastes memory
MAX_WEIGHT = 1e6  # learning rates, weights of losses, norms
# Layers of a block that can get factors, by Wan's names; by default all of them do.
LORA_LAYERS = (*(f"{attention}.{layer}" for attention in ("self_attn", "cross_attn") for layer in "qkvo"), "ffn.0", "ffn.2")


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Train small factors beside frozen weights. Raises InputError on construction for values out of range."""

    rank: int = 32
    alpha: float = 0.0  # what is learnt counts alpha / rank; 0: as the rank, so that it counts fully
    layers: tuple[str, ...] = LORA_LAYERS  # of every block
    train_norms: bool = False  # norms too

    def __post_init__(self) -> None:
        object.__setattr__(self, "rank", whole_number(self.rank, "lora: rank", least=1, most=MAX_RANK))
        object.__setattr__(self, "alpha", real_number(self.alpha or self.rank, "lora: alpha", above=0, most=MAX_WEIGHT))
        object.__setattr__(self, "layers", tuple(self.layers))
        strange = [layer for layer in self.layers if layer not in LORA_LAYERS]
        if strange or not self.layers or len(set(self.layers)) < len(self.layers):
            raise InputError(f"lora: layers are {', '.join(self.layers) or 'none'}, expected some of {', '.join(LORA_LAYERS)}")

    @property
    def scale(self) -> float:
        """What the product of the factors is multiplied by."""
        return self.alpha / self.rank


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the transformer is trained. Raises InputError on construction for values out of range."""

    steps: int  # optimizer steps of the whole run
    batch: int  # samples of one step; all have the same token layout
    optimizer: str = "adamw"  # or "muon" for the matrices inside the blocks, AdamW for the rest
    learning_rate: float = 1e-4  # peak, after warm-up
    warmup_steps: int = 200
    decay_share: float = 0.25  # the last part of the run, in which the rate falls linearly to zero
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    clip_norm: float = 1.0  # largest gradient norm
    frames: tuple[int, ...] = ()  # latent frames to keep, drawn anew for every step, e.g. (3, 3, 5); empty: all
    timestep_shift: float = 1.0  # 1: t uniform as published; above 1: more of the noisy end, where binding is decided
    text_dropout: float = 0.1  # share of samples that get the empty prompt alone, for guidance
    reference_dropout: float = 0.0  # share of samples that get the empty prompt and blank references, for guidance
    ema_decay: float = 0.999
    precision: str = "fp32"  # or "bf16": autocast, weights stay float32
    gradient_checkpointing: bool = False
    save_every: int = 500  # steps between checkpoints
    skipped_in_a_row: int = 5  # so many steps left out one after the other (not finite, or a spike) end the run
    spike: float = 8.0  # a loss so many robust deviations above the last 200 is left out (training/guards.py); 0: none is
    spikes_allowed: int = 20  # of the last 200 steps; more end the run
    seed: int = 0
    lora: LoraConfig | None = None  # train factors beside frozen weights; None: all weights

    def __post_init__(self) -> None:
        def put(name: str, number: float) -> None:
            object.__setattr__(self, name, number)

        for name in ("steps", "batch", "save_every", "skipped_in_a_row"):
            put(name, whole_number(getattr(self, name), f"training: {name}", least=1, most=MAX_COUNT))
        put("spikes_allowed", whole_number(self.spikes_allowed, "training: spikes_allowed", least=0, most=MAX_COUNT))
        put("warmup_steps", whole_number(self.warmup_steps, "training: warmup_steps", least=0, most=MAX_COUNT))
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
        if self.optimizer not in ("adamw", "muon"):
            raise InputError(f"training: optimizer is {self.optimizer!r}, expected 'adamw' or 'muon'")
        if self.text_dropout + self.reference_dropout > 1:
            raise InputError("training: text_dropout and reference_dropout are more than 1 together")

    def rate_at(self, step: int) -> float:
        """The learning rate of a step: linear warm-up, a plateau, linear decay to zero."""
        decay_steps = max(1, round(self.decay_share * self.steps))
        return self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup_steps), (self.steps - step) / decay_steps)


# A run of a few seconds on a CPU, for tests and for trying a change.
DEBUG = TrainingConfig(steps=4, batch=2, learning_rate=1e-3, warmup_steps=2, save_every=2)
