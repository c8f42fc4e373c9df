"""The host's folders of diffusion models: what lies there, its weights as the host's MODEL, and files written into them."""

import os
from pathlib import Path, PurePosixPath
from typing import Any

import comfy.model_management
import comfy.sd
import comfy.utils
import folder_paths
import torch

from lumosx_core.errors import InputError, quoted
from lumosx_core.files.distributed import METADATA
from lumosx_core.files.names import escape_phrase
from lumosx_core.files.safetensors import INDEX
from lumosx_core.progress import Progress

KIND = "diffusion_models"
# Ends of the names that the host's own fp8 and other small formats have beside the weights.
HOST_SCALES = (
    "scaled_fp8",
    ".scale_weight",
    ".scale_input",
    ".weight_scale",
    ".weight_scale_2",
    ".input_scale",
    ".comfy_quant",
)
LONGEST_NAME = 200  # bytes of a file name; systems take 255, and an unfinished file has a longer one
NO_FILE = "none"  # in the list of files, so that it is never empty
# Choices of the host's own Load Diffusion Model -> what its loader takes in.
WEIGHT_TYPES: dict[str, dict[str, Any]] = {
    "default": {},
    "fp8_e4m3fn": {"dtype": torch.float8_e4m3fn},
    "fp8_e4m3fn_fast": {"dtype": torch.float8_e4m3fn, "fp8_optimizations": True},
    "fp8_e5m2": {"dtype": torch.float8_e5m2},
}


def diffusion_models() -> list[str]:
    """The choices: files of weights in the host's folders and below, folders of torch.distributed.checkpoint, indexes of
    sharded files; then "none"."""
    found = set(folder_paths.get_filename_list(KIND))
    for root in folder_paths.get_folder_paths(KIND):
        names = folder_paths.recursive_search(root, excluded_dir_names=[".git"])[0] if os.path.isdir(root) else []
        for name in map(Path, names):
            if name.name == METADATA and name.parent.name:
                found.add(str(name.parent))
            elif name.name.endswith(INDEX):
                found.add(str(name))
    return [*sorted(found, key=str.lower), NO_FILE]


def diffusion_model_path(choice: str) -> Path:
    """The file or folder of a choice. Raises InputError, saying where such files go, if it is "none" or gone."""
    if choice != NO_FILE and choice in diffusion_models():
        for root in folder_paths.get_folder_paths(KIND):
            if (path := Path(root) / choice).exists():
                return path
    what = "no file is chosen" if choice == NO_FILE else f"there is no diffusion model {quoted(choice)}"
    raise InputError(
        f"{what}; put LumosX.pt, its folder, or a Wan2.1 text-to-video file into {_own_folder()}, reload the page and choose "
        "it in the input file"
    )


def load_host_model(path: Path, entry: str, weight_type: str) -> Any:
    """A MODEL of the host out of any file of Wan2.1 text-to-video weights, in the type and with the memory handling of its own
    loader. entry: "ema" or "model" where both are stored; weight_type: of WEIGHT_TYPES.

    Every key is looked at, since the host leaves out those that do not fit and starts the missing ones at random. Raises
    InputError for damaged files, other models, keys that are missing, extra or of the wrong shape, and numbers that are none.
    """
    from lumosx_core.files.weight_checks import FiniteCheck, check_types
    from lumosx_core.files.weights import open_weights
    from lumosx_core.model.checkpoint import check_keys, expected_transformer, transformer_sizes

    stored, metadata = open_weights(path, entry)
    sizes = transformer_sizes(str(path), stored, metadata)
    expected = expected_transformer(sizes).state_dict()
    scaled = any(name.endswith(HOST_SCALES) for name in stored)  # the host's own formats pack weights in shapes of their own
    check_keys(str(path), {name: stored[name] for name in expected if name in stored} if scaled else stored, expected)
    if not scaled:
        check_types(str(path), stored)
    check = FiniteCheck(str(path))
    state = {}
    for name, value in stored.items():
        numbers = value.read()
        state[name] = check.converted(name, numbers, numbers.dtype) if numbers.dtype.is_floating_point else numbers
    check.finish()
    model = comfy.sd.load_diffusion_model_state_dict(state, model_options=dict(WEIGHT_TYPES[weight_type]))
    if model is None:
        raise InputError(f"ComfyUI does not know the sizes of {path}; expected Wan2.1 text-to-video weights, 1.3B or 14B")
    return model


def new_model_path(name: str) -> Path:
    """Where a new file of that name, which may have folders in it, goes. Raises InputError for names that lead elsewhere or
    that some system refuses."""
    folder = _own_folder()
    parts = PurePosixPath(name.strip().replace("\\", "/")).parts
    wrong = [part for part in parts if part == ".." or escape_phrase(part) != part or len(part.encode()) > LONGEST_NAME]
    if not parts or wrong:
        raise InputError(f"name is {quoted(name)}, expected a file name, with folders below {folder} if wanted")
    path = folder.joinpath(*parts)
    return path if path.suffix == ".safetensors" else path.with_name(f"{path.name}.safetensors")


def check_transformer(path: Path) -> None:
    """Raises InputError, which says what to do, if a file that is there already holds no weights of the transformer."""
    from lumosx_core.files.weights import open_weights
    from lumosx_core.model.checkpoint import transformer_sizes

    try:
        if not path.is_file():
            raise InputError(f"{path} is a folder")
        transformer_sizes(str(path), *open_weights(path))
    except InputError as error:
        raise InputError(
            f"there is something else under that name already: {error}. Choose another name, or delete it"
        ) from error


def shown_progress() -> Progress:
    """Progress in the node; raises the host's own exception as soon as the user cancels."""
    bars: dict[str, Any] = {}

    def progress(stage: str, done: int, total: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar = bars.setdefault(stage, comfy.utils.ProgressBar(max(total, 1)))
        bar.update_absolute(done)

    return progress


def relative_name(path: Path) -> str:
    """How Load Diffusion Model lists a file of ours."""
    return str(path.relative_to(_own_folder()))


def _own_folder() -> Path:
    places = [Path(place) for place in folder_paths.get_folder_paths(KIND)]
    return next((place for place in places if place.name == KIND), places[0])  # not models/unet, its older name
