"""Turn released weights into the files of a model folder, which `lumosx generate --model` takes.

`lora` writes a LoRA of other names (bare, peft's, diffusers', kohya's) as ComfyUI and `lumosx generate --lora` read it. The
rest: run it once each for the transformer (.pt, .safetensors or torch.distributed.checkpoint folder), the vae and the
text-encoder; give the tokenizer (spiece.model or tokenizer.json) with any of them.
"""

import argparse
from pathlib import Path

FILES = {
    "transformer": "transformer.safetensors",
    "vae": "vae.safetensors",
    "text-encoder": "text_encoder.safetensors",
}
IN_COMFYUI = (
    "in ComfyUI: put the transformer (--storage fp16 there) into models/diffusion_models, with the unconverted Wan2.1 VAE and "
    "UMT5 files of ComfyUI; its loaders do not read the converted ones"
)
DEFAULT_STORAGE = {"transformer": "bf16", "vae": "fp32", "text-encoder": "bf16"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("kind", choices=(*FILES, "lora"))
    parser.add_argument("source", type=Path, metavar="SOURCE", help="the released file or folder")
    parser.add_argument("folder", type=Path, metavar="TARGET", help="the model folder to fill; of a lora the file to write")
    parser.add_argument("--alpha", type=float, help="of a lora whose file tells none (default: its rank, the whole effect)")
    parser.add_argument(
        "--entry", default="ema", metavar="NAME", help="which weights, where several are stored, such as model (default: ema)"
    )
    parser.add_argument(
        "--storage",
        choices=("fp32", "bf16", "fp16", "fp8_e4m3fn"),
        help="type on disk (default: bf16; the vae fp32; fp16 for ComfyUI)",
    )
    parser.add_argument("--tokenizer", type=Path, help="spiece.model or tokenizer.json to put into the folder")


def run(options: argparse.Namespace) -> int:
    """Convert one file."""
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.errors import InputError
    from lumosx_core.files.atomic import copy_file, writable_folder, write_bytes
    from lumosx_core.model.convert import convert_text_encoder, convert_transformer, convert_vae
    from lumosx_core.sampling.config import PipelineDefaults, save_defaults
    from lumosx_core.sampling.pipeline import TOKENIZERS
    from lumosx_core.tokenizers import load_tokenizer

    if options.kind == "lora":
        return _convert_lora(options)
    given = options.tokenizer
    if given is not None and given.name not in TOKENIZERS:
        raise InputError(f"the tokenizer is {given}, expected a file {' or '.join(TOKENIZERS)}")
    if given is not None and not given.is_file():
        raise InputError(f"there is no tokenizer {given}")
    if given is not None:
        load_tokenizer(given)
    target = writable_folder(options.folder) / FILES[options.kind]
    storage = options.storage or DEFAULT_STORAGE[options.kind]
    there = next((options.folder / name for name in TOKENIZERS if (options.folder / name).is_file()), None)
    inside = None
    with ProgressBars() as progress:
        if options.kind == "transformer":
            config = convert_transformer(options.source, target, entry=options.entry, storage=storage, progress=progress)
        elif options.kind == "vae":
            convert_vae(options.source, target, storage=storage, progress=progress)
        else:
            inside = convert_text_encoder(options.source, target, storage=storage, tokenizer=given or there, progress=progress)
    if options.kind == "transformer":
        print(f"sizes: {config.to_json()}")
    if given is not None:
        copy_file(given, options.folder / given.name, "the tokenizer")
    elif inside is not None:
        write_bytes(options.folder / "spiece.model", inside, "the tokenizer")
        print("the tokenizer inside the file became spiece.model")
    if not (options.folder / "pipeline.json").exists():
        save_defaults(options.folder, PipelineDefaults())
    print(f"wrote {target} ({target.stat().st_size / 2**20:.1f} MiB, {storage})")
    needed = ("transformer.safetensors", "vae.safetensors", "text_encoder.safetensors")
    missing = [name for name in needed if not (options.folder / name).exists()]
    if not any((options.folder / name).exists() for name in ("spiece.model", "tokenizer.json")):
        missing.append("a tokenizer (--tokenizer)")
    print(f"still missing in {options.folder}: {', '.join(missing)}" if missing else f"{options.folder} is complete")
    if options.kind == "transformer":
        print(IN_COMFYUI)
    return 0


def _convert_lora(options: argparse.Namespace) -> int:
    from lumosx_core.errors import InputError
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.model.lora import read_lora, write_lora

    target = options.folder
    if target.suffix != ".safetensors":
        raise InputError(f"the LoRA is to be written to {target}; give a file that ends in .safetensors")
    lora = read_lora(options.source, alpha=options.alpha)
    writable_folder(target.parent)
    write_lora(target, lora)
    ranks = sorted({factors.rank for factors in lora.factors.values()})
    print(
        f"wrote {target}: {len(lora.factors)} layers of rank {', '.join(map(str, ranks)) or '-'}, {len(lora.differences)} "
        "differences of norms and biases"
    )
    return 0
