"""Turn released weights into the files of a model folder, which `lumosx generate --model` takes.

Run it once each for the transformer (.pt, .safetensors or torch.distributed.checkpoint folder), the vae and the
text-encoder; give the tokenizer (spiece.model or tokenizer.json) with any of them.
"""

import argparse
from pathlib import Path

FILES = {
    "transformer": "transformer.safetensors",
    "vae": "vae.safetensors",
    "text-encoder": "text_encoder.safetensors",
}
DEFAULT_STORAGE = {"transformer": "bf16", "vae": "fp32", "text-encoder": "bf16"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("kind", choices=tuple(FILES))
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the released file or folder")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the model folder to fill")
    parser.add_argument("--entry", default="ema", choices=("ema", "model"), help="which weights, where both are stored")
    parser.add_argument(
        "--storage", choices=("fp32", "bf16", "fp16", "fp8_e4m3fn"), help="type on disk (default: bf16; the vae fp32)"
    )
    parser.add_argument("--tokenizer", type=Path, help="spiece.model or tokenizer.json to put into the folder")


def run(options: argparse.Namespace) -> int:
    """Convert one file."""
    from lumosx_core.errors import InputError
    from lumosx_core.files.atomic import copy_file, writable_folder
    from lumosx_core.model.convert import convert_text_encoder, convert_transformer, convert_vae
    from lumosx_core.sampling.pipeline import PipelineDefaults, save_defaults

    if options.tokenizer is not None and options.tokenizer.name not in ("spiece.model", "tokenizer.json"):
        raise InputError(f"the tokenizer is {options.tokenizer}, expected a file spiece.model or tokenizer.json")
    if options.tokenizer is not None and not options.tokenizer.is_file():
        raise InputError(f"there is no tokenizer {options.tokenizer}")
    target = writable_folder(options.folder) / FILES[options.kind]
    storage = options.storage or DEFAULT_STORAGE[options.kind]
    if options.kind == "transformer":
        config = convert_transformer(options.source, target, entry=options.entry, storage=storage)
        print(f"sizes: {config.to_json()}")
    elif options.kind == "vae":
        convert_vae(options.source, target, storage=storage)
    else:
        convert_text_encoder(options.source, target, storage=storage)
    if options.tokenizer is not None:
        copy_file(options.tokenizer, options.folder / options.tokenizer.name, "the tokenizer")
    if not (options.folder / "pipeline.json").exists():
        save_defaults(options.folder, PipelineDefaults())
    print(f"wrote {target} ({target.stat().st_size / 2**20:.1f} MiB, {storage})")
    needed = ("transformer.safetensors", "vae.safetensors", "text_encoder.safetensors")
    missing = [name for name in needed if not (options.folder / name).exists()]
    if not any((options.folder / name).exists() for name in ("spiece.model", "tokenizer.json")):
        missing.append("a tokenizer (--tokenizer)")
    print(f"still missing in {options.folder}: {', '.join(missing)}" if missing else f"{options.folder} is complete")
    return 0
