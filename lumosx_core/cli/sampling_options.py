"""The sampling options that `generate`, `demo` and `evaluate` share, and the configuration they mean."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lumosx_core.sampling.config import GenerationConfig, PipelineDefaults

# Options whose value replaces a field of GenerationConfig when it is given.
FIELDS = (
    "width", "height", "frames", "steps", "cfg", "shift", "solver", "fps", "negative_prompt", "negative_spans",
    "negative_references", "attention", "ratio", "pool_layout", "blank_tokens", "reference_refresh", "regions",
)  # fmt: skip
SWITCHES = {  # options that set a field of it to False
    "sequential_cfg": "cfg_batched",
    "no_relational_positions": "relational_positions",
    "no_self_attention_mask": "causal_self_attention_mask",
}


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options; without them the model's own defaults hold."""
    group = parser.add_argument_group("sampling (defaults: those of the model)")
    group.add_argument("--width", type=int, help="pixels, a multiple of 16")
    group.add_argument("--height", type=int, help="pixels, a multiple of 16")
    group.add_argument("--frames", type=int, help="4n + 1")
    group.add_argument("--fps", type=int)
    group.add_argument("--steps", type=int)
    group.add_argument("--cfg", type=float, help="guidance scale; 1 switches guidance off")
    group.add_argument("--shift", type=float, help="more time at high noise above 1")
    group.add_argument("--solver", help="dpmpp_2m, unipc or euler")
    group.add_argument("--negative-prompt")
    group.add_argument("--negative-spans", help="positive or none: words of the bias in the negative pass")
    group.add_argument("--negative-references", help="kept or blank: what the negative pass sees of the references")
    group.add_argument("--sequential-cfg", action="store_true", help="both passes one after the other: half the memory")
    group.add_argument("--attention", help="auto, sdpa, sage or flash")
    group.add_argument("--ratio", type=float, help="strength of the multilevel cross-attention mask")
    group.add_argument("--pool-layout", help="released or aligned")
    group.add_argument(
        "--blank-tokens", help="keep or drop: tokens of references that show nothing but white (drop: faster, another video)"
    )
    group.add_argument(
        "--reference-refresh", type=int, metavar="K", help="references anew every K steps (above 1: faster, another video)"
    )
    group.add_argument(
        "--regions",
        nargs="+",
        metavar="REGION",
        help="where each subject may appear, in their order: left, right, top, bottom, everywhere, or a picture of the video's "
        "size that is white there (default: everywhere)",
    )
    group.add_argument("--no-relational-positions", action="store_true", help="ablation: positions without groups")
    group.add_argument("--no-self-attention-mask", action="store_true", help="ablation: references see everything")


def chosen_changes(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of GenerationConfig that the user set."""
    changes: dict[str, Any] = {name: getattr(options, name) for name in FIELDS if getattr(options, name) is not None}
    return changes | {field: False for name, field in SWITCHES.items() if getattr(options, name)}


def given_sampling_options(options: argparse.Namespace) -> list[str]:
    """Those that the user gave, as they are written on the command line."""
    names = [name for name in FIELDS if getattr(options, name) is not None]
    names += [name for name in SWITCHES if getattr(options, name)]
    return [f"--{name.replace('_', '-')}" for name in names]


def generation_config(options: argparse.Namespace, defaults: "PipelineDefaults") -> "GenerationConfig":
    """The model's defaults with the user's changes. Raises InputError for values out of range."""
    return replace(defaults.config, **chosen_changes(options))
