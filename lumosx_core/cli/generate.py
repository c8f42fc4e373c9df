"""Make videos from a sample folder: reference pictures grouped by subject, and a prompt.

SAMPLE/caption.txt holds the prompt; pictures lie in SAMPLE/subjects/<n>/face_<name>.png, SAMPLE/subjects/<n>/<phrase>.png,
SAMPLE/objects/<phrase>.png and SAMPLE/background/<phrase>.png, where a phrase is the words of the prompt.
"""

import argparse
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from lumosx_core.cli.sampling_options import add_sampling_arguments, generation_config, given_sampling_options

if TYPE_CHECKING:
    from lumosx_core.model.sequence_shards import SequenceShards
    from lumosx_core.references import ReferenceSet, Sample
    from lumosx_core.sampling.config import GenerationConfig
    from lumosx_core.sampling.pipeline import LumosXPipeline
    from lumosx_core.training.parallelize import Processes

log = logging.getLogger(__name__)

# Variables that tell the processes of torchrun apart. Those of the address do not count here: scripts of clusters set them for
# every command.
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("sample", type=Path, nargs="+", metavar="SAMPLE", help="the sample folder, or several")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="folder for the files (default: outputs)")
    parser.add_argument("--name", help="beginning of the file names (default: the sample's name)")
    parser.add_argument("--prompt", help="instead of the one in caption.txt")
    parser.add_argument("--model", type=Path, help="model folder (default: the embedded nano model)")
    parser.add_argument(
        "--lora",
        nargs="+",
        default=[],
        metavar="FILE:STRENGTH",
        help="added to the transformer's weights, several allowed (default strength: 1)",
    )
    parser.add_argument(
        "--strength",
        nargs="+",
        default=[],
        metavar="WORDS:STRENGTH",
        help='how much pictures count, 0 to 2 (1: as published), such as "red hat:0.5" or @anna:1.5, instead of what SAMPLE '
        "says; the name of a person means all pictures of that person",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default: cpu)")
    parser.add_argument("--dtype", choices=("fp32", "bf16", "fp16"), help="of the weights in memory (default: fp32)")
    parser.add_argument(
        "--memory",
        type=float,
        metavar="GIB",
        help="print what is where and choose what makes it fit so many GiB of the device (default: what is free on a card), or "
        "of the machine, on a CPU (default: no plan)",
    )
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="one video per seed")
    parser.add_argument(
        "--batch", type=int, default=1, help="so many seeds at once: faster, and takes more memory (default: 1)"
    )
    parser.add_argument(
        "--each",
        action="store_true",
        help="under torchrun: every process makes whole videos, its share of all samples and seeds; without it they make each "
        "video together",
    )
    parser.add_argument("--png", action="store_true", help="write the frames as PNG files too")
    parser.add_argument(
        "--on-problem",
        choices=("error", "warn"),
        help="a phrase that is not in the prompt: stop (default), or go on without its words",
    )
    parser.add_argument(
        "--latent",
        type=Path,
        metavar="FILE",
        help="make the video of a latent that an earlier run of SAMPLE kept when its decoding failed; nothing is sampled",
    )
    add_sampling_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Generate and say where the files are."""
    from dataclasses import replace

    if options.latent is not None:
        _refuse_what_samples(options)
    stems = _stems(options)
    with _sharing(options) as (processes, device):
        from lumosx_core.cli.progress import ProgressBars
        from lumosx_core.files.atomic import writable_folder
        from lumosx_core.model.devices import weights_type
        from lumosx_core.model.lora import read_lora
        from lumosx_core.sample_folder import read_sample
        from lumosx_core.sampling.generate import finish, generate
        from lumosx_core.sampling.pipeline import NANO_FOLDER, LumosXPipeline
        from lumosx_core.strengths import with_strengths

        samples = [read_sample(folder) for folder in options.sample]
        if options.prompt is not None:
            samples = [replace(sample, prompt=options.prompt) for sample in samples]
        strengths = list(map(_words_and_strength, options.strength))
        samples = [replace(sample, references=with_strengths(sample.references, strengths)) for sample in samples]
        loras = [(read_lora(path), strength) for path, strength in map(_lora_and_strength, options.lora)]
        writable_folder(options.out)
        pipeline = LumosXPipeline(
            options.model or NANO_FOLDER,
            device=device,
            dtype=weights_type(options.dtype or "fp32"),
            resident=False,
            loras=loras,
            shards=None if options.each else _shards(processes),
        )
        config = replace(generation_config(options, pipeline.defaults), on_problem=options.on_problem or "error")
        gib = None if options.latent is not None else _budget(options, pipeline, processes)
        if gib is not None:
            config = _planned(options, pipeline, samples, config, gib)
        jobs = [(stem, seed) for stem in stems for seed in options.seed]
        if processes is not None and options.each:
            jobs = jobs[processes.rank :: processes.count]
        for sample, stem in zip(samples, stems, strict=True):
            seeds = tuple(seed for of, seed in jobs if of == stem)
            if not seeds:
                continue
            if options.model is None and options.latent is None and pipeline.writes:
                _warn_of_photographs(sample.references, pipeline.defaults.width, pipeline.defaults.height)
            with ProgressBars() if pipeline.writes else nullcontext() as progress:
                if options.latent is None:
                    written = generate(
                        pipeline,
                        sample,
                        config,
                        options.out,
                        seeds=seeds,
                        name=stem,
                        png=options.png,
                        batch=options.batch,
                        progress=progress,
                    )
                else:
                    name = options.name or options.latent.name.removesuffix(".safetensors").removesuffix(".latent")
                    written = [
                        finish(pipeline, sample, options.latent, options.out, name=name, png=options.png, progress=progress)
                    ]
            if options.latent is None and pipeline.writes:
                print(f"relations      {options.out / f'{stem}_relations.png'}")
            for files in written:
                print(f"video          {files.video}")
                print(f"contact sheet  {files.contact_sheet}")
                if files.png_folder is not None:
                    print(f"frames         {files.png_folder}")
    return 0


@contextmanager
def _sharing(options: argparse.Namespace) -> Iterator[tuple["Processes | None", str]]:
    """(the processes of torchrun that share the work, this one's device); (None, the device) without torchrun."""
    if not any(os.environ.get(name) for name in TORCHRUN):
        if options.each:
            from lumosx_core.errors import InputError

            raise InputError(
                "--each shares the videos out among the processes of torchrun, and here is one on its own; start with "
                "torchrun --nproc_per_node N -m lumosx_core generate ... --each, or leave --each out"
            )
        yield None, options.device
        return
    from lumosx_core.training.parallelize import begin_processes, end_processes, loss_told

    processes, device = begin_processes(options.device, os.environ, 1 if options.each else None)
    try:
        with loss_told(processes, "making videos", "Videos that are whole stay; start the others again"):
            yield processes, device
    finally:
        end_processes(processes)


def _stems(options: argparse.Namespace) -> list[str]:
    """How the files of each sample begin. Raises InputError where two would be called the same, and for a latent of several."""
    from lumosx_core.errors import InputError

    stems = [options.name or folder.resolve().name for folder in options.sample]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice is not None:
        raise InputError(f"files of several samples would be called {twice}_...; make one after the other, with --name")
    if options.latent is not None and len(stems) > 1:
        raise InputError(f"--latent is of one sample, got {len(stems)}; give the one that it was made of")
    return stems


def _shards(processes: "Processes | None") -> "SequenceShards | None":
    """The processes that make each video together."""
    from datetime import timedelta

    import torch.distributed as dist

    from lumosx_core.model.sequence_shards import SequenceShards

    if processes is None or processes.count == 1:
        return None
    patient = dist.new_group(backend="gloo", timeout=timedelta(days=7))  # a group that does wait for a long decoding
    return SequenceShards(processes.group, processes.rank, processes.count, patient)


def _budget(options: argparse.Namespace, pipeline: "LumosXPipeline", processes: "Processes | None") -> float | None:
    """The GiB that a plan may count on: --memory, else what is free on a card; None where nothing is to be planned."""
    from lumosx_core.errors import InputError
    from lumosx_core.model.devices import GIB, free_bytes, is_cuda
    from lumosx_core.numbers import real_number

    if options.memory is None:
        free = free_bytes(pipeline.device)
        return None if free is None or pipeline.shards is not None else free / GIB
    gib = real_number(options.memory, "--memory", least=0.1, most=10_000)
    if processes is not None and processes.count > 1 and not (options.each and is_cuda(pipeline.device)):
        raise InputError(
            "--memory plans one process on a device of its own; leave it out where several make a video together or work in "
            "the memory of one machine, or share the videos out among cards with --each"
        )
    return gib


def _planned(
    options: argparse.Namespace,
    pipeline: "LumosXPipeline",
    samples: "list[Sample]",
    config: "GenerationConfig",
    gib: float,
) -> "GenerationConfig":
    """Choose and print what makes the largest of the samples fit so many GiB; the pipeline and the configuration with it."""
    from dataclasses import replace

    from lumosx_core.model.devices import GIB
    from lumosx_core.model.memory import USABLE
    from lumosx_core.numbers import whole_number
    from lumosx_core.references import prepared_pictures
    from lumosx_core.sampling.generate import bind, blank_of, layout_of
    from lumosx_core.sampling.memory_plan import planned

    videos = min(whole_number(options.batch, "batch", least=1), len(options.seed))
    layouts = []
    for sample in samples:
        pictures = prepared_pictures(sample.references.references(), config.width, config.height)
        bound = bind(pipeline, sample, config)
        layouts.append(layout_of(bound, config, videos=videos, blank=blank_of(pictures, config)))
    plan = planned(
        pipeline.folder,
        pipeline.sizes,
        config,
        max(layouts, key=lambda layout: layout.seq_len),
        dtype=pipeline.dtype,
        device=pipeline.device,
        gib=gib,
    )
    for stage, how in plan.told.items():
        size = f"{plan.stages[stage] / GIB:6.2f} GiB  " if stage in plan.stages else " " * 12
        print(f"{stage:<14} {size}{how}")
    print(f"{'peak':<14} {plan.peak / GIB:6.2f} GiB  of {gib:.4g}, of which {gib * USABLE:.2f} may be filled", flush=True)
    pipeline.memory = plan.memory
    return replace(config, cfg_batched=plan.memory.cfg_batched)


def _refuse_what_samples(options: argparse.Namespace) -> None:
    """Raises InputError for options that change nothing of a latent that is there, and for several processes."""
    from lumosx_core.errors import InputError

    names = ("prompt", "lora", "strength", "dtype", "memory", "on_problem")
    useless = [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) not in (None, [])]
    useless += ["--seed"] if options.seed != [0] else []
    useless += ["--batch"] if options.batch != 1 else []
    useless += given_sampling_options(options)
    if useless:
        raise InputError(
            f"{', '.join(useless)}: without effect on a latent that is sampled already; leave out what is named here, or leave "
            "--latent out and sample anew"
        )
    if (os.environ.get("WORLD_SIZE") or "1") != "1":
        raise InputError("--latent makes one video in one process; start it without torchrun")


