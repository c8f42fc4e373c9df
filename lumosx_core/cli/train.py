"""Train a model: `nano` runs the whole recipe of the embedded model, `transformer` the training loop on latent shards,
`analyser` the eyes of the puppet world, `ablation` small models that differ in their relations. `check` reads clips and trains
nothing, `prepare` encodes them for `transformer`.

Training and preparing go on where they were stopped. `--debug` is a run of seconds that shows that everything works.
"""

import argparse
from pathlib import Path

from lumosx_core.cli.train_ablation import add_ablation, run_ablation
from lumosx_core.cli.train_data import add_check, add_prepare, run_check, run_prepare
from lumosx_core.cli.train_plan import add_plan, run_plan
from lumosx_core.cli.train_transformer import add_transformer, run_transformer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    nano = what.add_parser("nano", help="render, train VAE, text encoder and transformer, export")
    nano.add_argument("--out", type=Path, default=Path("runs/nano"), help="folder of the run (default: runs/nano)")
    stages = "clips vae refine text latents pictures transformer export"
    nano.add_argument("--stage", nargs="+", help=f"only these stages: {stages}")
    nano.add_argument("--picture-steps", type=int, help="training steps on single pictures, instead of the recipe's")
    nano.add_argument("--steps", type=int, help="training steps on clips, instead of the recipe's")
    nano.add_argument("--picture-shards", type=int, help="shards of 500 single pictures, instead of the recipe's")
    nano.add_argument("--clip-shards", type=int, help="shards of 200 clips, instead of the recipe's")
    nano.add_argument("--workers", type=int, help="processes that render and encode (default: one per core)")
    nano.add_argument("--device", default="cpu", help="cpu or cuda, for the transformer")
    nano.add_argument("--start-from", type=Path, help="model folder to go on from, e.g. lumosx_core/assets/nano")
    nano.add_argument("--curves", action="store_true", help="write TensorBoard files into OUT/curves")
    nano.add_argument("--debug", action="store_true", help="tiny sizes, seconds on a CPU")
    eyes = what.add_parser("analyser", help="the network that finds people and things in pictures of the puppet world")
    eyes.add_argument("--out", type=Path, default=Path("runs/analyser.safetensors"), help="file to write")
    eyes.add_argument("--minutes", type=float, default=40.0, help="time to train (default: 40)")
    eyes.add_argument("--steps", type=int, help="so many steps instead, the same weights every time")
    eyes.add_argument("--seed", type=int, default=0)
    eyes.add_argument("--debug", action="store_true", help="a few steps")
    add_ablation(what.add_parser("ablation", help="what each part of the relations is worth: small models, table and chart"))
    add_check(what.add_parser("check", help="read clips, train nothing: what there is, what is left out, a sheet to look at"))
    add_prepare(what.add_parser("prepare", help="encode clips, texts and pictures once, for transformer"))
    add_plan(what.add_parser("plan", help="what a training needs on its card, and what makes it fit; loads nothing"))
    add_transformer(what.add_parser("transformer", help="the training loop on prepared clips, or latents-*.safetensors"))


def run(options: argparse.Namespace) -> int:
    """Train."""
    commands = {
        "nano": _run_nano, "analyser": _run_analyser, "transformer": run_transformer,
        "ablation": run_ablation, "check": run_check, "prepare": run_prepare, "plan": run_plan,
    }  # fmt: skip
    return commands[options.what](options)


def _run_analyser(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.nano.analyser import DEBUG_ANALYSER, AnalyserConfig, train_analyser

    config = DEBUG_ANALYSER if options.debug else AnalyserConfig(minutes=options.minutes)
    if options.steps is not None:
        config = replace(config, steps=options.steps, minutes=None)
    config = replace(config, seed=options.seed)
    writable_folder(options.out.parent)
    with ProgressBars() as progress:
        train_analyser(
            options.out,
            config,
            on_step=lambda step, loss: progress("training", step + 1, config.steps, f"loss {loss:.3f}"),
        )
    print(f"analyser       {options.out}")
    return 0


def _run_nano(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from lumosx_core.errors import InputError
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.model.devices import check_device
    from lumosx_core.nano.recipe import DEBUG_RECIPE, STAGES, NanoRecipe, train_nano

    check_device(options.device)
    if options.start_from is not None and not (options.start_from / "transformer.safetensors").is_file():
        raise InputError(f"{options.start_from} is no model folder: it has no transformer.safetensors")
    recipe = DEBUG_RECIPE if options.debug else NanoRecipe()
    if options.steps is not None:
        recipe = replace(recipe, training=replace(recipe.training, steps=options.steps))
    if options.picture_steps is not None:
        recipe = replace(recipe, pictures=replace(recipe.pictures, steps=options.picture_steps))
    if options.picture_shards is not None:
        recipe = replace(recipe, picture_shards=options.picture_shards)
    if options.clip_shards is not None:
        recipe = replace(recipe, clip_shards=options.clip_shards)
    folder = train_nano(
        writable_folder(options.out),
        recipe,
        stages=tuple(options.stage or STAGES),
        workers=options.workers,
        device=options.device,
        curves=options.curves,
        start_from=options.start_from,
        log=lambda line: print(line, flush=True),
    )
    if "export" in (options.stage or STAGES):
        print(f"model folder: {folder}")
    return 0
