"""`train transformer`: the training loop on prepared clips, with what is watched on the way."""

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumosx_core.cli.train_plan import add_recipe, chosen_memory, chosen_recipe

if TYPE_CHECKING:
    import numpy as np

    from lumosx_core.cli.wandb_curves import WandbCurves
    from lumosx_core.training.parallelize import Processes
    from lumosx_core.training.recipes import Recipe
    from lumosx_core.training.samples import Samples, Score


def add_transformer(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "data", type=Path, nargs="?", help="folder that `train prepare` made, or one with latents-*.safetensors"
    )
    parser.add_argument("--out", type=Path, help="folder of the run")
    add_recipe(parser)
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--sequence-shards", type=int, default=1, metavar="N", help="N processes share the tokens of each sample (default: 1)"
    )
    parser.add_argument(
        "--replicas",
        type=int,
        default=1,
        metavar="N",
        help="keep all that learns N times, each in shares of fewer processes, which exchange less: such as one for each "
        "machine (default: 1)",
    )
    parser.add_argument(
        "--validation", type=Path, help="other prepared clips, or latents-*.safetensors, whose loss is shown too"
    )
    parser.add_argument("--validate-every", type=int, default=500, help="steps between validations (default: 500)")
    parser.add_argument(
        "--samples", type=Path, nargs="+", metavar="FOLDER", help="sample folders to make videos of on the way, in OUT/samples"
    )
    parser.add_argument("--sample-every", type=int, default=500, help="steps between them (default: 500)")
    parser.add_argument(
        "--model",
        type=Path,
        help="model folder whose VAE and text encoder they use, and which encodes pictures while training, of clips that were "
        "prepared so (default: the embedded one)",
    )
    parser.add_argument("--encode-on", default="cpu", metavar="DEVICE", help="where it does that (default: cpu)")
    parser.add_argument("--curves", action="store_true", help="write TensorBoard files into OUT/curves")
    parser.add_argument(
        "--wandb",
        metavar="PROJECT",
        help="keep the figures for Weights & Biases too, in OUT/wandb; nothing is sent (wandb sync sends it)",
    )
    parser.add_argument("--wandb-online", action="store_true", help="send them while training (after wandb login)")


def run_transformer(options: argparse.Namespace) -> int:
    """Train."""
    from lumosx_core.data.settings import to_toml
    from lumosx_core.errors import InputError
    from lumosx_core.model.devices import check_device
    from lumosx_core.training.parallelize import begin_processes, end_processes

    recipe = chosen_recipe(options)
    if options.wandb_online and options.wandb is None:
        raise InputError("--wandb-online sends what --wandb PROJECT keeps; name the project too, or leave it out")
    if options.print_recipe:
        print(to_toml(recipe), end="")
        return 0
    if options.out is None or options.data is None:
        raise InputError("give the prepared clips, and the folder of the run with --out")
    for name in (options.device, options.encode_on):
        check_device(name)
    if options.memory is not None and os.environ.get("WORLD_SIZE", "1") != "1":
        raise InputError(
            "--memory plans one process; leave it out where several share the work: each keeps a share of what learns, and "
            "--set gradient_checkpointing=true, micro_batch=1 and memory.inputs_in_ram=true save memory there too"
        )
    processes, device = begin_processes(options.device, os.environ, options.sequence_shards, options.replicas)
    try:
        _train_transformer(options, recipe, processes, device)
    finally:
        end_processes(processes)
    return 0