def _lora_and_strength(text: str) -> tuple[Path, float]:
    """ "style.safetensors:0.8" -> the path and 0.8; 1 where no strength is told (a drive letter has a colon too)."""
    from lumosx_core.errors import InputError

    path, colon, number = text.rpartition(":")
    if not path or "/" in number or "\\" in number or number.endswith((".safetensors", ".pt", ".bin")):
        return Path(text), 1.0
    try:
        return Path(path), float(number)
    except ValueError:
        raise InputError(f"--lora {text}: {number!r} is no strength; write FILE{colon}0.8, or the file alone for 1") from None


def _words_and_strength(text: str) -> tuple[str, float]:
    """ "red hat:0.5" -> the words and 0.5."""
    from lumosx_core.errors import InputError

    words, _, number = text.rpartition(":")
    try:
        return words, float(number)
    except ValueError:
        raise InputError(f"--strength {text}: expected words of the sample and a number, such as 'red hat:0.5'") from None


def _warn_of_photographs(references: "ReferenceSet", width: int, height: int) -> None:
    """Say what the embedded model is when it gets pictures of a kind that it has never seen."""
    from lumosx_core.puppets.samples import photographs

    strange = photographs(references, width, height)
    if strange:
        log.warning(
            "the embedded nano model knows drawn puppets only, and what looks like a photograph comes out as a puppet: %s. "
            "For real pictures name a model: --model FOLDER (the readme and `lumosx convert --help` say how to make one)",
            ", ".join(strange),
        )
