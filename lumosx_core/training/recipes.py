"""Whole recipes: the sizes of the model, the draws and every number of the training, to start from and to change.

`published_1` and `published_2` say what the publication tells (LumosX, arXiv 2603.20192; docs/method.md section 9): from
Wan2.1-T2V-1.3B all weights learn, 15,000 steps on clips of a single person, then 16,000 on all clips; people come grouped with
probability 0.7; timesteps are uniform. It tells no batch, rate, optimizer, dropout or average: those numbers are ours, and
every setting says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lumosx_core.data.draws import GROUPED
from lumosx_core.data.settings import check_section, read_config, setting
from lumosx_core.model.config import PRESETS
from lumosx_core.training.config import LoraConfig, MemoryConfig, TrainingConfig


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """What is trained."""

    preset: str = setting("t2v_1_3b", "sizes of the transformer; published: t2v_1_3b", choices=tuple(PRESETS))

    def __post_init__(self) -> None:
        check_section(self)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """How samples are drawn from prepared clips."""

    grouped: float = setting(
        GROUPED, "share of draws in which people come as a face with attributes, else whole; published: 0.7", least=0, most=1
    )

    def __post_init__(self) -> None:
        check_section(self)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All sections. lora: None where all weights learn. Raises InputError on construction through its sections."""

    model: ModelChoice = field(default_factory=ModelChoice)
    draws: Draws = field(default_factory=Draws)
    training: TrainingConfig
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    lora: LoraConfig | None = None

    def config(self) -> TrainingConfig:
        """What the loop takes."""
        return replace(self.training, lora=self.lora, memory=self.memory)


_FULL = TrainingConfig(steps=16_000, batch=1, learning_rate=1e-5, precision="bf16", gradient_checkpointing=True)

RECIPES = {
    # On clips of one person each, from the weights of Wan2.1.
    "published_1": Recipe(training=replace(_FULL, steps=15_000)),
    # On all clips, from the result of the first.
    "published_2": Recipe(training=_FULL),
    # A few thousand clips of one's own, from the released weights: gentler and shorter, all of it ours.
    "finetune": Recipe(training=replace(_FULL, steps=4_000, learning_rate=5e-6, warmup_steps=100, decay_share=0.5)),
    # Small factors beside frozen weights, for a few clips and one card.
    "lora": Recipe(
        training=replace(_FULL, steps=2_000, learning_rate=1e-4, warmup_steps=50, decay_share=0.5, ema_decay=0.99),
        lora=LoraConfig(rank=32),
    ),
    # Seconds on a CPU: 64 channels and 3 blocks, which can learn four clips by heart. Reads what the embedded model prepares.
    "debug": Recipe(
        model=ModelChoice(preset="debug_64"),
        training=TrainingConfig(
            steps=50, batch=2, learning_rate=3e-3, warmup_steps=10, text_dropout=0.0, ema_decay=0.98, save_every=50
        ),
    ),
}


def read_recipe(name: str, path: str | Path | None = None, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of that name with the values of a TOML file, then with `changes` ("steps=100", "lora.rank=16").

    Raises InputError for an unknown recipe, and as `read_config` does, for all faults at once.
    """
    return read_config(Recipe, RECIPES[known_recipe(name)], path, changes)


def known_recipe(name: str) -> str:
    """The name. Raises InputError, with the nearest one, if there is no such recipe."""
    import difflib

    from lumosx_core.errors import InputError

    if name in RECIPES:
        return name
    near = difflib.get_close_matches(name, list(RECIPES), 1)
    asked = f"; did you mean {near[0]}?" if near else "."
    raise InputError(f"unknown recipe {name!r}{asked} The recipes are {', '.join(RECIPES)}")