def _train_transformer(options: argparse.Namespace, recipe: "Recipe", processes: "Processes", device: str) -> None:
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.data.clip_dataset import ClipDataset, open_training_data
    from lumosx_core.errors import InputError
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.files.weights import read_state_dict
    from lumosx_core.model.checkpoint import save_transformer
    from lumosx_core.model.config import PRESETS
    from lumosx_core.model.devices import GIB, free_bytes
    from lumosx_core.sampling.pipeline import NANO_FOLDER
    from lumosx_core.training.curves import tensorboard_curves
    from lumosx_core.training.disk import check_disk, disk_need
    from lumosx_core.training.lora import export_lora
    from lumosx_core.training.step_log import StepLog
    from lumosx_core.training.train import train
    from lumosx_core.training.validate import Validation

    config, sizes = recipe.config(), PRESETS[recipe.model.preset]
    encoding: dict[str, Any] = {"model": options.model or NANO_FOLDER, "device": options.encode_on}
    data = open_training_data(options.data, grouped=recipe.draws.grouped, **encoding)
    data.check_model(sizes)
    out = writable_folder(options.out)
    gib = options.memory
    if gib is None and processes.count == 1 and (free := free_bytes(device)) is not None:
        gib = free / 2**30
    if gib is not None:
        config = chosen_memory(sizes, config, data.largest_layout(), gib, say=processes.first)
    validation = None
    if options.validation is not None:
        validation = Validation(data=open_training_data(options.validation, **encoding), every=options.validate_every)
        validation.data.check_model(sizes)
    encodes = [one for one in (data, validation and validation.data) if isinstance(one, ClipDataset) and one.encoder]
    if options.model is not None and not options.samples and not encodes:
        raise InputError("--model is what --samples are made with; name sample folders too, or leave it out")
    samples = _samples(options, device)
    need = disk_need(sizes, config, samples)
    free = check_disk(out, config, need)
    if processes.first:
        print(f"{'disk':<14} {need.words()}" + ("" if free is None else f"; {free / GIB:.1f} are free"))
    initial = read_state_dict(options.initial)[0] if options.initial else None
    settings: dict[str, Any] = {
        "validation": validation,
        "samples": samples,
        "device": device,
        "initial": initial,
        "processes": processes,
    }
    if not processes.first:
        train(config, sizes, data, out, **settings)
        return
    told: list[Callable[[int, dict[str, float]], None]] = [StepLog(out / "log.jsonl")]
    if options.curves:
        told.append(tensorboard_curves(out / "curves"))
    with _wandb(options, recipe, out) as wandb, ProgressBars() as progress:
        told += [wandb] if wandb is not None else []
        shown = ""

        def on_step(step: int, figures: dict[str, float]) -> None:
            nonlocal shown
            if "validation" in figures:
                shown = f", validation {figures['validation']:.4f}"
            if "sampled/bound" in figures:
                shown += f", {100 * figures['sampled/bound']:.0f} % bound"
            progress("training", step + 1, config.steps, f"loss {figures['loss']:.4f}{shown}")
            for tell in told:
                tell(step, figures)

        model = train(config, sizes, data, out, on_step=on_step, **settings)
    if config.lora is not None and initial is not None:
        target = export_lora(out / "lora.safetensors", model, config, initial, steps=config.steps)
        print(f"LoRA: {target} (lumosx generate --lora {target}:1; in ComfyUI: models/loras)")
        return
    target = save_transformer(out / "weights.safetensors", model.state_dict(), model.config, storage="bf16")
    print(f"averaged weights: {target}")


@contextmanager
def _wandb(options: argparse.Namespace, recipe: "Recipe", out: Path) -> "Iterator[WandbCurves | None]":
    """What tells Weights & Biases during the block, if it was asked for."""
    from dataclasses import asdict

    from lumosx_core.cli.wandb_curves import WandbCurves

    if options.wandb is None:
        yield None
        return
    curves = WandbCurves(out, options.wandb, asdict(recipe), online=options.wandb_online)
    whole = False
    try:
        yield curves
        whole = True
    finally:
        curves.close(failed=not whole)
    print(f"wandb: {curves.place}" if options.wandb_online else f"wandb: {curves.place} (wandb sync {curves.place} sends it)")


def _samples(options: argparse.Namespace, device: str) -> "Samples | None":
    """What is generated on the way; in the puppet world with its score."""
    from lumosx_core.errors import InputError
    from lumosx_core.sample_folder import read_sample
    from lumosx_core.sampling.pipeline import NANO_FOLDER, LumosXPipeline
    from lumosx_core.training.samples import Samples

    if not options.samples:
        return None
    folders = {folder.resolve().name: folder for folder in options.samples}
    if len(folders) < len(options.samples):
        raise InputError("--samples: two folders have one name; rename one, their videos would be called the same")
    pipeline = LumosXPipeline(options.model or NANO_FOLDER, device=device)
    config = pipeline.defaults.config
    return Samples(
        pipeline=pipeline,
        samples={name: read_sample(folder) for name, folder in folders.items()},
        config=config,
        every=options.sample_every,
        score=_puppet_score(folders, config.width, config.height),
    )


def _puppet_score(folders: dict[str, Path], width: int, height: int) -> "Score | None":
    """The score of videos of the puppet world; None where the truth about a sample, or the world's size, is missing."""
    from lumosx_core.evaluation.metrics import puppet_binding
    from lumosx_core.puppets.clip import HEIGHT, WIDTH
    from lumosx_core.puppets.samples import TRUTH_FILE

    if (width, height) != (WIDTH, HEIGHT) or not all((folder / TRUTH_FILE).is_file() for folder in folders.values()):
        return None

    def score(name: str, frames: "np.ndarray") -> dict[str, tuple[float, float]]:
        figures = puppet_binding.figures(puppet_binding.score(frames, folders[name]))
        return {key: figures[key] for key in ("bound", "identity")}

    return score
