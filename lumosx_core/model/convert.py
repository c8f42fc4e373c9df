"""Released weights to the files of a pipeline folder: one safetensors file each, sizes in the metadata.

Tensors are read, checked, converted and written one after another: the largest one is all that is in memory.
"""

from pathlib import Path

from lumosx_core.files.weight_checks import check_types, say_rounded
from lumosx_core.files.weights import DEFAULT_ENTRY, open_weights
from lumosx_core.model.checkpoint import check_keys, expected_transformer, save_transformer, transformer_sizes
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.devices import STORAGE_TYPES, weights_type
from lumosx_core.model.text_encoder import check_vocabulary, open_text_encoder, write_text_encoder
from lumosx_core.model.vae import open_vae, write_vae
from lumosx_core.progress import Progress
from lumosx_core.tokenizers import SentencePieceTokenizer, load_tokenizer


def convert_transformer(
    source: str | Path,
    target: str | Path,
    *,
    entry: str = DEFAULT_ENTRY,
    storage: str = "bf16",
    progress: Progress | None = None,
) -> TransformerConfig:
    """The released transformer as one safetensors file; returns its sizes.

    source: anything that `open_weights` reads. entry: which weights, where several are stored. storage: "fp32", "bf16",
    "fp16" or "fp8_e4m3fn". progress: called with (stage, done, total), in MiB. Every key is checked against the architecture,
    every weight for being a finite number. Raises InputError for damaged files, other models, weights that do not fit, and an
    unwritable target.
    """
    dtype = weights_type(storage, what="storage type", names=tuple(STORAGE_TYPES))
    state, metadata = open_weights(source, entry)
    config = transformer_sizes(str(source), state, metadata)
    check_keys(str(source), state, expected_transformer(config).state_dict())
    check_types(str(source), state)
    say_rounded(str(source), state, dtype)
    extra = {"entry": entry}
    save_transformer(target, state, config, storage=storage, extra_metadata=extra, what=str(source), progress=progress)
    return config


def convert_vae(source: str | Path, target: str | Path, *, storage: str = "fp32", progress: Progress | None = None) -> None:
    """The Wan2.1 VAE (original, diffusers' or our names) as one safetensors file in diffusers' names. storage: fp32, bf16,
    fp16. Raises InputError if it is no Wan2.1 VAE."""
    dtype = weights_type(storage, what="storage type")
    state, _, config = open_vae(source)
    write_vae(target, state, config, dtype, what=str(source), progress=progress)


def convert_text_encoder(
    source: str | Path,
    target: str | Path,
    *,
    storage: str = "bf16",
    tokenizer: str | Path | None = None,
    progress: Progress | None = None,
) -> bytes | None:
    """The UMT5 encoder (original Wan or transformers' names, fp8 with scales too) as one safetensors file in transformers'
    names. storage: fp32, bf16, fp16. tokenizer: checked against the encoder's vocabulary before anything is written.
    Returns, where no tokenizer is given, the SentencePiece model inside ComfyUI's file, checked like a given one, or None.
    Raises InputError if it is no UMT5 encoder, or the tokenizer is another one's."""
    dtype = weights_type(storage, what="storage type")
    state, config, inside = open_text_encoder(source)
    found = None
    if tokenizer is not None:
        check_vocabulary(load_tokenizer(tokenizer), tokenizer, config)
    elif inside is not None:
        found = inside.read().numpy().tobytes()
        check_vocabulary(SentencePieceTokenizer(found), f"inside {source}", config)
    say_rounded(str(source), state, dtype)
    write_text_encoder(target, state, config, dtype, what=str(source), progress=progress)
    return found
