"""`train plan`: what a training needs on its card; and the options of a recipe, which `train transformer` has too."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lumosx_core.model.config import TransformerConfig
    from lumosx_core.model.token_layout import TokenLayout
    from lumosx_core.training.config import TrainingConfig
    from lumosx_core.training.memory_plan import Choice
    from lumosx_core.training.recipes import Recipe


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Options that choose a recipe and change its numbers."""
    parser.add_argument(
        "--recipe", metavar="NAME", help="numbers to start from: published_1, published_2 (default), finetune, lora, debug"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with other numbers")
    parser.add_argument(
        "--set", action="append", default=[], metavar="A=B", dest="changes", help="one number, such as clip_norm=0.5"
    )
    parser.add_argument("--print-recipe", action="store_true", help="print every number with its meaning, and do nothing")
    parser.add_argument("--preset", help="sizes, instead of the recipe's: t2v_1_3b, t2v_14b, nano or debug")
    parser.add_argument("--initial", type=Path, help="weights to start from (Wan2.1)")
    parser.add_argument("--lora-rank", type=int, metavar="N", help="train a LoRA of this rank beside frozen --initial weights")
    parser.add_argument("--lora-alpha", type=float, metavar="ALPHA", help="its factors count ALPHA / N (default: N)")
    parser.add_argument("--train-norms", action="store_true", help="the LoRA trains norms too")
    parser.add_argument("--steps", type=int, help="of the whole run, instead of the recipe's")
    parser.add_argument("--batch", type=int, help="samples of a step, instead of the recipe's")
    parser.add_argument("--learning-rate", type=float, help="instead of the recipe's")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="instead of the recipe's")
    parser.add_argument("--seed", type=int, help="instead of the recipe's")
    parser.add_argument(
        "--memory", type=float, metavar="GIB", help="choose what makes the training fit a card of so many GiB (train plan)"
    )


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Options of `train plan`."""
    add_recipe(parser)
    parser.add_argument("--size", default="832x480x81", metavar="WxHxF", help="of the largest clip (default: 832x480x81)")
    parser.add_argument("--references", type=int, default=9, metavar="N", help="pictures of a sample (default: 9)")


def chosen_recipe(options: argparse.Namespace) -> "Recipe":
    """The recipe with everything that the command line changes."""
    from dataclasses import replace

    from lumosx_core.errors import InputError
    from lumosx_core.model.config import PRESETS
    from lumosx_core.training.config import LoraConfig
    from lumosx_core.training.recipes import ModelChoice, read_recipe

    recipe = read_recipe(options.recipe or "published_2", options.config, options.changes)
    if options.preset is not None:
        if options.preset not in PRESETS:
            raise InputError(f"unknown preset {options.preset!r}; expected one of {', '.join(PRESETS)}")
        recipe = replace(recipe, model=ModelChoice(preset=options.preset))
    given = ("steps", "batch", "learning_rate", "precision", "seed")
    changed = {name: getattr(options, name) for name in given if getattr(options, name) is not None}
    recipe = replace(recipe, training=replace(recipe.training, **changed))
    lora = recipe.lora
    if options.lora_rank is not None:
        lora = replace(lora or LoraConfig(), rank=options.lora_rank)
    if (options.lora_alpha is not None or options.train_norms) and lora is None:
        raise InputError("--lora-alpha and --train-norms are of a LoRA; give --lora-rank too")
    if lora is not None and options.lora_alpha is not None:
        lora = replace(lora, alpha=options.lora_alpha)
    if lora is not None and options.train_norms:
        lora = replace(lora, train_norms=True)
    return replace(recipe, lora=lora)


def run_plan(options: argparse.Namespace) -> int:
    """Print what is needed, with what makes it fit if the size of a card is given."""
    from lumosx_core.data.buckets import parse_buckets
    from lumosx_core.model.config import PRESETS
    from lumosx_core.model.token_layout import TokenLayout
    from lumosx_core.numbers import whole_number
    from lumosx_core.references import ReferenceKind
    from lumosx_core.training.disk import disk_need

    recipe = chosen_recipe(options)
    if options.print_recipe:
        from lumosx_core.data.settings import to_toml

        print(to_toml(recipe), end="")
        return 0
    (size,) = parse_buckets([options.size])
    pictures = whole_number(options.references, "--references", least=0, most=100)
    thing: tuple[ReferenceKind, ...] = ("object",)
    layout = TokenLayout(*size.grid, kinds=thing * pictures, subjects=(None,) * pictures)
    sizes = PRESETS[recipe.model.preset]
    config = chosen_memory(sizes, recipe.config(), layout, options.memory)
    print(f"{'disk':<14} {disk_need(sizes, config).words()}")
    return 0


def chosen_memory(
    sizes: "TransformerConfig", config: "TrainingConfig", layout: "TokenLayout", gib: float | None, *, say: bool = True
) -> "TrainingConfig":
    """The training with what makes it fit a card of so many GiB (None: as it is). say: print the plan. Raises InputError
    if nothing fits."""
    from lumosx_core.numbers import real_number
    from lumosx_core.training.memory_plan import Choice, fitting, needed

    if gib is None:
        choice = Choice(config=config, need=needed(sizes, config, layout))
    else:
        choice = fitting(sizes, config, layout, real_number(gib, "--memory", least=0.1, most=10_000))
    if say:
        _print_plan(choice, layout, gib)
    return choice.config


def _print_plan(choice: "Choice", layout: "TokenLayout", gib: float | None) -> None:
    from lumosx_core.model.devices import GIB
    from lumosx_core.model.memory import USABLE

    config, need = choice.config, choice.need
    memory, samples = config.memory, config.micro_batch or config.batch
    rows = {
        "tokens": f"{layout.seq_len:,} of a sample ({len(layout.kinds)} pictures among them), {samples} at once",
        "weights": f"{need.weights / GIB:6.2f} GiB  "
        + (f"frozen {memory.base}" + (", matrices in RAM" if memory.streamed else "") if config.lora else "float32, all learn"),
        "average": f"{need.average / GIB:6.2f} GiB" + ("  in RAM" if memory.average_in_ram else ""),
        "optimizer": f"{need.optimizer / GIB:6.2f} GiB  {config.optimizer}",
        "work": f"{need.work / GIB:6.2f} GiB  at most, in the {need.moment}",
        "peak": f"{need.peak / GIB:6.2f} GiB"
        + (f"  of {gib:g}, of which {gib * USABLE:.2f} may be filled" if gib is not None else ""),
        "checkpointing": "yes" if config.gradient_checkpointing else "no",
        "block inputs": "in RAM" if memory.inputs_in_ram else "on the card",
        "feed-forward": f"in {memory.feed_forward_parts} part{'s' if memory.feed_forward_parts > 1 else ''}",
    }
    for name, text in rows.items():
        print(f"{name:<14} {text}")
